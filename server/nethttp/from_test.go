package nethttp_test

// What From promises beyond the table of fromrows_test.go.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
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

// fetch sends a request without a body to addr.
func fetch(t *testing.T, addr, target string) *sight {
	t.Helper()
	return look(t, addr, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
}

// connect opens a connection to addr and sends requests on it.
func connect(t *testing.T, addr, requests string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, requests)
	return c.(*net.TCPConn), bufio.NewReader(c)
}

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// TestFromFlushes holds that an event arrives while the handler still runs, through a proxy too.
func TestFromFlushes(t *testing.T) {
	leavesNothing(t)
	next := make(chan bool)
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-next
		io.WriteString(w, "data: 2\n")
	})
	addr := serve(t, nethttp.From(h))
	proxy := serve(t, nethttp.From(proxyTo(t, "http://"+addr)))
	t.Cleanup(func() { close(next) }) // nobody waits for what failed
	for name, addr := range map[string]string{"direct": addr, "through a proxy": proxy} {
		_, in := connect(t, addr, plainGet)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		events := bufio.NewReader(res.Body)
		first, err1 := events.ReadString('\n')
		next <- true
		rest, err2 := io.ReadAll(events)
		if first != "data: 1\n" || string(rest) != "data: 2\n" || err1 != nil || err2 != nil {
			t.Errorf("%s: %q %v, %q %v", name, first, err1, rest, err2)
		}
	}
}

// TestFromWaitsForASlowReader holds that a handler gets ahead of its peer by what the kernel and the server buffer, and
// no further.
func TestFromWaitsForASlowReader(t *testing.T) {
	leavesNothing(t)
	const all, ahead = 24 << 20, 8 << 20
	var written atomic.Int64
	addr := serve(t, nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		piece := bytes.Repeat([]byte("x"), 64<<10)
		for range all / len(piece) {
			n, err := w.Write(piece)
			if written.Add(int64(n)); err != nil {
				t.Error(err)
				return
			}
		}
	})))
	c, in := connect(t, addr, plainGet)
	c.SetReadBuffer(64 << 10)
	await(t, "the handler to get ahead", func() bool { return written.Load() >= 64<<10 })
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	piece, read := make([]byte, 32<<10), int64(0)
	for err == nil {
		var n int
		n, err = res.Body.Read(piece)
		if read += int64(n); written.Load()-read > ahead {
			t.Fatalf("%d written when %d were read", written.Load(), read)
		}
	}
	if err != io.EOF || read != all {
		t.Errorf("read %d: %v", read, err)
	}
}

// TestFromPeerGone holds that a handler learns that its peer is gone, by its context and by Write.
func TestFromPeerGone(t *testing.T) {
	leavesNothing(t)
	began, ended := make(chan bool), make(chan error, 1)
	addr := serve(t, nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began <- true
		<-r.Context().Done()
		var err error
		for end := time.Now().Add(patience); err == nil && time.Now().Before(end); {
			_, err = w.Write(big)
		}
		ended <- err
	})))
	c, _ := connect(t, addr, plainGet)
	<-began
	c.SetLinger(0) // a reset, and not only half a close
	c.Close()
	if err := <-ended; err != server.ErrPeerReset {
		t.Errorf("Write: %v", err)
	}
}

