package sim_test

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// A collector is a datagram protocol that keeps what it is told, and sends it back if echo is set.
type collector struct {
	echo   bool
	port   *reactor.UDPPort
	got    []string
	kept   [][]byte
	errors []error
	ended  int
}

func (c *collector) StartProtocol(p *reactor.UDPPort)          { c.port = p }
func (c *collector) StopProtocol(error)                        { c.ended++ }
func (c *collector) ErrorReceived(_ netip.AddrPort, err error) { c.errors = append(c.errors, err) }
func (c *collector) DatagramReceived(p []byte, from netip.AddrPort) {
	c.got = append(c.got, string(p))
	c.kept = append(c.kept, p)
	if c.echo {
		c.port.WriteTo(p, from)
	}
}

func listenUDP(w *sim.World, addr string, c *collector, o *reactor.UDPOptions) *reactor.UDPPort {
	p, err := w.Reactor("udp", reactor.Config{}).ListenUDP(addr, c, o)
	if err != nil {
		panic(err)
	}
	return p
}

var (
	anyPort = netip.MustParseAddrPort("10.0.0.9:0")
	group   = netip.MustParseAddr("239.1.2.3")
)

// Datagrams are lost, doubled and overtaken, but never changed; and on a calm day none of that happens.
func TestDatagrams(t *testing.T) {
	const n = 20
	for _, c := range []struct {
		name  string
		c     sim.Config
		lossy bool
	}{{"calm", sim.Calm(), false}, {"lossy", sim.Config{}, true}} {
		t.Run(c.name, func(t *testing.T) {
			lost, doubled, overtaken := 0, 0, 0
			sim.Check(t, 1, 300, c.c, func(w *sim.World) {
				server := &collector{echo: true}
				port := listenUDP(w, "127.0.0.1:0", server, nil)
				w.Go("client", func() {
					conn, err := w.ListenPacket(anyPort)
					if err != nil {
						panic(err)
					}
					defer conn.Close()
					for i := range uint32(n) {
						if _, err := conn.WriteToAddrPort(binary.BigEndian.AppendUint32(nil, i), port.Addr()); err != nil {
							w.Errorf("write: %v", err)
						}
					}
					var seen [n]int
					last := -1
					for {
						p := make([]byte, 8)
						_ = conn.SetReadDeadline(w.Now().Add(time.Second))
						size, from, err := conn.ReadFromAddrPort(p)
						if errors.Is(err, os.ErrDeadlineExceeded) {
							break
						}
						i := binary.BigEndian.Uint32(p)
						if err != nil || size != 4 || i >= n || from != port.Addr() {
							w.Errorf("got %x from %v, %v", p[:size], from, err)
							break
						}
						seen[i]++
						if int(i) < last {
							overtaken++
						}
						last = int(i)
					}
					for _, times := range seen {
						switch {
						case times == 0:
							lost++
						case times > 1:
							doubled++
						}
					}
				})
			})
			for what, n := range map[string]int{"lost": lost, "doubled": doubled, "overtaken": overtaken} {
				if (n > 0) != c.lossy {
					t.Errorf("%d were %s", n, what)
				}
			}
		})
	}
}

