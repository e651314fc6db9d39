package reactortest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"

	"microhttp/reactor"
)

var unixSockets = []promise{
	scripted("EchoBetweenEndsWithoutAddresses", func(s *script) {
		server, client := s.newEnd("server"), s.newEnd("client")
		server.echo()
		p := s.listenUnix(s.path(), server)
		must(s.r.ConnectUnix(p.Path(), &dialler{end: client}, nil))(s)
		s.until("the connection", func() bool { return server.made && client.made })
		want := pattern(1 << 20)
		client.Write(want)
		client.receives(want)
		for _, e := range []*end{server, client} {
			if e.Info().RemoteAddr().IsValid() || e.Info().LocalAddr().IsValid() {
				s.Errorf("%s: between %v and %v", e.name, e.Info().LocalAddr(), e.Info().RemoteAddr())
			}
		}
		client.LoseConnection()
		wantReason(client, reactor.ErrConnectionDone)
		wantReason(server, reactor.ErrConnectionDone)
	}),
	scripted("EachEndKnowsTheOther", func(s *script) {
		server, client := s.newEnd("server"), s.newEnd("client")
		p := s.listenUnix(s.path(), server)
		must(s.r.ConnectUnix(p.Path(), &dialler{end: client}, nil))(s)
		s.until("the connection", func() bool { return server.made && client.made })
		for _, tc := range []struct {
			of   *end
			path string
		}{{server, ""}, {client, p.Path()}} {
			peer, err := tc.of.Info().Socket().UnixPeer()
			if peer.Path != tc.path || err != nil {
				s.Errorf("the %s's peer is %+v, %v; want the path %q", tc.of.name, peer, err, tc.path)
			}
			if peer.PID != os.Getpid() && peer.PID != -1 || peer.UID != os.Geteuid() && peer.UID != -1 ||
				peer.GID != os.Getegid() && peer.GID != -1 {
				s.Errorf("the %s's peer is %+v, which is another process", tc.of.name, peer)
			}
			if got := tc.of.String(); got != "unix "+peer.String() {
				s.Errorf("the %s's transport is named %q", tc.of.name, got)
			}
		}
		client.AbortConnection()
		server.lost()
		if _, err := server.Info().Socket().UnixPeer(); err != net.ErrClosed {
			s.Errorf("UnixPeer of a lost connection: %v", err)
		}
	}),
	scripted("HalfClosed", func(s *script) {
		server, client := s.newEnd("server"), s.newEnd("client")
		server.onEOF = func() { server.Write([]byte("goodbye")); server.LoseConnection() }
		p := s.listenUnix(s.path(), server)
		client.onMade = func() { client.Write([]byte("hello")); client.CloseWrite() }
		must(s.r.ConnectUnix(p.Path(), &dialler{end: client}, nil))(s)
		wantReason(client, reactor.ErrConnectionDone)
		client.receives([]byte("goodbye"))
		server.receives([]byte("hello"))
	}),
	scripted("APathIsTakenOnce", func(s *script) {
		path := s.path()
		p := s.listenUnix(path, s.newEnd("server"))
		_, err := s.r.ListenUnix(path, reactor.FactoryFunc(nil), nil)
		var op *net.OpError
		if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) {
			s.Errorf("a second port: %v", err)
		}
		p.StopListening()
		s.tick()
		again := s.listenUnix(path, s.newEnd("server"))
		again.StopListening()
		client := s.newEnd("client")
		must(s.r.ConnectUnix(path, &dialler{end: client}, nil))(s)
		wantReason(client, reactor.ErrConnectFailed)
		if !errors.Is(client.reason, syscall.ENOENT) && !errors.Is(client.reason, syscall.ECONNREFUSED) {
			s.Errorf("failed with %v", client.reason)
		}
	}),
}

// path is one for a socket. It is short: the kernel has room for about a hundred bytes.
func (s *script) path() string {
	s.Helper()
	dir := must(os.MkdirTemp("", "reactor"))(s)
	s.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "socket")
}

func (s *script) listenUnix(path string, e *end) *reactor.Port {
	s.Helper()
	return must(s.r.ListenUnix(path, reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return e.protocol()
	}), nil))(s)
}
