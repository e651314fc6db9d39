package reactor

import (
	"io"
	"slices"
	"testing"
	"time"
)

// A flushed is a protocol that writes at the end of a tick.
type flushed struct {
	*recorder
	times   int
	onFlush func()
}

func (f *flushed) Flush() {
	f.times++
	f.onFlush()
}

// What a layer writes at the end of a tick goes out in that tick, and a panic costs the connection
// below, and that only.
func TestFlushLater(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		conn, rec := l.connect(nil, nil)
		_, other := l.connect(nil, nil)
		f := &flushed{recorder: rec}
		f.onFlush = func() {
			f.Write([]byte("hello"))
			if f.times == 1 {
				f.Reactor().FlushLater(f, f) // waits for the next tick
			}
		}
		l.do(func() { l.FlushLater(rec, f) })
		if got := readN(t, conn, 10); got != "hellohello" {
			t.Errorf("received %q", got)
		}
		l.do(func() {
			if f.times != 2 {
				t.Errorf("flushed %d times", f.times)
			}
			f.onFlush = func() { panic("in Flush") }
			l.FlushLater(rec, f)
		})
		err := rec.reason(l)
		if p, ok := err.(*PanicError); !ok || p.Value != "in Flush" {
			t.Errorf("lost with %v", err)
		}
		l.do(func() {
			f.times = 0
			f.onFlush = func() { t.Error("flushed after the end") }
			l.FlushLater(rec, f)
			l.FlushLater(other, &flushed{onFlush: func() { other.AbortConnection() }})
		})
		if err := other.reason(l); err != ErrAborted {
			t.Errorf("lost with %v", err)
		}
	})
}

// A panic that was caught on another goroutine keeps its stack when the loop panics with it.
func TestPanicPassedOn(t *testing.T) {
	l := start(t, Config{})
	_, rec := l.connect(nil, nil)
	first := &PanicError{Value: "elsewhere", Stack: []byte("there")}
	l.do(func() { l.FlushLater(rec, &flushed{onFlush: func() { panic(first) }}) })
	if err := rec.reason(l); err != first {
		t.Errorf("lost with %v", err)
	}
	if got := l.reported(); len(got) != 1 || got[0] != error(first) {
		t.Errorf("reported %v", got)
	}
}

func TestLocal(t *testing.T) {
	l := start(t, Config{})
	type key struct{}
	l.do(func() {
		made := 0
		for range 2 {
			if v := l.Local(key{}, func() any { made++; return "v" }); v != "v" || made != 1 {
				t.Errorf("%v, made %d times", v, made)
			}
		}
		before := l.Held()
		l.AddHeld(100)
		if n := l.Held() - before; n != 100 {
			t.Errorf("%d bytes more are held", n)
		}
		l.AddHeld(-100)
	})
}

func TestSocketKnowsItsOptions(t *testing.T) {
	l := start(t, Config{})
	_, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{HighWater: 1234, WriteTimeout: time.Minute}}, nil)
	l.do(func() {
		o := rec.Info().Socket().Options()
		if o.HighWater != 1234 || o.LowWater != 1234 || o.WriteTimeout != time.Minute || o.MaxBuffered != defaultMaxBuffered {
			t.Errorf("%+v", o)
		}
	})
	if o := (Socket{}).Options(); o.HighWater != defaultHighWater || o.LowWater != defaultLowWater {
		t.Errorf("without a socket: %+v", o)
	}
}

// A marked producer has water marks of its own.
type marked struct {
	told []string
}

func (m *marked) PauseProducing()             { m.told = append(m.told, "pause") }
func (m *marked) ResumeProducing()            { m.told = append(m.told, "resume") }
func (m *marked) StopProducing()              {}
func (m *marked) WaterMarks() (high, low int) { return 0, 0 }

func TestMarkedProducer(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(&TCPOptions{TransportOptions: TransportOptions{HighWater: 1 << 30}}, nil)
	m := &marked{}
	const n = 16 << 20
	l.do(func() { rec.RegisterProducer(m); rec.Write(make([]byte, n)) })
	l.do(func() {
		if !slices.Equal(m.told, []string{"pause"}) {
			t.Errorf("told %v", m.told)
		}
	})
	if _, err := io.CopyN(io.Discard, conn, n); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a drain", func() (ok bool) {
		l.do(func() { ok = slices.Equal(m.told, []string{"pause", "resume"}) })
		return ok
	})
}

// layered is a transport above another one.
type layered struct{ Transport }

func (l layered) Below() Transport { return l.Transport }

// SourceOf finds a connection through its layers. A connection that is lost is unregistered as a producer.
func TestSource(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(nil, nil)
	_, other := l.connect(nil, nil)
	l.do(func() {
		s := SourceOf(layered{layered{rec.Transport}})
		if s.Lost() || !s.Is(rec.Transport) || s.Is(other.Transport) || !s.Is(layered{rec.Transport}) {
			t.Error("it is another connection")
		}
		if s := SourceOf(&marked{}); s.Lost() || s.Is(rec.Transport) {
			t.Error("what is no connection was taken for one")
		}
		other.RegisterProducer(layered{rec.Transport})
		if other.Transport.(*transport).waitsForProducer() == false {
			t.Error("another connection is not waited for")
		}
		rec.RegisterProducer(layered{rec.Transport})
		if rec.Transport.(*transport).waitsForProducer() {
			t.Error("a connection waits for itself")
		}
		s.Feed(layered{other.Transport})
		s.Unfeed(layered{other.Transport})
		other.LoseConnection() // waits for rec
	})
	conn.Close()
	if err := rec.reason(l); err != ErrConnectionDone {
		t.Errorf("lost with %v", err)
	}
	if err := other.reason(l); err != ErrConnectionDone {
		t.Errorf("the other was lost with %v", err)
	}
	l.do(func() {
		if !SourceOf(rec.Transport).Lost() {
			t.Error("the source is not lost")
		}
		other.RegisterProducer(rec.Transport)
	})
}
