package reactor_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"microhttp/reactor"
)

// A doorman lets in the processes of its own user.
type doorman struct{}

func (doorman) ConnectionMade(t reactor.Transport) {
	if peer, err := t.Info().Socket().UnixPeer(); err != nil || peer.UID != os.Getuid() {
		t.AbortConnection()
		return
	}
	t.Write([]byte("welcome"))
	t.LoseConnection()
}

func (doorman) DataReceived([]byte)  {}
func (doorman) ConnectionLost(error) {}

// Who is at the other end of a Unix socket: here only processes of the same user are served.
func ExampleUnixPeer() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	path := filepath.Join(dir, "socket")
	if _, err := r.ListenUnix(path, reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return doorman{} }), nil); err != nil {
		panic(err)
	}
	if _, err := r.ConnectUnix(path, &guest{stop: r.Stop}, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// the guest was told "welcome"
}

// A guest prints what it receives, and stops when it is let go.
type guest struct{ stop func() }

func (g *guest) BuildProtocol(netip.AddrPort) reactor.Protocol { return g }

func (g *guest) ConnectionFailed(_ *reactor.Connector, reason error) { panic(reason) }

func (g *guest) ConnectionMade(reactor.Transport) {}

func (g *guest) DataReceived(p []byte) { fmt.Printf("the guest was told %q\n", p) }

func (g *guest) ConnectionLost(error) { g.stop() }
