package middleware_test

import (
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// What each middleware adds to a request. Batches of pipelined requests on one connection
// take most of the kernel's part out of the figures; the difference to "none" is what
// counts. On a machine that does other things, cpu-ns/op is the figure to look at.
func BenchmarkMiddleware(b *testing.B) {
	log := server.Zerolog(zerolog.New(io.Discard).With().Timestamp().Logger())
	for _, bench := range []struct {
		name string
		wrap func(server.Handler) server.Handler
	}{
		{"none", func(h server.Handler) server.Handler { return h }},
		{"Recover", middleware.Recover(log)},
		{"RequestID", middleware.RequestID},
		{"AccessLog", middleware.AccessLog(middleware.AccessLogConfig{Log: log})},
		{"AccessLog, combined", middleware.AccessLog(middleware.AccessLogConfig{Format: middleware.AccessCombined, Output: io.Discard})},
		{"ETag", middleware.ETag},
		{"ConcurrencyLimit", middleware.ConcurrencyLimit(middleware.ConcurrencyLimitConfig{})},
		{"ClientAddress", middleware.ClientAddress(middleware.ClientAddressConfig{Trusted: prefixes(b, "10.0.0.0/8")})},
		{"SecureHeaders", middleware.SecureHeaders(middleware.SecureHeadersConfig{})},
		{"CORS", middleware.CORS(middleware.CORSConfig{Origins: []string{"*"}})},
		{"RateLimit", middleware.RateLimit(middleware.RateLimitConfig{Requests: 1e9})},
		{"LoadShed", middleware.LoadShed(middleware.LoadShedConfig{})},
		{"Default", middleware.Default(middleware.DefaultConfig{Log: log})},
	} {
		b.Run(bench.name, func(b *testing.B) { benchmark(b, bench.wrap(quiet)) })
	}
}

func benchmark(b *testing.B, h server.Handler) {
	const batch = 64
	addr, stop := start(h)
	defer stop()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var requests []byte
	for range batch {
		requests = append(requests, "GET /some/path HTTP/1.1\r\nHost: test\r\nUser-Agent: test\r\n\r\n"...)
	}
	if _, err := c.Write(requests); err != nil {
		b.Fatal(err)
	}
	answers := make([]byte, 64<<10)
	size, err := c.Read(answers)
	if err != nil || size%batch != 0 {
		b.Fatalf("a batch was answered with %d bytes at first, %v", size, err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	for range b.N/batch + 1 {
		if _, err := c.Write(requests); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, answers[:size]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
