package websocket_test

import (
	"bytes"
	"compress/flate"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"
)

const hello = "\xf2\x48\xcd\xc9\xc9\x07\x00" // "Hello" by the fixed code (RFC 7692, 7.2.3.1)

// squeeze compresses without a context.
func squeeze(s string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write([]byte(s))
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// deflated are conversations with permessage-deflate, without context takeover. What comes back is inflated.
var deflated = []conversation{
	{"Hello", sent(masked(0xc1, hello), masked(0x88, "")), "81:Hello close"},
	{"Hello, not compressed", sent(masked(0x81, "Hello"), masked(0x88, "")), "81:Hello close"},
	{"Hello in a stored block", sent(masked(0xc1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), masked(0x88, "")), "81:Hello close"},
	{"Hello in a last block", sent(masked(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), masked(0x88, "")), "81:Hello close"},
	{"Hello in two blocks", sent(masked(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), masked(0x88, "")), "81:Hello close"},
	{"Hello twice", sent(masked(0xc1, hello), masked(0xc2, hello), masked(0x88, "")), "81:Hello 82:Hello close"},
	{"Hello twice, not compressed between", sent(masked(0xc1, hello), masked(0x81, "x"), masked(0xc1, hello), masked(0x88, "")), "81:Hello 81:x 81:Hello close"},
	{"Hello in fragments", sent(masked(0x41, hello[:3]), masked(0x80, hello[3:]), masked(0x88, "")), "81:Hello close"},
	{"Hello in fragments of a byte, some empty", sent(masked(0x41, ""), masked(0x00, hello[:1]), masked(0x00, ""), masked(0x00, hello[1:6]), masked(0x00, hello[6:]), masked(0x80, ""), masked(0x88, "")), "81:Hello close"},
	{"a ping between fragments", sent(masked(0x41, hello[:3]), masked(0x89, "p"), masked(0x8a, ""), masked(0x80, hello[3:]), masked(0x88, "")), "8a:p 81:Hello close"},
	{"an empty message", sent(masked(0xc1, "\x00"), masked(0xc2, "\x02\x00"), masked(0x88, "")), "81: 82: close"},
	{"a close between fragments", sent(masked(0x41, hello[:3]), masked(0x88, code(1000, ""))), "close 1000"},
	{"1 MiB", sent(masked(0xc2, squeeze(strings.Repeat("y", 1<<20))), masked(0x88, "")), "82:" + strings.Repeat("y", 1<<20) + " close"},

	{"reserved bit on a continuation", sent(masked(0x41, hello[:3]), masked(0xc0, hello[3:])), "close 1002"},
	{"reserved bit on a continuation of what is not compressed", sent(masked(0x01, "a"), masked(0xc0, hello)), "close 1002"},
	{"reserved bit on a ping", sent(masked(0xc9, "")), "close 1002"},
	{"reserved bit on a close", sent(masked(0xc8, "")), "close 1002"},
	{"reserved bit 2, too", sent(masked(0xe1, hello)), "close 1002"},
	{"reserved bit 3 alone", sent(masked(0x91, "")), "close 1002"},

	{"a bomb", sent(masked(0xc2, squeeze(strings.Repeat("y", 1<<20+1)))), "close 1009"},
	{"a large bomb", sent(masked(0xc2, squeeze(strings.Repeat("y", 20<<20)))), "close 1009"},
	{"a bomb in fragments", sent(masked(0x42, squeeze(strings.Repeat("y", 1<<21))[:100]), masked(0x80, squeeze(strings.Repeat("y", 1<<21))[100:])), "close 1009"},
	{"bad data", sent(masked(0xc1, "\xff\xff\xff")), "close 1007"},
	{"a reserved block type", sent(masked(0xc1, "\x06\x00")), "close 1007"},
	{"a stored block whose length is wrong", sent(masked(0xc1, "\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00")), "close 1007"},
	{"a stored block that is cut off", sent(masked(0xc1, "\x00\xff\x00\x00\xff\x48")), "close 1007"},
	{"a distance before the beginning", sent(masked(0xc1, "\xf2\x00\x11\x00\x00")), "close 1007"},
	{"no byte", sent(masked(0xc1, "")), "close 1007"},
	{"not UTF-8", sent(masked(0xc1, squeeze("a\xff"))), "close 1007"},
	{"a character cut off", sent(masked(0xc1, squeeze("a\xce"))), "close 1007"},
	{"not UTF-8, but binary", sent(masked(0xc2, squeeze("a\xff")), masked(0x88, "")), "82:a\xff close"},
}

// inflated is transcript, with what is compressed inflated.
func inflated(t *testing.T, c *websockettest.Client) string {
	t.Helper()
	var b strings.Builder
	for {
		kind, p, err := c.ReadMessage()
		for _, pong := range c.TakePongs() {
			b.WriteString("8a:" + string(pong) + " ")
		}
		if err != nil {
			how, _ := err.(*websocket.CloseError)
			switch {
			case how == nil:
				return b.String() + err.Error()
			case how.Code == websocket.CloseNoCode:
				return b.String() + "close"
			}
			return b.String() + "close " + strconv.Itoa(how.Code)
		}
		b.WriteString(map[websocket.Kind]string{websocket.Text: "81:", websocket.Binary: "82:"}[kind] + string(p) + " ")
	}
}

func TestDeflated(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{})
	for _, x := range deflated {
		for _, split := range []bool{false, true} {
			if split && len(x.send) > 1000 {
				continue
			}
			c := open(t, addr, &websockettest.Options{Compression: true})
			if split {
				drip(c, x.send)
			} else {
				_ = c.Write(x.send)
			}
			if got := inflated(t, c); got != x.want {
				t.Errorf("%s, split %t: %.100q, want %.100q", x.name, split, got, x.want)
			}
			c.Conn().Close()
		}
	}
}

