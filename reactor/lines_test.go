package reactor

import (
	"bytes"
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
