package websocket_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/websocket"
)

const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

const handshake = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" + key

// ask sends bytes, whole or one by one, and reads the head of the answer.
func ask(t *testing.T, addr, request string, split bool) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if split {
		for i := range len(request) {
			if _, err := io.WriteString(c, request[i:i+1]); err != nil {
				break
			}
		}
	} else {
		_, _ = io.WriteString(c, request)
	}
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, &http.Request{Method: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	return c, r, res
}

func without(name string) string {
	var kept []string
	for _, l := range strings.SplitAfter(handshake, "\r\n") {
		if !strings.HasPrefix(l, name) {
			kept = append(kept, l)
		}
	}
	return strings.Join(kept, "")
}

func instead(old, new string) string { return strings.Replace(handshake, old, new, 1) }

const extensions, protocol = "Sec-WebSocket-Extensions: ", "Sec-WebSocket-Protocol: "

var handshakes = []struct {
	name, request string
	status        int
}{
	{"plain", handshake, 101},
	{"a query", instead("GET / ", "GET /?a=b "), 101},
	{"absolute target", instead("GET / ", "GET http://a/ "), 101},
	{"absolute target of another host", instead("GET / ", "GET http://b/ ") + "Origin: http://b\r\n", 101},
	{"absolute target, origin of Host", instead("GET / ", "GET http://b/ ") + "Origin: http://a\r\n", 403},
	{"names in any case", strings.NewReplacer("Host", "HOST", "Upgrade:", "UPGRADE:", "Connection", "cONNECTION", "Sec-WebSocket-", "SEC-websocket-").Replace(handshake), 101},
	{"any case", strings.NewReplacer("websocket\r", "WebSocket\r", "Upgrade\r", "UPGRADE\r").Replace(handshake), 101},
	{"lists", strings.NewReplacer("websocket\r", "foo/1, websocket\r", "Upgrade\r", "keep-alive, Upgrade\r").Replace(handshake), 101},
	{"lists with tabs", strings.NewReplacer(" websocket\r", "\tfoo\t,\twebsocket\t,\r", " Upgrade\r", "\tkeep-alive\t,\tUpgrade\t\r").Replace(handshake), 101},
	{"lists with empty members", strings.NewReplacer(" websocket\r", " ,,websocket,\r", " Upgrade\r", " ,,Upgrade,\r").Replace(handshake), 101},
	{"lists over lines", strings.NewReplacer("Upgrade: ", "Upgrade: foo\r\nUpgrade: ", "Connection: ", "Connection: keep-alive\r\nConnection: ").Replace(handshake), 101},
	{"white space around values", strings.NewReplacer(": 13", ":  13 \t", "Key: ", "Key:\t ", "==", "== ").Replace(handshake), 101},
	{"an upgrade that is quoted", instead(" websocket", ` "websocket"`), 426},
	{"another upgrade", instead(" websocket", " websockets"), 426},
	{"an upgrade with a version", instead(" websocket", " websocket/13"), 426},
	{"the Kelvin sign", instead(" websocket", " websoc\u212aet"), 426},
	{"no upgrade", without("Upgrade"), 426},
	{"an empty upgrade", instead(" websocket", ""), 426},
	{"no Connection", without("Connection"), 400},
	{"another Connection", instead(" Upgrade\r", " keep-alive\r"), 400},
	{"no version", without("Sec-WebSocket-Version"), 426},
	{"an empty version", instead(" 13", ""), 426},
	{"version 0", instead("13", "0"), 426},
	{"version 7", instead("13", "7"), 426},
	{"version 8", instead("13", "8"), 426},
	{"version 12", instead("13", "12"), 426},
	{"version 14", instead("13", "14"), 426},
	{"version 013", instead("13", "013"), 426},
	{"version +13", instead("13", "+13"), 426},
	{"version 13.0", instead("13", "13.0"), 426},
	{"version 255", instead("13", "255"), 426},
	{"version 256+13", instead("13", "269"), 426},
	{"a version that is none", instead("13", "abc"), 426},
	{"a list of versions", instead("13", "13, 8"), 426},
	{"two versions", handshake + "Sec-WebSocket-Version: 13\r\n", 426},
	{"two different versions", handshake + "Sec-WebSocket-Version: 8\r\n", 426},
	{"no key", without("Sec-WebSocket-Key"), 400},
	{"an empty key", without("Sec-WebSocket-Key") + "Sec-WebSocket-Key:\r\n", 400},
	{"two keys", handshake + key, 400},
	{"a short key", instead("dGhl", ""), 400},
	{"a long key", instead("dGhl", "dGhldGhl"), 400},
	{"a key of 15 bytes", instead("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"), 400},
	{"a key of 17 bytes", instead("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZWU="), 400},
	{"a key not canonical", instead("ZQ==", "ZR=="), 400},
	{"a key unpadded", instead("ZQ==", "ZQ"), 400},
	{"a key padded once", instead("ZQ==", "ZQ="), 400},
	{"a key of URL's base64", instead("dGhl", "-_hl"), 400},
	{"a key with a space", instead("dGhl", "dG l"), 400},
	{"a key in quotes", instead("dGhlIHNhbXBsZSBub25jZQ==", `"dGhlIHNhbXBsZSBub25jZQ=="`), 400},
	{"two keys in one line", instead("ZQ==", "ZQ==, dGhlIHNhbXBsZSBub25jZQ=="), 400},
	{"HTTP/1.0", instead("HTTP/1.1", "HTTP/1.0"), 400},
	{"POST", instead("GET", "POST"), 405},
	{"HEAD", instead("GET", "HEAD"), 405},
	{"PUT", instead("GET", "PUT"), 405},
	{"OPTIONS", instead("GET", "OPTIONS"), 405},
	{"a body", handshake + "Content-Length: 1\r\n", 400},
	{"a chunked body", handshake + "Transfer-Encoding: chunked\r\n", 400},
	{"a body that is awaited", handshake + "Content-Length: 1\r\nExpect: 100-continue\r\n", 400},
	{"a body of no bytes", handshake + "Content-Length: 0\r\n", 101},
	{"no Host", without("Host"), 400},
	{"two Hosts", handshake + "Host: a\r\n", 400},

	{"the same origin", handshake + "Origin: http://a\r\n", 101},
	{"the same origin by https", handshake + "Origin: https://A\r\n", 101},
	{"the same origin and port", instead("Host: a", "Host: a:81") + "Origin: http://a:81\r\n", 101},
	{"the same IPv6 address", instead("Host: a", "Host: [::1]:81") + "Origin: http://[::1]:81\r\n", 101},
	{"another origin", handshake + "Origin: http://b\r\n", 403},
	{"a suffix", handshake + "Origin: http://b.a\r\n", 403},
	{"a prefix", handshake + "Origin: http://a.b\r\n", 403},
	{"another port", handshake + "Origin: http://a:81\r\n", 403},
	{"no port", instead("Host: a", "Host: a:81") + "Origin: http://a\r\n", 403},
	{"a path", handshake + "Origin: http://a/\r\n", 403},
	{"user info", handshake + "Origin: http://a@b\r\n", 403},
	{"user info before the host", handshake + "Origin: http://u@a\r\n", 403},
	{"no scheme", handshake + "Origin: a\r\n", 403},
	{"an empty scheme", handshake + "Origin: ://a\r\n", 403},
	{"null", handshake + "Origin: null\r\n", 403},
	{"an empty origin", handshake + "Origin:\r\n", 403},
	{"two origins", handshake + "Origin: http://a\r\nOrigin: http://a\r\n", 403},
	{"two origins in a line", handshake + "Origin: http://a http://a\r\n", 403},
	{"an origin with the Kelvin sign", instead("Host: a", "Host: k") + "Origin: http://\u212a\r\n", 403},

	{"an extension", handshake + extensions + "foo\r\n", 101},
	{"an extension with values", handshake + extensions + "foo; a; b=c; d=\"e\"\r\n", 101},
	{"no extension", handshake + extensions + "\r\n", 400},
	{"only commas", handshake + extensions + ",\r\n", 400},
	{"an empty extension among others", handshake + extensions + ", foo,\r\n", 101},
	{"an extension that is no token", handshake + extensions + "f@o\r\n", 400},
	{"an extension with an empty parameter", handshake + extensions + "foo;\r\n", 400},
	{"a parameter without a name", handshake + extensions + "foo; =1\r\n", 400},
	{"a parameter without a value", handshake + extensions + "permessage-deflate; server_max_window_bits=\r\n", 400},
	{"a quoted value that is no token", handshake + extensions + "foo; a=\"b c\"\r\n", 400},
	{"a quoted value without an end", handshake + extensions + "foo; a=\"b\r\n", 400},
	{"two values", handshake + extensions + "foo; a=b=c\r\n", 400},
	{"two subprotocols", handshake + protocol + "x\r\n" + protocol + "y\r\n", 101},
	{"no subprotocol", handshake + protocol + "\r\n", 400},
	{"a subprotocol that is no token", handshake + protocol + "a b\r\n", 400},
	{"a subprotocol twice", handshake + protocol + "a, b, a\r\n", 400},
}

