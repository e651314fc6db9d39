package server_test

import (
	"crypto/tls"
	"fmt"
	"log"
	"net/netip"

	"microhttp/server"
)

// HTTPS with a certificate from files, which are read again when they change.
func ExampleServer_ListenAndServeTLS() {
	s := &server.Server{Addr: ":443", Handler: server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.Text(200, "Hello over "+tls.VersionName(r.TLS().Version)+"\n")
	})}
	log.Fatal(s.ListenAndServeTLS("cert.pem", "key.pem"))
}

// Two addresses: HTTPS behind a load balancer that sends the PROXY protocol, and plain HTTP on this machine.
func ExampleServer_ListenOn() {
	s := &server.Server{}
	if _, err := s.ListenOn(":443",
		server.WithTLS("cert.pem", "key.pem"),
		server.WithProxyProtocol(netip.MustParsePrefix("10.0.0.0/8")),
	); err != nil {
		log.Fatal(err)
	}
	if _, err := s.ListenOn("127.0.0.1:8080"); err != nil {
		log.Fatal(err)
	}
	log.Fatal(s.Run())
}

// A mistake that would serve without TLS is an error.
func ExampleServer_Run_tlsConfig() {
	s := &server.Server{Addr: "127.0.0.1:0", TLSConfig: &tls.Config{}}
	fmt.Println(s.ListenAndServe())
	_ = s.Close()
	// Output:
	// server: cannot serve TLS: TLSConfig is set, and no address is served with it: use ListenTLS, WithTLS or ServeTLS
}
