package reactor_test

import (
	"fmt"
	"net/netip"

	"microhttp/reactor"
)

// upper is a UDP service: it answers each datagram in capitals.
type upper struct{ port *reactor.UDPPort }

func (u *upper) StartProtocol(p *reactor.UDPPort) { u.port = p }

func (u *upper) DatagramReceived(p []byte, from netip.AddrPort) {
	u.port.WriteTo([]byte(fmt.Sprintf("%X", p)), from)
}

func (u *upper) StopProtocol(reason error) { fmt.Println("service:", reason) }

// asker sends one datagram and stops the reactor when the answer comes. A real one would ask again after a while.
type asker struct {
	service netip.AddrPort
	port    *reactor.UDPPort
}

func (a *asker) StartProtocol(p *reactor.UDPPort) {
	a.port = p
	p.WriteTo([]byte{0xca, 0xfe}, a.service)
}

func (a *asker) DatagramReceived(p []byte, _ netip.AddrPort) {
	fmt.Printf("asker: %s\n", p)
	a.port.StopListening()
	a.port.Reactor().Stop()
}

func (a *asker) StopProtocol(reason error) { fmt.Println("asker:", reason) }

func ExampleReactor_ListenUDP() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	service, err := r.ListenUDP("127.0.0.1:0", &upper{}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := r.ListenUDP("127.0.0.1:0", &asker{service: service.Addr()}, nil); err != nil {
		fmt.Println(err)
		return
	}
	if err := r.Run(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// asker: CAFE
	// asker: reactor: connection done
	// service: reactor: shut down
}
