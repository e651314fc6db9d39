package websocket

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"microhttp/server"

	"github.com/rs/zerolog"
)

const patience = 10 * time.Second

// startEcho serves h, which echoes unless it has an OnMessage.
func startEcho(t testing.TB, h *Handler) (*server.Server, string) {
	t.Helper()
	if h.OnMessage == nil {
		h.OnMessage = func(c *Conn, kind Kind, p []byte) { c.Write(kind, p) }
	}
	nop := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Log: nop, Handler: h}
	addr, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-ended; !errors.Is(err, server.ErrServerClosed) {
			t.Errorf("Run: %v", err)
		}
	})
	return s, addr.String()
}

// client is a WebSocket client that sees frames.
type client struct {
	net.Conn
	t   testing.TB
	r   *bufio.Reader
	res *http.Response
}

const handshake = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

func connect(t testing.TB, addr, request string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, request+"\r\n")
	cl := &client{Conn: c, t: t, r: bufio.NewReader(c)}
	if cl.res, err = http.ReadResponse(cl.r, &http.Request{Method: "GET"}); err != nil {
		t.Fatal(err)
	}
	return cl
}

// masked is a frame as a client sends it.
func masked(first byte, p string) []byte {
	b := []byte{first}
	switch n := len(p); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{1, 0x80, 0x7f, 0xaa}
	b = append(b, key[:]...)
	for i := range len(p) {
		b = append(b, p[i]^key[i&3])
	}
	return b
}

// frame reads one frame.
func (c *client) frame() (first byte, p []byte, err error) {
	var head [2]byte
	if _, err = io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	var b [8]byte
	switch n {
	case 126:
		_, err = io.ReadFull(c.r, b[6:])
		n = binary.BigEndian.Uint64(b[:])
	case 127:
		_, err = io.ReadFull(c.r, b[:])
		n = binary.BigEndian.Uint64(b[:])
	}
	if err != nil {
		return 0, nil, err
	}
	p = make([]byte, n)
	_, err = io.ReadFull(c.r, p)
	return head[0], p, err
}

// transcript says what comes until the end: frames by their first byte and payload, and the code of a close frame.
func (c *client) transcript() string {
	var b strings.Builder
	for {
		first, p, err := c.frame()
		switch {
		case err == io.EOF:
			return strings.TrimSpace(b.String())
		case err != nil:
			fmt.Fprintf(&b, "%v", err)
			return b.String()
		case first == 0x88 && len(p) >= 2:
			fmt.Fprintf(&b, "close %d ", binary.BigEndian.Uint16(p))
		case first == 0x88:
			fmt.Fprintf(&b, "close ")
		default:
			fmt.Fprintf(&b, "%x:%s ", first, p)
		}
	}
}

func frames(f ...[]byte) []byte { return bytes.Join(f, nil) }

func code(n int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(n))) + reason
}

// conversations are what a client sends, and what it then sees until the server ends.
var conversations = []struct {
	name string
	send []byte
	want string
}{
	{"text", frames(masked(0x81, "hello"), masked(0x88, code(1000, ""))), "81:hello close 1000"},
	{"empty", frames(masked(0x81, ""), masked(0x82, ""), masked(0x88, "")), "81: 82: close"},
	{"binary", frames(masked(0x82, "\xff\x00"), masked(0x88, code(4999, "bye"))), "82:\xff\x00 close 4999"},
	{"fragments around a ping", frames(masked(0x01, "h"), masked(0x89, "p"), masked(0x00, "e"), masked(0x80, ""), masked(0x88, "")), "8a:p 81:he close"},
	{"long", frames(masked(0x82, strings.Repeat("x", 70000)), masked(0x88, "")), "82:" + strings.Repeat("x", 70000) + " close"},
	{"pong unasked", frames(masked(0x8a, "x"), masked(0x89, strings.Repeat("y", 125)), masked(0x88, "")), "8a:" + strings.Repeat("y", 125) + " close"},
	{"after close", frames(masked(0x88, code(1001, "")), masked(0x81, "x"), masked(0x89, "")), "close 1001"},
	{"not masked", []byte{0x81, 0x00}, "close 1002"},
	{"reserved bit 1", masked(0xc1, "x"), "close 1002"},
	{"reserved bit 2", masked(0xa1, "x"), "close 1002"},
	{"reserved bit 3", masked(0x91, "x"), "close 1002"},
	{"opcode 3", masked(0x83, ""), "close 1002"},
	{"opcode 11", masked(0x8b, ""), "close 1002"},
	{"opcode 15", masked(0x8f, ""), "close 1002"},
	{"fragmented ping", masked(0x09, ""), "close 1002"},
	{"long ping", masked(0x89, strings.Repeat("y", 126)), "close 1002"},
	{"continuation of nothing", masked(0x80, ""), "close 1002"},
	{"continuation after the end", frames(masked(0x81, "a"), masked(0x00, "b")), "81:a close 1002"},
	{"text within text", frames(masked(0x01, "a"), masked(0x81, "b")), "close 1002"},
	{"length not minimal", []byte{0x82, 0x80 | 126, 0, 1, 0, 0, 0, 0, 7}, "close 1002"},
	{"length of 2^63", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "close 1002"},
	{"length of 2^63-1", []byte{0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0}, "close 1009"},
	{"too large in fragments", frames(masked(0x02, strings.Repeat("x", 1<<20)), masked(0x80, "y")), "close 1009"},
	{"not UTF-8", masked(0x81, "\xce\xba\xff"), "close 1007"},
	{"not UTF-8, at once", masked(0x01, "\xf4\x90"), "close 1007"},
	{"a surrogate", masked(0x01, "\xed\xa0"), "close 1007"},
	{"overlong", masked(0x01, "\xe0\x80"), "close 1007"},
	{"a character cut off", frames(masked(0x01, "\xce"), masked(0x80, "")), "close 1007"},
	{"a character across fragments", frames(masked(0x01, "\xf0\x9f"), masked(0x00, "\x98"), masked(0x80, "\x80"), masked(0x88, "")), "81:\U0001F600 close"},
	{"close of one byte", masked(0x88, "x"), "close 1002"},
	{"close with a bad reason", masked(0x88, code(1000, "\xff")), "close 1007"},
	{"close 999", masked(0x88, code(999, "")), "close 1002"},
	{"close 1004", masked(0x88, code(1004, "")), "close 1002"},
	{"close 1005", masked(0x88, code(1005, "")), "close 1002"},
	{"close 1006", masked(0x88, code(1006, "")), "close 1002"},
	{"close 1014", masked(0x88, code(1014, "")), "close 1014"},
	{"close 1015", masked(0x88, code(1015, "")), "close 1002"},
	{"close 1016", masked(0x88, code(1016, "")), "close 1002"},
	{"close 2999", masked(0x88, code(2999, "")), "close 1002"},
	{"close 3000", masked(0x88, code(3000, "")), "close 3000"},
	{"close 5000", masked(0x88, code(5000, "")), "close 1002"},
}

