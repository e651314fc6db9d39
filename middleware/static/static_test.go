package static_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"microhttp/middleware/static"
	"microhttp/reactor/sim"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// serve serves h until the test ends, and returns its address.
func serve(t testing.TB, h server.Handler) string {
	t.Helper()
	silent := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h, Log: silent}
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	t.Cleanup(func() {
		_ = s.Shutdown(context.Background())
		<-ended
	})
	return at.String()
}

func dir(t testing.TB, root string, c static.Config) *static.Files {
	t.Helper()
	f, err := static.Dir(root, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// ask sends a target as it is, with fields as "Name: value".
func ask(t testing.TB, addr, method, target string, fields ...string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	head := strings.Join(append([]string{method + " " + target + " HTTP/1.1", "Host: test", "Connection: close"}, append(fields, "", "")...), "\r\n")
	if _, err := io.WriteString(c, head); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	return res, string(body)
}

func write(t testing.TB, root string, files map[string]string) {
	t.Helper()
	at := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	for name, content := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// A site of some hundred files is asked of ours and of http.FileServer, cold and hot.
func TestAsFileServer(t *testing.T) {
	root := t.TempDir()
	files := map[string]string{
		"index.html": "<h1>root</h1>", "a b.txt": "space", "ü.txt": "umlaut", "sub/index.html": "sub", "p%41.txt": "percent",
		"big.bin": strings.Repeat("0123456789", 20_000), "empty.txt": "", "sub/deep/x.css": "css", "colon:x.txt": "colon",
		"c:d/index.html": "colon dir", "q?.txt": "question", "h#.txt": "hash", "data.json": "{}", "noindex/x.html": "x",
	}
	for i := range 200 {
		files[fmt.Sprintf("many/%d/f%d.html", i%7, i)] = strings.Repeat("x", i)
	}
	write(t, root, files)
	ours := serve(t, dir(t, root, static.Config{}))
	theirs := startNetHTTP(t, http.FileServer(http.Dir(root)))
	targets := []string{
		"/", "/index.html", "/a%20b.txt", "/%C3%BC.txt", "/sub", "/sub/", "/sub/index.html", "/sub?x=1", "/big.bin", "/empty.txt",
		"/sub/deep/x.css", "/nothing", "/nothing/", "/sub/nothing", "/index.html/", "/empty.txt/", "/colon:x.txt", "/colon:x.txt/",
		"/c:d", "/c:d/", "/q%3F.txt", "/h%23.txt", "/data.json", "/p%2541.txt", "/noindex/x.html", "/noindex", "/empty.txt/x", "/%2Fsub%2F",
		"/many", "/many/0", "/sub/deep", "/sub/deep/x.css?a=b", "/index.html?a=b", "/%69ndex.html", "/sub%2Findex.html", "/a+b.txt",
	}
	for i := range 200 {
		targets = append(targets, fmt.Sprintf("/many/%d/f%d.html", i%7, i))
	}
	fields := [][]string{
		nil,
		{"Range: bytes=0-3"},
		{"Range: bytes=5-,0-1"},
		{"Range: bytes=-4"},
		{"Range: bytes=999999-"},

		{"If-Modified-Since: Mon, 06 May 2024 07:08:09 GMT"},
		{"If-Modified-Since: Sun, 05 May 2024 07:08:09 GMT"},
		{"If-Unmodified-Since: Sun, 05 May 2024 07:08:09 GMT"},
		{"If-None-Match: *"},
		{`If-None-Match: "x", W/"y"`},
		{"If-Match: *"},
		{`If-Match: "x"`},
		{"If-Modified-Since: nonsense"},
		{"Range: bytes=0-1", "If-Range: Mon, 06 May 2024 07:08:09 GMT"},
		{"Range: bytes=0-1", "If-Range: Sun, 05 May 2024 07:08:09 GMT"},
	}
	asked := 0
	for _, target := range targets {
		for i, with := range fields {
			if strings.HasPrefix(target, "/many") && i > 2 {
				break
			}
			for _, method := range []string{"GET", "HEAD"} {
				if method == "HEAD" && len(with) > 0 && strings.HasPrefix(with[0], "Range") {
					continue // a difference
				}
				if target == "/empty.txt" && len(with) > 0 && strings.HasPrefix(with[0], "Range: bytes=-") {
					continue // another: a suffix of nothing
				}
				got, body := ask(t, ours, method, target, with...)
				want, wanted := ask(t, theirs, method, target, with...)
				asked++
				if strings.HasPrefix(target, "/%2F") || target == "/%2Fsub%2F" {
					if got.StatusCode != 307 { // unclean: a difference
						t.Errorf("%s: %d", target, got.StatusCode)
					}
					continue
				}
				if got.StatusCode != want.StatusCode {
					t.Errorf("%s %s %q: %d, net/http %d", method, target, with, got.StatusCode, want.StatusCode)
					continue
				}
				for _, name := range []string{"Location", "Content-Range", "Last-Modified", "Accept-Ranges", "Content-Type", "Content-Length"} {
					g, w := got.Header.Get(name), want.Header.Get(name)
					switch {
					case name == "Content-Type" && (strings.HasPrefix(w, "multipart/") || got.StatusCode >= 300 || w == "text/plain; charset=utf-8"):
						continue // a boundary, an error's text, and what was guessed
					case name == "Content-Type" && g == "application/octet-stream":
						continue
					case name == "Content-Length" && (got.StatusCode >= 300 || strings.HasPrefix(want.Header.Get("Content-Type"), "multipart/")):
						continue
					case name == "Accept-Ranges" && got.StatusCode >= 300:
						continue
					case name == "Last-Modified" && got.StatusCode >= 300:
						continue // net/http leaves it in errors
					case name == "Location" && g != w:
						if unescaped(g) != unescaped(w) {
							t.Errorf("%s %s: Location %q, net/http %q", method, target, g, w)
						}
						continue
					}
					if g != w {
						t.Errorf("%s %s %q: %s %q, net/http %q", method, target, with, name, g, w)
					}
				}
				if got.StatusCode < 300 && !strings.HasPrefix(want.Header.Get("Content-Type"), "multipart/") && body != wanted {
					t.Errorf("%s %s %q: %d bytes, net/http %d", method, target, with, len(body), len(wanted))
				}
				if got.Header.Get("X-Content-Type-Options") != "nosniff" {
					t.Errorf("%s: no nosniff", target)
				}
			}
		}
	}
	if asked < 600 {
		t.Errorf("only %d questions", asked)
	}
}

func unescaped(s string) string {
	return strings.TrimPrefix(strings.NewReplacer("%3A", ":", "%20", " ").Replace(s), "./")
}

func startNetHTTP(t *testing.T, h http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// No path leads out of the directory, and nothing that is no file is waited for.
func TestNothingLeadsOut(t *testing.T) {
	outer := t.TempDir()
	root := filepath.Join(outer, "site")
	write(t, root, map[string]string{"in.txt": "in", ".env": "secret", ".well-known/acme": "token", ".well-known/.x": "secret", "sub/.git/config": "secret", "sub/x.txt": "x"})
	write(t, outer, map[string]string{"secret.txt": "secret", "other/s.txt": "secret"})
	links := map[string]string{
		"out": "../secret.txt", "outdir": "../other", "abs": filepath.Join(outer, "secret.txt"), "loop": "loop", "good": "in.txt", "up": "sub/../in.txt",
	}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(root, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := serve(t, dir(t, root, static.Config{Listing: true}))
	for target, status := range map[string]int{
		"/in.txt": 200, "/good": 200, "/up": 200, "/.well-known/acme": 200,
		"/out": 404, "/outdir": 404, "/outdir/s.txt": 404, "/abs": 404, "/loop": 404, "/fifo": 404, "/sock": 404,
		"/.env": 404, "/.well-known/.x": 404, "/sub/.git/config": 404, "/sub/.git/": 404, "/.well-knownx": 404,
		"/../secret.txt": 307, "/%2e%2e/secret.txt": 307, "/..%2fsecret.txt": 307, "/sub/%2e%2e%2f%2e%2e%2fsecret.txt": 307,
		"/..%5csecret.txt": 404, "/in.txt%00.html": 404, "/%00": 404, "//secret.txt": 307, "/" + strings.Repeat("a", 300): 404,
		"/" + strings.Repeat("a/", 2000): 404, "/in.txt/../../secret.txt": 307,
	} {
		for range 2 {
			res, body := ask(t, addr, "GET", target)
			if (res.StatusCode != status && res.StatusCode != 400) || strings.Contains(body, "secret") {
				t.Errorf("%.60s: %d %.60q, want %d", target, res.StatusCode, body, status)
			}
			if to := res.Header.Get("Location"); strings.HasPrefix(to, "//") || strings.Contains(to, "..") {
				t.Errorf("%s leads to %s", target, to)
			}
		}
	}
	if res, _ := ask(t, addr, "POST", "/in.txt", "Content-Length: 0"); res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d %v", res.StatusCode, res.Header)
	}
}

func TestListing(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"d/b.txt": "bb", "d/a.txt": "aaaa", "d/<i>&.txt": "", "d/c:x": "c", "d/.hidden": "", "d/sub/x": ""})
	if res, _ := ask(t, serve(t, dir(t, root, static.Config{})), "GET", "/d/"); res.StatusCode != 404 {
		t.Errorf("off: %d", res.StatusCode)
	}
	addr := serve(t, dir(t, root, static.Config{Listing: true}))
	res, body := ask(t, addr, "GET", "/d/")
	if res.StatusCode != 200 || strings.Contains(body, "<i>") || strings.Contains(body, "hidden") {
		t.Errorf("%d\n%s", res.StatusCode, body)
	}
	for _, want := range []string{"&lt;i&gt;&amp;.txt", `href="./c:x"`, `name="viewport"`, `href="sub/"`, `href="../"`, "4 B"} {
		if !strings.Contains(body, want) {
			t.Errorf("no %s in\n%s", want, body)
		}
	}
	for query, order := range map[string][]string{
		"": {"sub/", "a.txt", "b.txt", "c:x"}, "?sort=name&order=desc": {"sub/", "c:x", "b.txt", "a.txt"},
		"?sort=size": {"sub/", "c:x", "b.txt", "a.txt"}, "?sort=size&order=desc": {"a.txt", "b.txt", "c:x"},
	} {
		_, body := ask(t, addr, "GET", "/d/"+query)
		at := 0
		for _, name := range order {
			i := strings.Index(body[at:], ">"+name+"<")
			if i < 0 {
				t.Errorf("%q: %s is not after what comes before it", query, name)
				break
			}
			at += i
		}
	}
}

func TestFallbacks(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"app.html": "app", "404.html": "gone", "x.js": "js"})
	addr := serve(t, dir(t, root, static.Config{SPA: "app.html", NotFound: "404.html"}))
	for _, c := range []struct {
		method, target, accept string
		status                 int
		body                   string
	}{
		{"GET", "/users/7", "text/html,*/*", 200, "app"},
		{"GET", "/x.js", "text/html", 200, "js"},
		{"GET", "/missing.js", "*/*", 404, "gone"},
		{"HEAD", "/users/7", "text/html", 404, ""},
		{"GET", "/.env", "text/html", 200, "app"},
	} {
		res, body := ask(t, addr, c.method, c.target, "Accept: "+c.accept)
		if res.StatusCode != c.status || body != c.body {
			t.Errorf("%s %s: %d %q", c.method, c.target, res.StatusCode, body)
		}
		if c.body == "app" && (res.Header.Get("Cache-Control") != "no-cache" || res.Header.Get("Vary") != "Accept") {
			t.Errorf("%s: %v", c.target, res.Header)
		}
	}
}

