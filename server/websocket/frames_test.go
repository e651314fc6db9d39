package websocket_test

import (
	"bytes"
	"strconv"
	"strings"
	"testing"

	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"
)

// A conversation is what a client sends, and what it then sees until the server ends. What is sent is cut: the client sends no
// close frame unless the case has one, and a failure must come before anything else is sent.
type conversation struct {
	name string
	send []byte
	want string
}

func frame(f websockettest.Frame) []byte { return f.Append(nil) }

var long = strings.Repeat("x", 70000)

var conversations = []conversation{
	// Data (5.6).
	{"text", sent(masked(0x81, "hello"), masked(0x88, code(1000, ""))), "81:hello close 1000"},
	{"empty", sent(masked(0x81, ""), masked(0x82, ""), masked(0x88, "")), "81: 82: close"},
	{"binary", sent(masked(0x82, "\xff\x00"), masked(0x88, code(4999, "bye"))), "82:\xff\x00 close 4999"},
	{"125 bytes", sent(masked(0x82, long[:125]), masked(0x88, "")), "82:" + long[:125] + " close"},
	{"126 bytes", sent(masked(0x82, long[:126]), masked(0x88, "")), "82:" + long[:126] + " close"},
	{"65535 bytes", sent(masked(0x82, long[:65535]), masked(0x88, "")), "82:" + long[:65535] + " close"},
	{"65536 bytes", sent(masked(0x82, long[:65536]), masked(0x88, "")), "82:" + long[:65536] + " close"},
	{"1 MiB", sent(masked(0x82, strings.Repeat("y", 1<<20)), masked(0x88, "")), "82:" + strings.Repeat("y", 1<<20) + " close"},

	// Fragments (5.4).
	{"fragments around a ping", sent(masked(0x01, "h"), masked(0x89, "p"), masked(0x00, "e"), masked(0x80, ""), masked(0x88, "")), "8a:p 81:he close"},
	{"fragments without bytes", sent(masked(0x01, ""), masked(0x00, ""), masked(0x80, ""), masked(0x88, "")), "81: close"},
	{"binary fragments that are no UTF-8", sent(masked(0x02, "\xce"), masked(0x80, "\xff"), masked(0x88, "")), "82:\xce\xff close"},
	{"a close within a message", sent(masked(0x01, "h"), masked(0x88, code(1000, ""))), "close 1000"},
	{"two fragmented messages", sent(masked(0x01, "a"), masked(0x80, "b"), masked(0x02, "c"), masked(0x80, "d"), masked(0x88, "")), "81:ab 82:cd close"},
	{"continuation of nothing", sent(masked(0x80, "")), "close 1002"},
	{"continuation of nothing, not final", sent(masked(0x00, "")), "close 1002"},
	{"continuation after the end", sent(masked(0x81, "a"), masked(0x00, "b")), "81:a close 1002"},
	{"continuation after fragments", sent(masked(0x01, "a"), masked(0x80, "b"), masked(0x80, "c")), "81:ab close 1002"},
	{"text within text", sent(masked(0x01, "a"), masked(0x81, "b")), "close 1002"},
	{"binary within text", sent(masked(0x01, "a"), masked(0x02, "b")), "close 1002"},

	// Control frames (5.5).
	{"ping", sent(masked(0x89, ""), masked(0x89, long[:125]), masked(0x89, "\xff\x00"), masked(0x88, "")), "8a: 8a:" + long[:125] + " 8a:\xff\x00 close"},
	{"ten pings", sent(masked(0x89, "0"), masked(0x89, "1"), masked(0x89, "2"), masked(0x89, "3"), masked(0x89, "4"), masked(0x89, "5"), masked(0x89, "6"), masked(0x89, "7"), masked(0x89, "8"), masked(0x89, "9"), masked(0x88, "")), "8a:0 8a:1 8a:2 8a:3 8a:4 8a:5 8a:6 8a:7 8a:8 8a:9 close"},
	{"pong unasked", sent(masked(0x8a, "x"), masked(0x8a, ""), masked(0x88, "")), "close"},
	{"fragmented ping", sent(masked(0x09, "")), "close 1002"},
	{"fragmented pong", sent(masked(0x0a, "")), "close 1002"},
	{"fragmented close", sent(masked(0x08, "")), "close 1002"},
	{"long ping", sent(masked(0x89, long[:126])), "close 1002"},
	{"long pong", sent(masked(0x8a, long[:126])), "close 1002"},
	{"long close", sent(masked(0x88, code(1000, long[:124]))), "close 1002"},

	// Reserved bits and opcodes (5.2). The failure comes with the first byte.
	{"reserved bit 1", []byte{0xc1}, "close 1002"},
	{"reserved bit 2", []byte{0xa1}, "close 1002"},
	{"reserved bit 3", []byte{0x91}, "close 1002"},
	{"all reserved bits", []byte{0xf2}, "close 1002"},
	{"reserved bit of a ping", []byte{0xc9}, "close 1002"},
	{"reserved bit of a close", []byte{0x98}, "close 1002"},
	{"reserved bit of a continuation", append(sent(masked(0x01, "a")), 0xc0), "close 1002"},
	{"opcode 3", []byte{0x83}, "close 1002"},
	{"opcode 4", []byte{0x84}, "close 1002"},
	{"opcode 5", []byte{0x85}, "close 1002"},
	{"opcode 6", []byte{0x86}, "close 1002"},
	{"opcode 7", []byte{0x87}, "close 1002"},
	{"opcode 11", []byte{0x8b}, "close 1002"},
	{"opcode 12", []byte{0x8c}, "close 1002"},
	{"opcode 13", []byte{0x8d}, "close 1002"},
	{"opcode 14", []byte{0x8e}, "close 1002"},
	{"opcode 15", []byte{0x8f}, "close 1002"},
	{"opcode 3 within a message", append(sent(masked(0x01, "a")), 0x83), "close 1002"},
	{"after a message", append(sent(masked(0x81, "a")), 0x8b), "81:a close 1002"},

	// Masks and lengths (5.1, 5.2).
	{"not masked", []byte{0x81, 0x00}, "close 1002"},
	{"ping not masked", []byte{0x89, 0x00}, "close 1002"},
	{"close not masked", frame(websockettest.Frame{Fin: true, Opcode: 8, Unmasked: true}), "close 1002"},
	{"continuation not masked", append(sent(masked(0x01, "a")), 0x80, 0x01), "close 1002"},
	{"a mask of zeros", []byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i', 0x88, 0x80, 0, 0, 0, 0}, "81:hi close"},
	{"length not minimal, 2 bytes", frame(websockettest.Frame{Fin: true, Opcode: 2, Length: 2, Payload: []byte(long[:125])}), "close 1002"},
	{"length not minimal, 8 bytes", frame(websockettest.Frame{Fin: true, Opcode: 2, Length: 8, Payload: []byte("x")}), "close 1002"},
	{"length not minimal, 8 for 2", frame(websockettest.Frame{Fin: true, Opcode: 2, Length: 8, Payload: []byte(long[:65535])}), "close 1002"},
	{"length of 2^63", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "close 1002"},
	{"length of 2^64-1", []byte{0x82, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0}, "close 1002"},
	{"length of 2^63-1", []byte{0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0}, "close 1009"},
	{"length of 2^63-1 in a continuation", append(sent(masked(0x02, "a")), 0x80, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0), "close 1009"},
	{"length of 2^63-14", []byte{0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 242, 0, 0, 0, 0}, "close 1009"},
	{"length of 2^32", []byte{0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, "close 1009"},
	{"1 MiB and a byte", []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0x10, 0, 1, 0, 0, 0, 0}, "close 1009"},
	{"too large in fragments", sent(masked(0x02, strings.Repeat("x", 1<<20)), masked(0x80, "y")), "close 1009"},

	// UTF-8 (8.1), at the first byte that cannot be.
	{"not UTF-8", sent(masked(0x81, "\xce\xba\xff")), "close 1007"},
	{"Greek", sent(masked(0x81, "κόσμε"), masked(0x88, "")), "81:κόσμε close"},
	{"U+0000 and U+FEFF", sent(masked(0x81, "\x00\ufeff"), masked(0x88, "")), "81:\x00\ufeff close"},
	{"U+FFFD, U+FFFE, U+10FFFF", sent(masked(0x81, "\ufffd\ufffe\U0010ffff"), masked(0x88, "")), "81:\ufffd\ufffe\U0010ffff close"},
	{"above U+10FFFF, at once", sent(masked(0x01, "\xf4\x90")), "close 1007"},
	{"a surrogate, at once", sent(masked(0x01, "\xed\xa0")), "close 1007"},
	{"overlong of two, at once", sent(masked(0x01, "\xc0")), "close 1007"},
	{"overlong of three, at once", sent(masked(0x01, "\xe0\x80")), "close 1007"},
	{"overlong of four, at once", sent(masked(0x01, "\xf0\x8f")), "close 1007"},
	{"five bytes, at once", sent(masked(0x01, "\xf8")), "close 1007"},
	{"a continuation byte alone", sent(masked(0x01, "\x80")), "close 1007"},
	{"in the middle of a frame, at once", sent(masked(0x81, "ab\xff"+long))[:17], "close 1007"},
	{"in the second fragment, at once", sent(masked(0x01, "\xce\xba"), masked(0x00, "\xce"), masked(0x00, "a")), "close 1007"},
	{"a character cut off", sent(masked(0x81, "\xce")), "close 1007"},
	{"a character cut off in a fragment", sent(masked(0x01, "\xce"), masked(0x80, "")), "close 1007"},
	{"a character across fragments", sent(masked(0x01, "\xf0\x9f"), masked(0x00, "\x98"), masked(0x80, "\x80"), masked(0x88, "")), "81:\U0001F600 close"},
	{"a character around a ping", sent(masked(0x01, "\xf0\x9f"), masked(0x89, "\xff"), masked(0x00, ""), masked(0x80, "\x98\x80"), masked(0x88, "")), "8a:\xff 81:\U0001F600 close"},
	{"begun anew", sent(masked(0x81, "a"), masked(0x81, "\x80")), "81:a close 1007"},

	// The close (5.5.1, 7.4).
	{"after close", sent(masked(0x88, code(1001, "")), masked(0x81, "x"), masked(0x89, "")), "close 1001"},
	{"two closes", sent(masked(0x88, code(1000, "")), masked(0x88, code(1001, ""))), "close 1000"},
	{"nonsense after close", append(sent(masked(0x88, code(1000, ""))), 0xff, 0x00, 0xff), "close 1000"},
	{"close with a reason", sent(masked(0x88, code(1000, "καλημέρα"))), "close 1000"},
	{"close with 123 bytes of reason", sent(masked(0x88, code(1000, long[:123]))), "close 1000"},
	{"close of one byte", sent(masked(0x88, "x")), "close 1002"},
	{"close with a bad reason", sent(masked(0x88, code(1000, "\xce\xba\xff"))), "close 1007"},
	{"close with a reason cut off", sent(masked(0x88, code(1000, "\xce"))), "close 1007"},
	{"a bad code with a bad reason", sent(masked(0x88, code(1005, "\xff"))), "close 1002"},
}

func init() {
	for n, valid := range map[int]bool{
		0: false, 1: false, 999: false, 1000: true, 1001: true, 1002: true, 1003: true, 1004: false, 1005: false, 1006: false,
		1007: true, 1008: true, 1009: true, 1010: true, 1011: true, 1012: true, 1013: true, 1014: true, 1015: false, 1016: false,
		1100: false, 1999: false, 2000: false, 2999: false, 3000: true, 3999: true, 4000: true, 4999: true, 5000: false, 65535: false,
	} {
		x := conversation{"close " + strconv.Itoa(n), sent(masked(0x88, code(n, ""))), "close 1002"}
		if valid {
			x.want = "close " + strconv.Itoa(n)
		}
		conversations = append(conversations, x)
	}
}

// Whole, and byte by byte, the peer sees the same.
func TestConversations(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{})
	for _, x := range conversations {
		for _, split := range []bool{false, true} {
			if split && len(x.send) > 1000 {
				continue
			}
			c := open(t, addr, nil)
			if split {
				drip(c, x.send)
			} else {
				_ = c.Write(x.send)
			}
			if got := transcript(c); got != x.want {
				t.Errorf("%s, split %t: %.100q, want %.100q", x.name, split, got, x.want)
			}
			c.Conn().Close()
		}
	}
}

