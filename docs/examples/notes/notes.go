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
	notes   map[int]note // numbered from 1
	uploads int          // so far
}

func (s *store) all() []note {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]note, len(s.notes))
	for id, n := range s.notes {
		all[id-1] = n
	}
	return all
}

func (s *store) create(w *server.Response, r *server.Request) error {
	var n note
	if err := r.DecodeJSON(&n, server.KnownFields()); err != nil {
		return err // 400, 413 or 415, and where
	}
	if n.Title == "" {
		return server.Fail(422, "a note has a title")
	}
	s.mu.Lock()
	n.ID = len(s.notes) + 1
	s.notes[n.ID] = n
	s.mu.Unlock()
	w.SetHeader("Location", fmt.Sprint("/api/notes/", n.ID))
	w.JSON(201, n)
	return s.hub.Publish(server.Event{Name: "created", Data: n.Title})
}

// find is the note that the path names.
func (s *store) find(r *server.Request) (note, error) {
	id, _ := strconv.Atoi(r.PathValue("id")) // 0 is no note
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.notes[id]
	if !ok {
		return n, server.Fail(404, "there is no such note")
	}
	return n, nil
}

func (s *store) show(w *server.Response, r *server.Request) error {
	n, err := s.find(r)
	if err != nil {
		return err
	}
	w.JSON(200, n)
	return nil
}

// upload takes a file as it comes. One that is cut off leaves nothing.
func (s *store) upload(w *server.Response, r *server.Request) error {
	n, err := s.find(r)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.uploads++
	name := fmt.Sprint("upload-", s.uploads)
	s.mu.Unlock()
	f, err := s.files.Create(name)
	if err != nil {
		return err
	}
	defer s.files.Remove(name) // unless it has another name by then
	size, err := io.Copy(f, r.BodyReader())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.files.Rename(name, strconv.Itoa(n.ID)); err != nil {
		return err
	}
	w.JSON(201, map[string]int64{"size": size})
	return s.hub.Publish(server.Event{Name: "file", Data: n.Title})
}

// download answers with the file, or with the range that was asked for. The loop sends it when this has returned.
func (s *store) download(w *server.Response, r *server.Request) error {
	n, err := s.find(r)
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
	w.OnDone(func(*server.Response, *server.Request) { f.Close() })
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w.SetHeader("Content-Type", "application/octet-stream")
	server.ServeContent(w, r, "", info.ModTime(), f)
	return nil
}
