package reactor

import (
	"bytes"
	"errors"
	"net"
	"testing"
)

// Line protocols among other things: raw mode, the next protocol, Detach, panics, producers.

// Bytes that are no lines come as they are, between lines.
func TestRawMode(t *testing.T) {
	l := start(t, Config{})
	r := newLiner(t)
	r.acts = map[string]func(*liner){"raw": func(l *liner) { l.SetRawMode() }}
	r.onRaw = func(p []byte) {
		body, lines, end := bytes.Cut(p, []byte("."))
		r.told = append(r.told, "body "+string(body))
		if end {
			r.SetLineMode(lines)
		}
	}
	conn := l.connectLines(r, nil)
	send(t, conn, "a\r\nraw\r\n1\r\n2\r\n.b\r\nraw\r\n")
	l.hears(r, "a", "raw", "body 1\r\n2\r\n", "b", "raw")
	send(t, conn, "3")
	l.hears(r, "a", "raw", "body 1\r\n2\r\n", "b", "raw", "body 3")
	send(t, conn, ".c")
	l.hears(r, "a", "raw", "body 1\r\n2\r\n", "b", "raw", "body 3", "body ")
	l.until("the beginning of a line", func() bool { return string(r.Unused()) == "c" })
	l.do(func() { r.SetLineMode([]byte("b\r\nbegun ")) }) // from outside
	send(t, conn, "\r\n")
	l.hears(r, "a", "raw", "body 1\r\n2\r\n", "b", "raw", "body 3", "body ", "b", "begun c")
	send(t, conn, "d")
	l.until("the beginning of a line", func() bool { return string(r.Unused()) == "d" })
	l.do(func() { r.told = nil; r.SetRawMode() }) // from outside, too
	l.hears(r, "body d")

	other := newLiner(t)
	l.connectLines(bare{other}, nil)
	l.until("the connection", func() bool { return other.LineTransport != nil })
	l.do(func() {
		defer func() {
			if recover() == nil {
				t.Error("raw mode without RawDataReceived")
			}
		}()
		other.SetRawMode()
	})
}

// The next protocol gets what the lines have left, in the midst of a line and afterwards.
func TestLinesSetProtocol(t *testing.T) {
	for _, inside := range []bool{true, false} {
		eachPoller(t, func(t *testing.T, c Config) {
			l := start(t, c)
			next := newRecorder()
			r := newLiner(t)
			r.acts = map[string]func(*liner){"upgrade": func(l *liner) {
				if inside {
					l.SetProtocol(next, nil)
				} else {
					l.PauseReading()
				}
			}}
			conn := l.connectLines(r, nil)
			send(t, conn, "upgrade\r\nto this")
			l.hears(r, "upgrade")
			if !inside {
				l.until("the rest", func() bool { return string(r.Unused()) == "to this" })
				l.do(func() { r.ResumeReading(); r.SetProtocol(next, nil) })
			}
			receive(t, next.made, "ConnectionMade")
			eventually(t, "the rest", func() bool { return next.received() == "to this" })
			send(t, conn, "\r\nand that")
			eventually(t, "what follows", func() bool { return next.received() == "to this\r\nand that" })
			conn.Close()
			next.reason(l)
			l.do(func() {
				if r.SetProtocol(newRecorder(), nil); len(r.lost) > 0 || len(r.told) != 1 {
					t.Error("the line protocol was told something")
				}
			})
		})
	}
}

// Who takes the connection away takes along what has arrived.
func TestLinesDetach(t *testing.T) {
	l := start(t, Config{})
	r := newLiner(t)
	unused := ""
	next := newRecorder()
	r.acts = map[string]func(*liner){"detach": func(r *liner) {
		d, err := r.Detach()
		if err != nil {
			t.Error(err)
		}
		unused = string(d.Received)
		if err := l.AdoptFD(d.FD, FactoryFunc(next.factory), nil); err != nil {
			t.Error(err)
		}
	}}
	conn := l.connectLines(r, nil)
	send(t, conn, "detach\r\nnever a line\r\n")
	if err := receive(t, r.lost, "the end"); err != ErrDetached {
		t.Errorf("lost with %v", err)
	}
	l.do(func() {
		if unused != "never a line\r\n" || len(r.told) != 1 {
			t.Errorf("%q is left, told %q", unused, r.told)
		}
		if _, err := r.Detach(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("detached twice: %v", err)
		}
	})
	send(t, conn, "more")
	eventually(t, "what follows", func() bool { return next.received() == "more" })
}

