package compress_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"microhttp/middleware/compress"
	"microhttp/server"
)

func TestEveryCodingAndEveryAnswer(t *testing.T) {
	squeeze := compress.New(compress.Config{})
	for name, h := range kinds(t) {
		p := dial(t, squeeze(server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
			w.SetHeader("ETag", `"x"`)
			w.SetHeader("Accept-Ranges", "bytes")
			next.Serve(w, r)
		})(h)))
		for _, coding := range []string{"zstd", "br", "gzip", ""} {
			for range 2 {
				res, got := p.ask("GET / HTTP/1.1", "Accept-Encoding: "+coding)
				if got != text || res.Header.Get("Content-Encoding") != coding {
					t.Errorf("%s, %s: %d bytes in %q", name, coding, len(got), res.Header.Get("Content-Encoding"))
				}
				expectFields(t, name, res, coding)
				res, _ = p.ask("HEAD / HTTP/1.1", "Accept-Encoding: "+coding)
				if res.Header.Get("Content-Encoding") != coding {
					t.Errorf("%s, HEAD of %s: %v", name, coding, res.Header)
				}
				expectFields(t, name, res, coding)
			}
		}
	}
}

// expectFields looks at the fields that an answer has if it is compressed, and else.
func expectFields(t *testing.T, name string, res *http.Response, coding string) {
	t.Helper()
	h := res.Header
	etag, ranges := `"x"`, "bytes"
	if coding != "" {
		etag, ranges = `W/"x"`, ""
	}
	if h.Get("ETag") != etag || h.Get("Accept-Ranges") != ranges || h.Get("Vary") != "Accept-Encoding" || (h.Get("Content-Length") == "") != (coding != "") {
		t.Errorf("%s, %s, %s: %v", name, res.Request.Method, coding, h)
	}
}

func TestTheCodingIsChosenByQuality(t *testing.T) {
	p := dial(t, compress.New(compress.Config{})(handler(func(w *server.Response, _ *server.Request) { w.Text(200, text) })))
	for accepted, want := range map[string]string{
		"gzip, deflate, br, zstd":        "zstd",
		"gzip, br":                       "br",
		"gzip, deflate":                  "gzip",
		"deflate":                        "",
		"gzip;q=1, br;q=0.5, zstd;q=0.1": "gzip",
		"br;q=0.5, gzip;q=0.501":         "gzip",
		"*":                              "zstd",
		"*, zstd;q=0":                    "br",
		"*;q=0, gzip;q=0.1":              "gzip",
		"identity, gzip;q=0.5":           "",
		"identity;q=0.1, gzip;q=0.5":     "gzip",
		"gzip;q=0":                       "",
		"gzip;q=nonsense":                "",
		"GZIP":                           "gzip",
		"x-gzip":                         "gzip",
		"":                               "",
	} {
		res, got := p.ask("GET / HTTP/1.1", "Accept-Encoding: "+accepted)
		if res.Header.Get("Content-Encoding") != want || got != text || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: %v", accepted, res.Header)
		}
	}
	if res, _ := p.ask("GET / HTTP/1.1"); res.Header.Get("Content-Encoding") != "" || res.Header.Get("Vary") == "" {
		t.Errorf("no Accept-Encoding: %v", res.Header)
	}
	if res, _ := p.ask("GET / HTTP/1.1", "Accept-Encoding: br;q=0.1", "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("two lines: %v", res.Header)
	}
}

