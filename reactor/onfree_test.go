package reactor

import (
	"bytes"
	"io"
	"strings"
	"syscall"
	"testing"
)

// When a file is free: its Close, and the function of OnFree, may do everything with the connection.

// When the Close of a file panics, its connection is lost with the same reason as without that.
func TestSendFileClosePanics(t *testing.T) {
	l := start(t, Config{})
	_, rec := l.connect(nil, nil)
	l.do(func() {
		rec.Send(FileRange(panicFile{temporary(t, "0123456789")}, 0, 10))
		rec.AbortConnection()
	})
	if err := rec.reason(l); err != ErrAborted {
		t.Errorf("lost with %v", err)
	}
	if got := l.reported(); len(got) != 1 || ReasonName(got[0]) != "panic" {
		t.Errorf("reported %v", got)
	}
}

type panicFile struct{ File }

func (panicFile) Close() error { panic("close") }

// The Close of a file that was sent may do everything with the connection.
func TestSendFileCloseActs(t *testing.T) {
	large := string(pattern(directSize))
	for _, tc := range []struct {
		name string
		act  func(p *recorder)
		more string // what the peer gets behind the file
		want error
	}{
		{"Write", func(p *recorder) { p.Write([]byte("more")); p.LoseConnection() }, "more", ErrConnectionDone},
		{"large Write", func(p *recorder) { p.Write([]byte(large)); p.LoseConnection() }, large, ErrConnectionDone},
		{"Send", func(p *recorder) {
			p.Send(Lent([]byte("<")), Lent([]byte(large)))
			p.LoseConnection()
		}, "<" + large, ErrConnectionDone},
		{"Send of given bytes", func(p *recorder) { p.Send(Given([]byte(large))); p.LoseConnection() }, large, ErrConnectionDone},
		{"Send of a file", func(p *recorder) {
			p.Send(FileRange(memoryFile{bytes.NewReader([]byte(large))}, 0, directSize))
			p.LoseConnection()
		}, large, ErrConnectionDone},
		{"Detach", func(p *recorder) {
			d, err := p.Detach()
			if err != nil || !strings.HasSuffix(large, string(d.Unsent)) {
				p.AbortConnection()
				return
			}
			_ = syscall.Close(d.FD)
		}, "", ErrDetached},
		{"AbortConnection", func(p *recorder) { p.AbortConnection() }, "", ErrAborted},
	} {
		for _, behind := range []string{"", large} { // what waits after the file
			t.Run(tc.name, func(t *testing.T) {
				l := start(t, Config{})
				conn, rec := l.connect(nil, nil)
				f := closingFile{memoryFile{bytes.NewReader([]byte("0123456789"))}, func() { tc.act(rec) }}
				l.do(func() {
					rec.Send(FileRange(f, 0, 10))
					rec.Write([]byte(behind))
				})
				if err := rec.reason(l); err != tc.want {
					t.Errorf("lost with %v", err)
				}
				got, _ := io.ReadAll(conn)
				if want := "0123456789" + behind + tc.more; tc.want == ErrConnectionDone && string(got) != want {
					t.Errorf("the peer got %d bytes, want %d", len(got), len(want))
				}
				l.do(func() {
					if n := l.Unsent(); n != 0 || len(l.reported()) > 0 {
						t.Errorf("%d bytes are unsent, reported %v", n, l.reported())
					}
				})
			})
		}
	}
}

type closingFile struct {
	File
	onClose func()
}

func (f closingFile) Close() error {
	f.onClose()
	return nil
}

// An empty range in the middle is free when the rest is queued, and its notice may write whatever it likes.
func TestEmptyFileRangeActs(t *testing.T) {
	large := string(pattern(2 * directSize))
	for _, inside := range []bool{true, false} {
		l := start(t, Config{})
		conn, rec := l.connect(nil, nil)
		free := 0
		act := func() {
			empty := FileRange(memoryFile{bytes.NewReader(nil)}, 0, 0).OnFree(func(bool) {
				free++
				rec.Write([]byte("small "))
				rec.Write([]byte(large))
			})
			rec.Write([]byte("<"))
			rec.Send(Lent([]byte(large)), empty, Lent([]byte("and ")), empty, Given([]byte("more ")))
			rec.LoseConnection()
		}
		if inside {
			l.do(func() { rec.onData = func([]byte) { act() } })
			send(t, conn, "x")
		} else {
			l.do(act)
		}
		if got, want := readAll(t, conn), "<"+large+"and more small "+large+"small "+large; got != want {
			t.Errorf("inside %v: got %d bytes, want %d; they differ at %d", inside, len(got), len(want), differ(got, want))
		}
		rec.reason(l)
		l.do(func() {
			if free != 2 {
				t.Errorf("free %d times", free)
			}
		})
	}
}

// OnFree passes its function whether the file was sent.
func TestOnFreeSaysWhetherAFileWasSent(t *testing.T) {
	f := temporary(t, "content")
	for name, c := range map[string]struct {
		n    int64
		act  func(*recorder)
		want bool
	}{
		"sent":      {7, func(*recorder) {}, true},
		"too short": {8, func(*recorder) {}, false},
		"aborted":   {7, func(rec *recorder) { rec.AbortConnection() }, false},
		"empty":     {0, func(*recorder) {}, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := start(t, Config{})
			_, rec := l.connect(nil, nil)
			told := make(chan bool, 2)
			l.do(func() {
				rec.Send(FileRange(f, 0, c.n).OnFree(func(sent bool) { told <- sent }))
				c.act(rec)
			})
			if got := receive(t, told, "OnFree"); got != c.want {
				t.Errorf("sent is %t", got)
			}
			if l.do(func() {}); len(told) > 0 {
				t.Error("the function of OnFree is called twice")
			}
		})
	}
}
