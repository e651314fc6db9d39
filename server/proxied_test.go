package server

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"

	"github.com/rs/zerolog"
)

// proxied has connections begin with a header of the PROXY protocol from this machine.
func proxied() []ListenOption {
	return []ListenOption{WithProxyProtocol(netip.MustParsePrefix("127.0.0.0/8"))}
}

const (
	header1 = "PROXY TCP4 192.0.2.7 198.51.100.1 51000 80\r\n"
	header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x01\xc7\x38\x00\x50"
	unknown = "PROXY UNKNOWN\r\n"
	local   = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
	getOnce = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
)

func showPeer(w *Response, r *Request) { fmt.Fprint(w, r.RemoteAddr(), " ", r.ClientAddr()) }

// The client is the one that the header names, however the bytes are cut.
func TestProxyProtocol(t *testing.T) {
	_, addr := startOn(t, showPeer, proxied())
	for _, c := range []struct{ header, client string }{
		{header1, "192.0.2.7:51000 192.0.2.7"},
		{header2, "192.0.2.7:51000 192.0.2.7"},
		{unknown, ""},
		{local, ""},
	} {
		for _, cut := range []int{0, 1, len(c.header) - 1, len(c.header), len(c.header) + 5} {
			p := dial(t, addr)
			self := p.LocalAddr().(*net.TCPAddr).AddrPort()
			want := c.client
			if want == "" {
				want = fmt.Sprint(self, " ", self.Addr())
			}
			whole := c.header + getOnce
			p.send("%s", whole[:cut])
			p.send("%s", whole[cut:])
			if _, body := p.answer("GET"); body != want {
				t.Errorf("%q, cut at %d: %q, want %q", c.header, cut, body, want)
			}
		}
	}
}

// A connection that begins otherwise is closed without an answer, with one line in the log.
func TestProxyProtocolRefused(t *testing.T) {
	for name, c := range map[string]struct {
		send  string
		close bool
		from  string
		cause string
	}{
		"missing":   {send: getOnce, cause: "does not begin with one"},
		"malformed": {send: "PROXY TCP4 1.2.3.4 1.2.3.4 1 x\r\n", cause: "a port is no number"},
		"long":      {send: "PROXY UNKNOWN " + strings.Repeat("x", 200), cause: "longer than 107"},
		"cut short": {send: "PROXY TCP4 1", close: true, cause: "ended before"},
		"nothing":   {close: true, cause: "ended before"},
		"stranger":  {send: header1, from: "10.0.0.0/8", cause: "may send a header"},
	} {
		t.Run(name, func(t *testing.T) {
			var log syncBuffer
			logger := zerolog.New(&log)
			from := netip.MustParsePrefix("127.0.0.1/32")
			if c.from != "" {
				from = netip.MustParsePrefix(c.from)
			}
			s, addr := startOn(t, showPeer, []ListenOption{WithProxyProtocol(from)}, func(s *Server) { s.Log, s.StallLimit = Zerolog(logger), -1 })
			p := dial(t, addr)
			_, _ = io.WriteString(p, c.send) // a stranger may be gone by then
			if c.close {
				_ = p.CloseWrite()
			}
			if b, err := io.ReadAll(p.r); len(b) > 0 || err == errDeadline {
				t.Errorf("got %q, %v", b, err)
			}
			await(t, "the count", func() bool { return s.ended[ErrProxyHeader].Load() == 1 })
			line := log.String()
			if strings.Count(line, "\n") != 1 || !strings.Contains(line, c.cause) || !strings.Contains(line, `"reason":"proxy-header"`) {
				t.Errorf("the log says %q", line)
			}
			await(t, "the place", func() bool { return s.doors.open.Load() == 0 })
		})
	}
}

// A header that is not whole within 5 s ends the connection.
func TestProxyProtocolLate(t *testing.T) {
	c, m := inMemory(t, showPeer)
	w := c.(*conn).w
	n := entrance{w, &listener{proxied: true}}.BuildProtocol(netip.AddrPort{}).(*newcomer)
	n.ConnectionMade(m)
	if m.timeout != 5*time.Second {
		t.Errorf("the time for the header is %v", m.timeout)
	}
	n.DataReceived([]byte("PROXY "))
	n.TimeoutConnection()
	if m.ended != "lose" || w.srv.ended[ErrProxyHeader].Load() != 1 {
		t.Errorf("ended: %q, counted %d times", m.ended, w.srv.ended[ErrProxyHeader].Load())
	}
	n.ConnectionLost(reactor.ErrConnectionDone)
	if open := w.srv.doors.open.Load(); open != 1 { // that of inMemory
		t.Errorf("%d connections are counted", open)
	}
}

