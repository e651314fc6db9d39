package middleware_test

import (
	"regexp"
	"strings"
	"testing"

	"microhttp/middleware"
	"microhttp/server"
)

// showID answers with the id that a handler sees.
var showID = handler(func(w *server.Response, _ *server.Request) {
	w.WriteString(middleware.GetRequestID(w))
})

var made = regexp.MustCompile(`^[0-9a-f]{32}$`)

func TestRequestIDTakesOverWhatIsSane(t *testing.T) {
	c := serve(t, middleware.RequestID(showID))
	for _, test := range []struct {
		id   string
		kept bool
	}{
		{"x", true},
		{"5f3c1c5e-8f0e-4d3a-9d55-2b1f7c7f3f0a", true},
		{"Root=1-67891233:abcdef/0123+~_.@", true},
		{strings.Repeat("a", 64), true},
		{strings.Repeat("a", 65), false},
		{"", false},
		{"two words", false},
		{`quo"ted`, false},
		{"a;b", false},
		{"a,b", false},
		{"<b>", false},
		{"$(id)", false},
		{"caf\xc3\xa9", false},
	} {
		res, body := ask(t, c, "GET / HTTP/1.1", "x-request-ID: "+test.id)
		got := res.Header.Get("X-Request-Id")
		if kept := got == test.id; kept != test.kept {
			t.Errorf("id %q was answered %q", test.id, got)
		}
		if !test.kept && !made.MatchString(got) {
			t.Errorf("id %q was replaced by %q", test.id, got)
		}
		if body != got {
			t.Errorf("the handler saw %q, the peer %q", body, got)
		}
	}
}

func TestRequestIDIsUnique(t *testing.T) {
	// Two servers stand for one that was started again.
	seen := map[string]bool{}
	for range 2 {
		c := serve(t, middleware.RequestID(showID))
		for range 100 {
			_, id := ask(t, c, "GET / HTTP/1.1")
			if !made.MatchString(id) || seen[id] {
				t.Fatalf("id %q after %d others", id, len(seen))
			}
			seen[id] = true
		}
	}
}

func TestRequestIDAllocatesNothing(t *testing.T) {
	expectNoAllocs(t, middleware.RequestID(quiet))
}
