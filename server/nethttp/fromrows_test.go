package nethttp_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// rows are the handlers of TestFromAgreesWithNetHTTP, with what each is asked.
var rows = []struct {
	name     string
	handler  func(t *testing.T) http.Handler
	requests []string
	breaks   bool // the answers are broken off
}{
	{"request", plain(describeRequest), slices.Concat(
		asks("GET", "/", "/a%2Fb/c%20d?x=%31&y=+", "//a//b", "/a;b=c", "http://b:8/p?q", "http://b", "/%E4?a;b"),
		asks("BREW", "/pot"), asks("HEAD", "/"),
		with("x-a: 1\nX-A:  2 \nX-B:\nCookie: a=b\nPragma: no-cache\nX-Latin: \xe4", asks("GET", "/")...),
		with("Connection: close, x", asks("GET", "/")...),
		old(asks("GET", "/")...), old(with("Connection: keep-alive", asks("GET", "/")...)...),
		[]string{
			"POST /x HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc",
			"POST /x HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
			"POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nab\n1\nc\n0\n\n",
			"POST /x HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n0\n\n",
			"POST /x HTTP/1.1\nHost: a\nTrailer: X-Sum, x-none\nTransfer-Encoding: chunked\n\n1\na\n0\nX-Sum: 1\nx-sum: 2\n\n",
			"GET /x HTTP/1.1\nHost: a\nTrailer: X-Sum\n\n",
		},
	), false},
	{"echo", plain(echo), []string{
		"POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc",
		"POST / HTTP/1.1\nHost: a\nContent-Length: 0\n\n",
		"POST / HTTP/1.1\nHost: a\nContent-Length: 100000\n\n" + strings.Repeat("0123456789", 10_000),
		"POST / HTTP/1.1\nHost: a\nContent-Length: 1\nExpect: 100-continue\n\na",
	}, false},
	{"copy", plain(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, drain(w, r), r.Body.Close(), drain(w, r))
	}), []string{
		"POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc",
		"POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n",
	}, false},
	{"unread", plain(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "no need") }), []string{
		"POST /unread HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc",
		"POST /unread HTTP/1.1\nHost: a\nContent-Length: 3\nExpect: 100-continue\n\n",
		"POST /unread HTTP/1.1\nHost: a\nContent-Length: 300000\n\n" + strings.Repeat("0123456789", 30_000),
		"POST /unread HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n",
	}, false},
	{"ServeMux", newMux, slices.Concat(
		asks("GET", "/items/7", "/items/a%2Fb", "/items/", "/files", "/files/", "/files/a/b", "/a/../items/7", "/none"),
		asks("POST", "/items/7", "/posts"), asks("HEAD", "/items/7"),
		with("Host: other", []string{"GET /items/7 HTTP/1.1\n\n"}...),
	), false},
	{"OPTIONS, of a ServeMux", newMux, optionsRequests, false},
	{"OPTIONS, of a handler", plain(echo), optionsRequests, false},
	{"FileServer", newFileServer, slices.Concat(fileRequests(), asks("GET", "/link/x")), false},
	{"FileServerFS", newFileServerFS, fileRequests(), false},
	{"Redirect, Error, NotFound", newHelpers, slices.Concat(
		asks("GET", "/redirect", "/error", "/notfound"), asks("POST", "/redirect"), asks("HEAD", "/redirect", "/error"),
	), false},
	{"content", plain(sized), slices.Concat(
		asks("GET", "/", "/?1", "/?2047", "/?2048", "/?2049", "/?1000,1048", "/?1000,1049", "/?1,5000", "/?5000", "/?40000",
			"/?1,8388608", "/?0,0,1"),
		asks("HEAD", "/", "/?1", "/?2048", "/?2049", "/?40000"),
		old(asks("GET", "/", "/?1", "/?2049", "/?40000")...), old(asks("HEAD", "/", "/?1", "/?2049")...),
		old(with("Connection: keep-alive", asks("GET", "/?1", "/?2049")...)...),
		with("Connection: close", asks("GET", "/?1", "/?2049")...),
	), false},
	{"answers", newAnswers, allOf(answers), false},
	{"invalid Content-Length", plain(invalidLength), asks("GET", "/length/invalid"), false},
	{"broken answers", newBroken, slices.Concat(allOf(broken), asks("GET", "/short", "/streamed")), true},
	{"TimeoutHandler", newTimeouts, asks("GET", "/soon", "/late"), false},
	{"ReverseProxy", newProxy, slices.Concat(
		asks("GET", "/", "/?40000", "/hints", "/trailers", "/events", "/redirect"), asks("HEAD", "/?10"),
		[]string{"POST /echo HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n0\n\n"},
		with("Connection: upgrade\nUpgrade: x", asks("GET", "/upgrade")...),
	), false},
	{"ReverseProxy, broken off", newProxy, asks("GET", "/cut"), true},
	{"ReverseProxy, nobody there", newProxyToNobody, asks("GET", "/"), false},
}

// optionsRequests ask what the server, and what a resource, can do.
var optionsRequests = slices.Concat(
	asks("OPTIONS", "*", "/items/7", "/posts", "/none", "http://a", "http://a/", "http://a/posts"), old(asks("OPTIONS", "*")...),
	[]string{"OPTIONS * HTTP/1.1\nHost: a\nContent-Length: 3\n\nabc"},
)

func plain(h http.HandlerFunc) func(*testing.T) http.Handler {
	return func(*testing.T) http.Handler { return h }
}

// echo reads all before it writes: net/http's server drops what has not been read when an answer begins.
func echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	w.Write(body)
}

