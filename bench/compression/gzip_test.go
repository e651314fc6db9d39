// Package compression compares what compression of answers costs: ours, fiber's and chi's.
package compression

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"

	"microhttp/middleware/compress"
	"microhttp/server"

	chi "github.com/go-chi/chi/v5/middleware"
	"github.com/gofiber/fiber/v3"
	fibercompress "github.com/gofiber/fiber/v3/middleware/compress"
	"github.com/rs/zerolog"
)

// document is 10 KiB of JSON, as an API answers.
var document = func() []byte {
	type item struct {
		ID     int
		Name   string
		Email  string
		Active bool
		Score  float64
		Tags   []string
	}
	var items []item
	for i := 0; ; i++ {
		items = append(items, item{
			i, fmt.Sprintf("user %d", i*7919%1000), fmt.Sprintf("u%d@example.org", i*104729%100000),
			i%3 == 0, float64(i*31%97) / 7,
			[]string{"a", "bb", fmt.Sprint(i % 13)},
		})
		if b, err := json.Marshal(items); err != nil {
			panic(err)
		} else if len(b) >= 10<<10 {
			return b
		}
	}
}()

// contestants are servers of document in process. Each compresses as its middleware does by default.
var contestants = []struct {
	name  string
	serve func(l net.Listener) (stop func())
}{
	{"microhttp", func(l net.Listener) func() {
		h := compress.New(compress.Config{})(server.HandlerFunc(func(w *server.Response, _ *server.Request) {
			w.SetHeader("Content-Type", "application/json")
			w.SetBody(document)
		}))
		s := &server.Server{Loops: 1, Handler: h, Log: server.Zerolog(zerolog.Nop())}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = s.Serve(l) }()
		return func() { _ = s.Close(); <-ended }
	}},
	{"fiber", func(l net.Listener) func() {
		app := fiber.New()
		app.Use(fibercompress.New())
		app.Get("/", func(c fiber.Ctx) error {
			c.Set("Content-Type", "application/json")
			return c.Send(document)
		})
		ended := make(chan struct{})
		go func() { defer close(ended); _ = app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}) }()
		return func() { _ = app.Shutdown(); <-ended }
	}},
	{"chi", func(l net.Listener) func() {
		h := chi.Compress(5)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(document)
		}))
		s := &http.Server{Handler: h}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = s.Serve(l) }()
		return func() { _ = s.Shutdown(context.Background()); <-ended }
	}},
}

// BenchmarkGzip tells the CPU time of a request whose answer is compressed beyond that of one whose answer is not: user and
// system time of the process, client included, which is the same for all. Rounds alternate, since the machine drifts, and the
// figure is their median.
func BenchmarkGzip(b *testing.B) {
	for _, c := range contestants {
		b.Run(c.name, func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer c.serve(l)()
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			in := bufio.NewReaderSize(conn, 64<<10)
			const most = 500
			var plain, packed []time.Duration
			size := ask(b, conn, in, "gzip", 50)
			ask(b, conn, in, "identity", 50)
			for b.Loop() {
				plain = append(plain, cpu(b, func() { ask(b, conn, in, "identity", most) })/most)
				packed = append(packed, cpu(b, func() { ask(b, conn, in, "gzip", most) })/most)
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(median(packed)-median(plain))/1e3, "µs-gzip")
			b.ReportMetric(float64(median(packed))/1e3, "µs-request")
			b.ReportMetric(float64(size), "bytes")
		})
	}
}

// ask asks so many times, and returns how long the last answer's content was.
func ask(b *testing.B, c net.Conn, in *bufio.Reader, coding string, times int) (size int64) {
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: " + coding + "\r\n\r\n")
	for range times {
		if _, err := c.Write(request); err != nil {
			b.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		if size, err = io.Copy(io.Discard, res.Body); err != nil {
			b.Fatal(err)
		}
		if got := res.Header.Get("Content-Encoding"); (got == "gzip") != (coding == "gzip") {
			b.Fatalf("asked for %s, got %q", coding, got)
		}
	}
	return size
}

// cpu is the CPU time of the process while f runs.
func cpu(b *testing.B, f func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	f()
	return used() - before
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
