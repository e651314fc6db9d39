package server

import (
	"fmt"
	"testing"
)

// Middleware can tell whether it stands inside Blocking.
func TestOffLoop(t *testing.T) {
	say := Wrap(func(w *Response, r *Request, next Handler) {
		fmt.Fprint(w, r.OffLoop(), " ")
		next.Serve(w, r)
	})
	inner := HandlerFunc(func(w *Response, r *Request) { fmt.Fprint(w, r.OffLoop()) })
	for want, h := range map[string]Handler{
		"false false": say(inner), "true true": Blocking(say(inner)), "false true": say(Blocking(inner)), "false true true": say(OwnGoroutine(say(inner))),
	} {
		_, addr := start(t, nil, func(s *Server) { s.Handler = h })
		if got := dial(t, addr).get("/"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
