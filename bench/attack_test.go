package main

// The attackers attack, and the audience notices what it loses.

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listen serves each connection with serve until the test ends.
func listen(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c)
			}()
		}
	}()
	return l.Addr().String()
}

const goodAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + body

func TestAudience(t *testing.T) {
	for about, c := range map[string]struct {
		answer string
		lost   bool
	}{
		"a good server":        {goodAnswer, false},
		"another status":       {strings.Replace(goodAnswer, "200", "503", 1), true},
		"another content":      {strings.Replace(goodAnswer, "World", "Wurld", 1), true},
		"an answer cut short":  {goodAnswer[:30], true},
		"no answer, but a FIN": {"", true},
	} {
		addr := listen(t, func(conn net.Conn) {
			p := make([]byte, len(request))
			for {
				if _, err := io.ReadFull(conn, p); err != nil {
					return
				}
				if _, err := io.WriteString(conn, c.answer); err != nil || len(c.answer) < len(goodAnswer) {
					return
				}
			}
		})
		a := &audience{addr: addr, size: len(goodAnswer), every: time.Millisecond}
		a.phase.Store(int32(before))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		a.enter(ctx, 2, 1)
		a.leave()
		cancel()
		if n := len(a.took[before]); n == 0 || (a.errors[before] > 0) != c.lost || (a.first != nil) != c.lost {
			t.Errorf("%s: %d requests, %d lost, %v", about, n, a.errors[before], a.first)
		}
	}
}

// A server that cuts drippers off sees them again, each with what it sends at once and then with single bytes.
func TestDrip(t *testing.T) {
	var accepted, firsts atomic.Int64
	ctx, enough := context.WithTimeout(t.Context(), askTimeout)
	defer enough()
	const n = 10
	addr := listen(t, func(c net.Conn) {
		if accepted.Add(1) > 2*n {
			enough()
		}
		p := make([]byte, 1000)
		if got, err := c.Read(p); err == nil && strings.Contains(string(p[:got]), " /") {
			firsts.Add(1)
			io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\n\r\n")
		}
	})
	risen := false
	did, err := drip(ctx, addr, n, 0, func() { risen = true })
	if err != nil || !risen || did["open at most"] != n || did["answered 408 and closed"] < n || firsts.Load() < n {
		t.Errorf("risen %v, %v, %v, %d firsts", risen, did, err, firsts.Load())
	}
}

// A slow reader takes a byte at a time from a server that would give more.
func TestDripReaders(t *testing.T) {
	ctx, enough := context.WithTimeout(t.Context(), askTimeout)
	defer enough()
	addr := listen(t, func(c net.Conn) {
		p := make([]byte, len(slowReader))
		if _, err := io.ReadFull(c, p); err == nil && string(p) == slowReader {
			io.WriteString(c, goodAnswer)
			time.AfterFunc(2500*time.Millisecond, enough) // for two rounds at least
			<-ctx.Done()
		}
	})
	did, err := drip(ctx, addr, 0, 1, func() {})
	if n := did["bytes taken by slow readers"]; err != nil || n < 1 || n > 4 {
		t.Errorf("%v, %v", did, err)
	}
}

// Every hostile kind comes to its end against a real server.
func TestHostileKinds(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadTimeout: time.Second}
	go srv.Serve(l)
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	did := attackAt(ctx, l.Addr().String(), 4*len(hostileKinds))
	if n := did["connections"]; n < len(hostileKinds) || did["connections that failed"] > 0 {
		t.Errorf("%v", did)
	}
}

func TestPercentile(t *testing.T) {
	var took []time.Duration
	for i := 100; i > 0; i-- {
		took = append(took, time.Duration(i))
	}
	for p, want := range map[float64]time.Duration{50: 51, 99: 100, 99.9: 100, 100: 100, 0: 1} {
		if got := percentile(took, p); got != want {
			t.Errorf("percentile %v: %d, want %d", p, got, want)
		}
	}
	if percentile(nil, 99) != 0 {
		t.Error("nothing has a percentile")
	}
}

func TestJudge(t *testing.T) {
	p := attackPlan{maxRSS: 100, maxRatio: 1.5}
	good := attackResult{Before: figures{P99: 10}, During: figures{P99: 15}, RSSPeak: 100}
	if err := p.judge(good); err != nil {
		t.Error(err)
	}
	for _, spoil := range []func(r *attackResult){
		func(r *attackResult) { r.Lost = 1 }, func(r *attackResult) { r.RSSPeak++ }, func(r *attackResult) { r.During.P99++ },
	} {
		r := good
		spoil(&r)
		if p.judge(r) == nil {
			t.Errorf("%+v passed", r)
		}
	}
}
