package servertest_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/router"
	"microhttp/server"
	"microhttp/server/servertest"
	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"
)

// exampleT stands for the *testing.T of a test. It prints what fails.
type exampleT struct{ testing.TB }

func (exampleT) Helper()                           {}
func (exampleT) Cleanup(func())                    {}
func (exampleT) Failed() bool                      { return false }
func (exampleT) Errorf(format string, args ...any) { fmt.Printf(format, args...) }

var t exampleT

func Example() {
	routes := router.New()
	routes.Get("/hello/{name}", func(w *server.Response, r *server.Request) {
		w.Text(200, "Hello, "+r.PathValue("name")+"!\n")
	})
	// In a test, t is the *testing.T.
	servertest.Get(t, routes, "/hello/Ann").Want(200).WantText("Hello, Ann!\n")
	servertest.Get(t, routes, "/hello/Ann").WantText("Hello, Bob!\n") // it fails, and shows why
	// Output:
	// GET /hello/Ann: the content is
	// 	"Hello, Ann!\n", want
	// 	"Hello, Bob!\n"
	// > GET /hello/Ann HTTP/1.1
	// > Host: example.com
	// >
	// < HTTP/1.1 200 OK
	// < Date: Thu, 01 Jan 2026 00:00:00 GMT
	// < Content-Length: 12
	// < Content-Type: text/plain; charset=utf-8
	// <
	// < Hello, Ann!
}

func ExampleDo() {
	type note struct{ Title string }
	h := server.Try(func(w *server.Response, r *server.Request) error {
		var n note
		if err := r.DecodeJSON(&n); err != nil {
			return err
		}
		w.JSON(201, n)
		return nil
	})
	res := servertest.Do(t, h, "POST /notes", servertest.JSON(note{"milk"}))
	fmt.Println(res, res.Text())
	res = servertest.Do(t, h, "POST /notes", servertest.Body("milk"))
	fmt.Println(res)
	// Output:
	// 201 Created {"Title":"milk"}
	// 415 Unsupported Media Type
}

// An hour passes in an instant.
func ExampleClient_Advance() {
	c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) {
		s := w.Stream()
		every := r.Reactor().CallEvery(time.Hour, func() { _, _ = io.WriteString(s, "cuckoo") })
		w.OnDone(func(*server.Response, *server.Request) { every.Stop() })
	}))
	x := c.Start("/clock")
	c.Advance(time.Hour - time.Second)
	x.Head()
	x.WantSilence()
	c.Advance(time.Second)
	fmt.Println(x.Next(), c.Now())
	// Output: cuckoo 2026-01-01 01:00:00 +0000 UTC
}

// An upload in pieces, which the server asks for first.
func ExampleClient_Start() {
	c := servertest.New(t, server.Streaming(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		size := 0
		r.OnBody(func(p []byte, err error) {
			if size += len(p); err == io.EOF {
				w.Text(200, fmt.Sprint(size, " bytes"))
			}
		})
	})))
	x := c.Start("PUT /file", servertest.Upload(-1), servertest.Expect100())
	fmt.Println("continued:", x.Continued())
	x.Send("some")
	c.Advance(4 * time.Second)
	x.Send("thing")
	fmt.Println(x.Response().Text())
	// Output:
	// continued: true
	// 9 bytes
}

func ExampleExchange_Event() {
	var hub server.Hub
	c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) { hub.Subscribe(w.Events()) }))
	x := c.Start("/events")
	_ = hub.Publish(server.Event{Name: "news", Data: "something has happened"})
	e := x.Event()
	fmt.Println(e.Name, e.Data)
	x.Close()
	fmt.Println(hub.Subscribers(), "subscribers")
	// Output:
	// news something has happened
	// 0 subscribers
}

// A protocol of lines after an upgrade.
func ExampleClient_Upgrade() {
	c := servertest.New(t, server.HandlerFunc(func(w *server.Response, r *server.Request) {
		_ = w.Upgrade("shout", reactor.NewLineProtocol(&shout{}, &reactor.LineOptions{Delimiter: "\n"}))
	}))
	conn := c.Upgrade("/", "shout")
	conn.Send("quiet, please\n")
	fmt.Println(conn.Line())
	// Output: QUIET, PLEASE
}

// Clients of other packages talk through a Conn.
func ExampleClient_Dial() {
	c := servertest.New(t, &websocket.Handler{
		OnMessage: func(c *websocket.Conn, kind websocket.Kind, p []byte) { c.Write(kind, p) },
	})
	ws, err := websockettest.New(c.Dial(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = ws.WriteMessage(websocket.Text, []byte("hello"))
	c.Advance(31 * time.Second) // the server pings a peer that is silent for so long
	_, p, err := ws.ReadMessage()
	fmt.Println(string(p), err)
	_, err = ws.Close(websocket.CloseNormal, "enough")
	fmt.Println(err)
	// Output:
	// hello <nil>
	// <nil>
}

// What do handlers leave behind, whatever peers do?
func ExampleSeeds() {
	uploads := 0 // under way
	routes := func() server.Handler {
		return server.Streaming(server.HandlerFunc(func(w *server.Response, r *server.Request) {
			uploads++
			w.OnDone(func(*server.Response, *server.Request) { uploads-- })
			r.OnBody(func(_ []byte, err error) {
				if err == io.EOF {
					w.NoContent()
				}
			})
		}))
	}
	servertest.Seeds(t, 5, routes, func(c *servertest.Client) {
		c.Crowd(10, servertest.NewRequest("POST /", servertest.Body("content")), servertest.NewRequest("GET /"))
		if uploads != 0 {
			fmt.Println(uploads, "uploads are left")
		}
	})
	// Output:
}
