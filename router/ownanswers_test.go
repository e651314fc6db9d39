package router_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"microhttp/router"
	"microhttp/server"

	"github.com/rs/zerolog"
)

// seenBy adds a field that says which middleware has seen the request.
func seenBy(name string) router.Middleware {
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.AddHeader("Seen", name)
		next.Serve(w, r)
	})
}

func empty(w *server.Response, _ *server.Request) {}

// The Router's own answers pass through the middleware of the deepest scope, in mounted routers too.
func TestOwnAnswers(t *testing.T) {
	inner := router.New()
	inner.Use(seenBy("inner"))
	inner.Get("/x", empty)
	bare := router.New()
	bare.Get("/x", empty)

	rt := router.New()
	rt.Use(seenBy("root"))
	rt.Use(seenBy("later"))
	api := rt.Group("/api", seenBy("api"))
	api.Post("/things", empty)
	api.NotFound(server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.WriteString("nothing here") }), seenBy("own"))
	users := api.Group("", seenBy("users")) // the prefix is api's
	users.Get("/users", empty)
	users.Group("/me", seenBy("me")).Get("/x/", empty)
	rt.Group("/api", seenBy("second")).Get("/second", empty)
	rt.Group("/plain").Get("/x/", empty)
	rt.Mount("/m", inner, seenBy("mounted"))
	rt.Mount("/bare", bare, seenBy("mounted"))
	rt.Group("", seenBy("extra")).MethodNotAllowed(server.HandlerFunc(empty))

	silent := server.Zerolog(zerolog.Nop())
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: rt, Log: silent}
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()
	defer func() {
		_ = s.Shutdown(context.Background())
		<-ended
	}()
	client := http.Client{
		Timeout:       10 * time.Second,
		Transport:     &http.Transport{DialContext: (&net.Dialer{}).DialContext, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for _, c := range []struct {
		method, path string
		want         string
	}{
		{"POST", "/api/things", "200 root later api"},
		{"PUT", "/api/things", "405 root later api extra POST"},
		{"OPTIONS", "/api/things", "204 root later api POST"},
		{"BREW", "/api/things", "501 root later api"},
		{"GET", "/api/a/../things", "307 root later api"},
		{"GET", "/api/nothing", "404 root later api own"},
		{"GET", "/api/users", "200 root later api users"},
		{"GET", "/api/me/nothing", "404 root later api users me own"},
		{"GET", "/api/second", "200 root later second"},
		{"GET", "/nothing", "404 root later"},
		{"GET", "/plain/nothing", "404 root later"},
		{"GET", "/plain/x", "307 root later"},
		{"GET", "/m/x", "200 root later mounted inner"},
		{"OPTIONS", "/m/x", "204 root later mounted inner GET"},
		{"GET", "/m/nothing", "404 root later mounted inner"},
		{"GET", "/bare/nothing", "404 root later mounted"},
	} {
		req, _ := http.NewRequest(c.method, "http://"+at.String(), nil)
		req.URL.Opaque = c.path // as it is
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		got := fmt.Sprint(res.StatusCode, " ", strings.Join(res.Header.Values("Seen"), " "))
		if allow := res.Header.Get("Allow"); allow != "" {
			first, _, _ := strings.Cut(strings.TrimPrefix(strings.ReplaceAll(allow, "OPTIONS", ""), ", "), ", ")
			got += " " + first
		}
		if got != c.want {
			t.Errorf("%s %s: %s, want %s", c.method, c.path, got, c.want)
		}
	}
	if res, err := rawOptionsAsterisk(at.String()); err != nil || res != "204 root later" {
		t.Errorf("OPTIONS *: %s, %v", res, err)
	}
}

func rawOptionsAsterisk(addr string) (string, error) {
	req, _ := http.NewRequest("OPTIONS", "http://"+addr, nil)
	req.URL.Path, req.URL.Opaque = "", "*"
	res, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(req)
	if err != nil {
		return "", err
	}
	res.Body.Close()
	return fmt.Sprint(res.StatusCode, " ", strings.Join(res.Header.Values("Seen"), " ")), nil
}
