package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"sync"

	"microhttp/server"
)

// maxFile bounds an upload.
const maxFile = 64 << 20

type note struct {
	ID    int    `json:"id"`
	Title string `json:"title"`
}

// A store keeps the notes in memory, and their files in a directory. Its hub says what happens.
type store struct {
	files *os.Root
	hub   server.Hub

	mu      sync.Mutex
	notes   []note // numbered from 1
	uploads int    // so far
}

func (s *store) all() []note {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]note{}, s.notes...)
}

func (s *store) create(w *server.Response, r *server.Request) (n note, err error) {
	if err := r.DecodeJSON(&n, server.KnownFields()); err != nil {
		return n, err // 400, 413 or 415, and where
	}
	if n.Title == "" {
		return n, server.Fail(422, "a note has a title")
	}
	s.mu.Lock()
	n.ID = len(s.notes) + 1
	s.notes = append(s.notes, n)
	s.mu.Unlock()
	w.SetStatus(201)
	w.SetHeader("Location", fmt.Sprint("/api/notes/", n.ID))
	return n, s.hub.Publish(server.Event{Name: "created", Data: n.Title})
}

// find returns the note that the path names.
func (s *store) find(_ *server.Response, r *server.Request) (note, error) {
	id, err := r.PathInt("id")
	if err != nil {
		return note{}, err // 400
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if id < 1 || id > len(s.notes) {
		return note{}, server.Fail(404, "there is no such note")
	}
	return s.notes[id-1], nil
}

// upload takes a file as it comes. One that is cut off leaves nothing.
func (s *store) upload(w *server.Response, r *server.Request) (size map[string]int64, err error) {
	n, err := s.find(w, r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.uploads++
	name := fmt.Sprint("upload-", s.uploads)
	s.mu.Unlock()
	f, err := s.files.Create(name)
	if err != nil {
		return nil, err
	}
	defer s.files.Remove(name) // unless it has another name by then
	bytes, err := io.Copy(f, r.BodyReader())
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := s.files.Rename(name, strconv.Itoa(n.ID)); err != nil {
		return nil, err
	}
	w.SetStatus(201)
	return map[string]int64{"size": bytes}, s.hub.Publish(server.Event{Name: "file", Data: n.Title})
}

// download answers with the file, or with the range that was asked for. The loop sends it when this has returned.
func (s *store) download(w *server.Response, r *server.Request) error {
	n, err := s.find(w, r)
	if err != nil {
		return err
	}
	f, err := s.files.Open(strconv.Itoa(n.ID))
	if errors.Is(err, fs.ErrNotExist) {
		return server.Fail(404, "the note has no file")
	}
	if err != nil {
		return err
	}
	w.SetHeader("Content-Type", "application/octet-stream")
	return server.ServeFile(w, r, f) // and close it
}