func TestPrecompressed(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"x.js": "plain", "x.js.gz": "gz", "x.js.br": "br", "y.js": "y"})
	addr := serve(t, dir(t, root, static.Config{Precompressed: true, CacheControl: func(p string) string { return "max-age=" + fmt.Sprint(len(p)) }}))
	tags := map[string]string{}
	for accept, want := range map[string]string{
		"": "plain", "gzip": "gz", "br, gzip": "br", "gzip;q=1, br;q=0.5": "gz", "br;q=0, *": "gz", "identity": "plain",
		"gzip;q=0": "plain", "*;q=0": "plain", "zstd": "plain", "GZIP": "gz", "gzip;q=x": "plain",
	} {
		for range 2 { // cold and hot
			res, body := ask(t, addr, "GET", "/x.js", "Accept-Encoding: "+accept)
			coding := map[string]string{"gz": "gzip", "br": "br"}[want]
			if body != want || res.Header.Get("Content-Encoding") != coding || res.Header.Get("Vary") != "Accept-Encoding" ||
				!strings.HasPrefix(res.Header.Get("Content-Type"), "text/javascript") || res.Header.Get("Cache-Control") != "max-age=4" {
				t.Errorf("%q: %q %v", accept, body, res.Header)
			}
			tags[want] = res.Header.Get("Etag")
			if res, _ := ask(t, addr, "GET", "/x.js", "Accept-Encoding: "+accept, "If-None-Match: "+tags[want]); res.StatusCode != 304 || res.Header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("%q: %d %v", accept, res.StatusCode, res.Header)
			}
		}
	}
	if tags["plain"] == tags["gz"] || tags["gz"] == tags["br"] {
		t.Errorf("tags: %v", tags)
	}
	if res, _ := ask(t, addr, "GET", "/y.js", "Accept-Encoding: br"); res.Header.Get("Vary") != "" {
		t.Errorf("y.js: %v", res.Header)
	}
}