// A panic in a line costs the connection, also in one that comes when reading resumes.
func TestLinesPanic(t *testing.T) {
	l := start(t, Config{})
	for _, first := range []string{"", "pause\r\n"} {
		r := newLiner(t)
		r.acts = map[string]func(*liner){
			"pause": func(l *liner) { l.PauseReading(); l.Reactor().CallLater(0, l.ResumeReading) },
			"panic": func(l *liner) { panic(errors.New("in a line")) },
		}
		conn := l.connectLines(r, nil)
		send(t, conn, first+"panic\r\nand then\r\n")
		var p *PanicError
		if err := receive(t, r.lost, "the end"); !errors.As(err, &p) {
			t.Errorf("lost with %v", err)
		}
	}
	if n := len(l.reported()); n != 2 {
		t.Errorf("%d reports", n)
	}
	l.do(func() {
		if l.current != nil {
			t.Error("somebody is still to pay for panics")
		}
	})
}

// The protocol has those optional methods that the LineReceiver has, and no others.
func TestLinesOptionalMethods(t *testing.T) {
	l := newLiner(t)
	for i := range 8 {
		var r LineReceiver = bare{l}
		var h halves
		half, write, timeout := i&1 != 0, i&2 != 0, i&4 != 0
		switch i {
		case 1:
			r = struct {
				bare
				HalfCloser
			}{bare{l}, h}
		case 2:
			r = struct {
				bare
				CloseWriteHandler
			}{bare{l}, h}
		case 3:
			r = struct {
				bare
				HalfCloser
				CloseWriteHandler
			}{bare{l}, h, h}
		case 4:
			r = struct {
				bare
				TimeoutHandler
			}{bare{l}, h}
		case 5:
			r = struct {
				bare
				HalfCloser
				TimeoutHandler
			}{bare{l}, h, h}
		case 6:
			r = struct {
				bare
				CloseWriteHandler
				TimeoutHandler
			}{bare{l}, h, h}
		case 7:
			r = struct {
				bare
				halves
			}{bare{l}, h}
		}
		p := NewLineProtocol(r, nil)
		_, isHalf := p.(HalfCloser)
		_, isWrite := p.(CloseWriteHandler)
		_, isTimeout := p.(TimeoutHandler)
		if isHalf != half || isWrite != write || isTimeout != timeout {
			t.Errorf("%T: %v %v %v", r, isHalf, isWrite, isTimeout)
		}
	}
}

type halves struct{}

func (halves) ReadConnectionLost()  {}
func (halves) WriteConnectionLost() {}
func (halves) TimeoutConnection()   {}

// Lines can be the producer of another connection, and of their own, as any Transport.
func TestLinesAsProducer(t *testing.T) {
	l := start(t, Config{})
	echo, sink := newLiner(t), newRecorder()
	echo.acts = map[string]func(*liner){"end": func(r *liner) { r.LoseConnection() }}
	echo.onMade = func() { echo.RegisterProducer(echo.LineTransport) }
	conn := l.connectLines(echo, nil)
	send(t, conn, "end\r\n")
	if err := receive(t, echo.lost, "the end"); err != ErrConnectionDone {
		t.Errorf("lost with %v", err)
	}
	out, _ := l.connect(nil, func(p *recorder) { sink = p })
	source := newLiner(t)
	in := l.connectLines(source, nil)
	l.until("the source", func() bool { return source.LineTransport != nil })
	l.do(func() { sink.RegisterProducer(source.LineTransport) })
	in.Close()
	receive(t, source.lost, "the end of the source")
	l.do(func() { sink.LoseConnection() }) // it waits for nothing
	if got := readAll(t, out); got != "" {
		t.Errorf("got %q", got)
	}
}

// Lines that come whole are neither copied nor kept.
func TestLinesAllocateNothing(t *testing.T) {
	l := prepare(t, Config{})
	defer l.Close()
	r := &lineCounter{}
	p := NewLineProtocol(r, nil)
	p.ConnectionMade(&unread{r: l.Reactor})
	in := bytes.Repeat([]byte("one\r\ntwo\r\n"), 1000)
	if n := testing.AllocsPerRun(100, func() { p.DataReceived(in) }); n > 0 || r.lines != 101*2000 {
		t.Errorf("%v allocations, %d lines", n, r.lines)
	}
	if r.kept != nil {
		t.Error("an idle connection keeps a buffer")
	}
	p.DataReceived([]byte("beg"))
	p.DataReceived(append([]byte("un\r\n"), in...))
	p.DataReceived([]byte("part"))
	if cap(r.kept) > lineKeep {
		t.Errorf("%d bytes are kept for the beginning of a line", cap(r.kept))
	}
}

type lineCounter struct {
	*LineTransport
	lines int
}

func (l *lineCounter) ConnectionMade(t *LineTransport) { l.LineTransport = t }
func (l *lineCounter) LineReceived([]byte)             { l.lines++ }
func (l *lineCounter) ConnectionLost(error)            {}
