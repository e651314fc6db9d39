package middleware

import (
	"strconv"
	"strings"

	"microhttp/server"
)

// Problems makes the short texts of errors problem documents (RFC 9457), as server.Try answers with: 404 and 405 of a router,
// 401 of [Basic], 429 of [RateLimit], 413 of the server, and whatever else server.Response.Error has answered with. So all
// errors of an API look alike. Errors with another content stay as they are.
//
// It sees the answers of the handlers and middleware inside.
func Problems(next server.Handler) server.Handler { return problems(next) }

var problems = server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
	w.OnHead(asProblem)
	next.Serve(w, r)
})

func asProblem(w *server.Response, _ *server.Request) {
	status := w.Status()
	if status < 400 {
		return
	}
	text, reason := string(w.PeekBody()), server.StatusText(status)
	detail, refused := strings.CutPrefix(text, strconv.Itoa(status)+" "+reason+": ") // as the server says why it refuses
	if !refused && text != reason+"\n" {
		return
	}
	if !refused {
		detail = ""
	}
	w.DelHeader("Content-Type")
	w.Problem(status, server.Problem{Detail: strings.TrimSuffix(detail, "\n")})
}