// Whole, and byte by byte, the answer is the same.
func TestHandshake(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{})
	for _, x := range handshakes {
		for _, split := range []bool{false, true} {
			c, _, res := ask(t, addr, x.request+"\r\n", split)
			if res.StatusCode != x.status {
				t.Errorf("%s, split %t: %d, want %d", x.name, split, res.StatusCode, x.status)
			}
			switch h := res.Header; res.StatusCode {
			case 101: // RFC 6455, 1.3
				if h.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" || !strings.EqualFold(h.Get("Upgrade"), "websocket") ||
					!strings.EqualFold(h.Get("Connection"), "upgrade") || h.Get("Content-Length") != "" {
					t.Errorf("%s: %v", x.name, h)
				}
			case 426:
				if h.Get("Sec-WebSocket-Version") != "13" || h.Get("Upgrade") != "websocket" {
					t.Errorf("%s: %v", x.name, h)
				}
			case 405:
				if h.Get("Allow") != "GET" {
					t.Errorf("%s: %v", x.name, h)
				}
			}
			c.Close()
		}
	}
}

// A client that asked for a version that is not spoken may ask again on the same connection (4.2.2).
func TestAnotherVersion(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{})
	c, r, res := ask(t, addr, instead("13", "8")+"\r\n", false)
	if res.StatusCode != 426 {
		t.Fatal(res.Status)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_, _ = io.WriteString(c, handshake+"\r\n")
	if res, err := http.ReadResponse(r, nil); err != nil || res.StatusCode != 101 {
		t.Errorf("%v, %v", res, err)
	}
}

