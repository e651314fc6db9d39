package servertest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"microhttp/server"
)

// Get asks h for target and returns the answer. It makes a server for that, in memory, and ends it before it returns.
func Get(t testing.TB, h server.Handler, target string, parts ...Part) *Response {
	t.Helper()
	return Do(t, h, "GET "+target, parts...)
}

// Do sends h a request, "METHOD target", and returns the answer. It makes a server for that, in memory, and ends it before it
// returns.
func Do(t testing.TB, h server.Handler, request string, parts ...Part) *Response {
	t.Helper()
	c := start(t, &server.Server{Handler: h}, nil)
	defer c.end()
	return c.Do(request, parts...)
}

// Get sends a GET and returns the answer.
func (c *Client) Get(target string, parts ...Part) *Response {
	c.t.Helper()
	return c.Do("GET "+target, parts...)
}

// Do sends a request, "METHOD target", and returns the answer when it is whole. The connection is used again by the next
// request, if it may be. Do fails the test (Fatalf) when no answer comes, or one that is no HTTP.
func (c *Client) Do(request string, parts ...Part) *Response {
	c.t.Helper()
	return c.send(request, parts).Response()
}

// An Exchange is a request with its answer, as they come and go. What waits in it lets virtual time pass.
type Exchange struct {
	c    *Client
	conn *Conn
	m    *message
	from int // where it begins on the tape

	sent    bool  // the request, as far as it is to be
	left    int64 // of an awaited body
	cut     bool  // an answer came before the body was sent
	interim []*Response
	res     *Response
	body    *body
	lines   *bufio.Reader // of body
}

// Start sends a request, has the server handle it, and does not wait for the answer. A body of [Upload] follows by Send.
func (c *Client) Start(request string, parts ...Part) *Exchange {
	c.t.Helper()
	x := c.send(request, parts)
	c.settle()
	return x
}

func (c *Client) send(request string, parts []Part) *Exchange {
	c.t.Helper()
	m := newMessage(request, parts)
	if m.err != nil {
		c.t.Fatalf("servertest: %s: %v", request, m.err)
	}
	c.addCookies(m)
	conn, err := c.pick(m)
	if err != nil {
		c.t.Fatalf("servertest: %s: %v", request, err)
	}
	x := &Exchange{c: c, conn: conn, m: m, from: len(conn.tape.turns), left: m.length}
	if err := x.begin(); err != nil {
		conn.fatalf("%s: sending: %s", request, cause(err))
	}
	return x
}

// pick takes an idle connection, or makes one.
func (c *Client) pick(m *message) (*Conn, error) {
	for len(c.idle) > 0 {
		conn := c.idle[len(c.idle)-1]
		if conn.from != m.from {
			break
		}
		c.idle = c.idle[:len(c.idle)-1]
		if conn.alive() {
			conn.c = c
			return conn, nil
		}
		_ = conn.Close()
	}
	return c.dial(m.from)
}

// begin sends the head, and the body unless that is awaited.
func (x *Exchange) begin() error {
	m := x.m
	b := m.head()
	if m.framing == wholeBody && !m.expect && len(m.body) <= pieceSize {
		x.sent = true
		_, err := x.conn.Write(append(b, m.body...))
		return err
	}
	if _, err := x.conn.Write(b); err != nil {
		return err
	}
	if m.expect && !x.awaitContinue() {
		x.sent, x.cut = true, true
		return nil
	}
	switch m.framing {
	case wholeBody:
		for rest := m.body; len(rest) > 0; rest = rest[min(len(rest), pieceSize):] {
			if !x.give(rest[:min(len(rest), pieceSize)]) {
				break
			}
		}
	case chunkedBody:
		for _, p := range m.pieces {
			x.c.settle()
			if p != "" && !x.give(chunk(p)) {
				break
			}
		}
		x.c.settle()
		if !x.cut {
			x.give([]byte("0\r\n\r\n"))
		}
	case awaitedBody:
		return nil
	}
	x.sent = true
	return nil
}

// pieceSize is how much of a body is sent at once.
const pieceSize = 32 << 10

func chunk(p string) []byte { return fmt.Appendf(nil, "%x\r\n%s\r\n", len(p), p) }

// continueTime is how long a client waits for 100 (Continue).
const continueTime = time.Second

// awaitContinue waits for 100 (Continue), and reports whether the body is to be sent.
func (x *Exchange) awaitContinue() bool {
	_ = x.conn.SetReadDeadline(time.Now().Add(continueTime))
	_, err := x.conn.r.Peek(1)
	_ = x.conn.SetReadDeadline(time.Time{})
	if err != nil {
		return errors.Is(err, os.ErrDeadlineExceeded)
	}
	x.readHead()
	return x.res == nil
}

// give sends a piece of the body, unless an answer has come already. It reports whether more is wanted.
func (x *Exchange) give(p []byte) bool {
	if !x.cut && (x.conn.r.Buffered() > 0 || x.conn.Buffered() > 0) {
		x.cut = x.res != nil || !x.onlyInterim()
	}
	if x.cut {
		return false
	}
	if _, err := x.conn.Write(p); err != nil {
		x.cut = true
	}
	return !x.cut
}

// onlyInterim reads what has come, and reports whether that was interim answers.
func (x *Exchange) onlyInterim() bool {
	x.readHead()
	return x.res == nil
}

