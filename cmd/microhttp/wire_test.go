package main

// Conformance and smuggling, seen from outside: the cases under testdata/wire are sent to the demo, and what comes back is
// held against them. A server that reads a message rightly in one piece and wrongly in two can be smuggled past, so each is
// sent three times: whole, over a socket; cut at random places; and byte by byte. Of cases that are variants of each other only
// some are sent in pieces, unless SIM_SEEDS is set. Cuts and drips are played in memory, on a simulated network
// (wiresim_test.go), where each piece is read alone and waiting costs nothing. Besides what a case asks for, every answer must
// obey the laws of readAnswer.
//
// "Nothing is answered" cannot be waited for. It is shown instead: by the end of the connection,
// or by a probe, a request of our own whose answer must be the next one to come.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/parser"
)

const (
	// leastWireCases guards against a loader that finds nothing and therefore passes.
	leastWireCases = 3800
	// wireClients play cases side by side, since some wait for the demo's clock.
	wireClients = 16
)

func TestWire(t *testing.T) {
	t.Parallel()
	addr := startDemo(t)
	cases := loadWireCases(t, wireFolder)
	if len(cases) < leastWireCases {
		t.Fatalf("%d cases, want at least %d", len(cases), leastWireCases)
	}
	t.Run("whole", func(t *testing.T) { runWireCases(t, addr, cases) })
	t.Run("cut", func(t *testing.T) { cutWireCases(t, cases) })
	t.Run("dripped", func(t *testing.T) { dripWireCases(t, cases) })
}

// What a client says behind an end that it has asked for itself may be met by a reset, and the case would fail by chance,
// unless all comes at once.
func TestWireCasesAreFair(t *testing.T) {
	for _, c := range loadWireCases(t, wireFolder) {
		var rest []byte
		for i := range c.stages {
			rest = append(rest, c.stages[i].message...)
		}
		var p parser.Parser
		var h parser.Head
		for !c.together {
			ev, n, err := p.Next(rest, &h)
			if err != nil || ev == parser.NeedMore && n == 0 {
				break
			}
			if rest = rest[n:]; ev == parser.EventEnd && !h.KeepAlive && len(rest) > 0 {
				t.Errorf("%s: not together, and %.40q stands behind an end that was asked for", c.name, rest)
				break
			}
		}
	}
}

// Whatever a peer is silent in the middle of, it does not wait for ever, and neither does the server.
func TestWireSlow(t *testing.T) {
	t.Parallel()
	const short = "150ms"
	addr := startDemo(t, "-read-header-timeout", short, "-body-timeout", short, "-idle-timeout", short)
	cases := loadWireCases(t, slowFolder)
	for i := range cases { // each waits for the clock: all at once
		t.Run("", func(t *testing.T) {
			t.Parallel()
			runWireCases(t, addr, cases[i:i+1])
		})
	}
}

// runWireCases sends the cases over sockets, each message whole.
func runWireCases(t *testing.T, addr string, cases []wireCase) {
	var clients sync.WaitGroup
	var next atomic.Int64
	for range min(wireClients, len(cases)) {
		clients.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(cases)); i = next.Add(1) - 1 {
				if err := cases[i].runOverTCP(addr); err != nil {
					cases[i].fail(t, err)
				}
			}
		})
	}
	clients.Wait()
}

func (c *wireCase) runOverTCP(addr string) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	_ = conn.SetDeadline(time.Now().Add(patience))
	return c.run(&wireClient{wireConn: conn.(*net.TCPConn), begin: inGoroutine})
}

// inGoroutine begins f and returns a function that waits for its end.
func inGoroutine(f func()) (wait func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return func() { <-done }
}

// fail reports why a case has failed.
func (c *wireCase) fail(t *testing.T, err error) {
	t.Errorf("%s\n\tsent %s\n\t%v", c.name, c.excerpt(), err)
}