// What is not compressed is sent as it is. Vary says so where another client could have got it compressed.
func TestWhatIsSentAsItIs(t *testing.T) {
	set := func(fields ...string) func(w *server.Response, r *server.Request) {
		return func(w *server.Response, _ *server.Request) {
			w.Text(200, text)
			for i := 0; i < len(fields); i += 2 {
				w.SetHeader(fields[i], fields[i+1])
			}
		}
	}
	for name, c := range map[string]struct {
		h    func(w *server.Response, r *server.Request)
		vary string
	}{
		"small":         {func(w *server.Response, _ *server.Request) { w.Text(200, text[:1000]) }, ""},
		"no content":    {func(w *server.Response, _ *server.Request) { w.NoContent() }, ""},
		"no type":       {func(w *server.Response, _ *server.Request) { w.WriteString(text) }, ""},
		"image":         {set("Content-Type", "image/png"), ""},
		"events":        {set("Content-Type", "text/event-stream"), ""},
		"encoded":       {set("Content-Encoding", "zstd"), ""},
		"range":         {set("Content-Range", "bytes 0-9/10"), ""},
		"no-transform":  {set("Cache-Control", "max-age=1, No-Transform"), ""},
		"digest":        {set("Content-Digest", "sha-256=:x:"), ""},
		"a partial one": {func(w *server.Response, r *server.Request) { set()(w, r); w.SetStatus(206) }, "Accept-Encoding"},
		"several parts": {func(w *server.Response, r *server.Request) {
			set("Content-Type", "multipart/byteranges; boundary=x")(w, r)
			w.SetStatus(206)
		}, "Accept-Encoding"},
		"part of image":  {func(w *server.Response, r *server.Request) { set("Content-Type", "image/png")(w, r); w.SetStatus(206) }, ""},
		"not modified":   {func(w *server.Response, _ *server.Request) { w.SetHeader("ETag", `"x"`); w.SetStatus(304) }, "Accept-Encoding"},
		"Vary is there":  {set("Content-Type", "application/problem+json", "Vary", "Origin, accept-encoding"), "Origin, accept-encoding"},
		"Vary of others": {set("Content-Type", "IMAGE/SVG+XML ;x", "Vary", "Origin"), "Origin Accept-Encoding"},
	} {
		p := dial(t, compress.New(compress.Config{})(handler(c.h)))
		res := p.head("GET / HTTP/1.1", "Accept-Encoding: gzip")
		_, _ = io.Copy(io.Discard, res.Body)
		want := ""
		switch {
		case strings.HasPrefix(name, "Vary"):
			want = "gzip"
		case name == "encoded":
			want = "zstd"
		case name == "not modified" && res.Header.Get("ETag") != `W/"x"`:
			t.Errorf("%s: %v", name, res.Header)
		}
		if got := strings.Join(res.Header.Values("Vary"), " "); got != c.vary || res.Header.Get("Content-Encoding") != want {
			t.Errorf("%s: %v", name, res.Header)
		}
	}
}

// A 304 has the tag that the client has: the strong one of what was sent as it is, or the weak one of what was compressed.
func TestTagsOf304(t *testing.T) {
	p := dial(t, compress.New(compress.Config{})(handler(func(w *server.Response, _ *server.Request) {
		w.SetHeader("ETag", `"x"`)
		w.SetStatus(304)
	})))
	for condition, want := range map[string]string{
		`"x"`: `"x"`, `W/"x"`: `W/"x"`, `"y", W/"x"`: `W/"x"`, `W/"x", "x"`: `"x"`, `*`: `W/"x"`, `"xx"`: `W/"x"`,
	} {
		res, _ := p.ask("GET / HTTP/1.1", "Accept-Encoding: gzip", "If-None-Match: "+condition)
		if got := res.Header.Get("ETag"); got != want || res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %v", condition, res.Header)
		}
	}
}

// What was flushed can be read before the answer ends, in every coding.
func TestStreamsAreFlushed(t *testing.T) {
	goOn := make(chan struct{})
	stream := func(w *server.Response, _ *server.Request) {
		w.SetHeader("Content-Type", textType)
		s := w.Stream()
		for range 3 {
			_, _ = s.WriteString("a line\n")
			_ = s.Flush()
			<-goOn
		}
	}
	p := dial(t, compress.New(compress.Config{})(server.BlockingFunc(stream)))
	for _, coding := range []string{"zstd", "br", "gzip"} {
		res := p.head("GET / HTTP/1.1", "Accept-Encoding: "+coding)
		lines := bufio.NewReader(decoder(coding, res.Body))
		for range 3 {
			if line, err := lines.ReadString('\n'); line != "a line\n" {
				t.Fatalf("%s: %q, %v", coding, line, err)
			}
			goOn <- struct{}{}
		}
		if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
			t.Errorf("%s: then %q, %v", coding, rest, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
	}
}

// Streams that last take the encoders that there are. Other answers are then sent as they are, and not again when one ends.
func TestEncodersAreBounded(t *testing.T) {
	held := make(chan *server.Stream, 2)
	h := compress.New(compress.Config{MaxActive: 2})(handler(func(w *server.Response, r *server.Request) {
		if r.Path() == "/" {
			w.Text(200, text)
			return
		}
		w.SetHeader("Content-Type", textType)
		held <- w.Stream()
	}))
	addr, stop := start(h)
	defer stop()
	p := connect(t, addr)
	expect := func(coding string) {
		t.Helper()
		if res, got := p.ask("GET / HTTP/1.1", "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != coding || got != text || res.Header.Get("Vary") == "" {
			t.Errorf("want %q: %v", coding, res.Header)
		}
	}
	expect("gzip")
	var streams [2]*peer
	for i := range streams {
		streams[i] = connect(t, addr)
		streams[i].head("GET /stream HTTP/1.1", "Accept-Encoding: gzip")
		expect([]string{"gzip", ""}[i])
	}
	_ = streams[0].Conn.(*net.TCPConn).SetLinger(0)
	streams[0].Close() // a lost connection gives its encoder back
	for end := time.Now().Add(patience); ; {
		if res, _ := p.ask("GET / HTTP/1.1", "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") == "gzip" {
			break
		} else if time.Now().After(end) {
			t.Fatal("the encoder of a lost connection is gone")
		}
	}
}

// Large content is not compressed on the loop, but elsewhere it is.
func TestLargeContentOnTheLoop(t *testing.T) {
	write := func(w *server.Response, _ *server.Request) { w.Text(200, text) }
	squeeze := compress.New(compress.Config{MaxOnLoop: int64(len(text)) - 1})
	for want, h := range map[string]server.Handler{"": handler(write), "gzip": server.BlockingFunc(write)} {
		if res, got := dial(t, squeeze(h)).ask("GET / HTTP/1.1", "Accept-Encoding: gzip"); res.Header.Get("Content-Encoding") != want || got != text {
			t.Errorf("want %q: %v", want, res.Header)
		}
	}
}

// Answers of many connections, and of many that break off, never mix.
func TestEncodersAreNotMixed(t *testing.T) {
	addr, stop := start(compress.New(compress.Config{MinBytes: -1})(server.BlockingFunc(func(w *server.Response, r *server.Request) {
		w.SetHeader("Content-Type", textType)
		s := w.Stream()
		for range 50 {
			_, _ = s.WriteString(r.Path() + strings.Repeat(r.Path(), 100))
		}
	})))
	defer stop()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			coding := []string{"zstd", "br", "gzip", "gzip;q=0.5"}[i%4]
			for j := range 10 {
				p := connect(t, addr)
				path := fmt.Sprintf("/%d-%d", i, j)
				if j%3 == 2 {
					p.head("GET "+path+" HTTP/1.1", "Accept-Encoding: "+coding)
					p.Close()
					continue
				}
				if _, got := p.ask("GET "+path+" HTTP/1.1", "Accept-Encoding: "+coding); got != strings.Repeat(path, 50*101) {
					t.Errorf("%s: %d bytes", path, len(got))
				}
			}
		})
	}
	all.Wait()
}

