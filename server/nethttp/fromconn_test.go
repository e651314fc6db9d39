package nethttp_test

// What a handler of From does with the connection, beside net/http where that can be compared.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"

	"github.com/rs/zerolog"
)

// hijacks are handlers that take the connection, and answer on it.
var hijacks = map[string]http.HandlerFunc{
	"/raw": func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, _, again := w.(http.Hijacker).Hijack()
		n, write := w.Write([]byte("x"))
		_, none := w.Write(nil)
		unread, _ := rw.Peek(rw.Reader.Buffered())
		fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%v %d %v %v %q\n", again, n, write, none, unread)
		line, err := rw.ReadString('\n')
		fmt.Fprintf(rw, "%q %v", line, err)
		rw.Flush()
	},
	"/101": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Upgrade", "echo")
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("X-A", "a\r\nb")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		line, _ := rw.ReadString('\n')
		io.WriteString(conn, strings.ToUpper(line))
	},
	"/flushed": func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		_, late := io.WriteString(w, "late")
		line, err := rw.ReadString('\n')
		said := fmt.Sprintf("%q %v %v", line, err, late)
		fmt.Fprintf(conn, "%x\r\n%s\r\n0\r\n\r\n", len(said), said)
	},
	"/flushed/large": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "200012")
		io.WriteString(w, strings.Repeat("x", 200_000)) // more than the socket takes at once
		w.(http.Flusher).Flush()
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		line, err := rw.ReadString('\n')
		fmt.Fprintf(conn, "%s %v", line, err)
	},
	"/deadline": func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		c.SetReadDeadline(time.Now()) // which are those of the answer, and end with it
		c.SetWriteDeadline(time.Now())
		conn, rw, err := c.Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		line, err := rw.ReadString('\n')
		conn.SetReadDeadline(time.Now())
		_, late := rw.ReadByte()
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%q %v %v", line, err, errors.Is(late, os.ErrDeadlineExceeded))
	},
}

// TestFromHijack holds that a handler can take the connection, with all that was received, as from net/http.
func TestFromHijack(t *testing.T) {
	leavesNothing(t)
	mux := http.NewServeMux()
	for path, h := range hijacks {
		mux.HandleFunc(path, h)
	}
	for path := range hijacks {
		for _, early := range []bool{true, false} { // whether the first bytes come along with the request
			seen := map[string]string{}
			for kind, addr := range both(t, mux) {
				request := "GET " + path + " HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
				first, rest := request, "hello\n"
				if early {
					first, rest = request+rest, ""
				}
				c, in := connect(t, addr, first)
				io.WriteString(c, rest)
				b, err := io.ReadAll(in)
				if err != nil {
					t.Errorf("%s: %s: %v", kind, path, err)
				}
				head, body, _ := strings.Cut(string(b), "\r\n\r\n")
				res, err := http.ReadResponse(bufio.NewReader(strings.NewReader(head+"\r\n\r\n")), nil)
				if err != nil {
					t.Fatalf("%s: %s: %v in %q", kind, path, err, b)
				}
				res.Header.Del("Date")
				if !early {
					body = strings.ReplaceAll(body, `"hello\n"`, `""`) // it may have come before the handler looked
				}
				seen[kind] = fmt.Sprint(res.Status, " ", spell(res.Header), " ", body)
			}
			if got, want := seen["From"], seen["net/http"]; got != want || !strings.Contains(strings.ToLower(got), "hello") && early {
				t.Errorf("%s\ngot  %s\nwant %s", path, got, want)
			}
		}
	}
}

// TestFromHijackTooLate holds that a connection cannot be taken when the handler has returned, and that a 101 which no handler
// takes up is sent, and the last.
func TestFromHijackTooLate(t *testing.T) {
	leavesNothing(t)
	left := make(chan http.ResponseWriter, 1)
	addr := serve(t, nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/101" {
			w.WriteHeader(101)
			w.(http.Flusher).Flush()
			return
		}
		left <- w
	})))
	fetch(t, addr, "/")
	w := <-left
	await(t, "the handler to return", func() bool { _, err := w.Write(nil); return err == server.ErrAnswered })
	for name, f := range map[string]func(){
		"Hijack":      func() { w.(http.Hijacker).Hijack() },
		"CloseNotify": func() { w.(interface{ CloseNotify() <-chan bool }).CloseNotify() },
	} {
		func() {
			defer func() {
				if v := recover(); v != "net/http: "+name+" called after ServeHTTP finished" {
					t.Errorf("%s after the handler: %v", name, v)
				}
			}()
			f()
		}()
	}
	c := http.NewResponseController(w)
	if err1, err2 := c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}); err1 != server.ErrAnswered || err2 != err1 {
		t.Errorf("deadlines after the handler: %v, %v", err1, err2)
	}
	_, in := connect(t, addr, "GET /101 HTTP/1.1\r\nHost: a\r\n\r\n")
	if b, err := io.ReadAll(in); !bytes.HasPrefix(b, []byte("HTTP/1.1 101 Switching Protocols\r\nDate: ")) || err != nil {
		t.Errorf("101: %q, %v", b, err)
	}
}