// run plays the part of a case's client, on a connection of its own.
func (c *wireCase) run(client *wireClient) error {
	client.in = bufio.NewReader(client)
	defer client.leave()
	for i := range c.stages {
		s := &c.stages[i]
		client.send(s)
		if err := client.receive(s.answers); err != nil {
			return err
		}
	}
	if c.persists {
		return client.probe()
	}
	return client.end(c.silent || c.stages[len(c.stages)-1].halfClose)
}

// wireClient is the client's end of a case's connection.
type wireClient struct {
	wireConn
	begin func(f func()) (wait func()) // runs f beside the client
	cut   func(n int) []int            // where a message of n bytes is cut; nil sends all whole
	pause func()                       // after each piece but the last

	in   *bufio.Reader
	sent func() // waits until what is being sent is on its way
	last answer // the latest that was received
}

// wireConn is what a client needs of its connection.
type wireConn interface {
	net.Conn
	CloseWrite() error
}

// send sends a stage in pieces, while its answers may already be read: a server that refuses
// a large body does so in the middle of it.
func (c *wireClient) send(s *stage) {
	if c.sent != nil {
		c.sent()
	}
	var cuts []int
	if c.cut != nil {
		cuts = c.cut(len(s.message))
	}
	c.sent = c.begin(func() {
		from := 0
		for _, to := range append(cuts, len(s.message)) {
			if _, err := c.Write(s.message[from:to]); err != nil {
				return // the server has closed already: what it said is read and judged
			}
			if to < len(s.message) {
				c.pause()
			}
			from = to
		}
		if s.halfClose {
			_ = c.CloseWrite()
		}
	})
}

func (c *wireClient) receive(wants []want) error {
	for i := range wants {
		w := &wants[i]
		got, err := readAnswer(c.in, w.toHEAD)
		if err != nil {
			return fmt.Errorf("answer %d, of %s: %w", i+1, w, err)
		}
		if c.last.closes() {
			return fmt.Errorf("answer %d comes behind one that says close: %v", i+1, got)
		}
		if err := w.check(&got); err != nil {
			return fmt.Errorf("answer %d: %w: %v", i+1, err, got)
		}
		c.last = got
	}
	return nil
}

// probe shows that the connection persists, and that nothing is left on it that the server
// would take for a request or a part of one.
func (c *wireClient) probe() error {
	if c.last.closes() {
		return fmt.Errorf("the connection should persist: %v", c.last)
	}
	c.sent()
	const request = "GET /echo HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		return fmt.Errorf("the connection should persist: %w", err)
	}
	got, err := readAnswer(c.in, false)
	switch {
	case err != nil:
		return fmt.Errorf("the connection should persist: %w", err)
	case got.status != 200 || string(got.body) != "Host: probe\nConnection: close\n":
		return fmt.Errorf("not the answer to the request that followed: %v", got)
	}
	c.last = got
	return c.end(false)
}

// end shows that the connection ends, that nothing else was said, and that the last answer
// announced it, if it must: not to a client that has ended its own side, or has gone idle.
func (c *wireClient) end(unannounced bool) error {
	switch rest, err := io.ReadAll(c.in); {
	case len(rest) > 0:
		return fmt.Errorf("the connection should say nothing more, and says %.300q", rest)
	case err != nil:
		return fmt.Errorf("the connection should end: %w", err)
	case !unannounced && !c.last.closes():
		return fmt.Errorf("the last answer does not say that the connection ends: %v", c.last)
	}
	return nil
}

func (c *wireClient) leave() {
	c.Close()
	if c.sent != nil {
		c.sent()
	}
}

