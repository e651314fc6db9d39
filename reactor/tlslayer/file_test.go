package tlslayer

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"microhttp/reactor"
)

// noise is n bytes in which a loss or a repetition shows.
func noise(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i>>16) ^ byte(i>>8)*7 ^ byte(i)*31
	}
	return p
}

func onDisk(t *testing.T, content []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// cold has every other read of a file wait for the disk.
func cold(t *testing.T) { coldOnce(t, 2) }

func coldOnce(t *testing.T, in int) {
	was := readCached
	n := 0
	readCached = func(f reactor.File, p []byte, at int64) (int, error) {
		if n++; n%in == 1%in {
			return 0, reactor.ErrNotCached
		}
		return was(f, p, at)
	}
	t.Cleanup(func() { readCached = was })
}

func TestFiles(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T){"in memory": func(*testing.T) {}, "cold": cold} {
		t.Run(name, func(t *testing.T) {
			prepare(t)
			content := noise(1 << 20)
			var want []byte
			freed := 0
			p := &peer{onData: func(p *peer, _ []byte) {
				f := onDisk(t, content)
				piece := func(at, n int64) reactor.Piece {
					return reactor.FileRange(f, at, n).OnFree(func(bool) { freed++; p.c.Write([]byte("+")) })
				}
				p.c.Send(reactor.Lent([]byte("<")), piece(5, 700_000), reactor.Lent([]byte("|")), piece(0, 0), piece(100, 1))
				p.c.Write([]byte(">"))
				p.c.Send(reactor.FileRange(f, 0, 300_000))
				p.c.LoseConnection()
			}}
			want = append(want, '<')
			want = append(want, content[5:700_005]...)
			want = append(append(want, '|'), content[100])
			want = append(append(want, '>'), content[:300_000]...)
			g := start(t, serverConfig(), HandshakeOptions{}, p)
			c := g.dial(clientConfig())
			_, _ = c.Write([]byte("x"))
			got, err := io.ReadAll(c)
			if got = bytes.ReplaceAll(got, []byte("+"), nil); err != nil || !bytes.Equal(got, bytes.ReplaceAll(want, []byte("+"), nil)) {
				t.Errorf("%d bytes of %d, %v", len(got), len(want), err)
			}
			g.until("the end", func() bool { return p.losses == 1 })
			if p.lost != reactor.ErrConnectionDone || freed != 3 {
				t.Errorf("lost with %v; freed %d times", p.lost, freed)
			}
		})
	}
}

// TestShortFile holds that a file that is shorter than its range ends the connection, so that the
// peer cannot take what it has got for all.
func TestShortFile(t *testing.T) {
	for name, prepare := range map[string]func(*testing.T){"in memory": func(*testing.T) {}, "cold": cold} {
		t.Run(name, func(t *testing.T) {
			prepare(t)
			freed := 0
			p := &peer{onData: func(p *peer, _ []byte) {
				p.c.Send(reactor.FileRange(onDisk(t, noise(1000)), 0, 2000).OnFree(func(bool) { freed++ }))
				p.c.LoseConnection()
			}}
			g := start(t, serverConfig(), HandshakeOptions{}, p)
			c := g.dial(clientConfig())
			_, _ = c.Write([]byte("x"))
			if _, err := io.ReadAll(c); err == nil {
				t.Error("the peer has read an orderly end")
			}
			g.until("the end", func() bool { return p.losses == 1 && freed == 1 })
			if !errors.Is(p.lost, reactor.ErrConnectionLost) || !errors.Is(p.lost, io.ErrUnexpectedEOF) {
				t.Errorf("lost with %v", p.lost)
			}
		})
	}
}

// slowFile is a file whose reads wait.
type slowFile struct {
	*os.File
	begun, goOn chan struct{}
}

func (f slowFile) ReadAt(p []byte, at int64) (int, error) {
	f.begun <- struct{}{}
	<-f.goOn
	return f.File.ReadAt(p, at)
}

// TestLostWhileReading holds that a file is freed once, after the read that is under way, when the
// connection is lost.
func TestLostWhileReading(t *testing.T) {
	cold(t)
	freed := 0
	f := slowFile{onDisk(t, noise(1<<20)), make(chan struct{}), make(chan struct{})}
	p := &peer{onData: func(p *peer, _ []byte) {
		p.c.Send(reactor.FileRange(f, 0, 1<<20).OnFree(func(bool) { freed++ }), reactor.FileRange(f, 0, 10).OnFree(func(bool) { freed += 10 }))
	}}
	g := start(t, serverConfig(), HandshakeOptions{}, p)
	c := g.dial(clientConfig())
	_, _ = c.Write([]byte("x"))
	<-f.begun
	g.do(func() { p.c.AbortConnection() })
	g.until("the loss", func() bool { return p.losses == 1 })
	g.do(func() {
		if freed != 10 {
			t.Errorf("freed: %d", freed)
		}
	})
	f.goOn <- struct{}{}
	g.until("the file to be freed", func() bool { return freed == 11 })
}

// TestSlowReader holds what a peer costs that does not read a large answer.
func TestSlowReader(t *testing.T) {
	const size, most = 10 << 20, 600 << 10
	content := noise(size)
	for name, send := range map[string]func(c *Conn){
		"given": func(c *Conn) { c.Send(reactor.Given(content)) },
		"file":  func(c *Conn) { c.Send(reactor.FileRange(onDisk(t, content), 0, size)) },
	} {
		p := &peer{onData: func(p *peer, _ []byte) { send(p.c); p.c.LoseConnection() }}
		g := start(t, serverConfig(), HandshakeOptions{}, p)
		c := g.dial(clientConfig())
		_, _ = c.Write([]byte("x"))
		last, same := 0, 0
		g.until("a standstill", func() bool {
			if p.c == nil {
				return false
			}
			n := p.c.Buffered()
			if same++; n != last || n == 0 {
				last, same = n, 0
			}
			return same > 20
		})
		g.do(func() {
			if last < size/4 {
				t.Errorf("%s: only %d bytes wait", name, last)
			}
			held := p.c.Held()
			if name == "given" {
				held -= p.c.out.bytes // the page is the caller's
			}
			if held > most {
				t.Errorf("%s: %d bytes are held", name, held)
			}
		})
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		g.until("the end", func() bool { return p.losses == 1 })
		g.do(func() {
			if n := g.r.Held(); n != 0 || p.lost != reactor.ErrConnectionDone {
				t.Errorf("%s: %d bytes are held at the end, lost with %v", name, n, p.lost)
			}
		})
	}
}

// TestPoolFull holds that a file goes on when the pool of the loop has room again.
func TestPoolFull(t *testing.T) {
	coldOnce(t, 1)
	content := noise(100_000)
	g := &rig{t: t, hs: NewHandshakes(HandshakeOptions{})}
	g.config.ThreadPoolSize, g.config.ThreadQueue = 1, 1
	p := &peer{}
	release := make(chan struct{})
	p.onData = func(p *peer, _ []byte) {
		for p.c.Reactor().CallInThread(func() { <-release }) == nil {
			continue
		}
		p.c.Send(reactor.FileRange(onDisk(t, content), 0, int64(len(content))))
		p.c.LoseConnection()
		p.c.Reactor().CallLater(20*time.Millisecond, func() { close(release) })
	}
	g.serve(func() reactor.Protocol { return Server(serverConfig(), g.hs, p) })
	c := g.dial(clientConfig())
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = c.Write([]byte("x"))
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
