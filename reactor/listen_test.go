package reactor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// echoFactory makes protocols that echo.
func echoFactory(netip.AddrPort) Protocol {
	p := newRecorder()
	p.onData = func(b []byte) { p.Write(b) }
	return p
}

// listenUnix listens on the loop.
func (l *loop) listenUnix(path string, f FactoryFunc, o *UnixOptions) (p *Port, err error) {
	l.t.Helper()
	l.do(func() { p, err = l.ListenUnix(path, f, o) })
	return p, err
}

// echoes checks that whoever dials is echoed to.
func echoes(t testing.TB, network, address string) {
	t.Helper()
	conn, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	send(t, conn, "hello")
	if got := readN(t, conn, 5); got != "hello" {
		t.Errorf("got %q", got)
	}
}

func TestListenUnix(t *testing.T) {
	names := []string{filepath.Join(t.TempDir(), "s")}
	if runtime.GOOS == "linux" {
		names = append(names, fmt.Sprintf("@microhttp-test-%d", os.Getpid()))
	}
	for _, path := range names {
		eachPoller(t, func(t *testing.T, c Config) {
			l := start(t, c)
			p, err := l.listenUnix(path, echoFactory, nil)
			if err != nil {
				t.Fatal(err)
			}
			if p.Path() != path || p.Addr().IsValid() {
				t.Errorf("at %q, %v", p.Path(), p.Addr())
			}
			echoes(t, "unix", path)
			f := newClientFactory()
			l.do(func() {
				if _, err := l.ConnectUnix(path, f, nil); err != nil {
					t.Error(err)
				}
			})
			client := f.connection(t, 0)
			l.do(func() { client.Write([]byte("hello")) })
			eventually(t, "the echo", func() bool { return client.received() == "hello" })

			if _, err := l.listenUnix(path, echoFactory, nil); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path) {
				t.Errorf("a second listener: %v", err)
			}
			l.do(p.StopListening)
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
			if _, err := net.Dial("unix", path); err == nil {
				t.Error("a closed port accepts")
			}
			if _, err = l.listenUnix(path, echoFactory, nil); err != nil { // the reactor's end closes it
				t.Fatal(err)
			}
			l.stop()
			if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
		})
	}
}

func TestUnixMode(t *testing.T) {
	l := start(t, Config{})
	path := filepath.Join(t.TempDir(), "s")
	if _, err := l.listenUnix(path, echoFactory, &UnixOptions{Mode: 0o620}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Perm() != 0o620 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// A socket file without a listener is replaced, and nothing else is.
func TestStaleSocket(t *testing.T) {
	stale := func(t *testing.T, path string) {
		listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		listener.SetUnlinkOnClose(false)
		listener.Close()
	}
	for _, tc := range []struct {
		name string
		make func(t *testing.T, path string)
		want error
	}{
		{"stale", stale, nil},
		{"live", func(t *testing.T, path string) {
			listener, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
		}, syscall.EADDRINUSE},
		{"live, of another kind", func(t *testing.T, path string) {
			conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
		}, syscall.EADDRINUSE},
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, syscall.EADDRINUSE},
		{"a link to a stale one", func(t *testing.T, path string) {
			stale(t, path+"2")
			if err := os.Symlink(path+"2", path); err != nil {
				t.Fatal(err)
			}
		}, syscall.EADDRINUSE},
		{"no directory", func(t *testing.T, path string) { os.Remove(filepath.Dir(path)) }, syscall.ENOENT},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			tc.make(t, path)
			l := start(t, Config{})
			before, _ := os.Lstat(path)
			_, err := l.listenUnix(path, echoFactory, nil)
			if !errors.Is(err, tc.want) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if tc.want == nil {
				echoes(t, "unix", path)
				return
			}
			if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
				t.Error("what was there has gone")
			}
		})
	}
}

// Who has taken our path over keeps it.
func TestUnixFileOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := start(t, Config{})
	p, err := l.listenUnix(path, echoFactory, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := l.listenUnix(path, echoFactory, nil); err != nil {
		t.Fatal(err)
	}
	l.do(p.StopListening)
	echoes(t, "unix", path)
}

