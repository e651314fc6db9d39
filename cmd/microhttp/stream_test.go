package main

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestBytesAreAsManyAsAsked(t *testing.T) {
	p := dial(t, startDemo(t))
	piece := piece()
	for _, n := range []int{0, 1, len(piece) - 1, len(piece), len(piece) + 1, 1 << 20, 5<<20 + 3} {
		line := fmt.Sprintf(" /bytes/%d HTTP/1.1", n)
		res, body := p.ask("GET" + line)
		if res.StatusCode != 200 || res.ContentLength != int64(n) || len(body) != n {
			t.Errorf("%d: answered %d, Content-Length %d, %d bytes", n, res.StatusCode, res.ContentLength, len(body))
		}
		want := bytes.Repeat(piece, n/len(piece)+1)[:n]
		if body != string(want) {
			t.Errorf("%d: the bytes are not in their order", n)
		}
		if res, _ := p.ask("HEAD" + line); res.ContentLength != int64(n) {
			t.Errorf("%d: HEAD says %d", n, res.ContentLength)
		}
	}
}

func TestBytesAreNotHeld(t *testing.T) {
	if underRace {
		t.Skip("under the race detector pools drop at random what they hold")
	}
	p := dial(t, startDemo(t))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p.send("GET /bytes/67108864 HTTP/1.1")
	n, err := io.Copy(io.Discard, p.head("GET").Body)
	runtime.ReadMemStats(&after)
	if n != maxBytes || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if made := after.TotalAlloc - before.TotalAlloc; made > maxBytes/8 {
		t.Errorf("allocated %d bytes", made)
	}
}

// Many answers in a row to a peer that does not read yet: none may be lost or mixed up.
func TestBytesPipelined(t *testing.T) {
	p := dial(t, startDemo(t))
	for range 5 {
		p.send("GET /bytes/300000 HTTP/1.1")
		p.send("GET /plaintext HTTP/1.1")
	}
	for range 5 {
		if body := p.rest(p.head("GET")); len(body) != 300000 {
			t.Fatalf("%d bytes", len(body))
		}
		if body := p.rest(p.head("GET")); body != "Hello, World!" {
			t.Fatalf("body %q", body)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	p := dial(t, startDemo(t))
	var want strings.Builder
	for i := 1; i <= 10; i++ {
		fmt.Fprintf(&want, "id: %d\ndata: event %d of 10\n\n", i, i)
	}
	for range 2 { // the connection goes on
		res, body := p.ask("GET /events HTTP/1.1")
		if got := res.Header.Get("Content-Type"); res.StatusCode != 200 || got != "text/event-stream" {
			t.Errorf("answered %d, %s", res.StatusCode, got)
		}
		if body != want.String() {
			t.Errorf("events %q", body)
		}
	}
	res, _ := p.ask("HEAD /events HTTP/1.1")
	if res.Header.Get("Content-Type") != "text/event-stream" || len(res.TransferEncoding) == 0 {
		t.Errorf("HEAD: %v", res)
	}
}

// An event is sent when it happens, not when the answer ends.
func TestEventsComeOneByOne(t *testing.T) {
	t.Parallel()
	addr := startDemo(t)
	p := dial(t, addr)
	p.send("GET /events HTTP/1.1")
	first := make([]byte, 5)
	if _, err := io.ReadFull(p.head("GET").Body, first); err != nil || string(first) != "id: 1" {
		t.Fatalf("%q, %v", first, err)
	}
	if n := p.in.Buffered(); n > 100 {
		t.Errorf("%d bytes came at once", n)
	}
	_ = p.SetLinger(0)
	p.Close() // the timer must not write to what is gone
	if _, body := dial(t, addr).ask("GET /events HTTP/1.1"); !strings.Contains(body, "event 10 of 10") {
		t.Errorf("events %q", body)
	}
}

// While one request sleeps, the loop, of which there is one, serves the others.
func TestSleepKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	addr := startDemo(t)
	sleeper := dial(t, addr)
	sleeper.send("GET /sleep/60000 HTTP/1.1")
	if _, body := dial(t, addr).ask("GET /sleep/1 HTTP/1.1"); body != "slept 1 ms\n" {
		t.Errorf("body %q", body)
	}
	if _, body := dial(t, addr).ask("GET /plaintext HTTP/1.1"); body != "Hello, World!" {
		t.Errorf("body %q", body)
	}
	_ = sleeper.CloseWrite() // ends the context, and with it the sleep
	res := sleeper.head("GET")
	if body := sleeper.rest(res); res.StatusCode != 200 || body == "slept 60000 ms\n" {
		t.Errorf("a sleep cut short was answered %s, %q", res.Status, body)
	}
}
