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

// The Router's own answers pass through the middleware of the deepest scope that has asked for it, in mounted routers too.
func TestWrapAnswers(t *testing.T) {
	inner := router.New()
	inner.Use(seenBy("inner"))
	inner.Get("/x", empty)
	inner.WrapAnswers()

	rt := router.New()
	rt.Use(seenBy("root"))
	rt.WrapAnswers(seenBy("extra"))
	rt.Use(seenBy("later")) // too late for WrapAnswers
	api := rt.Group("/api", seenBy("api"))
	api.WrapAnswers()
	api.Post("/things", empty)
	api.NotFound(server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.WriteString("nothing here") }), seenBy("own"))
	plain := rt.Group("/plain", seenBy("plain"))
	plain.Get("/x/", empty)
	rt.Mount("/m", inner, seenBy("mounted"))

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
		{"GET", "/api/things", "405 root later api POST"},
		{"OPTIONS", "/api/things", "204 root later api POST"},
		{"BREW", "/api/things", "501 root later api"},
		{"GET", "/api/a/../things", "307 root later api"},
		{"GET", "/api/nothing", "404 root later api root later api own"},
		{"GET", "/nothing", "404 root extra"},
		{"GET", "/plain/nothing", "404 root extra"}, // plain has not asked
		{"GET", "/plain/x", "307 root extra"},
		{"GET", "/m/x", "200 root later mounted inner"},
		{"POST", "/m/x", "405 root later mounted inner GET"},
		{"GET", "/m/nothing", "404 root later mounted inner"},
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
	if res, err := rawOptionsAsterisk(at.String()); err != nil || res != "204 root extra" {
		t.Errorf("OPTIONS *: %s, %v", res, err)
	}
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "WrapAnswers") {
			t.Errorf("a second WrapAnswers panicked with %v", v)
		}
	}()
	again := router.New()
	again.WrapAnswers()
	again.WrapAnswers()
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