// drain copies the body to the answer.
func drain(w http.ResponseWriter, r *http.Request) error {
	_, err := io.Copy(w, r.Body)
	return err
}

func newMux(*testing.T) http.Handler {
	mux := http.NewServeMux()
	show := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q %q", r.Pattern, r.PathValue("id"), r.PathValue("path"))
	}
	mux.HandleFunc("GET /items/{id}", show)
	mux.HandleFunc("other/items/{id}", show)
	mux.HandleFunc("GET /posts", show)
	mux.HandleFunc("/files/{path...}", show)
	return mux
}

// changed is when the files of the file servers were.
var changed = time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)

func newFileServer(t *testing.T) http.Handler {
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, filepath.FromSlash(name))
		os.MkdirAll(filepath.Dir(name), 0o700)
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chtimes(name, changed, changed)
	}
	return http.FileServer(http.Dir(dir))
}

func newFileServerFS(*testing.T) http.Handler {
	all := fstest.MapFS{}
	for name, content := range files {
		all[name] = &fstest.MapFile{Data: []byte(content), ModTime: changed}
	}
	return http.FileServerFS(all)
}

var files = map[string]string{
	"index.html": "<p>index", "a.txt": "0123456789", "dir/b.bin": strings.Repeat("\x00\x01", 50_000), "empty": "",
}

func fileRequests() []string {
	get := asks("GET", "/a.txt", "/dir/b.bin")
	return slices.Concat(
		asks("GET", "/", "/a.txt", "/dir/b.bin", "/dir", "/dir/", "/index.html", "/empty", "/none", "/a.txt/"),
		asks("HEAD", "/", "/a.txt", "/dir/b.bin", "/none"), asks("POST", "/a.txt"),
		with("Range: bytes=2-4", get...), with("Range: bytes=-3", get...), with("Range: bytes=200000-", get...),
		with("Range: bytes=2-4", asks("HEAD", "/a.txt")...),
		with("If-Modified-Since: Sat, 01 Jan 2022 00:00:00 GMT", get...),
		with("If-Modified-Since: Tue, 01 Jan 2019 00:00:00 GMT", get...),
		with("If-Unmodified-Since: Tue, 01 Jan 2019 00:00:00 GMT", get...),
	)
}

func newHelpers(*testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere?a=b&c", http.StatusFound)
	})
	mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		http.Error(w, "no <tea>", http.StatusTeapot)
	})
	mux.HandleFunc("/notfound", http.NotFound)
	return mux
}

// allOf makes requests, in each version and for HEAD, for the keys of a table of handlers.
func allOf(table map[string]http.HandlerFunc) (requests []string) {
	var targets []string
	for path := range table {
		targets = append(targets, path)
	}
	slices.Sort(targets)
	get := asks("GET", targets...)
	untold := slices.Clone(get) // without TE
	for i := range untold {
		untold[i] = strings.Replace(untold[i], "TE: trailers\n", "", 1)
	}
	return slices.Concat(get, untold, old(get...))
}

func newAnswers(*testing.T) http.Handler {
	mux := http.NewServeMux()
	for path, h := range answers {
		mux.HandleFunc(path, h)
	}
	return mux
}

func newBroken(*testing.T) http.Handler {
	mux := http.NewServeMux()
	for path, h := range broken {
		mux.HandleFunc(path, h)
	}
	mux.HandleFunc("/short", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "four")
	})
	mux.HandleFunc("/streamed", func(w http.ResponseWriter, _ *http.Request) {
		for _, s := range []string{"one", "two"} {
			io.WriteString(w, s)
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, "and what is not flushed")
		panic(http.ErrAbortHandler)
	})
	return mux
}

// broken are handlers that do not complete their answers.
var broken = map[string]http.HandlerFunc{
	"/panic":         func(http.ResponseWriter, *http.Request) { panic("expected") },
	"/panic/written": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "x"); panic("expected") },
	"/panic/flushed": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "x")
		w.(http.Flusher).Flush()
		panic("expected")
	},
	"/abort/length": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "300000")
		io.WriteString(w, strings.Repeat("x", 200_000))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	},
	"/abort": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	"/abort/wrapped": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		w.(http.Flusher).Flush()
		panic(fmt.Errorf("wrapped: %w", http.ErrAbortHandler))
	},
}

func newTimeouts(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/soon", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-A", "b")
		w.WriteHeader(201)
		io.WriteString(w, strings.Repeat("x", 5000))
	}), patience, "late"))
	mux.Handle("/late", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-t.Context().Done() // not r's, with which the two ends of a TimeoutHandler could come at once
		io.WriteString(w, "too late")
	}), time.Millisecond, "<p>late"))
	return mux
}

// newProxy is a ReverseProxy to a server of net/http.
func newProxy(t *testing.T) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", sized)
	mux.HandleFunc("/echo", echo)
	mux.Handle("/redirect", http.RedirectHandler("/x", http.StatusMovedPermanently))
	mux.HandleFunc("/hints", answers["/hints"])
	mux.HandleFunc("/trailers", answers["/trailers"])
	mux.HandleFunc("/events", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		io.WriteString(w, "data: 2\n\n")
	})
	mux.HandleFunc("/cut", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", 5000))
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	behind := httptest.NewUnstartedServer(mux)
	behind.Config.ErrorLog = log.New(io.Discard, "", 0)
	behind.Start()
	t.Cleanup(behind.Close)
	return proxyTo(t, behind.URL)
}

func newProxyToNobody(t *testing.T) http.Handler { return proxyTo(t, "http://127.0.0.1:1") }

func proxyTo(t *testing.T, to string) http.Handler {
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(u); r.Out.Header.Set("TE", "trailers") },
		Transport: transport,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
}
