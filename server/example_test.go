package server_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"microhttp/reactor"
	"microhttp/server"
)

// serve runs a server for an example and returns its address and how to end it.
func serve(h server.Handler) (url string, end func()) {
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h}
	addr, err := s.Listen()
	if err != nil {
		panic(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	return "http://" + addr.String(), func() {
		s.Shutdown(context.Background())
		<-ended
	}
}

// get prints what a GET brings.
func get(url string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	fmt.Printf("%d %s\n", res.StatusCode, body)
}

func ExampleServer() {
	s := &server.Server{
		Addr: "127.0.0.1:0",
		Handler: server.HandlerFunc(func(w *server.Response, r *server.Request) {
			w.SetHeader("Content-Type", "text/plain")
			w.WriteString("Hello, " + r.QueryValue("name") + "!")
		}),
	}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	get("http://" + addr.String() + "/?name=World")
	s.Shutdown(context.Background())
	fmt.Println(<-ended)
	// Output:
	// 200 Hello, World!
	// server: closed
}

// A Unix socket for a proxy on the same machine that runs as another user of the group.
func ExampleServer_unixSocket() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s := &server.Server{
		Addr: "unix:" + dir + "/app.sock", SocketMode: 0o660,
		Handler: server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.WriteString("Hello!") }),
	}
	if _, err := s.Listen(); err != nil {
		fmt.Println(err) // errors.Is(err, syscall.EADDRINUSE): somebody else serves there
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", dir+"/app.sock")
		},
	}}
	res, err := client.Get("http://app/")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(res.Body)
	res.Body.Close()
	fmt.Println(res.Status, string(body))
	s.Shutdown(context.Background())
	fmt.Println(<-ended)
	// Output:
	// 200 OK Hello!
	// server: closed
}

// A listener that is there already, from a test or a library that hands sockets over.
func ExampleServer_Serve() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &server.Server{Handler: server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.WriteString("Hello!") })}
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()
	get("http://" + l.Addr().String())
	s.Shutdown(context.Background())
	fmt.Println(<-ended)
	// Output:
	// 200 Hello!
	// server: closed
}

func ExampleBlocking() {
	url, end := serve(server.BlockingFunc(func(w *server.Response, r *server.Request) {
		select {
		case <-time.After(time.Millisecond): // or a database, a file, another server
			w.WriteString("worth the wait")
		case <-r.Context().Done(): // nobody waits any more
		}
	}))
	defer end()
	get(url)
	// Output: 200 worth the wait
}

// Handlers that wait, one for each connection perhaps, keep no Blocking handler from running.
func ExampleOwnGoroutine() {
	news := make(chan string, 1)
	news <- "it rains"
	url, end := serve(server.OwnGoroutine(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		select {
		case s := <-news:
			w.WriteString(s)
		case <-r.Context().Done(): // the peer has left, or the server ends
		}
	})))
	defer end()
	get(url)
	// Output: 200 it rains
}

func ExampleResponse_Later() {
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		answer := w.Later()
		r.Reactor().CallLater(time.Millisecond, func() {
			answer.Answer(func(w *server.Response) { w.WriteString("from a timer") })
		})
		go answer.Answer(func(w *server.Response) { w.WriteString("from a goroutine") })
	}))
	defer end()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get(url)
	if err != nil {
		fmt.Println(err)
		return
	}
	res.Body.Close()
	fmt.Println("one of them answered:", res.Status)
	// Output: one of them answered: 200 OK
}

// On the loop a stream is filled until it is full, and again when it has drained.
func ExampleResponse_Stream() {
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		s, n := w.Stream(), 0
		more := func() {
			for ; n < 3 && !s.Full(); n++ {
				fmt.Fprintf(s, "line %d\n", n)
			}
			if n == 3 {
				s.Close()
			}
		}
		s.OnDrain(more)
		more()
	}))
	defer end()
	get(url)
	// Output:
	// 200 line 0
	// line 1
	// line 2
}

// A page that is made once is in memory once, however many read it and however slowly.
func ExampleResponse_GiveBody() {
	page := []byte("<!doctype html><title>Hello</title>") // and nobody changes it
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.SetHeader("Content-Type", "text/html; charset=utf-8")
		w.GiveBody(page)
	}))
	defer end()
	get(url)
	// Output: 200 <!doctype html><title>Hello</title>
}

// Who has the present state already is told so, and who means to change another one is refused.
func ExampleResponse_CheckPreconditions() {
	document, version := "first", 1
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		if w.CheckPreconditions(server.Validators{ETag: fmt.Sprintf(`"v%d"`, version)}) {
			return // 304 or 412
		}
		if r.Method() == "PUT" {
			document, version = string(r.Body()), version+1
		}
		w.WriteString(document)
	}))
	defer end()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func(method, condition, tag, body string) {
		req, _ := http.NewRequest(method, url, strings.NewReader(body))
		req.Header.Set(condition, tag)
		res, err := client.Do(req)
		if err != nil {
			panic(err)
		}
		res.Body.Close()
		fmt.Println(method, condition, tag, "->", res.StatusCode)
	}
	ask("GET", "If-None-Match", `"v1"`, "")
	ask("PUT", "If-Match", `"v1"`, "second")
	ask("PUT", "If-Match", `"v1"`, "a change of the first")
	ask("GET", "If-None-Match", `"v1"`, "")
	// Output:
	// GET If-None-Match "v1" -> 304
	// PUT If-Match "v1" -> 200
	// PUT If-Match "v1" -> 412
	// GET If-None-Match "v1" -> 200
}

// HTTP as one service among others on a reactor of your own.
func ExampleServer_Factory() {
	loop, err := reactor.New(reactor.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := &server.Server{Handler: server.HandlerFunc(func(w *server.Response, r *server.Request) { w.WriteString("hosted") })}
	port, err := loop.ListenTCP("127.0.0.1:0", s.Factory(loop), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	go func(addr netip.AddrPort) {
		get("http://" + addr.String())
		loop.Stop()
	}(port.Addr())
	fmt.Println(loop.Run())
	// Output:
	// 200 hosted
	// <nil>
}

// A visitor is counted in a cookie.
func ExampleResponse_SetCookie() {
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		visits, _ := r.Cookie("visits")
		n, _ := strconv.Atoi(visits) // whatever a peer sends
		w.SetCookie(&server.Cookie{
			Name: "visits", Value: strconv.Itoa(n + 1), Path: "/", MaxAge: 3600,
			HttpOnly: true, SameSite: server.SameSiteLaxMode,
		})
	}))
	defer end()
	req, _ := http.NewRequest("GET", url, nil)
	req.Header.Set("Cookie", "visits=41")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	res.Body.Close()
	fmt.Println(res.Header.Get("Set-Cookie"))
	// Output: visits=42; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax
}