// TestFromLateUse holds that what a handler leaves behind can do no harm to the answers that follow, and may keep the
// request.
func TestFromLateUse(t *testing.T) {
	leavesNothing(t)
	type left struct {
		w http.ResponseWriter
		r *http.Request
	}
	all := make(chan left, 1)
	addr := serve(t, nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, r.URL.Path)
		if r.URL.Path != "/next" {
			all <- left{w, r}
		}
	})), func(s *server.Server) { s.DetectLateUse = true })
	for _, path := range []string{"/whole", "/stream"} {
		c, in := connect(t, addr, "POST "+path+" HTTP/1.1\r\nHost: a\r\nX-A: b\r\nContent-Length: 3\r\n\r\nabc")
		answer := func(want string) {
			t.Helper()
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(res.Body); string(body) != want || err != nil || res.Header.Get("X-Late") != "" {
				t.Errorf("got %q, %v, %v; want %q", body, res.Header, err, want)
			}
		}
		answer(path)
		l := <-all
		_, err := l.w.Write(big)
		l.w.Header().Set("X-Late", "1")
		l.w.WriteHeader(500)
		l.w.WriteHeader(103)
		l.w.(http.Flusher).Flush()
		_, err2 := l.w.(io.ReaderFrom).ReadFrom(strings.NewReader("late"))
		err3 := http.NewResponseController(l.w).Flush()
		if err != server.ErrAnswered || err2 != server.ErrAnswered || err3 != server.ErrAnswered {
			t.Errorf("%s: late use gave %v, %v, %v", path, err, err2, err3)
		}
		io.WriteString(c, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
		answer("/next")
		body, err := io.ReadAll(l.r.Body)
		if l.r.URL.Path != path || l.r.Header.Get("X-A") != "b" || string(body) != "" || err != http.ErrBodyReadAfterClose || l.r.Context().Err() == nil {
			t.Errorf("the request became %s %v %q %v", l.r.URL, l.r.Header, body, err)
		}
	}
}

// TestFromFields holds that a handler finds the fields that were set before it, and may change and delete them.
func TestFromFields(t *testing.T) {
	leavesNothing(t)
	inner := nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-A", w.Header().Get("X-A")+"2")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Del("X-B")
	}))
	addr := serve(t, server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.SetHeader("X-A", "1")
		w.SetHeader("x-b", "1")
		w.AddHeader("Set-Cookie", "a=1")
		inner.Serve(w, r)
	}))
	if got := spell(fetch(t, addr, "/").fields); got != `[Content-Length["0"] Set-Cookie["a=1" "b=2"] X-A["12"]]` {
		t.Errorf("got %s", got)
	}
}

// TestFromLogs holds what is logged: panics, but for http.ErrAbortHandler, and misuse, once.
func TestFromLogs(t *testing.T) {
	leavesNothing(t)
	out := new(lines)
	logger := server.Zerolog(zerolog.New(out))
	mux := http.NewServeMux()
	for path, h := range broken {
		mux.HandleFunc(path, h)
	}
	mux.HandleFunc("/twice", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			w.WriteHeader(201)
		}
	})
	mux.HandleFunc("/length", invalidLength)
	for _, status := range []int{0, 99, 600, 1000} {
		mux.HandleFunc(fmt.Sprintf("/%d", status), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
	}
	addr := serve(t, nethttp.From(mux), func(s *server.Server) { s.Log = logger })
	for path, want := range map[string]string{
		"/panic": `"panic":"expected"`, "/panic/flushed": `"panic":"expected"`, "/abort": "", "/abort/wrapped": "",
		"/twice":  "superfluous response.WriteHeader call from microhttp/server/nethttp_test.TestFromLogs",
		"/length": `invalid Content-Length of \"-1\"`,
		"/0":      "invalid WriteHeader code 0", "/99": "invalid WriteHeader code 99", "/1000": "invalid WriteHeader code 1000",
		"/600": "WriteHeader code 600",
	} {
		out.take()
		fetch(t, addr, path)
		got := out.take()
		if n := strings.Count(got, "\n"); !strings.Contains(got, want) || n > 1 || want == "" && got != "" {
			t.Errorf("%s: logged %d lines, %.300q", path, n, got)
		}
	}
}

// lines is a log.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

// TestFromPanicIsMended holds that a panic before anything was sent leaves the response to OnPanic.
func TestFromPanicIsMended(t *testing.T) {
	leavesNothing(t)
	inner := nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-A", "b")
		w.WriteHeader(201)
		io.WriteString(w, "half")
		panic("expected")
	}))
	addr := serve(t, server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.OnPanic(func(w *server.Response, _ *server.Request, v any, stack []byte) {
			w.Error(500)
			fmt.Fprint(w, v, bytes.Contains(stack, []byte("TestFromPanicIsMended"))) // where it happened
		})
		inner.Serve(w, r)
	}))
	if s := fetch(t, addr, "/"); s.status != 500 || s.body != "Internal Server Error\nexpectedtrue" || s.fields.Get("X-A") != "" {
		t.Errorf("got %s", s)
	}
}

