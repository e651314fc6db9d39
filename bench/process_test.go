package main

// Children and the kernel's files about them, tried on real processes.

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStopEndsAChildThatRefuses(t *testing.T) {
	p, err := spawn(t.Context(), "stubborn", -1, "sh", "-c", `trap "" TERM; echo deaf; while :; do read line || sleep 0.05; done`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.saw(t.Context(), regexp.MustCompile("deaf")); err != nil {
		t.Fatal(err)
	}
	if !p.alive() {
		t.Fatal("it ended by itself")
	}
	p.stop(syscall.SIGTERM)
	if err := syscall.Kill(p.pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("signalling the stopped child gave %v, want ESRCH", err)
	}
}

func TestCancelEndsAChild(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := spawn(ctx, "sleeper", -1, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-p.ended
}

func TestAChildThatFailsSaysWhy(t *testing.T) {
	c := contestant{name: "broken", launch: always([]string{"sh", "-c", "echo the disk is full >&2; exit 3"})}
	_, err := c.start(t.Context(), -1)
	if err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v, want the child's own words", err)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	tail := newTail()
	for range 10 {
		io.WriteString(tail, strings.Repeat("x", tailSize/4))
	}
	io.WriteString(tail, "the end")
	text, _ := tail.read()
	if len(text) != tailSize || !strings.HasSuffix(text, "the end") {
		t.Errorf("kept %d bytes that end in %q", len(text), text[len(text)-10:])
	}
}

// The process clock and getrusage count the same thing; the clock is the finer one.
func TestCPUTimeIsUserAndSystem(t *testing.T) {
	var low, high syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &low)
	got, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	syscall.Getrusage(syscall.RUSAGE_SELF, &high)
	total := func(r syscall.Rusage) time.Duration { return time.Duration(r.Utime.Nano() + r.Stime.Nano()) }
	const rounding = 2 * time.Microsecond // getrusage rounds user and system time to microseconds
	if got < total(low)-rounding || got > total(high)+rounding {
		t.Errorf("got %v, want between %v and %v", got, total(low), total(high))
	}
	if _, err := cpuTime(1 << 25); err == nil {
		t.Error("a process that is none has a clock")
	}
}

func TestDescriptorsAndMemoryOfAProcess(t *testing.T) {
	before, err := descriptors(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	during, _ := descriptors(os.Getpid())
	r.Close()
	w.Close()
	if during != before+2 {
		t.Errorf("a pipe took descriptors from %d to %d", before, during)
	}
	m, err := memoryOf(os.Getpid())
	if err != nil || m.RSS <= 0 || m.PSS <= 0 || m.Anonymous <= 0 || m.VmRSS <= 0 || m.Anonymous > m.RSS {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestExchangeChecksTheAnswer(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		good    bool
	}{
		{"as agreed", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }, true},
		{"another body", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "Hello") }, false},
		{"another status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); io.WriteString(w, body) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.handler)
			defer s.Close()
			size, err := ask(s.Listener.Addr().String())
			if (err == nil) != tt.good {
				t.Errorf("got %v", err)
			}
			if tt.good && size <= len(body) {
				t.Errorf("an answer of %d bytes has no head", size)
			}
		})
	}
}

// Every abuse comes to an end by itself, and leaves a sane server able to answer.
func TestEveryAbuseEnds(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }))
	defer s.Close()
	g := gale{addr: s.Listener.Addr().String(), done: make(map[string]int)}
	for _, kind := range abuseKinds {
		g.abuse(kind)
		if g.done[kind.name] != 1 {
			t.Errorf("%s: done %d times", kind.name, g.done[kind.name])
		}
	}
	if len(g.held) == 0 {
		t.Error("nobody vanished")
	}
	closeAll(g.held)
	if _, err := ask(g.addr); err != nil {
		t.Errorf("after the storm: %v", err)
	}
}

// The yardstick answers each head once however the bytes are split: wrk would not notice answers too many.
func TestCEpollCountsSplitHeads(t *testing.T) {
	if err := need("gcc"); err != nil {
		t.Skip(err)
	}
	bench, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	launch, err := buildCEpoll(t.Context(), &workshop{bench: bench, dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := contestant{name: yardstickName, launch: launch}.start(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.end()
	for cut := 1; cut < 2*len(request); cut++ {
		if err := pipelineSplit(s.addr, request+request+request, cut); err != nil {
			t.Fatalf("three requests, cut after %d bytes: %v", cut, err)
		}
	}
}

// pipelineSplit sends text in two pieces, half-closes, and expects three answers and no byte more.
func pipelineSplit(addr, text string, cut int) error {
	conn, err := net.Dial("tcp4", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(askTimeout))
	for _, piece := range []string{text[:cut], text[cut:]} {
		if _, err := io.WriteString(conn, piece); err != nil {
			return err
		}
	}
	conn.(*net.TCPConn).CloseWrite()
	r := bufio.NewReader(conn)
	for range 3 {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			return err
		}
	}
	if _, err := r.ReadByte(); err != io.EOF {
		return errors.New("more than three answers")
	}
	return nil
}
