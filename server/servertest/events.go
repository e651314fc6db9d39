package servertest

import (
	"strconv"
	"strings"
	"time"

	"microhttp/server"
)

// Event waits for the next server-sent event (WHATWG HTML, 9.2) and returns it. Comments and blocks without data are passed
// over. At the end of the answer it fails the test.
func (x *Exchange) Event() server.Event {
	x.c.t.Helper()
	if kind := x.Head().Header("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		x.conn.fatalf("%s: Content-Type %q, want text/event-stream", x.name(), kind)
	}
	var e server.Event
	var data []string
	for {
		line, ok := x.Line()
		if !ok {
			x.conn.fatalf("%s: the answer ends where an event is awaited", x.name())
		}
		if line == "" {
			if len(data) > 0 {
				e.Data = strings.Join(data, "\n")
				return e
			}
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "id":
			e.ID = value
		case "event":
			e.Name = value
		case "data":
			data = append(data, value)
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				e.Retry = time.Duration(ms) * time.Millisecond
			}
		}
	}
}