func TestSubprotocols(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{Subprotocols: []string{"b", "c"}})
	for offered, want := range map[string]string{
		"": "", protocol + "a\r\n": "", protocol + "B\r\n": "", protocol + "a\r\n" + protocol + "c, b\r\n": "c",
		protocol + "b\r\n": "b", protocol + "a,\tb\t\r\n": "b", "Sec-WebSocket-Protocols: b\r\n": "",
	} {
		_, _, res := ask(t, addr, handshake+offered+"\r\n", false)
		if got := res.Header.Values("Sec-WebSocket-Protocol"); res.StatusCode != 101 || strings.Join(got, "|") != want {
			t.Errorf("%q: %s, %q", offered, res.Status, got)
		}
	}
}

// CheckOrigin and OnUpgrade decide, and what they say is the answer.
func TestRefusedByTheProgram(t *testing.T) {
	_, addr := startEcho(t, &websocket.Handler{
		CheckOrigin: func(r *server.Request) bool { return r.Header("Origin") == "https://b" },
		OnUpgrade: func(w *server.Response, r *server.Request, c *websocket.Conn) bool {
			if r.Path() == "/out" {
				w.Error(401)
				return false
			}
			w.SetHeader("X-Greeting", "hello")
			return true
		},
	})
	for request, want := range map[string]int{
		handshake + "Origin: https://b\r\n":                    101,
		handshake + "Origin: http://a\r\n":                     403,
		instead("GET /", "GET /out") + "Origin: https://b\r\n": 401,
	} {
		_, _, res := ask(t, addr, request+"\r\n", false)
		if res.StatusCode != want || (want == 101) != (res.Header.Get("X-Greeting") == "hello") {
			t.Errorf("%q: %s, %v", request, res.Status, res.Header)
		}
	}
}
