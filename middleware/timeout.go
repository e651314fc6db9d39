package middleware

import (
	"time"

	"microhttp/server"
)

// Timeout answers 503 when a handler has not begun to answer within d. It is [server.Response.AnswerWithin] as a
// middleware:
//
//   - The loop answers, also while a Blocking handler still runs. What that handler writes then goes nowhere.
//   - The context of the request ends.
//   - A Stream that has begun is not cut off.
//   - The innermost Timeout wins.
//
// It works on the loop: inside server.Blocking it panics. Timeout panics if d is not positive.
func Timeout(d time.Duration) server.Middleware {
	if d <= 0 {
		panic("middleware: Timeout of a time that is not positive")
	}
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.AnswerWithin(d, nil)
		next.Serve(w, r)
	})
}