// Text without repetition becomes smaller, too.
func TestEntropyAlone(t *testing.T) {
	var digits strings.Builder
	for i := range 3000 {
		fmt.Fprintln(&digits, i)
	}
	p := dial(t, compress.New(compress.Config{})(handler(func(w *server.Response, _ *server.Request) { w.Text(200, digits.String()) })))
	for _, coding := range []string{"zstd", "br", "gzip"} {
		raw, err := io.ReadAll(p.head("GET / HTTP/1.1", "Accept-Encoding: "+coding).Body)
		if err != nil || len(raw) > digits.Len()*2/3 {
			t.Errorf("%s: %d of %d bytes, %v", coding, len(raw), digits.Len(), err)
		}
	}
}

func TestEveryLevel(t *testing.T) {
	for level := range 10 {
		p := dial(t, compress.New(compress.Config{Level: level})(handler(func(w *server.Response, r *server.Request) {
			w.SetHeader("Content-Type", textType)
			if r.Path() == "/stream" {
				w.Stream().WriteString(text)
				w.Stream().Close()
			}
			w.WriteString(text)
		})))
		for _, coding := range []string{"zstd", "br", "gzip"} {
			for _, path := range []string{"/", "/stream"} {
				if res, got := p.ask("GET "+path+" HTTP/1.1", "Accept-Encoding: "+coding); got != text || res.Header.Get("Content-Encoding") != coding {
					t.Errorf("level %d, %s: %v", level, coding, res.Header)
				}
			}
		}
	}
}

func TestMistakesPanic(t *testing.T) {
	for _, config := range []compress.Config{{Level: 10}, {Level: -1}, {Codings: []compress.Coding{"deflate"}}, {Codings: []compress.Coding{"br", "br"}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is taken", config)
				}
			}()
			compress.New(config)
		}()
	}
}

func TestDefaultTypes(t *testing.T) {
	for name, want := range map[string]bool{
		"text/html": true, "text/event-stream": false, "application/json": true, "application/problem+json": true, "image/svg+xml": true,
		"application/atom+xml": true, "font/woff2": false, "font/ttf": true, "image/webp": false, "video/mp4": false, "application/zip": false,
		"application/octet-stream": false, "": false, "text": true, "application/wasm": true,
	} {
		if compress.DefaultTypes(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

func ExampleNew() {
	squeeze := compress.New(compress.Config{Codings: []compress.Coding{compress.Gzip}})
	addr, stop := start(squeeze(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.Text(200, strings.Repeat("hello ", 1000))
	})))
	defer stop()

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+addr, nil)
	req.Header.Set("Accept-Encoding", "gzip")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	fmt.Println(res.Header.Get("Content-Encoding"), res.Header.Get("Vary"), len(body) < 100)
	// Output:
	// gzip Accept-Encoding true
}
