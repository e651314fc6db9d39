package server

import (
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A handler that holds its loop up is told of while it does, by the name of its route.
func TestStallIsTold(t *testing.T) {
	var log syncBuffer
	logger := zerolog.New(&log)
	_, addr := start(t, func(w *Response, r *Request) {
		r.SetMatch("GET /slow", nil, nil) // as a router does
		await(t, "the warning", func() bool { return log.String() != "" })
	}, func(s *Server) { s.StallLimit, s.Logger = 20*time.Millisecond, &logger })
	dial(t, addr).get("/slow")
	wantContains(t, "log", log.String(), `"level":"warn"`, `"route":"GET /slow"`, "a loop is held up", "TestStallIsTold")
}
