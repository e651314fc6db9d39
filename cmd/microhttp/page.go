package main

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"os"
	"time"

	"microhttp/server"
)

// page is the start page: what this is, and the routes as links.
//
//go:embed page.html
var page []byte

// pageIs tells the page from that of another build: by what it says, and by when the program was built.
var pageIs = server.Validators{ETag: fmt.Sprintf(`"%x"`, sha256.Sum256(page)), LastModified: built()}

func built() time.Time {
	path, err := os.Executable()
	if err != nil {
		return time.Time{}
	}
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

func servePage(w *server.Response, _ *server.Request) {
	w.SetHeader("Content-Type", "text/html; charset=utf-8")
	w.SetHeader("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.SetHeader("Cache-Control", "no-cache") // ask again each time, which is cheap
	if w.CheckPreconditions(pageIs) {
		return
	}
	w.GiveBody(page)
}