// Sockets that cannot be bound again are shared all the same; the file goes with the last port.
func TestShareOneSocket(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		eachPoller(t, func(t *testing.T, c Config) {
			var served [2]atomic.Int64
			factory := func(i int) FactoryFunc {
				return func(netip.AddrPort) Protocol {
					p := newRecorder()
					p.onMade = func() { served[i].Add(1) }
					p.onData = func(b []byte) { p.Write(b) }
					return p
				}
			}
			loops := [2]*loop{prepare(t, c), prepare(t, c)}
			address := filepath.Join(t.TempDir(), "s")
			var p *Port
			var err error
			if network == "unix" {
				p, err = loops[0].ListenUnix(address, factory(0), &UnixOptions{Shared: true})
			} else {
				var fd int
				fd, address = listeningFD(t)
				p, err = loops[0].ListenFD(fd, factory(0), &TCPOptions{Shared: true})
			}
			if err != nil {
				t.Fatal(err)
			}
			p2, err := p.Share(loops[1].Reactor, factory(1))
			if err != nil {
				t.Fatal(err)
			}
			if p2.Addr() != p.Addr() || p2.Path() != p.Path() || p2.FD() == p.FD() {
				t.Errorf("ports at %v %q and %v %q", p.Addr(), p.Path(), p2.Addr(), p2.Path())
			}
			loops[0].start()
			loops[1].start()
			for i := range loops { // one is busy: the other accepts
				loops[i].do(func() { echoes(t, network, address) })
				if served[1-i].Load() == 0 {
					t.Errorf("loop %d serves nobody", 1-i)
				}
			}
			loops[0].do(p.StopListening)
			echoes(t, network, address)
			loops[1].do(p2.StopListening)
			if _, err := net.Dial(network, address); err == nil {
				t.Error("somebody still listens")
			}
			if _, err := os.Lstat(address); network == "unix" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the file is still there: %v", err)
			}
		})
	}
}

// listeningFD is a blocking descriptor that listens, as a parent process hands it over.
func listeningFD(t testing.TB) (fd int, address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD, 0); err != nil {
		t.Fatal(err)
	}
	return fd, listener.Addr().String()
}

func TestListenFD(t *testing.T) {
	eachPoller(t, func(t *testing.T, c Config) {
		l := start(t, c)
		fd, address := listeningFD(t)
		if err := unix.SetNonblock(fd, false); err != nil {
			t.Fatal(err)
		}
		rec := newRecorder()
		rec.onData = func(b []byte) { rec.Write(b) }
		l.do(func() {
			p, err := l.ListenFD(fd, FactoryFunc(rec.factory), &TCPOptions{TransportOptions: TransportOptions{KeepAlive: -1}})
			if err != nil {
				t.Error(err)
				return
			}
			if p.Addr().String() != address || p.FD() != fd {
				t.Errorf("at %v with descriptor %d, want %v with %d", p.Addr(), p.FD(), address, fd)
			}
		})
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("closed on exec: %v, %v", flags, err)
		}
		echoes(t, "tcp", address)
	})
}

