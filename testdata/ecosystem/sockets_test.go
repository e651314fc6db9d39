package ecosystem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	gorilla "github.com/gorilla/websocket"
)

// The servers of WebSockets take the connection by http.Hijacker. The client of each is asked by the other's, too.

func gorillaEcho(compress bool) http.Handler {
	upgrader := gorilla.Upgrader{EnableCompression: compress, Subprotocols: []string{"echo"}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := upgrader.Upgrade(w, r, http.Header{"X-Own": {"field"}})
		if err != nil {
			return // the upgrader has answered
		}
		defer c.Close()
		c.SetReadLimit(2 << 20)
		for {
			kind, b, err := c.ReadMessage()
			if err != nil {
				return
			}
			if string(b) == "close" {
				_ = c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(4001, "as asked"), time.Now().Add(patience))
				return
			}
			if err := c.WriteMessage(kind, b); err != nil {
				return
			}
		}
	})
}

func coderEcho() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := coder.Accept(w, r, &coder.AcceptOptions{Subprotocols: []string{"echo"}, CompressionMode: coder.CompressionContextTakeover})
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(2 << 20)
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if string(b) == "close" {
				_ = c.Close(4001, "as asked")
				return
			}
			if err := c.Write(r.Context(), kind, b); err != nil {
				return
			}
		}
	})
}

func TestGorillaWebSocket(t *testing.T) {
	both(t, func(*testing.T) http.Handler { return gorillaEcho(true) }, talkWebSocket, `sent 1 1048576: the same`, "4001", "426 or 400")
}

func TestCoderWebSocket(t *testing.T) {
	both(t, func(*testing.T) http.Handler { return coderEcho() }, talkWebSocket, `sent 1 1048576: the same`, "4001", "426 or 400")
}

// talkWebSocket talks to an echo, with both clients.
func talkWebSocket(t *testing.T, s *seen, at string) {
	ws := "ws" + strings.TrimPrefix(at, "http")
	for _, compress := range []bool{false, true} {
		d := gorilla.Dialer{EnableCompression: compress, Subprotocols: []string{"other", "echo"}, HandshakeTimeout: patience}
		c, res, err := d.Dial(ws, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.add("%d %s %s %s", res.StatusCode, res.Header.Get("X-Own"), c.Subprotocol(), res.Header.Get("Sec-WebSocket-Extensions"))
		_ = c.SetReadDeadline(time.Now().Add(patience))
		for _, m := range [][]byte{[]byte("text"), {}, []byte(strings.Repeat("long text ", 7000)), bytes.Repeat([]byte("x"), 1<<20)} {
			if err := c.WriteMessage(gorilla.TextMessage, m); err != nil {
				t.Fatal(err)
			}
			kind, got, err := c.ReadMessage()
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Equal(got, m) {
				s.add("sent 1 %d: the same, of kind %d", len(m), kind)
			} else {
				s.add("sent 1 %d: %d others", len(m), len(got))
			}
		}
		pong := false
		c.SetPongHandler(func(string) error { pong = true; return nil })
		_ = c.WriteControl(gorilla.PingMessage, []byte("ping"), time.Now().Add(patience))
		_ = c.WriteMessage(gorilla.BinaryMessage, []byte("close"))
		_, _, err = c.ReadMessage()
		s.add("pong: %t, %v", pong, err)
		c.Close()
	}

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, _, err := coder.Dial(ctx, ws, &coder.DialOptions{Subprotocols: []string{"echo"}, CompressionMode: coder.CompressionContextTakeover})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	want := map[string]any{"a": 1.0, "b": strings.Repeat("x", 5000)}
	var got map[string]any
	if err := wsjson.Write(ctx, c, want); err != nil {
		t.Fatal(err)
	}
	err = wsjson.Read(ctx, c, &got)
	s.add("JSON: %v, %t", err, fmt.Sprint(got) == fmt.Sprint(want))
	s.add("%v", c.Close(coder.StatusNormalClosure, "bye"))

	res, err := newClient(t).Get(at) // no upgrade
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	s.add("without an upgrade 426 or 400: %d", res.StatusCode)
}

// A reverse proxy: plain, with an answer that streams, with an upload, and with a WebSocket through it. The proxy stands on
// the server under test; what it asks is net/http's.
func TestReverseProxy(t *testing.T) {
	both(t, func(t *testing.T) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Forwarded-For-Was", r.Header.Get("X-Forwarded-For"))
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.WriteHeader(203)
			fmt.Fprint(w, r.URL, r.Host != "")
		})
		mux.HandleFunc("/upload", func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d %v %s", n, err, r.Trailer.Get("X-Sum"))
		})
		step := make(chan struct{})
		mux.HandleFunc("/stream", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-End")
			for i := range 3 {
				fmt.Fprintf(w, "part %d\n", i)
				w.(http.Flusher).Flush()
				<-step
			}
			w.Header().Set("X-End", "reached")
		})
		mux.HandleFunc("/step", func(http.ResponseWriter, *http.Request) { step <- struct{}{} })
		mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, "too little")
			w.(http.Flusher).Flush()
			<-step // the client has read it
			panic(http.ErrAbortHandler)
		})
		mux.Handle("/ws", gorillaEcho(false))
		backend := newBackend(t, mux)
		target, _ := url.Parse(backend)
		return &httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
			FlushInterval: -1, ErrorLog: quiet,
		}
	}, func(t *testing.T, s *seen, at string) {
		c := newClient(t)
		ask(t, s, c, "GET", at+"/plain?a=b%20c", nil)
		ask(t, s, c, "GET", at+"/nothing", nil)
		ask(t, s, c, "POST", at+"/upload", io.LimitReader(zeros{}, 8<<20))

		res, err := c.Get(at + "/stream")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 { // each part comes before the next is made
			part := make([]byte, 7)
			_, err := io.ReadFull(res.Body, part)
			s.add("%q %v", part, err)
			ask(t, s, c, "GET", fmt.Sprintf("%s/step?%d", at, i), nil)
		}
		_, err = io.ReadAll(res.Body)
		res.Body.Close()
		s.add("%v, trailer %q", err, res.Trailer.Get("X-End"))

		res, err = c.Get(at + "/cut")
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, len("too little"))
		_, err = io.ReadFull(res.Body, b)
		s.add("%q %v", b, err)
		ask(t, s, c, "GET", at+"/step", nil)
		b, err = io.ReadAll(res.Body)
		res.Body.Close()
		s.add("%q %v", b, err)

		ws, res, err := gorilla.DefaultDialer.Dial("ws"+strings.TrimPrefix(at, "http")+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		_ = ws.SetReadDeadline(time.Now().Add(patience))
		s.add("WebSocket through: %d %s", res.StatusCode, res.Header.Get("X-Own"))
		for _, m := range []string{"one", strings.Repeat("two ", 50_000)} {
			_ = ws.WriteMessage(gorilla.TextMessage, []byte(m))
			_, got, err := ws.ReadMessage()
			s.add("%d: %t %v", len(m), string(got) == m, err)
		}
		_ = ws.WriteMessage(gorilla.TextMessage, []byte("close"))
		_, _, err = ws.ReadMessage()
		s.add("%v", err)
	}, "203", `X-Forwarded-For-Was=["127.0.0.1"]`, "8388608 <nil>", `"part 2\n"`, `trailer "reached"`, "too little", `"" unexpected EOF`,
		"WebSocket through: 101 field", "200000: true", "4001")
}

// newBackend serves by net/http, and ends with the test.
func newBackend(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, ErrorLog: quiet}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return "http://" + l.Addr().String()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
