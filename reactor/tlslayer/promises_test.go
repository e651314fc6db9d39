package tlslayer

import (
	"crypto/tls"
	"sync/atomic"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/reactortest"
	"microhttp/reactor/sim"
)

// tlsLayer is TLS at both ends, in one version, or in the newest.
func tlsLayer(version uint16) reactortest.Layer {
	h := NewHandshakes(HandshakeOptions{})
	sc, cc := serverConfig(), clientConfig()
	cc.MaxVersion = version
	return reactortest.Layer{
		Server: func(build func() reactor.Protocol) reactor.Protocol {
			return Server(sc, h, AcceptorFunc(func(*Conn) reactor.Protocol { return build() }))
		},
		Client: func(build func() reactor.Protocol, failed func(error)) reactor.Protocol {
			return Client(cc, h, testAcceptor{build, failed})
		},
		Except: map[string]string{},
	}
}

type testAcceptor struct {
	build  func() reactor.Protocol
	failed func(error)
}

func (a testAcceptor) BuildProtocol(*Conn) reactor.Protocol  { return a.build() }
func (a testAcceptor) HandshakeFailed(_ *Conn, reason error) { a.failed(reason) }

// nested is a layer in itself.
func nested(l reactortest.Layer) reactortest.Layer {
	return reactortest.Layer{
		Server: func(build func() reactor.Protocol) reactor.Protocol {
			return l.Server(func() reactor.Protocol { return l.Server(build) })
		},
		Client: func(build func() reactor.Protocol, failed func(error)) reactor.Protocol {
			return l.Client(func() reactor.Protocol { return l.Client(build, failed) }, failed)
		},
	}
}

// TestPromises holds that what a reactor promises of a stream holds through TLS: whole, cut at
// every byte, in simulation, and through TLS in TLS. There is no exception. Every day each promise
// is tested in one way, in turn; with SIM_SEEDS in all.
func TestPromises(t *testing.T) {
	restless := sim.Config{
		Latency: time.Millisecond, MinBuffer: 8 << 10, Oversleep: 2 * time.Millisecond,
		Reset: sim.Never, Aborted: sim.Never, NoDescriptor: sim.Never, NoMemory: sim.Never, Refused: sim.Never, Unanswered: sim.Never,
		Lost: sim.Never, Doubled: sim.Never, Overtaken: sim.Never, Jump: sim.Never,
	}
	ways := []struct {
		name  string
		setup func(reactortest.Layer) func() reactortest.Setup
		layer reactortest.Layer
	}{
		{"TLS 1.2", kernel, tlsLayer(tls.VersionTLS12)},
		{"calm", simulated(sim.Calm()), tlsLayer(tls.VersionTLS13)},
		{"in pieces", kernel, reactortest.Cutting(tlsLayer(0))},
		{"TLS 1.3", kernel, tlsLayer(tls.VersionTLS13)},
		{"restless", simulated(restless), tlsLayer(0)},
		{"TLS in TLS", kernel, nested(tlsLayer(0))},
	}
	setups := map[string]func() reactortest.Setup{}
	for i, way := range ways {
		if n := i; sim.Seeds(1) == 1 {
			way.layer.Only = func(string) bool { n++; return n%len(ways) == 0 }
		}
		setups[way.name] = way.setup(way.layer)
	}
	reactortest.RunBeside(t, setups)
}

func kernel(l reactortest.Layer) func() reactortest.Setup {
	return func() reactortest.Setup { return reactortest.Setup{Layer: &l} }
}

func simulated(c sim.Config) func(l reactortest.Layer) func() reactortest.Setup {
	var seed atomic.Uint64
	return func(l reactortest.Layer) func() reactortest.Setup {
		return func() reactortest.Setup {
			w := sim.New(seed.Add(1), c)
			return reactortest.Setup{Config: reactor.Config{System: w.System()}, Layer: &l, Run: func(r *reactor.Reactor) error {
				w.Add("reactor", r)
				return w.Run()
			}}
		}
	}
}
