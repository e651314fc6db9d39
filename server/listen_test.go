package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// over speaks HTTP over a connection of any network.
func over(t *testing.T, network, addr string) (body string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		all.Write(buf[:n])
		if err != nil {
			break
		}
	}
	_, body, _ = strings.Cut(all.String(), "\r\n\r\n")
	return body
}

// A Unix socket by Addr: all loops serve it, its peers have no address, it says where it is.
func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	s, addr := start(t, func(w *Response, r *Request) {
		fmt.Fprintf(w, "%v %v", r.RemoteAddr().IsValid(), r.LocalAddr().IsValid())
	}, func(s *Server) { s.Addr, s.Loops, s.SocketMode, s.MaxConnsPerAddr = "unix:"+path, 2, 0o660, 1 })
	if addr.IsValid() {
		t.Errorf("Listen: %v, want no address", addr)
	}
	want(t, "Addrs", fmt.Sprint(s.Addrs()), "["+path+"]")
	info, err := os.Stat(path)
	if err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	kept, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	for range 5 { // whatever MaxConnsPerAddr says: they are not of one address
		want(t, "answer", over(t, "unix", path), "false false")
	}
}

// Where a log names a peer, that of a Unix socket is named too.
func TestUnixSocketInTheLog(t *testing.T) {
	var log syncBuffer
	logger := Zerolog(zerolog.New(&log))
	path := filepath.Join(t.TempDir(), "x.sock")
	start(t, hello, func(s *Server) { s.Addr, s.Log, s.MaxConns = "unix:"+path, logger, 1 })
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(c, "nonsense\r\n\r\n")
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	wantContains(t, "log", log.String(), `"status":400`, `"remote":"unix"`)
}

// The file is there for as long as the server is, however it ends; one that a dead server has left
// is replaced, and nothing else is.
func TestUnixSocketFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	nop := Zerolog(zerolog.Nop())
	for name, end := range map[string]func(*Server){
		"Shutdown": func(s *Server) { s.Shutdown(context.Background()) },
		"Close":    func(s *Server) { s.Close() },
	} {
		s := &Server{Addr: "unix:" + path, Loops: 2, Log: nop}
		if _, err := s.Listen(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ended := make(chan error)
		go func() { ended <- s.Run() }()
		over(t, "unix", path)
		second := &Server{Addr: "unix:" + path, Log: nop}
		if err := second.ListenAndServe(); !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), path) {
			t.Errorf("a second server: %v, want address in use", err)
		}
		end(s)
		<-ended
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after %s the file is there: %v", name, err)
		}
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: "unix:" + path, Log: nop}
	if _, err := s.Listen(); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("on a file: %v, want address in use", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Errorf("the file holds %q", b)
	}
}

// An address that cannot be used is told apart from one that is not there.
func TestAddrErrors(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct {
		addr string
		want error
		says string
	}{
		{"localhost", ErrAddr, "want host:port, unix:/path or systemd"},
		{"8080", ErrAddr, "missing port"},
		{"/run/x.sock", ErrAddr, "want host:port, unix:/path or systemd"},
		{"http://127.0.0.1:80", ErrAddr, "too many colons"},
		{"127.0.0.1:65536", ErrAddr, "invalid port"},
		{"127.0.0.1:no-such-service", ErrAddr, "unknown port"},
		{"unix:", ErrAddr, "has no path"},
		{"systemd", ErrAddr, "LISTEN_FDS"},
		{"192.0.2.1:0", syscall.EADDRNOTAVAIL, "192.0.2.1:0"}, // RFC 5737: nobody's
		{"unix:" + dir + "/none/x.sock", syscall.ENOENT, "none/x.sock"},
		{"unix:" + dir + "/" + strings.Repeat("x", 200), syscall.EINVAL, "xxx"},
	} {
		files := openFiles()
		_, err := (&Server{Addr: test.addr}).Listen()
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q: %v, want %v that says %q", test.addr, err, test.want, test.says)
		}
		if errors.Is(err, ErrAddr) != (test.want == ErrAddr) {
			t.Errorf("%q: %v is an ErrAddr, or should be", test.addr, err)
		}
		if n := openFiles(); n > files {
			t.Errorf("%q: %d descriptors are left open", test.addr, n-files)
		}
	}
}

