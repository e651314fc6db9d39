package main

import (
	_ "embed"

	"microhttp/server"
)

// page is the start page: what this is, and the routes as links.
//
//go:embed page.html
var page []byte

func servePage(w *server.Response, _ *server.Request) {
	setHeader(w, "Content-Type", "text/html; charset=utf-8")
	setHeader(w, "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.GiveBody(page)
}