// TestFromCloseNotify holds that a handler learns that its peer is gone, and of nothing else.
func TestFromCloseNotify(t *testing.T) {
	leavesNothing(t)
	done := make(chan (<-chan bool), 1)
	began := make(chan bool)
	for kind, addr := range both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gone := w.(interface{ CloseNotify() <-chan bool }).CloseNotify()
		if r.URL.Path == "/wait" {
			began <- true
			<-gone
		}
		done <- gone
	})) {
		fetch(t, addr, "/")
		select {
		case <-<-done:
			t.Errorf("%s: the channel of an answer that was given got a value", kind)
		default:
		}
		c, _ := connect(t, addr, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
		<-began
		c.Close()
		<-done
	}
}

// TestFromDeadlines holds that deadlines end Read and Write, and what the client sees of that.
func TestFromDeadlines(t *testing.T) {
	leavesNothing(t)
	past, soon := func() time.Time { return time.Now() }, func() time.Time { return time.Now().Add(20 * time.Millisecond) }
	read := func(at func() time.Time) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			err := c.SetReadDeadline(at())
			_, late := io.ReadAll(r.Body)
			fmt.Fprint(w, err, errors.Is(late, os.ErrDeadlineExceeded))
		}
	}
	write := func(at func() time.Time, size int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			if err := c.SetWriteDeadline(at()); err != nil {
				t.Error(err)
			}
			if _, err := w.Write(make([]byte, size)); size > 1<<20 && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("Write: %v", err)
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/read/past", read(past))
	mux.HandleFunc("/read/soon", read(soon))
	mux.HandleFunc("/write/small", write(past, 10))
	mux.HandleFunc("/write/large", write(soon, 64<<20))
	mux.HandleFunc("/none", func(w http.ResponseWriter, _ *http.Request) {
		c := http.NewResponseController(w)
		fmt.Fprint(w, c.SetReadDeadline(time.Now().Add(time.Hour)), c.SetWriteDeadline(time.Now().Add(time.Hour)))
	})
	for kind, addr := range both(t, mux) {
		for path, want := range map[string]string{"/read/past": "<nil> true", "/read/soon": "<nil> true", "/none": "<nil> <nil>"} {
			request := "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na"
			if path == "/none" { // which reads nothing, and net/http waits for the rest of a body before it answers
				request = "GET /none HTTP/1.1\r\nHost: a\r\n\r\n"
			}
			s := look(t, addr, request)
			if s.body != want || s.close != (path != "/none") {
				t.Errorf("%s: %s: %s", kind, path, s)
			}
		}
		for _, path := range []string{"/write/small", "/write/large"} {
			if path == "/write/small" && kind == "net/http" {
				continue // it leaves its client waiting
			}
			c, in := connect(t, addr, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
			if path == "/write/large" {
				time.Sleep(50 * time.Millisecond) // while nothing is read
			}
			res, err := http.ReadResponse(in, nil)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
			}
			if err == nil {
				t.Errorf("%s: %s: the answer is whole", kind, path)
			}
			c.Close()
		}
	}
}

// TestFromMaxBytes holds that a request beyond the limit of an http.MaxBytesReader ends its connection, as with net/http, and
// one within does not.
func TestFromMaxBytes(t *testing.T) {
	leavesNothing(t)
	const limit = 10
	tell := func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %v", len(b), err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/reader", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		tell(w, r)
	})
	mux.Handle("/handler", http.MaxBytesHandler(http.HandlerFunc(tell), limit))
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, limit)
		fmt.Fprint(w, r.FormValue("a") == "", r.ParseForm())
	})
	addrs := both(t, mux)
	for _, path := range []string{"/reader", "/handler", "/form"} {
		for _, n := range []int{0, 1, limit - 1, limit, limit + 1, limit + 2, 600, 5000} {
			body := strings.Repeat("a", n)
			for _, request := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n%s", n, body),
				fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", max(n, 1), body+"a"[min(n, 1):]),
			} {
				request = "POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n" + request
				got, want := look(t, addrs["From"], request), look(t, addrs["net/http"], request)
				if got.String() != want.String() {
					t.Errorf("%.120q\ngot  %s\nwant %s", request, got, want)
				}
				if n > limit != got.close {
					t.Errorf("%.120q: %s", request, got)
				}
			}
		}
	}
}

