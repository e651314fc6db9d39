// Notes is a small service: a JSON API of notes, each with a file that is uploaded and downloaded, and events for those who
// watch. Its tests show how to test such a service in memory.
//
//	go run ./docs/examples/notes -addr 127.0.0.1:8080
//	curl -N http://127.0.0.1:8080/events &
//	curl -d '{"title": "milk"}' -H 'Content-Type: application/json' http://127.0.0.1:8080/api/notes
//	curl -T README.md http://127.0.0.1:8080/api/notes/1/file
package main

import (
	"flag"
	"log"
	"os"
	"path/filepath"
	"time"

	"microhttp/middleware"
	"microhttp/router"
	"microhttp/server"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	dir := flag.String("dir", filepath.Join(os.TempDir(), "notes"), "the directory of the files, which is made if need be")
	flag.Parse()
	s, err := newServer(*dir, nil)
	if err != nil {
		log.Fatal(err)
	}
	s.Addr = *addr
	if err := s.RunUntilSignal(10 * time.Second); err != nil {
		log.Fatal(err)
	}
}

// newServer makes the service, with its files in dir. Tests use it as main does. A nil log is standard error.
func newServer(dir string, log *server.Log) (*server.Server, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	files, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	notes := &store{files: files}

	// The notes are in memory, so their handlers run on the loop. Files may block, so theirs do not.
	routes := router.New()
	routes.Use(middleware.Default(middleware.DefaultConfig{Log: log}), middleware.Problems)
	routes.Handle("GET /ready", middleware.Readiness())
	routes.Get("/events", func(w *server.Response, _ *server.Request) { notes.hub.Subscribe(w.Events()) })
	api := routes.Group("/api/notes", middleware.CacheControl("no-store"))
	api.Get("", func(w *server.Response, _ *server.Request) { w.JSON(200, notes.all()) })
	api.Post("", server.TryJSON(notes.create))
	api.Get("/{id}", server.TryJSON(notes.find))
	api.Get("/{id}/file", server.Try(notes.download), server.Blocking)
	api.Put("/{id}/file", server.TryJSON(notes.upload), server.Blocking, server.Streaming, server.MaxBody(maxFile))
	return &server.Server{Handler: routes, Log: log}, nil
}