// What was handed in and is not fit stays the caller's.
func TestListenFDErrors(t *testing.T) {
	l := start(t, Config{})
	socket := func(family, kind int) int {
		fd, err := unix.Socket(family, kind, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	file, err := unix.Open(os.DevNull, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		fd   int
		want error
	}{
		{"does not listen", socket(unix.AF_INET, unix.SOCK_STREAM), syscall.EINVAL},
		{"datagrams", socket(unix.AF_INET, unix.SOCK_DGRAM), syscall.EPROTOTYPE},
		{"a file", file, syscall.ENOTSOCK},
		{"none", -1, syscall.EBADF},
	} {
		l.do(func() {
			if _, err := l.ListenFD(tc.fd, FactoryFunc(echoFactory), nil); !errors.Is(err, tc.want) {
				t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
			}
		})
		if err := unix.Close(tc.fd); err != nil && tc.fd >= 0 {
			t.Errorf("%s: the descriptor was closed", tc.name)
		}
	}
	fd, _ := listeningFD(t)
	defer unix.Close(fd)
	l.stop()
	if _, err := l.ListenFD(fd, FactoryFunc(echoFactory), nil); err != ErrStopped {
		t.Errorf("after the end: %v", err)
	}
	if _, err := l.ListenUnix(filepath.Join(t.TempDir(), "s"), FactoryFunc(echoFactory), nil); err != ErrStopped {
		t.Errorf("after the end: %v", err)
	}
}

// The environment of a service manager is believed once, and only if it is meant for this process.
func TestListenFDs(t *testing.T) {
	for _, tc := range []struct {
		pid, fds, names string
		want            []ListenedFD
		fails           bool
	}{
		{"", "", "", nil, false},
		{"1", "2", "a:b", nil, false}, // somebody else's
		{"self", "", "", nil, false},
		{"self", "many", "", nil, true},
		{"self", "-1", "", nil, true},
		{"self", "1000000000", "", nil, true},
		{"self", "0", "", []ListenedFD{}, false},
	} {
		pid := tc.pid
		if pid == "self" {
			pid = fmt.Sprint(os.Getpid())
		}
		t.Setenv("LISTEN_PID", pid)
		t.Setenv("LISTEN_FDS", tc.fds)
		t.Setenv("LISTEN_FDNAMES", tc.names)
		got, err := ListenFDs()
		if fmt.Sprint(got) != fmt.Sprint(tc.want) || (err != nil) != tc.fails {
			t.Errorf("%+v: %v, %v", tc, got, err)
		}
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			if value, there := os.LookupEnv(name); there {
				t.Errorf("%s is still %q", name, value)
			}
		}
	}
	for _, tc := range []struct {
		names string
		want  string
	}{
		{"", "[{900 unknown} {901 unknown}]"},
		{"web:admin", "[{900 web} {901 admin}]"},
		{"web:", "[{900 web} {901 unknown}]"},
		{"web", "[{900 unknown} {901 unknown}]"}, // too few to say which
	} {
		if got := fmt.Sprint(listenedFDs(900, 2, tc.names)); got != tc.want {
			t.Errorf("%q: %s, want %s", tc.names, got, tc.want)
		}
	}
}

// A process that is started as systemd starts one serves on what it was handed.
func TestListenFDsOfAProcess(t *testing.T) {
	if os.Getenv("MICROHTTP_TEST_LISTEN") != "" {
		t.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid())) // the parent does not know it before
		fds, err := ListenFDs()
		if err != nil || len(fds) != 1 || fds[0] != (ListenedFD{3, "web"}) {
			t.Fatalf("%v, %v", fds, err)
		}
		r, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.ListenFD(fds[0].FD, FactoryFunc(func(netip.AddrPort) Protocol {
			p := newRecorder()
			p.onData = func(b []byte) { p.Write(b); p.LoseConnection() }
			p.onLost = func(error) { r.Stop() }
			return p
		}), nil); err != nil {
			t.Fatal(err)
		}
		if err := r.Run(); err != nil {
			t.Fatal(err)
		}
		return
	}
	checkLeaks(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := listener.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestListenFDsOfAProcess$")
	child.Env = append(os.Environ(), "MICROHTTP_TEST_LISTEN=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=web")
	child.ExtraFiles = []*os.File{f}
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	listener.Close() // only the child listens now
	echoes(t, "tcp", listener.Addr().String())
	if err := child.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
}

// ReusePort lets in who asks for it too, and nobody else.
func TestReusePort(t *testing.T) {
	l := start(t, Config{})
	p := l.listen(echoFactory, &TCPOptions{ReusePort: true, Shared: true})
	l.do(func() {
		addr := p.Addr().String()
		if _, err := l.ListenTCP(addr, FactoryFunc(echoFactory), &TCPOptions{ReusePort: true}); err != nil {
			t.Error(err)
		}
		if _, err := l.ListenTCP(addr, FactoryFunc(echoFactory), nil); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("who does not ask: %v", err)
		}
		if _, err := p.Share(l.Reactor, FactoryFunc(echoFactory)); err != nil {
			t.Error(err)
		}
	})
	echoes(t, "tcp", p.Addr().String())
}

// A port that is IPv6's alone leaves the same number of IPv4 to others. Somebody else on this machine may have it already,
// so more than one port is tried.
func TestV6Only(t *testing.T) {
	l := start(t, Config{})
	listen := func(only bool) *Port {
		var p *Port
		var err error
		l.do(func() { p, err = l.ListenTCP(":0", FactoryFunc(echoFactory), &TCPOptions{V6Only: only}) })
		if errors.Is(err, syscall.EAFNOSUPPORT) || err == nil && p.Addr().Addr().Is4() {
			t.Skip("no IPv6 here")
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	both := listen(false)
	echoes(t, "tcp4", net.JoinHostPort("127.0.0.1", netPort(both)))
	echoes(t, "tcp6", net.JoinHostPort("::1", netPort(both)))
	eventually(t, "an IPv4 port beside that of IPv6", func() bool {
		p := listen(true)
		echoes(t, "tcp6", net.JoinHostPort("::1", netPort(p)))
		four, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", netPort(p)))
		if err == nil {
			four.Close()
		}
		return err == nil
	})
	if four, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", netPort(both))); err == nil {
		four.Close()
		t.Error("the port of both families left IPv4 to others")
	}
}