// A reference to an earlier message counts with context takeover of the client, and only then.
func TestReferenceToEarlierMessage(t *testing.T) {
	const again = "\xf2\x00\x11\x00\x00" // 7.2.3.2
	for _, x := range []struct {
		takeover bool
		offer    string
		want     string
	}{
		{true, "permessage-deflate", "81:Hello 81:Hello close"},
		{true, "permessage-deflate; server_no_context_takeover", "81:Hello 81:Hello close"},
		{true, "permessage-deflate; client_no_context_takeover", "81:Hello close 1007"},
		{false, "permessage-deflate", "81:Hello close 1007"},
	} {
		_, addr := startEcho(t, &websocket.Handler{ContextTakeover: x.takeover})
		c := open(t, addr, &websockettest.Options{Extensions: x.offer})
		_ = c.Write(sent(masked(0xc1, hello), masked(0xc1, again), masked(0x88, "")))
		if got := inflated(t, c); got != x.want {
			t.Errorf("%t, %s: %q, want %q", x.takeover, x.offer, got, x.want)
		}
	}
}

// windows are those that are tried with each way to keep a context; 7 asks for none.
var windows = map[string][]int{
	"": {7, 8, 9, 10, 11, 12, 13, 14, 15}, "; server_no_context_takeover": {8}, "; client_no_context_takeover": {9},
	"; server_no_context_takeover; client_no_context_takeover": {7, 8, 15},
}

// Messages of all kinds come back as they were, with every window and every way to keep a context.
func TestWindowsAndContexts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 700)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	messages := []string{"Hello", "Hello", "", strings.Repeat("abcdefghij", 20000), string(noise) + string(noise), "Hello", string(noise)}
	for _, takeover := range []bool{false, true} {
		_, addr := startEcho(t, &websocket.Handler{ContextTakeover: takeover})
		for contexts := range windows {
			for _, bits := range windows[contexts] {
				offer := "permessage-deflate" + contexts
				if bits > 7 {
					offer += "; server_max_window_bits=" + strconv.Itoa(bits)
				}
				c := open(t, addr, &websockettest.Options{Extensions: offer})
				for i, m := range messages {
					if err := c.WriteMessage(websocket.Binary, []byte(m)); err != nil {
						t.Fatal(err)
					}
					f, err := c.PeekFrame()
					if err != nil {
						t.Fatal(err)
					}
					if small := bits > 7 && 1<<bits < len(noise); i == 4 && small != (len(f.Payload) > len(noise)*3/2) {
						t.Errorf("%s: a message that repeats itself after 700 bytes is compressed to %d", offer, len(f.Payload))
					}
					if _, p, err := c.ReadMessage(); string(p) != m || err != nil {
						t.Fatalf("takeover %t, %s, message %d: %.20q, %v", takeover, offer, i, p, err)
					}
				}
				if how, err := c.Close(1000, ""); err != nil || how.Code != 1000 {
					t.Errorf("%v, %v", how, err)
				}
			}
		}
	}
}

