package reactor

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// temporary is a file with that content.
func temporary(t testing.TB, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// kept hides the Close of a file.
type kept struct{ File }

// A counted file counts how often it is closed.
type counted struct {
	File
	closed *atomic.Int64
}

func (f counted) Close() error {
	f.closed.Add(1)
	return nil
}

// A memoryFile is a file that only ReadAt can read.
type memoryFile struct{ *bytes.Reader }

func (memoryFile) Fd() uintptr { return ^uintptr(0) }

// The law of output: whatever is written, by whichever way, in whatever pieces the socket takes it, arrives as it was
// written, and nothing is left.
func TestOutputKeepsOrder(t *testing.T) {
	eachPollerBeside(t, func(t *testing.T, c Config) {
		seed := rand.Uint64()
		defer func() {
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		}()
		rnd := rand.New(rand.NewPCG(seed, 0)) // used on the loop only, once it runs
		content := strings.Repeat("0123456789abcdef", 40<<10)
		f := temporary(t, content)
		s := &faultySystem{}
		some := func(n int) int { // of n
			switch rnd.IntN(4) {
			case 0:
				return 0
			case 1:
				return rnd.IntN(n + 1)
			}
			return n
		}
		s.write = func(fd int, p []byte) (int, syscall.Errno) {
			if n := some(len(p)); n > 0 {
				return s.kernel.Write(fd, p[:n])
			}
			return 0, syscall.EAGAIN
		}
		s.writev = func(fd int, pieces [][]byte) (int, syscall.Errno) {
			joined := bytes.Join(pieces[:min(len(pieces), piecesPerWrite)], nil)
			switch n := some(len(joined)); n {
			case 0:
				return 0, syscall.ENOBUFS
			case len(joined):
				return s.kernel.Writev(fd, pieces)
			default:
				return s.kernel.Write(fd, joined[:n])
			}
		}
		s.sendFile = func(fd int, f File, offset int64, n int) (int, syscall.Errno) {
			if n > filePiece {
				t.Errorf("sendfile of %d bytes", n)
			}
			if n := some(n); n > 0 {
				return s.kernel.SendFile(fd, f, offset, n)
			}
			return 0, syscall.EINTR
		}
		c.System = s
		l := start(t, c)

		var want []byte
		act := func(p *recorder) {
			part := func(most int) []byte {
				at := rnd.IntN(len(content) - most)
				b := []byte(content[at : at+rnd.IntN(most)*min(1, rnd.IntN(8))]) // and nothing at times
				want = append(want, b...)
				return b
			}
			for range 1 + rnd.IntN(8) {
				switch rnd.IntN(7) {
				case 0:
					p.Write(part(2 * directSize))
				case 1:
					p.Write(part(100))
				case 2:
					p.Commit(append(p.Room(rnd.IntN(gatherSize+roomMin)), part(2*roomMin)...))
				case 3:
					n := rnd.IntN(3)
					if rnd.IntN(4) == 0 {
						n = 2 * piecesPerWrite
					}
					var pieces [][]byte
					for range n {
						pieces = append(pieces, part(directSize))
					}
					p.Send(lent(pieces)...)
				case 4:
					at := rnd.IntN(len(content))
					n := rnd.IntN(len(content) - at)
					want = append(want, content[at:at+n]...)
					p.Send(FileRange(kept{f}, int64(at), int64(n)))
				case 5:
					n := rnd.IntN(1000)
					want = append(want, content[:n]...)
					p.Send(FileRange(memoryFile{bytes.NewReader([]byte(content))}, 0, int64(n)))
				case 6:
					p.Send(Given(part(1 << rnd.IntN(19))))
				}
			}
		}
		conn, rec := l.connect(nil, func(p *recorder) {
			p.onData = func([]byte) { act(p) }
			p.onLost = func(err error) { t.Logf("lost with %v", err) } // shown when the test fails
		})
		done := make(chan string)
		go func() {
			b, err := io.ReadAll(conn)
			if err != nil {
				t.Error(err)
			}
			done <- string(b)
		}()
		for i := range 40 {
			if i%2 == 0 {
				send(t, conn, "x")
			} else {
				l.do(func() { act(rec) })
			}
		}
		eventually(t, "the last x", func() (all bool) {
			l.do(func() { all = len(rec.data) == 20 })
			return all
		})
		l.do(rec.LoseConnection)
		got := receive(t, done, "all output")
		l.do(func() {
			if got != string(want) {
				t.Errorf("got %d bytes, want %d; they differ at %d", len(got), len(want), differ(got, string(want)))
			}
			if n := rec.Buffered(); n != 0 {
				t.Errorf("%d bytes are left", n)
			}
		})
		if err := rec.reason(l); err != ErrConnectionDone {
			t.Errorf("lost with %v", err)
		}
	})
}

func differ(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// A file is closed exactly once, by whatever way its sending ends.
func TestSendFileCloses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		system func(s *faultySystem)
		send   func(p *recorder, f File)
		want   error
		got    string // what the peer has read; "" is not looked at
	}{
		{name: "sent", send: func(p *recorder, f File) {
			p.Write([]byte("<"))
			p.Send(FileRange(f, 2, 5))
			p.Write([]byte(">"))
			p.LoseConnection()
		}, want: ErrConnectionDone, got: "<23456>"},
		{name: "nothing of it", send: func(p *recorder, f File) {
			p.Send(FileRange(f, 0, 0))
			p.LoseConnection()
		}, want: ErrConnectionDone},
		{name: "too late", send: func(p *recorder, f File) {
			p.LoseConnection()
			p.Send(FileRange(f, 0, 10))
		}, want: ErrConnectionDone},
		{name: "aborted", send: func(p *recorder, f File) {
			p.Send(FileRange(f, 0, 10))
			p.AbortConnection()
		}, want: ErrAborted},
		{name: "too short", send: func(p *recorder, f File) {
			p.Send(FileRange(f, 5, 6))
			p.Write([]byte("never seen"))
		}, want: io.ErrUnexpectedEOF},
		{name: "closed", send: func(p *recorder, f File) {
			f.(counted).File.(*os.File).Close()
			p.Send(FileRange(f, 0, 6))
		}, want: syscall.EIO},
		{name: "disk error", system: func(s *faultySystem) {
			s.sendFile = func(int, File, int64, int) (int, syscall.Errno) { return 0, syscall.EIO }
		}, send: func(p *recorder, f File) {
			p.Send(FileRange(f, 0, 10))
		}, want: syscall.EIO},
		{name: "panic", send: func(p *recorder, f File) {
			p.Send(FileRange(f, 0, 10))
			panic(io.ErrNoProgress)
		}, want: io.ErrNoProgress},
	} {
		for _, inside := range []bool{true, false} {
			t.Run(tc.name, func(t *testing.T) {
				eachPoller(t, func(t *testing.T, c Config) {
					s := &faultySystem{}
					if tc.system != nil {
						tc.system(s)
					}
					c.System = s
					l := start(t, c)
					var closed atomic.Int64
					f := counted{temporary(t, "0123456789"), &closed}
					conn, rec := l.connect(nil, nil)
					act := func() { tc.send(rec, f) }
					switch {
					case inside:
						l.do(func() { rec.onData = func([]byte) { act() } })
						send(t, conn, "x")
					case tc.name == "panic":
						t.Skip("a posted call is nobody's")
					default:
						l.do(act)
					}
					if err := rec.reason(l); !errors.Is(err, tc.want) {
						t.Errorf("lost with %v, want %v", err, tc.want)
					}
					if n := closed.Load(); n != 1 {
						t.Errorf("closed %d times", n)
					}
					got, err := io.ReadAll(conn)
					if whole := tc.want == ErrConnectionDone; whole != (err == nil) {
						t.Errorf("the peer ends with %v", err)
					}
					if tc.got != "" && string(got) != tc.got {
						t.Errorf("the peer got %q, want %q", got, tc.got)
					}
				})
			})
		}
	}
}