// What is longer than the room is cut, lent bytes are overwritten, and who is gone is told by a connected socket.
func TestDatagramDetails(t *testing.T) {
	w := sim.New(1, sim.Calm())
	c := &collector{}
	port := listenUDP(w, "127.0.0.1:5", c, &reactor.UDPOptions{MaxDatagram: 10})
	w.Go("client", func() {
		conn, err := w.ListenPacket(netip.MustParseAddrPort("127.0.0.1:6"))
		if err != nil {
			panic(err)
		}
		if _, err := w.ListenPacket(netip.MustParseAddrPort("127.0.0.1:5")); !errors.Is(err, syscall.EADDRINUSE) {
			w.Errorf("the address is given twice: %v", err)
		}
		conn.WriteToAddrPort(make([]byte, 11), port.Addr())
		conn.WriteToAddrPort([]byte("fits"), port.Addr())
		if _, err := conn.WriteToAddrPort(make([]byte, 70_000), port.Addr()); !errors.Is(err, syscall.EMSGSIZE) {
			w.Errorf("too long: %v", err)
		}
		if _, err := conn.WriteToAddrPort([]byte("x"), netip.MustParseAddrPort("127.0.0.1:0")); !errors.Is(err, syscall.EINVAL) {
			w.Errorf("to no port: %v", err)
		}
		w.Wait("both", func() bool { return len(c.got) == 1 && len(c.errors) == 1 })
		w.Sleep(time.Second)
		if c.got[0] != "fits" || c.kept[0][0] != sim.Poison || !errors.Is(c.errors[0], reactor.ErrTruncated) {
			w.Errorf("got %q, kept %q, errors %v", c.got, c.kept, c.errors)
		}
		conn.Close()
		port.Reactor().CallFromThread(func() {
			if err := port.Connect(conn.AddrPort()); err != nil {
				w.Errorf("connect: %v", err)
			}
			port.Write([]byte("anybody?"))
		})
		w.Wait("the refusal", func() bool { return len(c.errors) == 2 })
		if !errors.Is(c.errors[1], syscall.ECONNREFUSED) {
			w.Errorf("told %v", c.errors[1])
		}
	})
	run(t, w)
	if c.ended != 1 {
		t.Errorf("ended %d times", c.ended)
	}
}

// What is sent to a group reaches who has joined it, and no longer who has left it.
func TestMulticast(t *testing.T) {
	w := sim.New(1, sim.Calm())
	var members [3]*collector
	var ports [3]*reactor.UDPPort
	for i := range members {
		members[i] = &collector{}
		ports[i] = listenUDP(w, "0.0.0.0:9", members[i], &reactor.UDPOptions{Shared: true})
	}
	on := func(i int, f func() error) {
		ports[i].Reactor().CallFromThread(func() {
			if err := f(); err != nil {
				w.Errorf("port %d: %v", i, err)
			}
		})
		w.Sleep(time.Second)
	}
	w.Go("far away", func() {
		conn, err := w.ListenPacket(netip.MustParseAddrPort("10.0.0.9:9"))
		if err != nil {
			panic(err)
		}
		if err := conn.Join(group); err != nil {
			panic(err)
		}
		heard := func() bool {
			_ = conn.SetReadDeadline(w.Now().Add(time.Second))
			_, _, err := conn.ReadFromAddrPort(make([]byte, 10))
			return err == nil
		}
		to := netip.AddrPortFrom(group, 9)
		on(0, func() error { return ports[0].JoinGroup(group, "") })
		on(1, func() error { return ports[1].JoinGroup(group, "") })
		conn.WriteToAddrPort([]byte("one"), to) // to itself as well
		w.Sleep(time.Second)
		if a, b, c := len(members[0].got), len(members[1].got), len(members[2].got); a != 1 || b != 1 || c != 0 || !heard() {
			w.Errorf("received %d, %d, %d", a, b, c)
		}
		on(1, func() error { return ports[1].LeaveGroup(group, "") })
		on(0, func() error { ports[0].WriteTo([]byte("two"), to); return nil })
		if a, b := len(members[0].got), len(members[1].got); a != 2 || b != 1 || !heard() {
			w.Errorf("after leaving: %d, %d", a, b)
		}
		on(0, func() error { return ports[0].SetMulticastLoopback(false) })
		on(0, func() error { ports[0].WriteTo([]byte("three"), to); return nil })
		if a := len(members[0].got); a != 2 || !heard() {
			w.Errorf("without loopback: %d", a)
		}
		on(0, func() error { return ports[0].SetMulticastTTL(0) })
		on(0, func() error { ports[0].WriteTo([]byte("four"), to); return nil })
		if heard() {
			w.Errorf("a TTL of 0 has left the machine")
		}
	})
	run(t, w)
}
