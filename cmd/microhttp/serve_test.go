package main

// What the tests of the routes share: the demo's own server in this process, and
// connections to it that send bytes as they are written here.

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait of a test; it is only used up by one that fails.
const patience = 20 * time.Second

// startDemo serves the demo on one loop, as the flags have it, until the test ends.
func startDemo(t *testing.T, flags ...string) (addr string) {
	t.Helper()
	var o options
	if err := o.parse(append([]string{"-addr", "127.0.0.1:0", "-loops", "1"}, flags...), nil); err != nil {
		t.Fatal(err)
	}
	s := o.newServer(io.Discard)
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run() // ErrServerClosed, or the requests fail
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
	})
	return at.String()
}

// peer is a connection to the demo.
type peer struct {
	*net.TCPConn
	t  *testing.T
	in *bufio.Reader
}

func dial(t *testing.T, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &peer{c.(*net.TCPConn), t, bufio.NewReader(c)}
}

// send sends a request made of its request line and further field lines; what comes
// behind an empty line is the body.
func (p *peer) send(lines ...string) {
	p.t.Helper()
	fields, body := lines[1:], ""
	if i := slices.Index(fields, ""); i >= 0 {
		fields, body = fields[:i], strings.Join(fields[i+1:], "")
	}
	text := lines[0] + "\r\nHost: test\r\n"
	for _, line := range fields {
		text += line + "\r\n"
	}
	text += "\r\n" + body
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatal(err)
	}
}

// head reads the head of an answer to a request with that method.
func (p *peer) head(method string) *http.Response {
	p.t.Helper()
	res, err := http.ReadResponse(p.in, &http.Request{Method: method})
	if err != nil {
		p.t.Fatalf("reading the answer: %v", err)
	}
	return res
}

// ask sends a request and reads the answer to it.
func (p *peer) ask(lines ...string) (*http.Response, string) {
	p.t.Helper()
	p.send(lines...)
	method, _, _ := strings.Cut(lines[0], " ")
	res := p.head(method)
	return res, p.rest(res)
}

func (p *peer) rest(res *http.Response) string {
	p.t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatalf("reading the body: %v", err)
	}
	return string(body)
}