// Whole, and byte by byte, the peer sees the same.
func TestConversations(t *testing.T) {
	_, addr := startEcho(t, &Handler{})
	for _, x := range conversations {
		for _, split := range []bool{false, true} {
			if split && len(x.send) > 1000 {
				continue
			}
			c := connect(t, addr, handshake)
			if split {
				for _, b := range x.send {
					if _, err := c.Write([]byte{b}); err != nil {
						break // it has failed before the end
					}
				}
			} else {
				_, _ = c.Write(x.send)
			}
			if got := c.transcript(); got != x.want {
				t.Errorf("%s, split %t: %.100q, want %.100q", x.name, split, got, x.want)
			}
			c.Close()
		}
	}
}

// events is what a decoder says of p, cut into pieces of n bytes.
func events(p []byte, n int) string {
	var b strings.Builder
	d := decoder{rsv1: true}
	p = bytes.Clone(p)
	for len(p) > 0 {
		piece := p[:min(n, len(p))]
		p = p[len(piece):]
		for {
			ev, used, err := d.next(piece)
			if err != nil {
				fmt.Fprintf(&b, "error %v", err)
				return b.String()
			}
			switch ev {
			case frameHead:
				fmt.Fprintf(&b, "head %d %t %t %d ", d.op, d.fin, d.compressed, d.left)
			case framePayload:
				b.Write(piece[:used])
			case frameEnd:
				b.WriteString(" end ")
			}
			piece = piece[used:]
			if ev == needMore {
				break
			}
		}
	}
	return b.String()
}

func FuzzFrames(f *testing.F) {
	for _, x := range conversations {
		if len(x.send) < 1000 {
			f.Add(x.send)
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		whole := events(p, len(p)+1)
		for _, n := range []int{1, 2, 7} {
			if got := events(p, n); got != whole {
				t.Errorf("cut every %d bytes: %q, whole %q", n, got, whole)
			}
		}
	})
}

