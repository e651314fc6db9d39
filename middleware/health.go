package middleware

import "microhttp/server"

// Alive returns a handler that answers 200 as long as a loop runs it: for a probe that restarts a program that hangs.
// Caches do not keep the answer.
func Alive() server.Handler {
	return headFunc(func(w *server.Response, _ *server.Request) { sayHealth(w, 200, "alive") })
}

// Readiness returns a handler that answers 200 while all checks return nil, and otherwise 503: for a load balancer that
// asks where to send requests. It answers 503, too, from when the server shuts down: see server.Server.ShutdownDelay. The
// answer does not say what is wrong, since strangers may ask.
//
// The checks run on the loop, in order, and must not block: let them read what a goroutine of yours keeps up to date. Wrap
// the handler in server.Blocking for checks that must block.
func Readiness(checks ...func() error) server.Handler {
	return headFunc(func(w *server.Response, r *server.Request) {
		if r.ShuttingDown() {
			sayHealth(w, 503, "shutting down")
			return
		}
		for _, check := range checks {
			if check() != nil {
				sayHealth(w, 503, "not ready")
				return
			}
		}
		sayHealth(w, 200, "ready")
	})
}

func sayHealth(w *server.Response, status int, text string) {
	w.SetStatus(status)
	w.SetHeader("Content-Type", "text/plain; charset=utf-8")
	w.SetHeader("Cache-Control", "no-store")
	w.WriteString(text)
	w.WriteString("\n")
}
