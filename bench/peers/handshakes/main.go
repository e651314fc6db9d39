// Command handshakes opens TLS connections to an address, one after the other in each of its lanes, makes one request on
// each, and closes it. It ends after the given time and says how many it made, in the words of wrk.
package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const request = "GET /plaintext HTTP/1.1\r\nHost: localhost\r\n\r\n"

func main() {
	lanes := flag.Int("c", 16, "connections at a time")
	duration := flag.Duration("d", 4*time.Second, "how long")
	resume := flag.Bool("resume", false, "resume the session of an earlier connection")
	flag.Parse()

	var made atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	end := begin.Add(*duration)
	for range *lanes {
		all.Go(func() {
			c := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
			if *resume {
				c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			for time.Now().Before(end) {
				if err := once(flag.Arg(0), c, *resume && made.Load() > int64(2**lanes)); err != nil {
					log.Fatal(err)
				}
				made.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Printf("  %d requests in %.3fs, \n", made.Load(), time.Since(begin).Seconds())
}

func once(addr string, c *tls.Config, mustResume bool) error {
	conn, err := tls.Dial("tcp4", addr, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if mustResume && !conn.ConnectionState().DidResume {
		return fmt.Errorf("the session was not resumed")
	}
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != 200 {
		return fmt.Errorf("status %d, %v", res.StatusCode, err)
	}
	return nil
}
