package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/servertest"
	"microhttp/server/servertest/golden"
)

// newClient makes a service with files of its own.
func newClient(t *testing.T) (c *servertest.Client, dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := newServer(dir, servertest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	return servertest.Serve(t, s), dir
}

func TestNotes(t *testing.T) {
	c, _ := newClient(t)
	c.Get("/api/notes").Want(200).WantJSON(`[]`)
	c.Do("POST /api/notes", servertest.JSON(note{Title: "milk"})).Want(201).
		WantHeader("Location", "/api/notes/1").WantJSON(`{"id": 1, "title": "milk"}`)
	c.Get("/api/notes/1").Want(200).WantJSON(note{ID: 1, Title: "milk"}).WantHeader("Cache-Control", "no-store")
	c.Get("/api/notes").WantJSON([]note{{ID: 1, Title: "milk"}})
	c.Get("/api/notes/2").Want(404).WantContains("there is no such note")
}

func TestWhatIsRefused(t *testing.T) {
	c, _ := newClient(t)
	c.Do("POST /api/notes", servertest.JSON(note{})).Want(422).WantHeader("Content-Type", "application/problem+json")
	c.Do("POST /api/notes", servertest.Body("title=milk")).Want(415)
	c.Do("POST /api/notes", servertest.JSON(map[string]int{"colour": 1})).Want(400).WantContains("colour")
	c.Do("DELETE /api/notes").Want(405).WantHeader("Allow", "GET, HEAD, OPTIONS, POST")
	c.Do("PUT /api/notes/7/file", servertest.Upload(maxFile)).Want(404) // before a byte of the file
}

func TestFiles(t *testing.T) {
	c, dir := newClient(t)
	c.Do("POST /api/notes", servertest.JSON(note{Title: "milk"})).Want(201)
	c.Get("/api/notes/1/file").Want(404).WantContains("the note has no file")

	content := strings.Repeat("0123456789", 100_000)
	c.Do("PUT /api/notes/1/file", servertest.Body(content), servertest.Expect100()).Want(201).WantJSON(`{"size": 1000000}`)
	c.Get("/api/notes/1/file").Want(200).WantText(content)
	c.Get("/api/notes/1/file", servertest.Header("Range", "bytes=5-7")).Want(206).WantText("567")

	x := c.Start("PUT /api/notes/1/file", servertest.Upload(maxFile+1), servertest.Expect100())
	x.Response().Want(413)
	x = c.Start("PUT /api/notes/1/file", servertest.Upload(100))
	x.Send("half of it")
	x.Conn().Abort()
	c.Advance(time.Second)
	c.Get("/api/notes/1/file").Want(200).WantText(content)
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left in the directory: %v, %v", left, err)
	}
}

func TestEvents(t *testing.T) {
	c, _ := newClient(t)
	x := c.Start("/events")
	x.Head().Want(200)
	c.Do("POST /api/notes", servertest.JSON(note{Title: "milk"})).Want(201)
	c.Advance(time.Hour)
	c.Do("PUT /api/notes/1/file", servertest.Body("content")).Want(201)
	for _, want := range []server.Event{{Name: "created", Data: "milk"}, {Name: "file", Data: "milk"}} {
		if e := x.Event(); e != want {
			t.Errorf("%+v, want %+v", e, want)
		}
	}
}

// The end lets those who watch go, and says so to a load balancer before.
func TestShutdown(t *testing.T) {
	c, _ := newClient(t)
	c.Get("/ready").Want(200)
	x := c.Start("/events")
	if err := c.Shutdown(10 * time.Second); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	x.Response().Want(200)
}

// Whatever its clients do, the service keeps no file that did not come whole.
func TestCrowd(t *testing.T) {
	var dir string
	fresh := func() server.Handler {
		dir = t.TempDir()
		s, err := newServer(dir, servertest.Log(t))
		if err != nil {
			t.Fatal(err)
		}
		return s.Handler
	}
	const content = "the whole content of the file"
	servertest.Seeds(t, 5, fresh, func(c *servertest.Client) {
		c.Do("POST /api/notes", servertest.JSON(note{Title: "milk"})).Want(201)
		for _, v := range c.Crowd(10, servertest.NewRequest("PUT /api/notes/1/file", servertest.Body(content)),
			servertest.NewRequest("GET /events"), servertest.NewRequest("GET /api/notes")) {
			if v.Stayed && v.Request != "GET /events" && v.Response == nil {
				t.Errorf("%s, which %s: %v", v.Request, v.Manner, v.Err)
			}
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 1 {
			t.Errorf("left in the directory: %v, %v", left, err)
		}
		if len(left) == 1 {
			c.Get("/api/notes/1/file").Want(200).WantText(content)
		}
	})
}

// What a client sees on the wire. go test -update records it anew.
func TestConversation(t *testing.T) {
	c, _ := newClient(t)
	res := c.Do("POST /api/notes", servertest.JSON(note{Title: "milk"}), servertest.Header("X-Request-Id", "recorded"))
	golden.Want(t, "create", res.Conversation())
}
