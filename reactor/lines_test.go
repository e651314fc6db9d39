package reactor

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// A liner is a LineReceiver that writes down what it is told. A line that begins with a word of acts does that.
type liner struct {
	*LineTransport
	t      testing.TB
	told   []string
	acts   map[string]func(l *liner)
	onRaw  func(p []byte) // nil is written down
	onMade func()
	lost   chan error
}

func newLiner(t testing.TB) *liner { return &liner{t: t, lost: make(chan error, 4)} }

func (l *liner) ConnectionMade(t *LineTransport) {
	l.LineTransport = t
	if l.onMade != nil {
		l.onMade()
	}
}

func (l *liner) LineReceived(line []byte) {
	l.told = append(l.told, string(line))
	word, _, _ := strings.Cut(string(line), " ")
	if act := l.acts[word]; act != nil {
		act(l)
	}
}

func (l *liner) RawDataReceived(p []byte) {
	if l.onRaw != nil {
		l.onRaw(p)
		return
	}
	l.told = append(l.told, "raw "+string(p))
}

func (l *liner) LineLengthExceeded(p []byte) { l.told = append(l.told, "long "+string(p)) }

func (l *liner) ConnectionLost(reason error) { l.lost <- reason }

// A bare one has none of the optional methods.
type bare struct{ l *liner }

func (b bare) ConnectionMade(t *LineTransport) { b.l.ConnectionMade(t) }
func (b bare) LineReceived(line []byte)        { b.l.LineReceived(line) }
func (b bare) ConnectionLost(reason error)     { b.l.ConnectionLost(reason) }

// connectLines connects to a port whose one connection is that of r.
func (l *loop) connectLines(r LineReceiver, o *LineOptions) *net.TCPConn {
	l.t.Helper()
	return dial(l.t, l.listen(func(netip.AddrPort) Protocol { return NewLineProtocol(r, o) }, nil))
}

// until waits until f is true on the loop.
func (l *loop) until(what string, f func() bool) {
	l.t.Helper()
	eventually(l.t, what, func() (done bool) { l.do(func() { done = f() }); return done })
}

// hears waits until r was told so much, and checks that it was what is wanted.
func (l *loop) hears(r *liner, want ...string) {
	l.t.Helper()
	l.until("the lines", func() bool { return len(r.told) >= len(want) })
	l.do(func() {
		if !slices.Equal(r.told, want) {
			l.t.Errorf("told %q, want %q", r.told, want)
		}
	})
}

// An unread is a Transport without a connection, of which a line protocol pauses and ends the reading.
type unread struct {
	Transport
	r      *Reactor
	paused bool
}

func (u *unread) PauseReading()     { u.paused = true }
func (u *unread) ResumeReading()    { u.paused = false }
func (u *unread) LoseConnection()   {}
func (u *unread) Reactor() *Reactor { return u.r }

func (u *unread) SetProtocol(p Protocol, rest []byte) {
	if p.ConnectionMade(u); len(rest) > 0 {
		p.DataReceived(rest)
	}
}

// told is what a line protocol is told when the pieces arrive. A line "pause" pauses until all else is done that the loop has
// to do; a line "raw n" has so many bytes follow that are no lines.
func told(t testing.TB, r *Reactor, o *LineOptions, pieces [][]byte) []string {
	l := newLiner(t)
	raw, left := "", 0
	l.acts = map[string]func(l *liner){
		"pause": func(l *liner) { l.PauseReading(); r.CallFromThread(l.ResumeReading) },
		"raw": func(l *liner) {
			fmt.Sscanf(l.told[len(l.told)-1], "raw %d", &left)
			if raw = ""; left > 0 {
				l.SetRawMode()
			}
		},
	}
	l.onRaw = func(p []byte) {
		n := min(left, len(p))
		raw += string(p[:n])
		if left -= n; left == 0 {
			l.told = append(l.told, "raw bytes "+raw)
			l.SetLineMode(p[n:])
		}
	}
	u := &unread{r: r}
	p := NewLineProtocol(l, o)
	p.ConnectionMade(u)
	for _, piece := range pieces {
		for u.paused {
			if err := r.Iterate(0); err != nil {
				t.Fatal(err)
			}
		}
		lent := bytes.Clone(piece)
		p.DataReceived(lent)
		for i := range lent {
			lent[i] = '!' // it is the loop's again
		}
	}
	for u.paused {
		if err := r.Iterate(0); err != nil {
			t.Fatal(err)
		}
	}
	return l.told
}

// The law of lines: they do not depend on how the bytes were cut, with pauses, raw bytes and lines that are too long among
// them.
func TestLinesDoNotDependOnCuts(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	r := prepare(t, Config{}).Reactor
	defer r.Close()
	for _, delimiter := range []string{"\r\n", "\n", "aab"} {
		o := &LineOptions{Delimiter: delimiter, MaxLength: 12}
		for range 300 {
			var all []byte
			for range rnd.IntN(12) {
				switch rnd.IntN(6) {
				case 0:
					all = append(all, "pause"...)
				case 1:
					n := rnd.IntN(20)
					all = append(all, fmt.Sprintf("raw %d%s", n, delimiter)...)
					all = append(all, strings.Repeat(delimiter, n)[:n]...)
				default:
					for range rnd.IntN(20) {
						all = append(all, "ab\r\nc"[rnd.IntN(5)])
					}
				}
				all = append(all, delimiter...)
			}
			if rnd.IntN(2) == 0 {
				all = all[:rnd.IntN(len(all)+1)]
			}
			want := told(t, r, o, [][]byte{all})
			for range 5 {
				var pieces [][]byte
				for rest := all; len(rest) > 0; {
					n := 1 + rnd.IntN(min(len(rest), 1+rnd.IntN(8)))
					pieces = append(pieces, rest[:n])
					rest = rest[n:]
				}
				if got := told(t, r, o, pieces); !slices.Equal(got, want) {
					t.Fatalf("%q in %q:\ntold %q\nwant %q", all, pieces, got, want)
				}
			}
		}
	}
}