func TestHandshake(t *testing.T) {
	_, addr := startEcho(t, &Handler{Subprotocols: []string{"b", "c"}})
	without := func(name string) string {
		var kept []string
		for _, l := range strings.SplitAfter(handshake, "\r\n") {
			if !strings.HasPrefix(l, name) {
				kept = append(kept, l)
			}
		}
		return strings.Join(kept, "")
	}
	for _, x := range []struct {
		name, request string
		status        int
	}{
		{"plain", handshake, 101},
		{"any case", strings.NewReplacer("websocket\r", "foo,\tWebSocket\r", "Upgrade\r", "keep-alive, UPGRADE\r").Replace(handshake), 101},
		{"the same origin", handshake + "Origin: https://A\r\n", 101},
		{"another origin", handshake + "Origin: http://b\r\n", 403},
		{"another port", handshake + "Origin: http://a:81\r\n", 403},
		{"no origin", handshake + "Origin: null\r\n", 403},
		{"two origins", handshake + "Origin: http://a\r\nOrigin: http://a\r\n", 403},
		{"no upgrade", without("Upgrade"), 426},
		{"no Connection", without("Connection"), 400},
		{"no version", without("Sec-WebSocket-Version"), 426},
		{"version 8", strings.Replace(handshake, "13", "8", 1), 426},
		{"version 013", strings.Replace(handshake, "13", "013", 1), 426},
		{"two versions", handshake + "Sec-WebSocket-Version: 13\r\n", 426},
		{"no key", without(key), 400},
		{"two keys", handshake + key + ": dGhlIHNhbXBsZSBub25jZQ==\r\n", 400},
		{"short key", strings.Replace(handshake, "dGhl", "", 1), 400},
		{"key not canonical", strings.Replace(handshake, "ZQ==", "ZR==", 1), 400},
		{"key unpadded", strings.Replace(handshake, "ZQ==", "ZQ", 1), 400},
		{"HTTP/1.0", strings.Replace(handshake, "HTTP/1.1", "HTTP/1.0", 1), 400},
		{"POST", strings.Replace(handshake, "GET", "POST", 1), 405},
	} {
		c := connect(t, addr, x.request)
		if c.res.StatusCode != x.status {
			t.Errorf("%s: %d, want %d", x.name, c.res.StatusCode, x.status)
		}
		if x.status == 426 && c.res.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("%s: no version in the answer", x.name)
		}
		c.Close()
	}
	c := connect(t, addr, handshake+"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: c, b\r\n")
	if got := c.res.Header.Get("Sec-WebSocket-Protocol"); got != "c" {
		t.Errorf("the subprotocol is %q", got)
	}
	if got := c.res.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455, 1.3
		t.Errorf("Accept is %q", got)
	}
}

func TestNegotiate(t *testing.T) {
	for _, x := range []struct{ offer, plain, takeover string }{
		{"foo", "", ""},
		{"permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "permessage-deflate"},
		{
			"permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\"",
			"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
			"permessage-deflate; server_max_window_bits=10",
		},
		{"permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "permessage-deflate; server_no_context_takeover"},
		{"permessage-deflate; server_max_window_bits", "", ""},
		{"permessage-deflate; server_max_window_bits=08", "", ""},
		{"permessage-deflate; server_max_window_bits=16", "", ""},
		{"permessage-deflate; client_max_window_bits=7", "", ""},
		{"permessage-deflate; server_no_context_takeover=1", "", ""},
		{"permessage-deflate; client_no_context_takeover; client_no_context_takeover", "", ""},
		{"permessage-deflate; x, permessage-deflate; client_no_context_takeover", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", "permessage-deflate; client_no_context_takeover"},
	} {
		if _, got := negotiate([]string{x.offer}, false); got != x.plain {
			t.Errorf("%s: %q, want %q", x.offer, got, x.plain)
		}
		if _, got := negotiate([]string{x.offer}, true); got != x.takeover {
			t.Errorf("%s with takeover: %q, want %q", x.offer, got, x.takeover)
		}
	}
}

// The examples of RFC 7692, 7.2.3, and bombs.
func TestDeflate(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		for _, bits := range []string{"8", "9", "15"} {
			_, addr := startEcho(t, &Handler{ContextTakeover: takeover})
			offer := "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=" + bits + "\r\n"
			c := connect(t, addr, handshake+offer)
			hello := "\xf2\x48\xcd\xc9\xc9\x07\x00"
			long := strings.Repeat("abcdefghij", 20000)
			sent := []string{hello}
			want := []string{"Hello"}
			if takeover {
				sent, want = append(sent, "\xf2\x00\x11\x00\x00"), append(want, "Hello")
			}
			sent = append(sent, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", "\xf3\x48\xcd\xc9\xc9\x07\x00", "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", "\x00", string(deflate(nil, []byte(long), 15)))
			want = append(want, "Hello", "Hello", "Hello", "", long)
			var window []byte
			for i := range sent {
				_, _ = c.Write(masked(0x41, sent[i][:1]))
				_, _ = c.Write(masked(0x80, sent[i][1:]))
				first, p, err := c.frame()
				if err == nil && first&0x40 != 0 {
					var bad *CloseError
					if p, bad = inflate(nil, p, window, 1<<20); bad != nil {
						t.Fatalf("message %d: %v", i, bad)
					}
				}
				if err != nil || string(p) != want[i] {
					t.Errorf("takeover %t, %s bits, message %d: %x %.20q, %v", takeover, bits, i, first, p, err)
				}
				if takeover {
					window = keepWindow(window, p)
				}
			}
		}
	}
	_, addr := startEcho(t, &Handler{})
	for name, x := range map[string]struct {
		p    []byte
		want string
	}{
		"bomb":      {deflate(nil, make([]byte, 1<<20+1), 15), "close 1009"},
		"bad":       {[]byte("\xff\xff\xff"), "close 1007"},
		"not UTF-8": {deflate(nil, []byte("\xff"), 15), "close 1007"},
	} {
		c := connect(t, addr, handshake+"Sec-WebSocket-Extensions: permessage-deflate\r\n")
		_, _ = c.Write(masked(0xc1, string(x.p)))
		if got := c.transcript(); got != x.want {
			t.Errorf("%s: %.50q, want %q", name, got, x.want)
		}
	}
}