// A file that is replaced is served as it is, once what is known of it is too old.
func TestFilesChange(t *testing.T) {
	root := t.TempDir()
	write(t, root, map[string]string{"x.txt": "before"})
	addr := serve(t, dir(t, root, static.Config{Validate: time.Nanosecond}))
	if _, body := ask(t, addr, "GET", "/x.txt"); body != "before" {
		t.Fatalf("%q", body)
	}
	if err := os.Remove(filepath.Join(root, "x.txt")); err != nil {
		t.Fatal(err)
	}
	if res, _ := ask(t, addr, "GET", "/x.txt"); res.StatusCode != 404 {
		t.Errorf("removed: %d", res.StatusCode)
	}
	write(t, root, map[string]string{"x.txt": "after"})
	if _, body := ask(t, addr, "GET", "/x.txt"); body != "after" {
		t.Errorf("%q", body)
	}
}

// However many files are asked for in turn, no more than MaxOpen stay open, and none after Close. SIM_SEEDS makes it 10,000.
func TestOpenFilesAreBounded(t *testing.T) {
	count, most := 600, 64
	if sim.Seeds(1) > 1 {
		count, most = 10_000, 256
	}
	root := t.TempDir()
	files := map[string]string{}
	for i := range count {
		files[fmt.Sprintf("%d.txt", i)] = fmt.Sprint(i)
	}
	write(t, root, files)
	f := dir(t, root, static.Config{MaxOpen: most})
	addr := serve(t, f)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(c)
	get := func(i int) (int, string) {
		fmt.Fprintf(c, "GET /%d.txt HTTP/1.1\r\nHost: test\r\n\r\n", i)
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	get(0)
	before := descriptors(t) - 1 // of the server and the test, without the one file
	for i := range count {
		if _, body := get(i); body != fmt.Sprint(i) {
			t.Fatalf("%d: %q", i, body)
		}
		if i%20 != 19 {
			continue
		}
		if n := descriptors(t) - before; n > most {
			t.Fatalf("%d files are open after %d", n, i)
		}
	}
	if n := descriptors(t) - before; n != most {
		t.Errorf("%d files are open in the end", n)
	}
	f.Close()
	if n := descriptors(t) - before; n > 0 {
		t.Errorf("%d files are open after Close", n)
	}
	if status, _ := get(1); status != 404 {
		t.Errorf("after Close: %d", status)
	}
}

func descriptors(t *testing.T) int {
	all, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Skip("no /dev/fd")
	}
	return len(all)
}

