package router_test

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"microhttp/router"
	"microhttp/server"
)

func Example() {
	rt := router.New()
	rt.HandleFunc("GET /users/{id}", func(w *server.Response, r *server.Request) {
		w.WriteString("user " + r.PathValue("id"))
	})
	rt.HandleFunc("GET /users/me", func(w *server.Response, _ *server.Request) {
		w.WriteString("you")
	})
	rt.HandleFunc("/files/{path...}", func(w *server.Response, r *server.Request) {
		w.WriteString(r.Method() + " " + r.PathValue("path"))
	})

	get(rt, "/users/42", "/users/me", "/files/a/b%20c", "/users/")
	// Output:
	// 200 user 42
	// 200 you
	// 200 GET a/b c
	// 404 Not Found
}

func ExampleRouter_Use() {
	sign := func(next server.Handler) server.Handler {
		return server.HandlerFunc(func(w *server.Response, r *server.Request) {
			w.WriteString(r.Pattern() + ": ")
			next.Serve(w, r)
		})
	}
	hello := func(w *server.Response, r *server.Request) {
		w.WriteString("Hello, " + r.PathValue("name"))
	}

	rt := router.New()
	rt.Use(sign) // first: it is around all that the Router does
	rt.HandleFunc("/hello/{name}", hello)

	get(rt, "/hello/Ada")
	// Output:
	// 200 /hello/{name}: Hello, Ada
}

func ExampleScope_Group() {
	onlyAdmins := func(next server.Handler) server.Handler {
		return server.HandlerFunc(func(w *server.Response, r *server.Request) {
			if r.QueryValue("key") != "secret" {
				w.Error(403)
				return
			}
			next.Serve(w, r)
		})
	}
	rt := router.New()
	admin := rt.Group("/admin", onlyAdmins)
	admin.Get("/users/{id}", func(w *server.Response, r *server.Request) {
		w.WriteString(r.Pattern() + " for " + r.PathValue("id"))
	})

	get(rt, "/admin/users/7", "/admin/users/7?key=secret")
	// Output:
	// 403 Forbidden
	//
	// 200 GET /admin/users/{id} for 7
}

func ExampleScope_Mount() {
	things := router.New()
	things.Get("/{id}", func(w *server.Response, r *server.Request) {
		w.WriteString(r.Pattern() + " for " + r.PathValue("id"))
	})
	rt := router.New()
	rt.Mount("/api/things", things)

	get(rt, "/api/things/7")
	// Output: 200 GET /api/things/{id} for 7
}

func ExampleScope_NotFound() {
	rt := router.New()
	api := rt.Group("/api")
	api.Get("/things", func(w *server.Response, _ *server.Request) { w.WriteString("[]") })
	api.NotFound(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		w.SetHeader("Content-Type", "application/json")
		w.WriteString(`{"error":"nothing here"}`)
	}))

	get(rt, "/api/things", "/api/nothing", "/nothing")
	// Output:
	// 200 []
	// 404 {"error":"nothing here"}
	// 404 Not Found
}

func ExampleRouter_URL() {
	rt := router.New()
	show := func(*server.Response, *server.Request) {}
	rt.Get("/users/{user}/files/{path...}", show).Named("file")

	fmt.Println(rt.URL("file", "user", "Ada L", "path", "notes/a&b.txt"))
	fmt.Println(rt.URL("file", "user", "..", "path", ""))
	// Output:
	// /users/Ada%20L/files/notes/a&b.txt <nil>
	//  router: URL of "file", pattern "GET /users/{user}/files/{path...}": no path can hold ".." as the value of user
}

func ExampleRouter_Walk() {
	rt := router.New()
	show := func(*server.Response, *server.Request) {}
	rt.Post("/users", show)
	rt.Get("/users/{id}", show).Named("user")
	for route := range rt.Walk() {
		fmt.Printf("%s %q\n", route.Pattern(), route.Name())
	}
	// Output:
	// POST /users ""
	// GET /users/{id} "user"
}

func ExampleRouter_Lookup() {
	rt := router.New()
	rt.Get("/users/{id}", func(*server.Response, *server.Request) {})
	if route, ok := rt.Lookup("HEAD", "example.com", "/users/7"); ok {
		fmt.Println(route.Pattern())
	}
	// Output: GET /users/{id}
}

// get serves h on a free port, and prints what it answers to each path.
func get(h server.Handler, paths ...string) {
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: h}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	for _, path := range paths {
		res, err := http.Get("http://" + addr.String() + path)
		if err != nil {
			fmt.Println(err)
			break
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		fmt.Println(res.StatusCode, string(body))
	}
	http.DefaultClient.CloseIdleConnections()
	s.Shutdown(context.Background())
	<-ended
}
