// Command echo is a TCP echo server on this repository's reactor alone. It listens on a free loopback port, prints the
// address, and serves until it is killed.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/netip"

	"microhttp/reactor"
)

type echo struct{ t reactor.Transport }

func (e *echo) ConnectionMade(t reactor.Transport) { e.t = t }
func (e *echo) DataReceived(p []byte)              { e.t.Write(p) }
func (e *echo) ConnectionLost(error)               {}

func main() {
	poller := flag.String("reactor", "", "the poller: epoll, poll or select; empty is the best")
	flag.Parse()
	r, err := reactor.New(reactor.Config{Poller: *poller})
	if err != nil {
		log.Fatal(err)
	}
	port, err := r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return &echo{} }), nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", port.Addr())
	log.Fatal(r.Run())
}
