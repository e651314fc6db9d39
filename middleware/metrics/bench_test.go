package metrics_test

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"microhttp/middleware/metrics"
	"microhttp/router"
	"microhttp/server"
)

// What the middleware adds to a request: the difference between the two, which are batches of pipelined requests on one
// connection. On a machine that does other things, cpu-ns/op is the figure to look at: it has the client's part, too, which
// is the same for both.
func BenchmarkMiddleware(b *testing.B) {
	for _, with := range []bool{false, true} {
		name := "none"
		if with {
			name = "metrics"
		}
		b.Run(name, func(b *testing.B) {
			var h server.Handler = hello()
			if with {
				h = metrics.New(metrics.Config{}).Middleware(h)
			}
			batch := dialBatch(b, start(b, &server.Server{Handler: h}))
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime(b)
			for range b.N/batchSize + 1 {
				batch()
			}
			b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A request of a label set that was seen costs no allocation.
func TestAllocations(t *testing.T) {
	batch := dialBatch(t, start(t, &server.Server{Handler: metrics.New(metrics.Config{}).Middleware(hello())}))
	// What the race detector and the runtime allocate now and then is far below one for each request of a batch.
	if n := testing.AllocsPerRun(50, batch); n >= batchSize/2 {
		t.Errorf("%v allocations for %d requests", n, batchSize)
	}
}

func hello() server.Handler {
	routes := router.New()
	routes.HandleFunc("GET /hello/{name}", func(*server.Response, *server.Request) {})
	return routes
}

const batchSize = 64

// dialBatch opens a connection, and returns what sends so many requests at once and reads their answers.
func dialBatch(tb testing.TB, addr string) func() {
	tb.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	var requests []byte
	for range batchSize {
		requests = append(requests, "GET /hello/you HTTP/1.1\r\nHost: test\r\nUser-Agent: test\r\n\r\n"...)
	}
	if _, err := c.Write(requests); err != nil {
		tb.Fatal(err)
	}
	answers := make([]byte, 64<<10)
	size, err := c.Read(answers)
	if err != nil || size%batchSize != 0 {
		tb.Fatalf("a batch was answered with %d bytes at first, %v", size, err)
	}
	return func() {
		if _, err := c.Write(requests); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.ReadFull(c, answers[:size]); err != nil {
			tb.Fatal(err)
		}
	}
}
