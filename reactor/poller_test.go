package reactor

import (
	"bytes"
	"errors"
	"log"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// When more is ready than one report holds, everybody's turn comes.
func TestPollersAreFair(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		p, err := kernel{}.NewPoller(c.Poller)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		readable, w := newPipe(t)
		unix.Write(w.fd, []byte("x"))
		const n = 3 * eventsPerWait / 2
		for i := range n {
			fd, err := unix.Dup(readable.fd)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if err := p.Update(fd, uint32(i), 0, Readable); err != nil {
				t.Fatal(err)
			}
		}
		seen := map[uint32]bool{}
		events := make([]Event, eventsPerWait)
		for range 2 {
			found, err := p.Poll(events)
			if err != nil || found != len(events) {
				t.Fatalf("%d found, %v", found, err)
			}
			for _, ev := range events[:found] {
				seen[ev.Gen] = true
			}
		}
		if len(seen) != n {
			t.Errorf("%d of %d were reported in two rounds of %d", len(seen), n, eventsPerWait)
		}
	})
}

// A wait ends at its time, not before, and however many deadlines came before it.
func TestPollersWaitUntil(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		p, err := kernel{}.NewPoller(c.Poller)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for _, d := range []time.Duration{20, 1, 10, 0, -5, 30} {
			until := time.Now().Add(d * time.Millisecond)
			waits := 0
			for ; time.Now().Before(until) && waits < 10; waits++ { // it may be early, but not for ever
				wait(t, p, until)
			}
			if waits > 3 {
				t.Errorf("%d waits for %v ms", waits, int(d))
			}
		}
		p.Wake()
		wait(t, p, time.Now().Add(patience))
		begun := time.Now()
		wait(t, p, begun.Add(time.Millisecond)) // comes before the one that is armed
		if time.Since(begun) > patience/2 {
			t.Error("an earlier deadline was not heeded")
		}
		p.Wake()
		wait(t, p, time.Time{}) // would last for ever
	})
}

// wait waits and finds nothing.
func wait(t *testing.T, p Poller, until time.Time) {
	t.Helper()
	if n, err := p.Wait(make([]Event, 1), until); n != 0 || err != nil {
		t.Fatalf("%d found, %v", n, err)
	}
}

// A connection that the poller does not take is lost, and nobody else.
func TestPollerRefusesConnection(t *testing.T) {
	s := &faultySystem{}
	l := start(t, Config{System: s})
	recs := []*recorder{newRecorder(), newRecorder()}
	next := 0
	p := l.listen(func(netip.AddrPort) Protocol { next++; return recs[next-1] }, nil)
	l.do(func() {
		s.update = func(int, Interest, Interest) error { s.update = nil; return syscall.ENOSPC }
	})
	dial(t, p)
	err := recs[0].reason(l)
	if !errors.Is(err, ErrConnectionLost) || !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space") {
		t.Errorf("lost with %v", err)
	}
	dial(t, p)
	receive(t, recs[1].made, "the next connection")
}

// Without a ReportError, log has it all.
func TestReportToLog(t *testing.T) {
	var out bytes.Buffer
	log.SetOutput(&out)
	defer log.SetOutput(os.Stderr)
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	r.CallFromThread(func() { panic("boom") })
	r.CallFromThread(func() { r.report(lost(syscall.EPIPE)) })
	r.CallFromThread(r.Stop)
	if err := r.Run(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"reactor: panic: boom\n", "poller_test.go", "connection lost: broken pipe\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, out.String())
		}
	}
}

// The queue of a pool is a queue, wherever it stands in its memory.
func TestPoolQueue(t *testing.T) {
	var q fifo
	var got, want []int
	next := 0
	for range 50 { // the queue moves through its memory, and grows
		for range 7 {
			i := next
			next++
			want = append(want, i)
			q.push(func() { got = append(got, i) })
		}
		for range 5 {
			q.pop()()
		}
	}
	for q.len() > 0 {
		q.pop()()
	}
	if q.pop() != nil {
		t.Error("an empty queue has a call")
	}
	if !slices.Equal(got, want) {
		t.Errorf("out of order: %v", got)
	}
	if c := cap(q.calls); c > 256 {
		t.Errorf("room for %d when at most 105 waited", c)
	}
}
