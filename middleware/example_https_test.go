package middleware_test

import (
	"log"
	"time"

	"microhttp/middleware"
	"microhttp/router"
	"microhttp/server"
)

// One server on two ports: what comes without TLS is redirected, and browsers remember it for a year.
func ExampleRedirectHTTPS() {
	routes := router.New()
	s := &server.Server{Handler: server.Chain(
		middleware.RedirectHTTPS("example.com"),
		middleware.SecureHeaders(middleware.SecureHeadersConfig{HSTS: 365 * 24 * time.Hour}),
	)(routes)}
	if _, err := s.ListenOn(":443", server.WithTLS("cert.pem", "key.pem")); err != nil {
		log.Fatal(err)
	}
	if _, err := s.ListenOn(":80"); err != nil {
		log.Fatal(err)
	}
	log.Fatal(s.Run())
}