// MaxConnsPerAddr counts the client, and MaxConns the connection from its beginning.
func TestProxyProtocolIsCounted(t *testing.T) {
	s, addr := startOn(t, showPeer, proxied(), func(s *Server) { s.MaxConnsPerAddr, s.MaxConns = 1, 3 })
	first := dial(t, addr)
	first.send("%s", header1+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	first.answer("GET")
	second := dial(t, addr) // of the same client
	second.send("%s", header2+getOnce)
	if res, _ := second.answer("HEAD"); res.StatusCode != 503 {
		t.Errorf("the second connection of a client: %d", res.StatusCode)
	}
	second.rest()
	other := dial(t, addr)
	other.send("%s", strings.Replace(header1, "192.0.2.7", "192.0.2.8", 1)+"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, _ := other.answer("GET"); res.StatusCode != 200 {
		t.Errorf("another client: %d", res.StatusCode)
	}
	waiting := dial(t, addr)
	waiting.send("PROXY")
	await(t, "three connections", func() bool { return s.doors.open.Load() == 3 })
	if b, err := io.ReadAll(dial(t, addr)); len(b) > 0 || err == errDeadline {
		t.Errorf("the fourth connection got %q, %v", b, err)
	}
	for _, p := range []*peer{first, other, waiting} {
		p.Close()
	}
	await(t, "all to be counted out", func() bool {
		s.doors.mu.Lock()
		defer s.doors.mu.Unlock()
		return s.doors.open.Load() == 0 && s.doors.from == nil
	})
}

// Over a Unix socket the header counts from any peer.
func TestProxyProtocolOverUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	startOn(t, showPeer, proxied(), func(s *Server) { s.Addr = "unix:" + path })
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, header1+getOnce); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(c); !bytes.HasSuffix(b, []byte("192.0.2.7:51000 192.0.2.7")) {
		t.Errorf("got %q", b)
	}
}

// A connection that still waits for its header is ended when the server shuts down, after the grace of idle ones.
func TestProxyProtocolAtShutdown(t *testing.T) {
	s, addr := startOn(t, showPeer, proxied(), func(s *Server) { s.ShutdownIdleGrace = 20 * time.Millisecond })
	p := dial(t, addr)
	p.send("PROXY")
	await(t, "the connection", func() bool { return s.doors.open.Load() == 1 })
	begun := make(chan error, 1)
	go func() { begun <- s.Shutdown(t.Context()) }()
	if b, err := io.ReadAll(p.r); len(b) > 0 || err == errDeadline {
		t.Errorf("got %q, %v", b, err)
	}
	if err := <-begun; err != nil {
		t.Error(err)
	}
}

// A server may listen on several addresses, and an address that cannot be bound closes the others.
func TestSeveralAddresses(t *testing.T) {
	logger := zerolog.Nop()
	s := &Server{Addr: "127.0.0.1:0", Loops: 1, Log: Zerolog(logger), Handler: HandlerFunc(showPeer)}
	plain, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	behind, err := s.ListenOn("127.0.0.1:0", proxied()...)
	if err != nil || behind == plain || len(s.Addrs()) != 2 {
		t.Fatal(plain, behind, s.Addrs(), err)
	}
	if _, err := s.Listen(); err == nil {
		t.Error("Listen twice")
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run() }()
	for at, header := range map[netip.AddrPort]string{plain: "", behind: header1} {
		p := dial(t, at)
		p.send("%s", header+getOnce)
		if _, body := p.answer("GET"); strings.HasPrefix(body, "192.0.2.7") != (header != "") {
			t.Errorf("%v: %q", at, body)
		}
	}
	if _, err := s.ListenOn("127.0.0.1:0"); err == nil {
		t.Error("ListenOn while the server runs")
	}
	_ = s.Close()
	<-ended

	s = &Server{Addr: "127.0.0.1:0", Log: Zerolog(logger)}
	first, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ListenOn("127.0.0.1:http-not"); err == nil {
		t.Error("a port that does not exist")
	}
	l, err := net.Listen("tcp", first.String())
	if err != nil {
		t.Fatal("the first address is still bound:", err)
	}
	l.Close()
}
