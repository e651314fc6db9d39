package compress_test

// What the tests share: a server, a peer, and all kinds of answers.

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"microhttp/server"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/rs/zerolog"
)

const patience = 10 * time.Second

// start serves h until stop is called.
func start(h server.Handler) (addr string, stop func()) {
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h, Log: server.Zerolog(zerolog.Nop())}
	at, err := s.Listen()
	if err != nil {
		panic(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run()
	}()
	return at.String(), func() {
		_ = s.Close()
		<-ended
	}
}

// dial serves h for a test and connects to it.
func dial(t testing.TB, h server.Handler) *peer {
	t.Helper()
	addr, stop := start(h)
	t.Cleanup(stop)
	return connect(t, addr)
}

func connect(t testing.TB, addr string) *peer {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &peer{t, c, bufio.NewReader(c)}
}

type peer struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

// head sends a request and reads the head of the answer.
func (p *peer) head(lines ...string) *http.Response {
	p.t.Helper()
	_ = p.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(p, strings.Join(append(lines, "Host: test", "", ""), "\r\n")); err != nil {
		p.t.Fatal(err)
	}
	method, _, _ := strings.Cut(lines[0], " ")
	res, err := http.ReadResponse(p.in, &http.Request{Method: method})
	if err != nil {
		p.t.Fatal(err)
	}
	return res
}

// ask is head, and the content as it was before it was compressed.
func (p *peer) ask(lines ...string) (*http.Response, string) {
	p.t.Helper()
	res := p.head(lines...)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(raw) == 0 {
		return res, ""
	}
	plain, err := io.ReadAll(decoder(res.Header.Get("Content-Encoding"), bytes.NewReader(raw)))
	if err != nil {
		p.t.Fatalf("%s: %v", res.Header.Get("Content-Encoding"), err)
	}
	return res, string(plain)
}

// decoder undoes a coding.
func decoder(coding string, r io.Reader) io.Reader {
	switch coding {
	case "":
		return r
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1))
		if err != nil {
			panic(err)
		}
		return d.IOReadCloser()
	case "br":
		return brotli.NewReader(r)
	case "gzip":
		d, err := gzip.NewReader(r)
		if err != nil {
			panic(err)
		}
		return d
	}
	panic(coding)
}

func handler(f func(w *server.Response, r *server.Request)) server.Handler {
	return server.HandlerFunc(f)
}

// text is content that can be compressed.
var text = strings.Repeat("It was the best of times, it was the worst of times. ", 200)

const textType = "text/plain; charset=utf-8"

// kinds are all kinds of answers, with text for their content.
func kinds(t *testing.T) map[string]server.Handler {
	path := filepath.Join(t.TempDir(), "f.txt")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	inline := func(w *server.Response, _ *server.Request) { w.Text(200, text) }
	stream := func(w *server.Response, _ *server.Request) {
		w.SetHeader("Content-Type", textType)
		w.SetHeader("Content-Length", fmt.Sprint(len(text)))
		s := w.Stream()
		for piece := range slices.Chunk([]byte(text), 777) {
			_, _ = s.Write(piece)
		}
		_ = s.Close()
	}
	return map[string]server.Handler{
		"inline": handler(inline),
		"given": handler(func(w *server.Response, _ *server.Request) {
			w.SetHeader("Content-Type", textType)
			w.GiveBody([]byte(text))
		}),
		"blocking": server.BlockingFunc(inline),
		"late": handler(func(w *server.Response, r *server.Request) {
			p := w.Later()
			go func() { _ = p.Answer(func(w *server.Response) { inline(w, r) }) }()
		}),
		"streamed":           handler(stream),
		"streamed, blocking": server.BlockingFunc(stream),
		"file": handler(func(w *server.Response, _ *server.Request) {
			w.SetHeader("Content-Type", textType)
			w.SendFile(file, 0, int64(len(text)))
		}),
	}
}
