package metrics_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"microhttp/middleware/metrics"
	"microhttp/router"
	"microhttp/server"
)

// promtool finds nothing to say about the metrics, neither about ours nor about those of the runtime and the process beside
// them. It is in Debian's package prometheus; PROMTOOL names another one. With PROMTOOL set the test does not skip.
func TestPromtool(t *testing.T) {
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		var err error
		if promtool, err = exec.LookPath("promtool"); err != nil {
			t.Skip("promtool is not installed; on Debian: apt-get install prometheus")
		}
	}
	routes := router.New()
	routes.HandleFunc("GET /users/{id}", func(w *server.Response, _ *server.Request) { w.WriteString("a user") })
	m := metrics.New(metrics.Config{})
	s := &server.Server{Handler: m.Middleware(routes)}
	m.Watch(s)
	addr := start(t, s)
	for _, target := range []string{"/users/1", "/users/2", "/nothing"} {
		ask(t, addr, "GET "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
	}
	ask(t, addr, "GET / HTTP/1.1\r\n\r\n") // no Host: refused
	_, page := ask(t, start(t, &server.Server{Handler: m.Handler()}), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")

	check := func(page string) (string, error) {
		cmd := exec.Command(promtool, "check", "metrics")
		cmd.Stdin = strings.NewReader(page)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := check(page); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := check(strings.ReplaceAll(page, "refused_total", "refused")); err == nil {
		t.Errorf("promtool found nothing about a counter without _total: %s", out)
	}
	t.Logf("promtool check metrics: nothing to say about %d lines", strings.Count(page, "\n"))
}
