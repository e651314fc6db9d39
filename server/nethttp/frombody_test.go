package nethttp_test

// The bodies of requests that From serves, compared with net/http's server where that has them.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/nethttp"
)

const chunkedHead = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// kinds says which errors of net/http a handler finds in err.
func kinds(err error) string {
	var found []string
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, os.ErrDeadlineExceeded, http.ErrBodyReadAfterClose} {
		if errors.Is(err, e) {
			found = append(found, e.Error())
		}
	}
	if e, ok := errors.AsType[*http.MaxBytesError](err); ok {
		found = append(found, fmt.Sprint("more than ", e.Limit))
	}
	return fmt.Sprint(err != nil, found)
}

// bodies are conversations, and what a handler says of the body, which is the same behind both servers.
var bodies = []struct {
	name    string
	handler func(w http.ResponseWriter, r *http.Request) string
	client  func(c *net.TCPConn, in *bufio.Reader)
}{
	{"cut off, by its length", readAll, func(c *net.TCPConn, _ *bufio.Reader) {
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
		c.CloseWrite()
	}},
	{"cut off, in a chunk", readAll, func(c *net.TCPConn, _ *bufio.Reader) {
		io.WriteString(c, chunkedHead+"5\r\nabc")
		c.CloseWrite()
	}},
	{"cut off, between chunks", readAll, func(c *net.TCPConn, _ *bufio.Reader) {
		io.WriteString(c, chunkedHead+"3\r\nabc\r\n")
		c.CloseWrite()
	}},
	{"malformed", readAll, func(c *net.TCPConn, _ *bufio.Reader) { io.WriteString(c, chunkedHead+"3\r\nabc\r\nx\r\n") }},
	{"reset", func(w http.ResponseWriter, r *http.Request) string {
		io.WriteString(w, "go on")
		http.NewResponseController(w).EnableFullDuplex()
		http.NewResponseController(w).Flush()
		return readAll(w, r)
	}, func(c *net.TCPConn, in *bufio.Reader) {
		io.WriteString(c, chunkedHead)
		in.ReadString('\n') // the handler runs
		c.SetLinger(0)
		c.Close()
	}},
	{"MaxBytesReader", func(w http.ResponseWriter, r *http.Request) string {
		r.Body = http.MaxBytesReader(w, r.Body, 2)
		return readAll(w, r)
	}, func(c *net.TCPConn, _ *bufio.Reader) { io.WriteString(c, chunkedHead+"3\r\nabc\r\n0\r\n\r\n") }},
	{"MaxBytesHandler", func(w http.ResponseWriter, r *http.Request) (said string) {
		http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { said = readAll(w, r) }), 2).ServeHTTP(w, r)
		return said
	}, func(c *net.TCPConn, _ *bufio.Reader) { io.WriteString(c, chunkedHead+"3\r\nabc\r\n0\r\n\r\n") }},
	{"trailers", func(w http.ResponseWriter, r *http.Request) string {
		return spell(r.Trailer) + readAll(w, r) + spell(r.Trailer)
	}, func(c *net.TCPConn, _ *bufio.Reader) {
		io.WriteString(c, chunkedHead+"3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n")
	}},
	{"trailers, one announced", func(w http.ResponseWriter, r *http.Request) string {
		return spell(r.Trailer) + readAll(w, r) + spell(r.Trailer)
	}, func(c *net.TCPConn, _ *bufio.Reader) {
		io.WriteString(c, strings.Replace(chunkedHead, "\r\n", "\r\nTrailer: X-A, X-C\r\n", 1)+"0\r\nX-A: 1\r\nX-B: 2\r\n\r\n")
	}},
	{"closed", func(_ http.ResponseWriter, r *http.Request) string {
		one := make([]byte, 1)
		n, err := r.Body.Read(one)
		said := fmt.Sprint(n, err, r.Body.Close(), r.Body.Close())
		n, err = r.Body.Read(one)
		return said + fmt.Sprint(n, err)
	}, func(c *net.TCPConn, _ *bufio.Reader) {
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
	}},
	{"continue", func(w http.ResponseWriter, r *http.Request) string { return readAll(w, r) }, func(c *net.TCPConn, in *bufio.Reader) {
		io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
		if line, _ := in.ReadString('\n'); line == "HTTP/1.1 100 Continue\r\n" {
			in.ReadString('\n')
			io.WriteString(c, "abc")
		}
	}},
	{"full duplex", func(w http.ResponseWriter, r *http.Request) string {
		c := http.NewResponseController(w)
		if err := c.EnableFullDuplex(); err != nil {
			return err.Error()
		}
		c.Flush()
		lines, n := bufio.NewReader(r.Body), 0
		for ; ; n++ {
			line, err := lines.ReadString('\n')
			if err != nil {
				return fmt.Sprint(n, kinds(err))
			}
			io.WriteString(w, line)
			c.Flush()
		}
	}, func(c *net.TCPConn, in *bufio.Reader) {
		io.WriteString(c, chunkedHead)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return
		}
		back := bufio.NewReader(res.Body)
		for range 5 {
			io.WriteString(c, "5\r\nline\n\r\n")
			if line, _ := back.ReadString('\n'); line != "line\n" {
				return
			}
		}
		io.WriteString(c, "0\r\n\r\n")
		io.Copy(io.Discard, res.Body)
	}},
}

// readAll reads the body, and says how it ended.
func readAll(_ http.ResponseWriter, r *http.Request) string {
	p, err := io.ReadAll(r.Body)
	if err == nil {
		err = io.EOF
	}
	return fmt.Sprintf("%q %s", p, kinds(err))
}

