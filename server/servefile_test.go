package server_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/servertest"
)

func TestServeFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.css"), []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(filepath.Join(dir, "a.css"), time.Time{}, time.Unix(1e9, 0)); err != nil { // before virtual time begins
		t.Fatal(err)
	}
	var opened *os.File
	c := servertest.New(t, server.Blocking(server.Try(func(w *server.Response, r *server.Request) (err error) {
		if opened, err = os.Open(filepath.Join(dir, r.Path())); err != nil {
			return server.Fail(404, "none")
		}
		return server.ServeFile(w, r, opened)
	})))
	whole := c.Get("/a.css").Want(200).WantText("0123456789").WantHeader("Content-Type", "text/css; charset=utf-8")
	c.Get("/a.css", servertest.Header("Range", "bytes=2-4")).Want(206).WantText("234")
	c.Get("/a.css", servertest.Header("If-Modified-Since", whole.Header("Last-Modified"))).Want(304)
	if err := opened.Close(); err == nil {
		t.Error("the file is open after the answer")
	}
	c.Get("/").Want(404).WantContains("no such file")
	if err := opened.Close(); err == nil {
		t.Error("the directory is open after the answer")
	}
}
