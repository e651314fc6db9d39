package servertest

import (
	"bufio"
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"microhttp/reactor/sim"
)

// A Conn is a connection to the server, for requests that are written byte by byte and for what comes after an upgrade. It is
// a net.Conn, whose Abort and CloseWrite reset and half-close it. A Read that waits longer than an hour of virtual time
// returns os.ErrDeadlineExceeded.
type Conn struct {
	*sim.Conn
	c        *Client
	r        *bufio.Reader
	tape     tape
	from     netip.AddrPort
	deadline bool // the test has set one
	closed   bool
}

// Dial opens a connection. It fails the test if that is refused.
func (c *Client) Dial() *Conn {
	c.t.Helper()
	conn, err := c.dial(netip.AddrPort{})
	if err != nil {
		c.t.Fatalf("servertest: %v", err)
	}
	return conn
}

func (c *Client) dial(from netip.AddrPort) (*Conn, error) {
	raw, err := c.connect(from)
	if err != nil {
		return nil, err
	}
	conn := &Conn{Conn: raw, c: c, from: from}
	conn.r = bufio.NewReader(conn)
	c.conns = append(c.conns, conn)
	return conn, nil
}

func (c *Client) connect(from netip.AddrPort) (*sim.Conn, error) {
	if path, isUnix := strings.CutPrefix(c.srv.Addr, "unix:"); isUnix {
		return c.world.DialUnix(path)
	}
	return c.world.DialFrom(from, c.addr)
}

// Read implements net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.deadline {
		_ = c.Conn.SetReadDeadline(c.c.world.Now().Add(patience)) // it cannot fail
	}
	n, err := c.Conn.Read(p)
	c.tape.add(host, p[:n])
	switch {
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
	case err == io.EOF:
		c.over("the server ends")
	default:
		c.over("the connection is lost: " + cause(err))
	}
	return n, err
}

// over notes the end of the connection, once.
func (c *Conn) over(note string) {
	if !c.closed {
		c.closed = true
		c.tape.mark(note)
	}
}

// cause is the innermost text of an error of a connection.
func cause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// Write implements net.Conn.
func (c *Conn) Write(p []byte) (int, error) {
	if !c.deadline {
		_ = c.Conn.SetWriteDeadline(c.c.world.Now().Add(patience))
	}
	n, err := c.Conn.Write(p)
	c.tape.add(client, p[:n])
	return n, err
}

// SetDeadline implements net.Conn. Clients reckon t from time.Now, so what is left until t is taken as virtual time from now on.
func (c *Conn) SetDeadline(t time.Time) error {
	t = c.virtual(t)
	return errors.Join(c.Conn.SetReadDeadline(t), c.Conn.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn as SetDeadline does.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.Conn.SetReadDeadline(c.virtual(t)) }

// SetWriteDeadline implements net.Conn as SetDeadline does.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(c.virtual(t)) }

// virtual is a deadline of package time in virtual time.
func (c *Conn) virtual(t time.Time) time.Time {
	c.deadline = !t.IsZero()
	if c.deadline {
		t = c.c.world.Now().Add(time.Until(t))
	}
	return t
}

// Close implements net.Conn: the client leaves.
func (c *Conn) Close() error {
	c.over("the client leaves")
	return c.Conn.Close()
}

// Abort resets the connection.
func (c *Conn) Abort() error {
	c.over("the client resets the connection")
	return c.Conn.Abort()
}

// CloseWrite half-closes the connection: the client sends nothing more.
func (c *Conn) CloseWrite() error {
	c.tape.mark("the client has sent its last byte")
	return c.Conn.CloseWrite()
}

// Send sends text as it is, and has the server handle it. It fails the test if the server has gone. (Write only sends.)
func (c *Conn) Send(text string) {
	c.c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.fatalf("sending: %v", cause(err))
	}
	c.c.settle()
}

// Answer reads the answer to a request of the given method, and whether that was HEAD is all that matters; it fails the test
// when none comes.
func (c *Conn) Answer(method string) *Response {
	c.c.t.Helper()
	x := &Exchange{c: c.c, conn: c, m: &message{method: method, version: "HTTP/1.1"}, sent: true}
	return x.Response()
}

// Line waits for a line and returns it without its end, LF or CRLF.
func (c *Conn) Line() string {
	c.c.t.Helper()
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.fatalf("waiting for a line: %v, after %q", cause(err), line)
	}
	return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
}

// Text waits for n bytes.
func (c *Conn) Text(n int) string {
	c.c.t.Helper()
	b := make([]byte, n)
	if got, err := io.ReadFull(c.r, b); err != nil {
		c.fatalf("waiting for %d bytes: %v, after %q", n, cause(err), b[:got])
	}
	return string(b)
}

// Rest waits until the server ends the connection, and returns what has come until then. A reset fails the test.
func (c *Conn) Rest() string {
	c.c.t.Helper()
	b, err := io.ReadAll(c.r)
	if err != nil {
		c.fatalf("waiting for the end: %v, after %q", cause(err), b)
	}
	return string(b)
}

// Arrived returns what has come and was not read, without waiting.
func (c *Conn) Arrived() string {
	c.c.settle()
	b := make([]byte, 0, c.r.Buffered()+c.Buffered())
	for c.r.Buffered()+c.Buffered() > 0 {
		n, err := c.r.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil || len(b) == cap(b) {
			break
		}
	}
	return string(b)
}

// WantSilence fails the test if the server has sent something that was not read, or has ended the connection.
func (c *Conn) WantSilence() {
	c.c.t.Helper()
	c.c.settle()
	if c.alive() {
		return
	}
	if c.r.Buffered() > 0 {
		got, _ := c.r.Peek(c.r.Buffered())
		c.errorf("the server is not silent: %q", got)
		return
	}
	c.errorf("the server has ended the connection")
}

// alive reports whether the connection is open and nothing has come that was not read.
func (c *Conn) alive() bool {
	if c.closed || c.r.Buffered() > 0 {
		return false
	}
	held := c.deadline
	c.deadline = true
	_ = c.Conn.SetReadDeadline(c.c.world.Now().Add(-1))
	_, err := c.r.Peek(1)
	_ = c.Conn.SetReadDeadline(time.Time{})
	c.deadline = held
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// Conversation returns what was said on the connection, a line for each line: > is the client, < the server, = what has
// happened.
func (c *Conn) Conversation() string { return c.tape.shown(0, 0) }

// shownMost is how much of one turn a failure shows.
const shownMost = 2048

func (c *Conn) fatalf(format string, args ...any) {
	c.c.t.Helper()
	c.c.t.Fatalf("servertest: "+format+"\n%s", append(args, c.tape.shown(0, shownMost))...)
}

func (c *Conn) errorf(format string, args ...any) {
	c.c.t.Helper()
	c.c.t.Errorf("servertest: "+format+"\n%s", append(args, c.tape.shown(0, shownMost))...)
}