type contextKey string

// TestFromServer holds what contexts say about the server and the connection, and when they end.
func TestFromServer(t *testing.T) {
	leavesNothing(t)
	var bases, conns atomic.Int32
	base, end := context.WithCancelCause(context.WithValue(context.Background(), contextKey("base"), "b"))
	defer end(nil)
	waits := make(chan bool)
	hs := &http.Server{
		BaseContext: func(l net.Listener) context.Context {
			bases.Add(1)
			if _, err := l.Accept(); !errors.Is(err, errors.ErrUnsupported) || l.Addr().(*net.TCPAddr).Port == 0 || l.Close() == nil {
				t.Errorf("the listener: %v %v", l.Addr(), err)
			}
			return base
		},
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, contextKey("conn"), fmt.Sprintf("%d %s %s", conns.Add(1), c.RemoteAddr(), c.LocalAddr()))
		},
		DisableGeneralOptionsHandler: true,
	}
	hs.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if r.URL.Path == "/wait" {
			waits <- true
			<-ctx.Done()
			fmt.Fprint(w, ctx.Err(), " ", <-waits)
			return
		}
		fmt.Fprintln(w, r.Method, ctx.Value(http.ServerContextKey) == hs, ctx.Value(contextKey("base")), ctx.Value(contextKey("ours")),
			ctx.Value(contextKey("none")), ctx.Value(contextKey("conn")) ==
				fmt.Sprintf("%d %s %s", conns.Load(), r.RemoteAddr, ctx.Value(http.LocalAddrContextKey)))
	})
	ours := server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		r.SetContext(context.WithValue(r.Context(), contextKey("ours"), "o"))
		next.Serve(w, r)
	})
	addr := serve(t, ours(nethttp.FromServer(hs)))
	const want = "GET true b o <nil> true\n"
	for range 2 {
		_, in := connect(t, addr, plainGet+plainGet)
		for range 2 {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, _ := io.ReadAll(res.Body); string(body) != want {
				t.Errorf("got %s", body)
			}
		}
	}
	if b, c := bases.Load(), conns.Load(); b != 1 || c != 2 {
		t.Errorf("BaseContext was called %d times, ConnContext %d times", b, c)
	}
	if s := look(t, addr, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"); !strings.HasPrefix(s.body, "OPTIONS") {
		t.Errorf("OPTIONS *: %s", s)
	}
	_, in := connect(t, addr, "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
	<-waits
	end(errors.New("over"))
	waits <- true
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(res.Body); string(body) != "context canceled true" {
		t.Errorf("the end of the base: %s", body)
	}
}

// TestFromSharesNoContext holds that two handlers on one connection have their own contexts.
func TestFromSharesNoContext(t *testing.T) {
	leavesNothing(t)
	var mu sync.Mutex
	calls := map[string]int{}
	named := func(name string) server.Handler {
		return nethttp.FromServer(&http.Server{
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, r.Context().Value(contextKey("name")))
			}),
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				mu.Lock()
				defer mu.Unlock()
				calls[name]++
				return context.WithValue(ctx, contextKey("name"), name)
			},
		})
	}
	routes := router.New()
	routes.Handle("/a", named("a"))
	routes.Handle("/b", named("b"))
	addr := serve(t, routes)
	c, in := connect(t, addr, "")
	for _, name := range []string{"a", "b", "a", "b"} {
		io.WriteString(c, "GET /"+name+" HTTP/1.1\r\nHost: a\r\n\r\n")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != name {
			t.Errorf("got %s, want %s", body, name)
		}
	}
	if fmt.Sprint(calls) != "map[a:1 b:1]" {
		t.Errorf("ConnContext was called %v", calls)
	}
}

// TestFromTLS holds that requests over TLS have the state of their connection, and others have none.
func TestFromTLS(t *testing.T) {
	leavesNothing(t)
	theirs := httptest.NewTLSServer(nil) // for its certificate
	defer theirs.Close()
	h := nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.TLS != nil && r.TLS.HandshakeComplete && r.TLS.ServerName == "example.com")
	}))
	client := theirs.Client()
	client.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com"
	defer client.CloseIdleConnections()
	s := &server.Server{
		Addr: "127.0.0.1:0", Handler: h, Log: server.Zerolog(zerolog.Nop()),
		TLSConfig: &tls.Config{Certificates: theirs.TLS.Certificates},
	}
	secure, err := s.ListenTLS("", "")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	defer func() {
		s.Close()
		<-ended
	}()
	for url, want := range map[string]string{"https://" + secure.String(): "true", "http://" + serve(t, h): "false"} {
		res, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		if res.Body.Close(); string(body) != want {
			t.Errorf("%s: %s", url, body)
		}
	}
}
