package reactor

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func namedFunction() {}

type namedMethod struct{}

func (namedMethod) call() {}

// What is printed of things that live on a loop says what they are and how they stand.
func TestNames(t *testing.T) {
	l := start(t, Config{})
	conn, rec := l.connect(nil, nil)
	path := filepath.Join(t.TempDir(), "s")
	l.do(func() {
		check := func(what interface{ String() string }, want string) {
			t.Helper()
			if got := what.String(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		tcp, err := l.ListenTCP("127.0.0.1:0", FactoryFunc(newRecorder().factory), nil)
		if err != nil {
			t.Fatal(err)
		}
		at := tcp.Addr().String()
		check(tcp, "tcp "+at)
		tcp.StopListening()
		check(tcp, "tcp "+at+", closed")
		local, err := l.ListenUnix(path, FactoryFunc(newRecorder().factory), nil)
		if err != nil {
			t.Fatal(err)
		}
		check(local, "unix "+path)

		c, err := l.ConnectTCP(at, newClientFactory(), nil)
		if err != nil {
			t.Fatal(err)
		}
		check(c, "tcp "+at+", connecting")
		c.Cancel()

		call := l.CallLater(time.Hour, namedFunction)
		if got := call.String(); !strings.HasPrefix(got, "call of microhttp/reactor.namedFunction in 59m59.") {
			t.Errorf("got %q", got)
		}
		if err := call.Cancel(); err != nil {
			t.Error(err)
		}
		check(call, "call, cancelled")
		call = l.CallLater(0, namedMethod{}.call)
		if got := call.String(); !strings.HasPrefix(got, "call of microhttp/reactor.namedMethod.call in -") {
			t.Errorf("got %q", got)
		}
		l.CallLater(0, func() { check(call, "call, made") })

		peer := conn.LocalAddr().String()
		check(rec, "tcp "+peer)
		rec.AbortConnection()
		check(rec, "tcp "+peer+", ending")
	})
	rec.reason(l)
	l.do(func() {
		if got := rec.String(); got != "tcp "+conn.LocalAddr().String()+", lost" {
			t.Errorf("got %q", got)
		}
	})
}

// Whoever connects through a Unix socket is known by the path of its own socket, if that is bound to one, and by its process.
func TestUnixPeer(t *testing.T) {
	dir := t.TempDir()
	bind := filepath.Join(dir, "peer")
	self := UnixPeer{PID: os.Getpid(), UID: os.Geteuid(), GID: os.Getegid()}
	l := start(t, Config{})
	rec := newRecorder()
	var port *Port
	l.do(func() {
		var err error
		if port, err = l.ListenUnix(filepath.Join(dir, "s"), FactoryFunc(rec.factory), nil); err != nil {
			t.Error(err)
		}
	})
	for _, path := range []string{bind, ""} {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		if path != "" {
			err = unix.Bind(fd, &unix.SockaddrUnix{Name: path})
		}
		if err = errors.Join(err, unix.Connect(fd, &unix.SockaddrUnix{Name: port.Path()})); err != nil {
			t.Fatal(err)
		}
		receive(t, rec.made, "ConnectionMade")
		l.do(func() {
			peer, err := rec.Info().Socket().UnixPeer()
			if want := (UnixPeer{path, self.PID, self.UID, self.GID}); peer != want || err != nil {
				t.Errorf("%+v, %v; want %+v", peer, err, want)
			}
			if got := rec.String(); got != "unix "+peer.String() || path != "" && got != "unix "+path {
				t.Errorf("named %q", got)
			}
			rec.AbortConnection()
		})
		unix.Close(fd)
		rec.reason(l)
		l.do(func() {
			if _, err := rec.Info().Socket().UnixPeer(); err != net.ErrClosed {
				t.Errorf("when lost: %v", err)
			}
			if got := rec.String(); got != "unix, lost" {
				t.Errorf("named %q", got)
			}
		})
	}
}

// The other end of a client's connection is where it has connected to; and a TCP connection is told apart.
func TestUnixPeerOfAClient(t *testing.T) {
	l := start(t, Config{})
	server := newRecorder()
	f := newClientFactory()
	var port *Port
	l.do(func() {
		var err error
		if port, err = l.ListenUnix(filepath.Join(t.TempDir(), "s"), FactoryFunc(server.factory), nil); err != nil {
			t.Error(err)
		}
		if _, err := l.ConnectUnix(port.Path(), f, nil); err != nil {
			t.Error(err)
		}
	})
	p := f.connection(t, 0)
	_, tcp := l.connect(nil, nil)
	l.do(func() {
		peer, err := p.Info().Socket().UnixPeer()
		if peer.Path != port.Path() || peer.PID != os.Getpid() || err != nil {
			t.Errorf("%+v, %v", peer, err)
		}
		if _, err := tcp.Info().Socket().UnixPeer(); !errors.Is(err, syscall.EPROTOTYPE) {
			t.Errorf("the peer of a TCP connection: %v", err)
		}
	})
}
