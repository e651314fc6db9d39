package middleware_test

import (
	"bytes"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/router"
	"microhttp/server"
	"microhttp/server/servertest"

	"github.com/rs/zerolog"
)

// A group is for those who have a session or a token; others are refused before their bodies are sent.
func TestSessionsRequire(t *testing.T) {
	user := server.NewKey[string]("user")
	sessions := middleware.NewSessions[string](middleware.SessionConfig{Keys: [][]byte{bytes.Repeat([]byte{1}, 32)}})
	whoami := func(w *server.Response, r *server.Request) { w.Text(200, user.Get(r)) }
	rt := router.New()
	rt.Post("/login", func(w *server.Response, _ *server.Request) {
		if _, err := sessions.Start(w, "ann"); err != nil {
			t.Error(err)
		}
	})
	either := rt.Group("/either", sessions.Require(user, middleware.Bearer("notes", user, middleware.Tokens(map[string]string{"secret": "bob"}))))
	either.Get("/me", whoami)
	either.Post("/me", whoami)
	rt.Group("/session", sessions.Require(user)).Post("/me", whoami)

	stranger := servertest.New(t, rt)
	stranger.Get("/either/me").Want(401).WantHeader("WWW-Authenticate", `Bearer realm="notes"`)
	stranger.Get("/either/me", servertest.Bearer("secret")).Want(200).WantText("bob")
	for _, target := range []string{"/either/me", "/session/me"} {
		x := stranger.Start("POST "+target, servertest.Upload(100), servertest.Expect100())
		if x.Response().Want(401); x.Continued() {
			t.Errorf("%s: the body was asked for", target)
		}
	}
	ann := servertest.New(t, rt, servertest.Cookies())
	ann.Do("POST /login").Want(200)
	ann.Get("/either/me").Want(200).WantText("ann")
	ann.Do("POST /session/me", servertest.Body("x")).Want(200).WantText("ann")
}

// The errors of an API look alike, whatever makes them.
func TestProblems(t *testing.T) {
	rt := router.New()
	rt.Use(middleware.Problems, middleware.Recover(server.Zerolog(zerolog.Nop())))
	rt.Post("/notes", func(*server.Response, *server.Request) {}, middleware.Basic("r", middleware.User, middleware.Users(nil)))
	rt.Get("/own", func(w *server.Response, _ *server.Request) { w.Text(404, "no such thing") })
	rt.Get("/panic", func(*server.Response, *server.Request) { panic("on purpose") })
	rt.Get("/good", func(w *server.Response, _ *server.Request) { w.Redirect(303, "/") })
	rt.Get("/try", server.Try(func(*server.Response, *server.Request) error { return server.Fail(409, "twice") }))
	rt.Put("/bounded", func(*server.Response, *server.Request) {}, server.MaxBody(1))
	c := servertest.New(t, rt)
	for request, text := range map[string]string{
		"GET /nothing": `{"title":"Not Found","status":404}`,
		"GET /notes":   `{"title":"Method Not Allowed","status":405}`,
		"POST /notes":  `{"title":"Unauthorized","status":401}`,
		"GET /panic":   `{"title":"Internal Server Error","status":500}`,
		"GET /try":     `{"title":"Conflict","status":409,"detail":"twice"}`,
		"PUT /bounded": `{"title":"Content Too Large","status":413,"detail":"body too large"}`,
	} {
		c.Do(request, servertest.Body("xy")).WantText(text).WantHeader("Content-Type", "application/problem+json")
	}
	c.Get("/own").Want(404).WantText("no such thing")
	c.Get("/good").Want(303).WantText("See Other\n")
	if res := c.Do("HEAD /nothing").Want(404); res.Header("Content-Length") != "34" {
		t.Errorf("HEAD: %s", res.Conversation())
	}
}

// A readiness probe knows that the server shuts down.
func TestReadinessAtTheEnd(t *testing.T) {
	ready := middleware.Readiness()
	c := servertest.Serve(t, &server.Server{ShutdownDelay: time.Minute, Handler: server.HandlerFunc(func(w *server.Response, r *server.Request) {
		p := w.Later()
		r.Reactor().CallLater(30*time.Second, func() {
			_ = p.Answer(func(w *server.Response) { ready.Serve(w, p.Request()) })
		})
	})})
	c.Get("/ready").Want(200)
	x := c.Start("GET /ready")
	if err := c.Shutdown(time.Minute); err != nil {
		t.Error(err)
	}
	x.Response().Want(503).WantText("shutting down\n")
}
