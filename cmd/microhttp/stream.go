package main

// Answers that take their time: made as the peer reads them, as a clock ticks, or by a
// goroutine that waits.

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"

	"microhttp/reactor"
	"microhttp/server"
)

// maxBytes is the longest answer of /bytes: long enough to measure, short enough that
// nobody fills a disk by accident.
const maxBytes = 64 << 20

// piece is what /bytes is made of, over and over. It is given as one: large enough for a
// write to pay, a whole number of its rows, and never changed, so slow readers share it. It is
// made when it is first asked for: in a small heap, 128 KiB more have the collector run sooner.
var piece = sync.OnceValue(func() []byte {
	return bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-\n"), 2048)
})

// streamBytes answers with n bytes and never holds them: it writes while the peer keeps
// up and goes on when the peer has caught up.
func streamBytes(w *server.Response, r *server.Request) {
	n, ok := wholeNumber(w, r, "n", 0, maxBytes)
	if !ok {
		return
	}
	w.SetHeader("Content-Type", "application/octet-stream")
	w.SetHeader("Content-Length", strconv.Itoa(n))
	if r.Method() == "HEAD" {
		return
	}
	s, left, piece := w.Stream(), n, piece()
	write := func() {
		for left > 0 && !s.Full() {
			sent, err := s.Give(piece[:min(left, len(piece))])
			if err != nil {
				return // the peer is gone, and with it the stream
			}
			left -= sent
		}
		if left == 0 {
			_ = s.Close() // fails only if the peer is gone
		}
	}
	s.OnDrain(write)
	write()
}

// What /events sends.
const (
	eventCount    = 10
	eventInterval = 100 * time.Millisecond
)

// events sends server-sent events by the loop's own clock: no goroutine waits. When the
// peer leaves early, so does the timer.
func events(w *server.Response, r *server.Request) {
	w.SetHeader("Content-Type", "text/event-stream")
	w.SetHeader("Cache-Control", "no-store")
	s := w.Stream()
	if r.Method() == "HEAD" {
		_ = s.Close()
		return
	}
	sent := 0
	var timer *reactor.DelayedCall
	var next func()
	next = func() {
		sent++
		if _, err := fmt.Fprintf(s, "id: %d\ndata: event %[1]d of %d\n\n", sent, eventCount); err != nil {
			return // OnDone follows
		}
		if sent == eventCount {
			_ = s.Close() // fails only if the peer is gone
			return
		}
		timer = r.Reactor().CallLater(eventInterval, next)
	}
	w.OnDone(func(*server.Response, *server.Request) {
		if timer != nil {
			_ = timer.Cancel() // it may have been called
		}
	})
	next()
}

// maxSleep bounds /sleep: it holds a goroutine.
const maxSleep = 60 * time.Second

// sleep answers after so many milliseconds. It blocks, and may: it has a goroutine of its
// own. It is told when nobody may wait for the answer any more, and says how far it came: a
// peer that has half-closed behind its request can still read (RFC 9112, 9.6).
func sleep(w *server.Response, r *server.Request) {
	ms, ok := wholeNumber(w, r, "ms", 0, int(maxSleep/time.Millisecond))
	if !ok {
		return
	}
	begin := time.Now()
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	slept := ms
	select {
	case <-timer.C:
	case <-r.Context().Done():
		slept = min(ms, int(time.Since(begin)/time.Millisecond))
	}
	setText(w)
	_, _ = fmt.Fprintf(w, "slept %d ms\n", slept)
}