// Send sends a piece of a body that was announced by [Upload], and has the server handle it. It reports whether the server
// wants more: false when the answer has come, or the connection has ended. Then nothing is sent.
func (x *Exchange) Send(piece string) bool {
	x.c.t.Helper()
	if x.m.framing != awaitedBody || x.sent {
		x.conn.fatalf("%s: Send is for the body of a request with Upload, before its End", x.name())
	}
	p := []byte(piece)
	if x.m.length < 0 && piece != "" {
		p = chunk(piece)
	} else if x.m.length >= 0 {
		if x.left -= int64(len(p)); x.left < 0 {
			x.conn.fatalf("%s: Send of more than the %d bytes that were announced", x.name(), x.m.length)
		}
	}
	if len(p) > 0 && !x.give(p) {
		return false
	}
	x.c.settle()
	return true
}

// End ends the body of a request with [Upload].
func (x *Exchange) End() {
	if x.sent {
		return
	}
	x.sent = true
	if x.m.framing == awaitedBody && x.m.length < 0 {
		x.give([]byte("0\r\n\r\n"))
	}
	x.c.settle()
}

// Continued reports whether 100 (Continue) has come, without waiting.
func (x *Exchange) Continued() bool {
	x.c.settle()
	for x.res == nil && x.conn.r.Buffered()+x.conn.Buffered() > 0 {
		x.readHead()
	}
	for _, res := range x.interim {
		if res.Status == 100 {
			return true
		}
	}
	return false
}

// Head waits for the head of the answer. The content of that Response is empty: it comes by Next, Line, Event or Response.
func (x *Exchange) Head() *Response {
	x.c.t.Helper()
	for x.res == nil {
		x.readHead()
	}
	if x.res.err != nil {
		x.fail(x.res.err)
	}
	return x.res
}

// Response waits for the whole answer. A body of [Upload] that has not ended ends here.
func (x *Exchange) Response() *Response {
	x.c.t.Helper()
	x.End()
	res := x.Head()
	if res.Status == 101 {
		return res
	}
	rest, err := io.ReadAll(x.reader())
	res.Body = append(res.Body, rest...)
	if err != nil {
		x.fail(fmt.Errorf("the content: %w", err))
	}
	x.done()
	return res
}

// done lets the connection serve another request, if it may.
func (x *Exchange) done() {
	res := x.res
	res.Trailers = x.body.trailers
	res.turns = len(x.conn.tape.turns)
	if x.cut || !res.keepsAlive(x.m) || !x.body.framed {
		return
	}
	x.c.idle = append(x.c.idle, x.conn)
}

// Next waits for the next piece of the content and returns it: of chunked content a chunk, or what has come of it. It is ""
// at the end.
func (x *Exchange) Next() string {
	x.c.t.Helper()
	x.Head()
	if x.lines != nil && x.lines.Buffered() > 0 {
		b, _ := x.lines.Peek(x.lines.Buffered())
		s := string(b)
		_, _ = x.lines.Discard(len(b))
		return s
	}
	b := make([]byte, pieceSize)
	n, err := x.body.Read(b)
	if err != nil && err != io.EOF {
		x.fail(fmt.Errorf("the content: %w", err))
	}
	return string(b[:n])
}

// Line waits for the next line of the content and returns it without its end. At the end of the content ok is false.
func (x *Exchange) Line() (line string, ok bool) {
	x.c.t.Helper()
	x.Head()
	line, err := x.reader().ReadString('\n')
	if err != nil && err != io.EOF {
		x.fail(fmt.Errorf("the content: %w", err))
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), err == nil || line != ""
}

func (x *Exchange) reader() *bufio.Reader {
	if x.lines == nil {
		x.lines = bufio.NewReader(x.body)
	}
	return x.lines
}

// WantSilence fails the test if content has come that was not read, or the answer has ended.
func (x *Exchange) WantSilence() {
	x.c.t.Helper()
	if x.lines != nil && x.lines.Buffered() > 0 {
		got, _ := x.lines.Peek(x.lines.Buffered())
		x.conn.errorf("%s: the server is not silent: %q", x.name(), got)
		return
	}
	x.conn.WantSilence()
}

// Conn returns the connection, to leave (Close, Abort, CloseWrite), or to speak another protocol after 101.
func (x *Exchange) Conn() *Conn { return x.conn }

// Close has the client leave.
func (x *Exchange) Close() {
	_ = x.conn.Close()
	x.c.settle()
}

// Upgrade asks for another protocol and returns the connection when the server has switched to it. Anything but 101 fails the
// test.
func (c *Client) Upgrade(target, protocol string, parts ...Part) *Conn {
	c.t.Helper()
	parts = append([]Part{Header("Connection", "Upgrade"), Header("Upgrade", protocol)}, parts...)
	x := c.send("GET "+target, parts)
	if res := x.Head(); res.Status != 101 {
		x.conn.fatalf("%s: status %d, want 101", x.name(), res.Status)
	}
	return x.conn
}

func (x *Exchange) name() string { return x.m.method + " " + x.m.target }

// fail ends the test.
func (x *Exchange) fail(err error) {
	x.c.t.Helper()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.conn.fatalf("%s: nothing has come for %v of virtual time%s", x.name(), patience, x.c.atWork())
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		x.conn.fatalf("%s: the connection has ended before the answer", x.name())
	default:
		x.conn.fatalf("%s: %s", x.name(), err)
	}
}

// atWork says that handlers still run, if they do.
func (c *Client) atWork() string {
	n := 0
	for _, loop := range c.driven.Loops {
		n += loop.ThreadCalls()
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d calls off the loop, such as Blocking handlers, have not returned)", n)
}
