package nethttp_test

// The http.ResponseWriter of From beside net/http's, where the table of fromrows_test.go cannot see it: what a handler is told,
// and what reaches the client of an answer that is not whole.

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"microhttp/server"
	"microhttp/server/nethttp"
)

// both serves h by net/http and by From.
func both(t *testing.T, h http.Handler) map[string]string {
	return map[string]string{"net/http": serveHTTP(t, h), "From": serve(t, nethttp.From(h))}
}

// TestFromWriteFailsWhenThePeerIsGone holds that a handler which flushes, and looks only at what Write returns, ends when its
// peer is gone, and that it gets the same error from then on.
func TestFromWriteFailsWhenThePeerIsGone(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter) error{
		"Write":       func(w http.ResponseWriter) error { _, err := w.Write([]byte("young\n")); return err },
		"WriteString": func(w http.ResponseWriter) error { _, err := io.WriteString(w, "young\n"); return err },
		"ReadFrom": func(w http.ResponseWriter) error {
			_, err := io.Copy(w, onlyReader{strings.NewReader("young\n")})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			leavesNothing(t)
			ended := make(chan [3]error, 1)
			for kind, addr := range both(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for end := time.Now().Add(patience); time.Now().Before(end); w.(http.Flusher).Flush() {
					if err := write(w); err != nil {
						ended <- [3]error{err, write(w), http.NewResponseController(w).Flush()}
						return
					}
				}
				ended <- [3]error{}
			})) {
				c, in := connect(t, addr, plainGet)
				if _, err := io.ReadFull(in, make([]byte, 300)); err != nil {
					t.Fatal(err)
				}
				c.Close()
				errs := <-ended
				if errs[0] == nil || errs[1] == nil || errs[2] == nil {
					t.Errorf("%s: %v", kind, errs)
				}
				if kind == "From" && (!errors.Is(errs[0], server.ErrPeerGone) || errs[1] != errs[0] || errs[2] != errs[0]) {
					t.Errorf("%s: %v", kind, errs)
				}
			}
		})
	}
}

// TestFromIsAStringWriter holds that io.WriteString makes no copy of what is gathered.
func TestFromIsAStringWriter(t *testing.T) {
	leavesNothing(t)
	for kind, addr := range both(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s, ok := w.(io.StringWriter)
		if !ok {
			t.Error("no io.StringWriter")
			return
		}
		for _, piece := range []string{"a", "", strings.Repeat("b", 2047), "c", strings.Repeat("d", 5000)} {
			if n, err := s.WriteString(piece); n != len(piece) || err != nil {
				t.Errorf("%d of %d: %v", n, len(piece), err)
			}
		}
	})) {
		if got := fetch(t, addr, "/"); got.body != "a"+strings.Repeat("b", 2047)+"c"+strings.Repeat("d", 5000) {
			t.Errorf("%s: %s", kind, got)
		}
	}
}
