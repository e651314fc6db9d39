package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"time"

	"microhttp/server"
)

// A 103 tells a browser what it can fetch while the answer is still being made.
func ExampleResponse_Interim() {
	url, end := serve(server.BlockingFunc(func(w *server.Response, r *server.Request) {
		w.Interim(103, server.Field{Name: "Link", Value: "</style.css>; rel=preload; as=style"})
		w.WriteString("a page that took its time")
	}))
	defer end()
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		fmt.Println(code, h.Get("Link"))
		return nil
	}}
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace), "GET", url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output:
	// 103 </style.css>; rel=preload; as=style
	// 200 OK
}

// A trailer says what is known only at the end.
func ExampleStream_AddTrailer() {
	url, end := serve(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.SetHeader("Trailer", "X-Lines")
		s := w.Stream()
		s.WriteString("one\ntwo\n")
		s.AddTrailer("X-Lines", "2")
		s.Close()
	}))
	defer end()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	req.Header.Set("TE", "trailers")
	res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	fmt.Printf("%q %s\n", body, res.Trailer.Get("X-Lines"))
	// Output: "one\ntwo\n" 2
}

// members lets members in alone. It runs before the body is sent.
var members = server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
	if r.Header("Authorization") != "Bearer member" {
		w.Error(401)
		w.SetHeader("WWW-Authenticate", "Bearer")
		return
	}
	next.Serve(w, r)
})

// A body that would be refused is refused before it is sent.
func ExampleWrap() {
	url, end := serve(members(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		fmt.Fprintf(w, "%d bytes", len(r.PeekBody()))
	})))
	defer end()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: time.Minute}}
	for _, token := range []string{"guest", "member"} {
		body := &counted{Reader: strings.NewReader(strings.Repeat("x", 100_000))}
		req, err := http.NewRequest("POST", url, body)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.ContentLength = 100_000
		req.Header.Set("Expect", "100-continue")
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		res.Body.Close()
		fmt.Printf("%s: %s, body sent: %v\n", token, res.Status, body.read.Load())
	}
	// Output:
	// guest: 401 Unauthorized, body sent: false
	// member: 200 OK, body sent: true
}

// counted notices that it is read.
type counted struct {
	io.Reader
	read atomic.Bool
}

func (c *counted) Read(p []byte) (int, error) {
	c.read.Store(true)
	return c.Reader.Read(p)
}