// TestFromBodiesAgreeWithNetHTTP holds that a handler sees the same of a body behind both servers.
func TestFromBodiesAgreeWithNetHTTP(t *testing.T) {
	leavesNothing(t)
	for _, test := range bodies {
		said := make(chan string, 1)
		h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { said <- test.handler(w, r) })
		var got []string
		for _, addr := range []string{serveHTTP(t, h), serve(t, nethttp.From(h))} {
			c, in := connect(t, addr, "")
			test.client(c, in)
			select {
			case s := <-said:
				got = append(got, s)
			case <-time.After(patience):
				t.Fatalf("%s: the handler does not return, after %q", test.name, got)
			}
			c.Close()
		}
		if got[0] != got[1] {
			t.Errorf("%s: From gives\n%s\nand net/http\n%s", test.name, got[1], got[0])
		}
	}
}

// TestFromBodyErrors holds that the errors of package server are found too.
func TestFromBodyErrors(t *testing.T) {
	leavesNothing(t)
	said := make(chan error, 1)
	from := nethttp.From(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		said <- err
	}))
	for _, test := range []struct {
		name    string
		h       server.Handler
		option  func(*server.Server)
		request string
		cut     bool
		ours    error
		theirs  string
		status  int
	}{
		{"MaxBody", server.MaxBody(2)(from), func(*server.Server) {}, chunkedHead + "3\r\nabc\r\n0\r\n\r\n", false, server.ErrBodyTooLarge, "true[more than 2]", 413},
		{"cut", from, func(*server.Server) {}, chunkedHead + "3\r\nabc\r\n", true, server.ErrBodyCut, "true[unexpected EOF]", 400},
		{"slow", from, func(s *server.Server) { s.DataRateGrace, s.MinDataRate = 50*time.Millisecond, 1<<20 }, chunkedHead + "3\r\nabc\r\n", false, server.ErrBodySlow, "true[i/o timeout]", 408},
	} {
		c, in := connect(t, serve(t, test.h, test.option), test.request)
		if test.cut {
			c.CloseWrite()
		}
		select {
		case err := <-said:
			if got := kinds(err); !errors.Is(err, test.ours) || strings.ReplaceAll(got, " [", "[") != test.theirs {
				t.Errorf("%s: %v, which is %s", test.name, err, got)
			}
		case <-time.After(patience):
			t.Errorf("%s: the handler got no error", test.name)
		}
		if res, err := http.ReadResponse(in, nil); err != nil || res.StatusCode != test.status {
			t.Errorf("%s: answered %v, %v", test.name, res, err)
		}
	}
}

// TestFromBodyAfterReturn holds that what a handler leaves behind reads no body, though it was waiting for it.
func TestFromBodyAfterReturn(t *testing.T) {
	leavesNothing(t)
	said := make(chan error, 2)
	reads := make(chan bool)
	for name, end := range map[string]func(){"returns": func() {}, "panics": func() { panic(http.ErrAbortHandler) }} {
		addr := serve(t, nethttp.From(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.ReadFull(r.Body, make([]byte, 3))
			go func() {
				p := make([]byte, 10)
				reads <- true
				_, err := r.Body.Read(p) // before the handler has returned, or after
				said <- err
				_, err = r.Body.Read(p)
				said <- err
			}()
			<-reads
			end()
		})))
		connect(t, addr, chunkedHead+"3\r\nabc\r\n")
		for range 2 {
			select {
			case err := <-said:
				if err != http.ErrBodyReadAfterClose {
					t.Errorf("%s: %v", name, err)
				}
			case <-time.After(patience):
				t.Fatalf("%s: Read does not return", name)
			}
		}
	}
}

// TestFromExpectUnread holds that a peer which awaits 100 (Continue) is not told to go on by a handler that reads nothing,
// and that the connection then ends.
func TestFromExpectUnread(t *testing.T) {
	leavesNothing(t)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "no need") })
	request := "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
	theirs, ours := look(t, serveHTTP(t, h), request), look(t, serve(t, nethttp.From(h)), request)
	if theirs.String() != ours.String() || ours.interim != "" || !ours.close {
		t.Errorf("got %s, net/http gives %s", ours, theirs)
	}
}

// TestFromUploadIsBounded holds that a client gets ahead of a handler by what the kernel and the server buffer, and no
// further, and that a handler which keeps up gets all.
func TestFromUploadIsBounded(t *testing.T) {
	leavesNothing(t)
	const all, ahead = 48 << 20, 24 << 20 // the kernel takes up to 13 MiB on a busy machine
	var sent atomic.Int64
	said := make(chan string, 1)
	addr := serve(t, nethttp.From(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		read, piece := int64(0), make([]byte, 64<<10)
		await(t, "the client to get ahead", func() bool { return sent.Load() >= 1<<20 })
		for {
			n, err := r.Body.Read(piece)
			read += int64(n)
			if gap := sent.Load() - read; gap > ahead {
				said <- fmt.Sprintf("%d sent when %d were read", sent.Load(), read)
				return
			}
			if err != nil {
				said <- fmt.Sprint(read, err)
				return
			}
		}
	})))
	c, _ := connect(t, addr, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", all))
	go func() {
		piece := bytes.Repeat([]byte("x"), 64<<10)
		for range all / len(piece) {
			n, err := c.Write(piece)
			if sent.Add(int64(n)); err != nil {
				return
			}
		}
	}()
	if got := <-said; got != fmt.Sprint(int64(all), io.EOF) {
		t.Error(got)
	}
}