// Two answers to one resource, to GET and to HEAD, have the same fields (RFC 9110 section 9.3.2).
func TestHEADHasTheFieldsOfGET(t *testing.T) {
	t.Parallel()
	addr := startDemo(t)
	for _, target := range []string{
		"/", "/plaintext", "/json", "/users/7", "/users/a/posts/b", "/echo", "/cookie", "/cookie/set", "/cookie/set?a=b", "/reflect?v=x", "/reflect",
		"/bytes/0", "/bytes/100", "/bytes/100000", "/bytes/x", "/sleep/0", "/sleep/x", "/nowhere",
		"/status/200", "/status/201", "/status/206", "/status/301", "/status/304", "/status/401", "/status/404",
		"/status/405", "/status/416", "/status/426", "/status/500", "/status/503", "/status/299", "/status/x",
		"/events", "/page", "/chat", "/download/0", "/download/100", "/download/100000", "/download/x",
	} {
		heads := [2]string{}
		for i, method := range []string{"GET", "HEAD"} {
			a, err := ask(addr, method+" "+target+" HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", method == "HEAD")
			if err != nil {
				t.Fatalf("%s %s: %v", method, target, err)
			}
			a.fields = slices.DeleteFunc(a.fields, func(f field) bool { return f.name == "Date" })
			heads[i] = fmt.Sprint(a.status, a.fields)
		}
		if heads[0] != heads[1] {
			t.Errorf("%s:\nGET  %s\nHEAD %s", target, heads[0], heads[1])
		}
	}
}

// Whatever status an answer has, its head and its framing agree: readAnswer's laws, for each.
func TestEveryStatusIsFramed(t *testing.T) {
	t.Parallel()
	addr := startDemo(t)
	for code := 200; code <= 599; code++ {
		for _, version := range []string{"1.0", "1.1"} {
			for _, method := range []string{"GET", "HEAD"} {
				request := method + " /status/" + strconv.Itoa(code) + " HTTP/" + version + "\r\nHost: a\r\nConnection: close\r\n\r\n"
				a, err := ask(addr, request, method == "HEAD")
				if err != nil || a.status != code {
					t.Errorf("%q: %v %v", request, a, err)
				}
			}
		}
	}
}

// ask sends one request, which must end the connection, and reads the one answer to it.
func ask(addr, request string, toHEAD bool) (answer, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, request); err != nil {
		return answer{}, err
	}
	in := bufio.NewReader(conn)
	a, err := readAnswer(in, toHEAD)
	if err != nil {
		return answer{}, err
	}
	if rest, err := io.ReadAll(in); err != nil || len(rest) > 0 {
		return a, errors.Join(err, fmt.Errorf("%q follows", rest))
	}
	return a, nil
}

// The reader of answers would be no judge if it let everything pass.
func TestReadAnswerRefuses(t *testing.T) {
	const date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
	for _, text := range []string{
		"",
		"HTTP/1.1 200 OK\r\n",
		"HTTP/1.0 200 OK\r\n" + date + "Content-Length: 0\r\n\r\n",
		"HTTP/1.1 200\r\n" + date + "Content-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\n" + date + "Content-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + date + "Content-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nDate: Sunday, 06-Nov-94 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 01\r\n\r\nx",
		"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nX : y\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nX: \x00\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 0\r\nX: a\rb\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n" + date + "Content-Length: 0\r\n\r\n",
		"HTTP/1.1 405 Method Not Allowed\r\n" + date + "Content-Length: 0\r\n\r\n",
		"HTTP/1.1 100 Continue\r\nContent-Length: 0\r\n\r\n",
	} {
		if a, err := readAnswer(bufio.NewReader(bytes.NewReader([]byte(text))), false); err == nil {
			t.Errorf("%q passes: %v", text, a)
		}
	}
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\n" + date + "Content-Length: 2\r\n\r\nhi",
		"HTTP/1.1 299 \r\n" + date + "Transfer-Encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n" + date + "\r\n",
		"HTTP/1.1 100 Continue\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + date + "Connection: close\r\n\r\nto the end",
	} {
		if _, err := readAnswer(bufio.NewReader(bytes.NewReader([]byte(text))), false); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