// Serve takes what others have bound, several at once, and ends it with the server.
func TestServe(t *testing.T) {
	for _, loops := range []int{1, 2} {
		files := openFiles()
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "x.sock")
		local, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		nop := Zerolog(zerolog.Nop())
		s := &Server{Loops: loops, Log: nop, Handler: HandlerFunc(func(w *Response, r *Request) {
			fmt.Fprint(w, r.RemoteAddr().IsValid())
		})}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(tcp, local) }()
		for range 3 {
			want(t, "over TCP", over(t, "tcp", tcp.Addr().String()), "true")
			want(t, "over a Unix socket", over(t, "unix", path), "false")
		}
		want(t, "Addrs", fmt.Sprint(s.Addrs()), fmt.Sprint([]net.Addr{tcp.Addr(), local.Addr()}))
		if err := s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, ErrServerClosed) {
			t.Errorf("Serve: %v, want ErrServerClosed", err)
		}
		if _, err := net.Dial("tcp", tcp.Addr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after the end: %v, want ECONNREFUSED", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after the end the socket's file is there: %v", err)
		}
		await(t, "descriptors to be closed", func() bool { return openFiles() <= files })
	}
}

// What Serve cannot use it refuses, and closes all the same.
func TestServeErrors(t *testing.T) {
	listener := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	files := openFiles()
	closed := listener()
	closed.Close()
	over := &Server{}
	over.Close()
	for _, test := range []struct {
		what string
		s    *Server
		ls   []net.Listener
		want error
	}{
		{"none", &Server{}, nil, ErrAddr},
		{"nil", &Server{}, []net.Listener{nil}, ErrAddr},
		{"TLS", &Server{}, []net.Listener{listener(), tls.NewListener(listener(), &tls.Config{})}, ErrAddr},
		{"one that is closed", &Server{}, []net.Listener{closed}, net.ErrClosed},
		{"a server that is over", over, []net.Listener{listener()}, ErrServerClosed},
	} {
		if err := test.s.Serve(test.ls...); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.what, err, test.want)
		}
		if len(test.s.Addrs()) > 0 {
			t.Errorf("%s: it listens on %v", test.what, test.s.Addrs())
		}
	}
	await(t, "descriptors to be closed", func() bool { return openFiles() <= files })
}

// A process that systemd has started serves on all that it was passed: here, by its parent.
func TestSystemdSockets(t *testing.T) {
	if os.Getenv("MICROHTTP_TEST_SYSTEMD") != "" {
		t.Setenv("LISTEN_PID", fmt.Sprint(os.Getpid())) // the parent cannot know it
		s := &Server{Addr: "systemd", Loops: 2}
		s.Handler = HandlerFunc(func(w *Response, r *Request) {
			w.WriteString("activated")
			if !r.RemoteAddr().IsValid() { // the last one asked
				w.OnDone(func(*Response, *Request) { go s.Shutdown(context.Background()) })
			}
		})
		if err := s.ListenAndServe(); !errors.Is(err, ErrServerClosed) {
			t.Fatal(err)
		}
		if err := (&Server{Addr: "systemd"}).ListenAndServe(); !errors.Is(err, ErrAddr) {
			t.Fatalf("a second server: %v, want ErrAddr", err)
		}
		return
	}
	path := filepath.Join(t.TempDir(), "x.sock")
	child := exec.Command(os.Args[0], "-test.run=^TestSystemdSockets$")
	child.Env = append(os.Environ(), "MICROHTTP_TEST_SYSTEMD=1", "LISTEN_FDS=2")
	var out strings.Builder
	child.Stdout, child.Stderr = &out, &out
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	local, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	local.SetUnlinkOnClose(false)
	for _, l := range []interface{ File() (*os.File, error) }{tcp, local} {
		f, err := l.File()
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		child.ExtraFiles = append(child.ExtraFiles, f)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	want(t, "over TCP", over(t, "tcp", tcp.Addr().String()), "activated")
	want(t, "over a Unix socket", over(t, "unix", path), "activated")
	if err := child.Wait(); err != nil {
		t.Errorf("%v: %s", err, out.String())
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file, which is systemd's, is gone: %v", err)
	}
	tcp.Close()
	local.Close()
}
