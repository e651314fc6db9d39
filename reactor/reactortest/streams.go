package reactortest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
)

var streams = []promise{
	scripted("EchoOfAnySize", func(s *script) {
		_, client := s.connect(setting{server: (*end).echo})
		var want []byte
		for _, n := range []int{1, 100, 4 << 10, 16 << 10, 64 << 10, 300 << 10} {
			p := pattern(n)
			client.Write(p)
			want = append(want, p...)
			client.receives(want)
		}
	}),
	scripted("BothWaysAtOnce", func(s *script) {
		server, client := s.connect(setting{})
		want := pattern(1 << 20)
		server.Write(want)
		client.Write(want)
		client.receives(want)
		server.receives(want)
	}),
	scripted("ReadingPausesAndResumes", func(s *script) {
		server, client := s.connect(setting{server: func(e *end) { e.onData = func([]byte) { e.PauseReading() } }})
		client.Write([]byte("one"))
		s.until("the first bytes", func() bool { return len(server.data) > 0 })
		before := len(server.data)
		client.Write([]byte("two"))
		s.pass(20 * time.Millisecond)
		if len(server.data) != before {
			s.Errorf("received %q while paused", server.data[before:])
		}
		server.onData = nil
		server.ResumeReading()
		server.receives([]byte("onetwo"))
		server.PauseReading()
		server.ResumeReading() // which is as nothing
		client.Write([]byte("three"))
		server.receives([]byte("onetwothree"))
	}),
	scripted("APausedReaderHoldsItsPeer", func(s *script) {
		server, client := s.connect(setting{})
		server.PauseReading()
		want := pattern(16 << 20) // more than two sockets hold
		client.Write(want)
		s.pass(50 * time.Millisecond)
		if len(server.data) > 0 || client.Buffered() == 0 {
			s.Errorf("%d bytes received, %d held", len(server.data), client.Buffered())
		}
		server.ResumeReading()
		server.receives(want)
		s.until("the output to be sent", func() bool { return client.Buffered() == 0 })
	}),
	scripted("NobodyIsToldAfterAnotherHasPausedThem", func(s *script) {
		a, aClient := s.connect(setting{})
		b, bClient := s.connect(setting{})
		pause := func(other *end) func([]byte) { return func([]byte) { other.PauseReading() } }
		a.onData, b.onData = pause(b), pause(a)
		aClient.Write([]byte("a")) // ready in the same tick, as a rule
		bClient.Write([]byte("b"))
		s.until("one of them", func() bool { return len(a.data)+len(b.data) > 0 })
		s.pass(20 * time.Millisecond)
		if len(a.data)+len(b.data) != 1 {
			s.Errorf("both were told: %q, %q", a.data, b.data)
		}
		a.onData, b.onData = nil, nil
		a.ResumeReading()
		b.ResumeReading()
		a.receives([]byte("a"))
		b.receives([]byte("b"))
	}),
	scripted("ThePeersEndIsTheEnd", func(s *script) {
		server, client := s.connect(setting{})
		client.Write([]byte("goodbye"))
		client.LoseConnection()
		wantReason(client, reactor.ErrConnectionDone)
		wantReason(server, reactor.ErrConnectionDone)
		server.receives([]byte("goodbye"))
	}),
	scripted("HalfClosedByThePeer", func(s *script) {
		server, client := s.connect(setting{server: func(e *end) { e.onEOF = func() {} }})
		client.Write([]byte("all that I have"))
		client.CloseWrite()
		client.Write([]byte("too late"))
		s.until("the end of its bytes", func() bool { return server.eof })
		server.receives([]byte("all that I have"))
		s.tick()
		if server.losses > 0 {
			s.Fatalf("lost with %v", server.reason)
		}
		answer := pattern(1 << 20) // the other direction lives
		server.Write(answer)
		client.receives(answer)
		server.LoseConnection()
		wantReason(server, reactor.ErrConnectionDone)
		wantReason(client, reactor.ErrConnectionDone)
	}),
	scripted("HalfClosedByUs", func(s *script) {
		server, client := s.connect(setting{client: func(e *end) { e.onEOF = func() {} }})
		want := pattern(4 << 20)
		server.Write(want)
		server.CloseWrite() // comes behind what is queued
		server.Write([]byte("too late"))
		s.until("the end of its bytes", func() bool { return client.eof })
		client.receives(want)
		client.Write([]byte("still here"))
		server.receives([]byte("still here"))
		client.CloseWrite()
		wantReason(server, reactor.ErrConnectionDone)
		wantReason(client, reactor.ErrConnectionDone)
	}),
	scripted("ProtocolsChangeHands", func(s *script) {
		second := s.newEnd("second")
		second.echo()
		server, client := s.connect(setting{server: func(e *end) {
			e.onData = func(p []byte) {
				e.onData = nil
				e.losses = 1 // it is told nothing more
				e.SetProtocol(second.protocol(), p)
			}
		}})
		client.Write([]byte("hello"))
		client.receives([]byte("hello"))
		client.Write([]byte(" again"))
		client.receives([]byte("hello again"))
		if second.Transport != server.Transport {
			s.Error("the transport is another one")
		}
		client.LoseConnection()
		wantReason(second, reactor.ErrConnectionDone)
	}),
	scripted("UnreadBytesWaitForAProtocolThatHasPaused", func(s *script) {
		second := s.newEnd("second")
		second.onMade = func() { second.PauseReading() }
		server, client := s.connect(setting{server: func(e *end) {
			e.onData = func(p []byte) {
				e.onData = nil
				e.losses = 1 // it is told nothing more
				e.SetProtocol(second.protocol(), p[1:])
				clear(p) // it was lent
			}
		}})
		client.Write([]byte("12345"))
		s.until("the second protocol", func() bool { return second.made })
		client.Write([]byte("6789"))
		s.tick()
		if len(second.data) > 0 {
			s.Errorf("reading is paused, and %q was received", second.data)
		}
		second.ResumeReading()
		second.receives([]byte("23456789"))
		if !bytes.HasPrefix([]byte("12345"), server.data) {
			s.Errorf("the first protocol received %q", server.data)
		}
		client.LoseConnection()
		wantReason(second, reactor.ErrConnectionDone)
	}),
	{"APanicCostsItsConnectionOnly", func(t *testing.T, c Setup) {
		for _, callback := range []string{"ConnectionMade", "DataReceived", "ReadConnectionLost", "TimeoutConnection"} {
			t.Run(callback, func(t *testing.T) { play(t, c, func(s *script) { panicIn(s, callback) }) })
		}
	}},
	{"AnyEndIsToldOnce", func(t *testing.T, c Setup) {
		for seed := range uint64(5) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, c, func(s *script) { chaos(s, seed) }) })
		}
	}},
}