func TestFS(t *testing.T) {
	fsys := fstest.MapFS{
		"index.html": {Data: []byte("root")}, "d/x.txt": {Data: []byte("0123456789")},
		"t.txt": {Data: []byte("timed"), ModTime: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)},
		"link":  {Mode: fs.ModeNamedPipe},
	}
	addr := serve(t, static.FS(fsys, static.Config{Prefix: "/s", Listing: true}))
	for target, want := range map[string]string{
		"/s/": "200 root", "/s": "200 root", "/s/d/x.txt": "200 0123456789", "/s/t.txt": "200 timed", "/s/d": "301 ", "/x": "404 Not Found\n",
		"/s/link": "404 Not Found\n", "/sd/x.txt": "404 Not Found\n",
	} {
		res, body := ask(t, addr, "GET", target)
		if got := fmt.Sprint(res.StatusCode, " ", body); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	res, body := ask(t, addr, "GET", "/s/d/x.txt", "Range: bytes=2-3")
	if res.StatusCode != 206 || body != "23" {
		t.Errorf("range: %d %q", res.StatusCode, body)
	}
	tag := res.Header.Get("Etag")
	if res, _ := ask(t, addr, "GET", "/s/d/x.txt", "If-None-Match: "+tag); res.StatusCode != 304 || len(tag) != 26 {
		t.Errorf("%s: %d", tag, res.StatusCode)
	}
	if res, _ := ask(t, addr, "GET", "/s/d/../d/x.txt?q"); res.StatusCode != 307 || res.Header.Get("Location") != "/s/d/x.txt?q" {
		t.Errorf("unclean: %d %v", res.StatusCode, res.Header)
	}
}

func ExampleFS() {
	pages := fstest.MapFS{"index.html": {Data: []byte("<h1>hello</h1>")}} // an embed.FS in a program
	silent := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Handler: static.FS(pages, static.Config{}), Log: silent}
	at, err := s.Listen()
	if err != nil {
		panic(err)
	}
	go func() { _ = s.Run() }()
	defer s.Close()
	res, err := http.Get("http://" + at.String())
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	page, _ := io.ReadAll(res.Body)
	fmt.Println(string(page), res.Header.Get("Content-Type"))
	// Output:
	// <h1>hello</h1> text/html; charset=utf-8
}
