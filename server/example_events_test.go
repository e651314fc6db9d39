package server_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"

	"microhttp/server"
)

// An event stream whose client has gone ends at once, and not with the next event.
func ExampleStream_OnPeerEnd() {
	subscribers := make(map[*server.Stream]bool) // of one loop; with several, a map for each
	gone := make(chan int, 1)
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.SetHeader("Content-Type", "text/event-stream")
		s := w.Stream()
		subscribers[s] = true
		s.OnPeerEnd(func() {
			delete(subscribers, s)
			s.Close()
			gone <- len(subscribers)
		})
		fmt.Fprint(s, "data: welcome\n\n")
	}))
	defer end()

	client, err := net.DialTimeout("tcp", strings.TrimPrefix(url, "http://"), time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Fprint(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	for in := bufio.NewScanner(client); in.Scan(); {
		if in.Text() == "data: welcome" {
			fmt.Println(in.Text())
			break
		}
	}
	client.Close()
	fmt.Println("subscribers:", <-gone)
	// Output:
	// data: welcome
	// subscribers: 0
}