// With context takeover a message refers to those before it, also to those that were prepared for many connections.
func TestContextOfServer(t *testing.T) {
	var hub websocket.Hub
	m := websocket.Prepare(websocket.Text, []byte(`{"kind":"news","text":"nothing new","at":"2026-11-30T12:00:00Z"}`))
	_, addr := startEcho(t, &websocket.Handler{
		ContextTakeover: true,
		OnOpen:          func(c *websocket.Conn) { hub.Join(c) },
		OnClose:         func(c *websocket.Conn, _ websocket.CloseError) { hub.Leave(c) },
	})
	for _, takeover := range []bool{true, false} {
		offer := "permessage-deflate"
		if !takeover {
			offer += "; server_no_context_takeover"
		}
		c := open(t, addr, &websockettest.Options{Extensions: offer})
		const text = `{"kind":"order","customer":"Smith","at":"2026-11-30T12:00:01Z","lines":[1,2,3]}`
		sizes := map[string][]int{}
		for range 3 {
			if err := c.WriteMessage(websocket.Text, []byte(text)); err != nil {
				t.Fatal(err)
			}
			f, err := c.PeekFrame()
			if _, p, err2 := c.ReadMessage(); string(p) != text || err != nil || err2 != nil {
				t.Fatalf("%q, %v, %v", p, err, err2)
			}
			sizes["echo"] = append(sizes["echo"], len(f.Payload))
			hub.Broadcast(m)
			f, err = c.PeekFrame()
			if _, p, err2 := c.ReadMessage(); !strings.Contains(string(p), "nothing new") || err != nil || err2 != nil {
				t.Fatalf("%q, %v, %v", p, err, err2)
			}
			sizes["prepared"] = append(sizes["prepared"], len(f.Payload))
		}
		if refers := sizes["echo"][2] < sizes["echo"][0]/2; refers != takeover {
			t.Errorf("takeover %t: %v", takeover, sizes)
		}
		_, _ = c.Close(1000, "")
	}
}

// An offer that cannot be met is passed over, and the next one is tried, in the same line or another.
func TestOffersOverLines(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{})
	const both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	for offered, want := range map[string]string{
		extensions + "foo\r\n" + extensions + "permessage-deflate\r\n":                                                       both,
		extensions + "permessage-deflate; x\r\n" + extensions + "permessage-deflate; server_max_window_bits=9\r\n":           both + "; server_max_window_bits=9",
		extensions + "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_max_window_bits=\"1\\0\"\r\n": both + "; server_max_window_bits=10",
		extensions + "permessage-deflate; server_max_window_bits\t=\t12 ;client_max_window_bits\r\n":                         both + "; server_max_window_bits=12",
		extensions + "permessage-deflate; x=\"a\", permessage-deflate; client_max_window_bits=8, permessage-deflate\r\n":     both,
		extensions + "perme\u017fsage-deflate\r\n":                                                                           "400",
		extensions + "x-webkit-deflate-frame\r\n":                                                                            "",
		extensions + "permessage-deflate; client_max_window_bits; client_max_window_bits=10\r\n":                             "",
		extensions + "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10\r\n":                          "",
		extensions + "permessage-deflate; client_max_window_bits=16\r\n":                                                     "",
		extensions + "permessage-deflate; client_max_window_bits=\"8\"\r\n":                                                  both,
		extensions + "permessage-deflate; client_no_context_takeover=true\r\n":                                               "",
		extensions + "permessage-deflate; server_max_window_bits=+9\r\n":                                                     "",
		extensions + "permessage-deflate; server_max_window_bits=9x\r\n":                                                     "",
		extensions + "permessage-deflate; server_max_window_bits=99999999999999999999\r\n":                                   "",
	} {
		_, _, res := ask(t, addr, handshake+offered+"\r\n", false)
		got := strings.Join(res.Header.Values("Sec-WebSocket-Extensions"), "|")
		if res.StatusCode != 101 {
			got = strconv.Itoa(res.StatusCode)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", offered, got, want)
		}
	}
}

func TestNoCompression(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{NoCompression: true})
	c := open(t, addr, &websockettest.Options{Compression: true})
	if c.Compresses() {
		t.Error("it was agreed on")
	}
	_ = c.WriteFrame(masked(0xc1, hello))
	if got := transcript(c); got != "close 1002" {
		t.Errorf("%q", got)
	}
}