// Lines of every length, by the default and by another bound.
func TestLineLengths(t *testing.T) {
	r := prepare(t, Config{}).Reactor
	defer r.Close()
	long := strings.Repeat("x", defaultMaxLineLength)
	for _, tc := range []struct {
		o    *LineOptions
		in   string
		want []string
	}{
		{nil, "\r\n\r\na\r\n", []string{"", "", "a"}},
		{nil, "a\nb\rc\r\r\nd", []string{"a\nb\rc\r"}},
		{nil, long + "\r\n", []string{long}},
		{nil, long + "y\r\nz\r\n", []string{"long " + long, "z"}},
		{&LineOptions{Delimiter: "\n", MaxLength: 3}, "abc\nabcd\nabcdefgh\n\nabc\n", []string{"abc", "long abc", "long abc", "", "abc"}},
		{&LineOptions{Delimiter: "--", MaxLength: 3}, "abc--abcd--abc----abc-", []string{"abc", "long abc", "abc", ""}},
		{&LineOptions{Delimiter: "--", MaxLength: 3}, "abc---", []string{"abc"}},
		{&LineOptions{Delimiter: "--", MaxLength: 3}, "abcd-", []string{"long abc"}},
	} {
		if got := told(t, r, tc.o, [][]byte{[]byte(tc.in)}); !slices.Equal(got, tc.want) {
			t.Errorf("%.20q: %.40q, want %.40q", tc.in, got, tc.want)
		}
	}
}

// Lines go both ways over a connection, and one that is too long ends it where nobody handles that.
func TestLines(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		r := newLiner(t)
		r.acts = map[string]func(*liner){
			"hello": func(l *liner) { l.SendLine([]byte("hello to you")); l.SendLineString("too") },
			"large": func(l *liner) { l.SendLine(bytes.Repeat([]byte("x"), directSize)) },
		}
		conn := l.connectLines(bare{r}, nil)
		for _, p := range []string{"he", "llo", "\r", "\nlarge", "\r\nunfini"} {
			send(t, conn, p)
			l.do(func() {})
		}
		want := "hello to you\r\ntoo\r\n" + strings.Repeat("x", directSize) + "\r\n"
		if got := readN(t, conn, len(want)); got != want {
			t.Errorf("got %q", got)
		}
		l.hears(r, "hello", "large")
		l.until("the beginning of a line", func() bool { return string(r.Unused()) == "unfini" })
		send(t, conn, strings.Repeat("x", defaultMaxLineLength))
		if err := receive(t, r.lost, "the end"); err != ErrConnectionDone {
			t.Errorf("lost with %v", err)
		}
		l.hears(r, "hello", "large")
	})
}

// What has arrived behind a pause comes when reading resumes, also when the peer has gone meanwhile; behind an end it does not.
func TestLinesBehindAPause(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		r := newLiner(t)
		r.acts = map[string]func(*liner){"pause": func(l *liner) { l.PauseProducing() }, "end": func(l *liner) { l.StopProducing() }}
		conn := l.connectLines(r, nil)
		send(t, conn, "a\r\npause\r\nb\r\npause\r\nc\r\nend\r\nd\r\n")
		conn.CloseWrite()
		l.hears(r, "a", "pause")
		l.do(func() { r.PauseReading() })
		for _, want := range [][]string{{"a", "pause", "b", "pause"}, {"a", "pause", "b", "pause", "c", "end"}} {
			l.do(func() {
				told := len(r.told)
				r.ResumeProducing()
				r.ResumeReading()
				if len(r.told) != told {
					t.Error("told inside ResumeReading")
				}
			})
			l.hears(r, want...)
		}
		if err := receive(t, r.lost, "the end"); err != ErrConnectionDone {
			t.Errorf("lost with %v", err)
		}
		l.hears(r, "a", "pause", "b", "pause", "c", "end")
	})
}

// A pause that comes again before what is kept was handed over holds.
func TestLinesPausedAgain(t *testing.T) {
	l := start(t, Config{})
	r := newLiner(t)
	r.acts = map[string]func(*liner){"pause": func(l *liner) { l.PauseReading() }}
	conn := l.connectLines(r, nil)
	send(t, conn, "pause\r\na\r\n")
	l.hears(r, "pause")
	l.do(func() { r.ResumeReading(); r.PauseReading() })
	l.do(func() {})
	l.hears(r, "pause")
	l.do(func() { r.ResumeReading() })
	l.hears(r, "pause", "a")
	send(t, conn, "b\r\n")
	l.hears(r, "pause", "a", "b")
}

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
