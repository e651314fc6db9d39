package server_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"strings"
	"time"

	"microhttp/server"
)

// show prints what h answers to a request, without the Date.
func show(h server.Handler, request string) {
	url, end := serve(h)
	defer end()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		panic(err)
	}
	defer c.Close()
	io.WriteString(c, request)
	c.(*net.TCPConn).CloseWrite()
	answer, _ := io.ReadAll(c)
	for line := range strings.Lines(strings.ReplaceAll(string(answer), "\r", "")) {
		if !strings.HasPrefix(line, "Date: ") && line != "Connection: close\n" {
			fmt.Print(line)
		}
	}
}

func ExampleResponse_JSON() {
	show(server.HandlerFunc(func(w *server.Response, _ *server.Request) {
		w.JSON(200, map[string]int{"answer": 42})
	}), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	// Output:
	// HTTP/1.1 200 OK
	// Content-Length: 13
	// Content-Type: application/json
	//
	// {"answer":42}
}

var errNoNote = errors.New("no such note")

func ExampleTry() {
	find := func(id string) (string, error) { return "", fmt.Errorf("note %s: %w", id, errNoNote) }
	show(server.Try(func(w *server.Response, r *server.Request) error {
		note, err := find("17")
		if errors.Is(err, errNoNote) {
			return server.Fail(404, "there is no such note")
		}
		if err != nil {
			return err // 500, and a line in the log
		}
		w.Text(200, note)
		return nil
	}), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	// Output:
	// HTTP/1.1 404 Not Found
	// Content-Length: 67
	// Content-Type: application/problem+json
	//
	// {"title":"Not Found","status":404,"detail":"there is no such note"}
}

func ExampleRequest_DecodeJSON() {
	create := server.Try(func(w *server.Response, r *server.Request) error {
		var note struct{ Title string }
		if err := r.DecodeJSON(&note, server.KnownFields()); err != nil {
			return err // 400, 413 or 415, and it says where
		}
		w.JSON(201, note)
		return nil
	})
	show(create, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"Title\":\"milk\"")
	// Output:
	// HTTP/1.1 400 Bad Request
	// Content-Length: 114
	// Content-Type: application/problem+json
	//
	// {"title":"Bad Request","status":400,"detail":"line 1, column 16: unexpected end","column":16,"line":1,"offset":15}
}

func ExampleResponse_RedirectLocal() {
	login := server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.RedirectLocal(r.QueryValue("next"))
	})
	show(login, "GET /?next=//evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n")
	// Output:
	// HTTP/1.1 400 Bad Request
	// Content-Length: 12
	// Content-Type: text/plain; charset=utf-8
	//
	// Bad Request
}

func ExampleRequest_FormFile() {
	avatar := server.Blocking(server.Try(func(w *server.Response, r *server.Request) error {
		file, err := r.FormFile("avatar") // valid until the response is done
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s has %d bytes\n", file.Name, file.Size)
		return nil
	}))
	show(avatar, "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 95\r\n\r\n"+
		"--x\r\nContent-Disposition: form-data; name=\"avatar\"; filename=\"me.png\"\r\n\r\nnot a picture\r\n--x--\r\n")
	// Output:
	// HTTP/1.1 200 OK
	// Content-Length: 20
	//
	// me.png has 13 bytes
}

func ExampleRequest_Accepts() {
	show(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.Text(200, r.Accepts("text/html", "application/json")+" "+r.AcceptsEncoding("br", "gzip"))
	}), "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/*;q=0.5, application/json\r\nAccept-Encoding: gzip\r\n\r\n")
	// Output:
	// HTTP/1.1 200 OK
	// Content-Length: 21
	// Content-Type: text/plain; charset=utf-8
	//
	// application/json gzip
}

// What a function returns is the answer, and so is its error.
func ExampleTryJSON() {
	notes := map[int]string{1: "milk"}
	h := server.TryJSON(func(_ *server.Response, r *server.Request) (any, error) {
		n, err := r.QueryInt("note", 1)
		if err != nil {
			return nil, err
		}
		title, ok := notes[n]
		if !ok {
			return nil, server.Fail(404, "there is no such note")
		}
		return map[string]string{"title": title}, nil
	})
	for _, query := range []string{"", "?note=2", "?note=x"} {
		show(h, "GET /"+query+" HTTP/1.1\r\nHost: a\r\n\r\n")
		fmt.Println()
	}
	// Output:
	// HTTP/1.1 200 OK
	// Content-Length: 16
	// Content-Type: application/json
	//
	// {"title":"milk"}
	// HTTP/1.1 404 Not Found
	// Content-Length: 67
	// Content-Type: application/problem+json
	//
	// {"title":"Not Found","status":404,"detail":"there is no such note"}
	// HTTP/1.1 400 Bad Request
	// Content-Length: 89
	// Content-Type: application/problem+json
	//
	// {"title":"Bad Request","status":400,"detail":"the query parameter \"note\" is no number"}
}

// All that main needs. A test of the README runs it.
func ExampleServer_RunUntilSignal() {
	s := &server.Server{Addr: "127.0.0.1:8080", Handler: server.HandlerFunc(func(w *server.Response, _ *server.Request) {
		w.Text(200, "Hello!\n")
	})}
	if err := s.RunUntilSignal(10 * time.Second); err != nil {
		log.Fatal(err)
	}
}