// panicIn panics in one callback of a server's end.
func panicIn(s *script, callback string) {
	_, bystander := s.connect(setting{server: (*end).echo})
	bad := s.newEnd("server")
	boom := func() { panic("in " + callback) }
	switch callback {
	case "ConnectionMade":
		bad.onMade = boom
	case "DataReceived":
		bad.onData = func([]byte) { bad.Write([]byte("never seen")); boom() }
	case "ReadConnectionLost":
		bad.onEOF = boom
	case "TimeoutConnection":
		bad.onMade = func() { bad.SetTimeout(time.Millisecond) }
		bad.onTimeout = boom
	}
	p := s.listen(nil, func() *end { return bad })
	client := s.newEnd("client")
	client.onMade = func() {
		if callback == "DataReceived" {
			client.Write([]byte("x"))
		}
		if callback == "ReadConnectionLost" {
			client.CloseWrite()
		}
	}
	s.dial(p, client, nil)
	var panicked *reactor.PanicError
	if err := bad.lost(); !errors.As(err, &panicked) || panicked.Value != "in "+callback {
		s.Errorf("lost with %v", err)
	}
	wantPanic(s, s.expectReport(1), "in "+callback)
	if err := client.lost(); !errors.Is(err, syscall.ECONNRESET) {
		s.Errorf("the peer was lost with %v, want a reset", err)
	}
	if len(client.data) > 0 {
		s.Errorf("the peer got %q", client.data)
	}
	bystander.Write([]byte("hello"))
	bystander.receives([]byte("hello"))
}

// chaos has connections end in every way at random; the ends see to it that they are told so as they should be.
func chaos(s *script, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, seed))
	var all []*end
	act := func(e *end) {
		other := all[rnd.IntN(len(all))]
		switch rnd.IntN(14) {
		case 0:
			e.LoseConnection()
		case 1:
			e.AbortConnection()
		case 2:
			e.CloseWrite()
		case 3:
			e.PauseReading()
		case 4:
			e.ResumeReading()
		case 5:
			e.SetTimeout(time.Duration(1 + rnd.IntN(int(time.Millisecond))))
		case 6:
			if other.made {
				other.AbortConnection()
			}
		case 7:
			if other.made {
				other.Write([]byte("from another"))
			}
		default:
			e.Write(pattern(1 + rnd.IntN(100)))
		}
	}
	newEnd := func(name string) *end {
		e := s.newEnd(name)
		all = append(all, e)
		e.onMade = func() { e.SetTimeout(50 * time.Millisecond); act(e) }
		e.onData = func([]byte) { act(e) }
		e.onLost = func(error) { act(e) }
		if rnd.IntN(2) == 0 {
			e.onEOF = func() { act(e) }
		}
		return e
	}
	p := s.listen(nil, func() *end { return newEnd("server") })
	const n = 50
	for range n {
		s.dial(p, newEnd("client"), nil)
		s.pass(0)
	}
	s.pass(100 * time.Millisecond)
	for _, e := range all { // who is left has paused, or has half-closed and waits for the other
		if e.made && e.losses == 0 {
			e.AbortConnection()
		}
	}
	s.until("all to be lost", func() bool {
		for _, e := range all {
			if e.losses+e.failures == 0 {
				return false
			}
		}
		return true
	})
}

// wantReason waits for the loss of an end.
func wantReason(e *end, want error) {
	e.s.Helper()
	if err := e.lost(); !errors.Is(err, want) {
		e.s.Errorf("%s was lost with %v, want %v", e.name, err, want)
	}
}

// wantPanic checks that all of errs are panics with that value.
func wantPanic(s *script, errs []error, value string) {
	s.Helper()
	for _, err := range errs {
		var p *reactor.PanicError
		if !errors.As(err, &p) || p.Value != value || len(p.Stack) == 0 {
			s.Errorf("reported %v, want the panic %q", err, value)
		}
	}
}