// MaxFrame and MaxMessage hold where they are.
func TestBounds(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{MaxMessage: 100, MaxFrame: 60})
	for _, x := range []conversation{
		{"60", sent(masked(0x82, long[:60]), masked(0x88, "")), "82:" + long[:60] + " close"},
		{"61", sent(masked(0x82, long[:61])), "close 1009"},
		{"100", sent(masked(0x02, long[:60]), masked(0x80, long[:40]), masked(0x88, "")), "82:" + long[:100] + " close"},
		{"101", sent(masked(0x02, long[:60]), masked(0x80, long[:41])), "close 1009"},
	} {
		c := open(t, addr, nil)
		_ = c.Write(x.send)
		if got := transcript(c); got != x.want {
			t.Errorf("%s: %.100q, want %.100q", x.name, got, x.want)
		}
	}
}

// A peer that sends much and half-closes at once gets the answers to all of it.
func TestHalfCloseAfterBurst(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{})
	message := sent(masked(0x82, strings.Repeat("z", 200<<10)))
	c := open(t, addr, nil)
	sentAll := make(chan error)
	go func() {
		err := c.Write(bytes.Repeat(message, 8))
		halfClose(c)
		sentAll <- err
	}()
	if got := len(transcript(c)); got != 8*(3+200<<10+1)-1 {
		t.Errorf("%d bytes came back", got)
	}
	if err := <-sentAll; err != nil {
		t.Error(err)
	}
}