// A large file takes many ticks, in which others are served; it counts as output that waits, and holds a producer back.
func TestSendFileSharesTheLoop(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		s := &faultySystem{}
		var ticks, pieces, most int // on the loop
		s.sendFile = func(_ int, _ File, _ int64, n int) (int, syscall.Errno) {
			pieces++
			most = max(most, n)
			return n, 0 // a socket that takes everything
		}
		c.System = s
		l := start(t, c)
		producer := &counter{}
		_, rec := l.connect(nil, nil)
		const n = 10*filePiece + 1
		l.do(func() {
			rec.RegisterProducer(producer)
			rec.Send(FileRange(kept{temporary(t, "")}, 0, n))
			rec.Write([]byte("behind"))
			if got := rec.Buffered(); got != n+6 {
				t.Errorf("Buffered = %d, want %d", got, n+6)
			}
			var count func()
			count = func() {
				if ticks++; rec.Buffered() > 0 {
					l.CallFromThread(count)
				}
			}
			count()
		})
		eventually(t, "the end", func() (done bool) {
			l.do(func() { done = rec.Buffered() == 0 })
			return done
		})
		l.do(func() {
			if pieces != 11 || most > filePiece || ticks < pieces {
				t.Errorf("%d pieces, the largest of %d, in %d ticks", pieces, most, ticks)
			}
			if producer.paused != 1 || producer.resumed != 1 {
				t.Errorf("the producer was paused %d times and resumed %d times", producer.paused, producer.resumed)
			}
		})
	})
}

type counter struct{ paused, resumed int }

func (c *counter) PauseProducing()  { c.paused++ }
func (c *counter) ResumeProducing() { c.resumed++ }
func (c *counter) StopProducing()   {}

// Files have a bound too.
func TestSendFileBound(t *testing.T) {
	l := start(t, Config{})
	var closed atomic.Int64
	f := counted{temporary(t, "0123456789"), &closed}
	_, rec := l.connect(nil, nil)
	l.do(func() {
		for range heldMost + 1 {
			rec.Send(FileRange(f, 0, 10))
		}
	})
	if err := rec.reason(l); err != ErrWriteBound {
		t.Errorf("lost with %v", err)
	}
	if n := closed.Load(); n != heldMost+1 {
		t.Errorf("%d of %d files closed", n, heldMost+1)
	}
}

// What sendfile(2) cannot read is copied.
func TestSendFileOfWhatHasNoPages(t *testing.T) {
	l := start(t, Config{})
	path := "/proc/self/maps" // its size is 0, and it has no pages
	if _, err := os.Stat(path); err != nil {
		t.Skip("no /proc here")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	conn, rec := l.connect(nil, nil)
	l.do(func() { rec.Send(FileRange(f, 0, 100)); rec.LoseConnection() })
	if got := readAll(t, conn); len(got) != 100 {
		t.Errorf("got %d bytes", len(got))
	}
	rec.reason(l)
}