// TestFromRemovesUploads holds that the files of a form do not outlive their request.
func TestFromRemovesUploads(t *testing.T) {
	leavesNothing(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	files := func() int {
		entries, _ := os.ReadDir(dir)
		return len(entries)
	}
	addr := serve(t, nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := r.ParseMultipartForm(1)
		fmt.Fprint(w, files(), err)
	})))
	var form bytes.Buffer
	m := multipart.NewWriter(&form)
	part, _ := m.CreateFormFile("a", "b")
	part.Write(big)
	m.Close()
	s := look(t, addr, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
		m.FormDataContentType(), form.Len(), form.String()))
	if s.body != "1 <nil>" || files() != 0 {
		t.Errorf("%s; %d files are left", s, files())
	}
}

// TestFromBehindARouter holds that the values of the router's pattern reach the handler, until a mux finds others.
func TestFromBehindARouter(t *testing.T) {
	leavesNothing(t)
	show := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s: %s %s %s", r.Pattern, r.PathValue("id"), r.PathValue("rest"), r.URL.EscapedPath())
	})
	mux := http.NewServeMux()
	mux.Handle("/mux/{id}", show)
	routes := router.New()
	routes.Handle("GET /items/{id}/{rest...}", nethttp.From(show))
	routes.Mount("/mux", nethttp.From(mux))
	routes.Mount("/strip", nethttp.From(http.StripPrefix("/strip", show)))
	addr := serve(t, routes)
	for path, want := range map[string]string{
		"/items/a%2Fb/c/d": "GET /items/{id}/{rest...}: a/b c/d /items/a%2Fb/c/d",
		"/mux/7":           "/mux/{id}: 7  /mux/7",
		"/strip/a%20b":     "/strip/:   /a%20b",
	} {
		if s := fetch(t, addr, path); s.status != 200 || s.body != want {
			t.Errorf("%s: got %s, want %q", path, s, want)
		}
	}
}

// TestFromWithinBlocking holds that a middleware may have left the loop already; our address is then not known.
func TestFromWithinBlocking(t *testing.T) {
	leavesNothing(t)
	addr := serve(t, server.Blocking(nethttp.From(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Context().Value(http.LocalAddrContextKey))
	}))))
	if s := fetch(t, addr, "/"); s.body != "<nil>" {
		t.Errorf("got %s", s)
	}
}

func TestFromNil(t *testing.T) {
	leavesNothing(t)
	mux := http.DefaultServeMux
	defer func() { http.DefaultServeMux = mux }()
	http.DefaultServeMux = http.NewServeMux()
	http.HandleFunc("/from/nil", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "found") })
	w := httptest.NewRecorder()
	nethttp.To(nethttp.From(nil)).ServeHTTP(w, httptest.NewRequest("GET", "/from/nil", nil))
	if w.Body.String() != "found" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

// TestFromOverAUnixSocket holds that a peer without an address is named as net/http names it.
func TestFromOverAUnixSocket(t *testing.T) {
	leavesNothing(t)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.RemoteAddr) })
	ours, theirs := filepath.Join(t.TempDir(), "x.sock"), filepath.Join(t.TempDir(), "x.sock")
	serve(t, nethttp.From(h), func(s *server.Server) { s.Addr = "unix:" + ours })
	l, err := net.Listen("unix", theirs)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	var bodies [2]string
	for i, path := range []string{ours, theirs} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, plainGet)
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		bodies[i] = string(b)
		c.Close()
	}
	if bodies[0] != bodies[1] {
		t.Errorf("RemoteAddr is %s, net/http has %s", bodies[0], bodies[1])
	}
}
