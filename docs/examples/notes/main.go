// Notes is a small service: a JSON API of notes, each with a file that is uploaded and downloaded, and events for those who
// watch. Its tests show how to test such a service in memory.
//
//	go run ./docs/examples/notes -addr 127.0.0.1:8080
//	curl -N http://127.0.0.1:8080/events &
//	curl -d '{"title": "milk"}' -H 'Content-Type: application/json' http://127.0.0.1:8080/api/notes
//	curl -T README.md http://127.0.0.1:8080/api/notes/1/file
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"microhttp/middleware"
	"microhttp/router"
	"microhttp/server"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	dir := flag.String("dir", filepath.Join(os.TempDir(), "notes"), "the directory of the files, which is made if need be")
	flag.Parse()
	if err := run(*addr, *dir); err != nil {
		log.Fatal(err)
	}
}

// run serves until SIGINT or SIGTERM. The answers under way then have 10 s to end.
func run(addr, dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	s, err := newServer(dir, nil)
	if err != nil {
		return err
	}
	s.Addr = addr
	at, err := s.Listen()
	if err != nil {
		return err
	}
	log.Printf("serving on http://%v", at)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return s.RunUntil(ctx, 10*time.Second)
}

// newServer makes the service, with its files in dir. Tests use it as run does. A nil log is standard error.
func newServer(dir string, log *server.Log) (*server.Server, error) {
	files, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &server.Server{Log: log}
	notes := &store{files: files, notes: map[int]note{}}

	// The notes are in memory, so their handlers run on the loop. Files may block, so theirs do not.
	routes := router.New()
	routes.Use(middleware.Default(middleware.DefaultConfig{Log: log}))
	routes.Get("/events", func(w *server.Response, _ *server.Request) { notes.hub.Subscribe(w.Events()) })
	routes.Handle("GET /ready", middleware.Readiness(func() error {
		if !s.Ready() {
			return errors.New("shutting down")
		}
		return nil
	}))
	api := routes.Group("/api", middleware.CacheControl("no-store"))
	api.Get("/notes", func(w *server.Response, _ *server.Request) { w.JSON(200, notes.all()) })
	api.Post("/notes", server.Try(notes.create))
	api.Get("/notes/{id}", server.Try(notes.show))
	api.Get("/notes/{id}/file", server.Try(notes.download), server.Blocking)
	api.Handle("PUT /notes/{id}/file", server.Blocking(server.Streaming(server.Try(notes.upload))), server.MaxBody(maxFile))
	s.Handler = routes
	return s, nil
}
