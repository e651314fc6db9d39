package nethttp_test

// The http.ResponseWriter of From beside net/http's, where the table of fromrows_test.go cannot see it: what a handler is told,
// and what reaches the client of an answer that is not whole.

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
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

// TestFromShortAnswers holds that of an answer that is shorter than its Content-Length the head and what there is arrive, and
// then the end of the connection.
func TestFromShortAnswers(t *testing.T) {
	leavesNothing(t)
	short := map[string]http.HandlerFunc{
		"/nothing": func(http.ResponseWriter, *http.Request) {},
		"/some":    func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "four") },
		"/large":   func(w http.ResponseWriter, _ *http.Request) { w.Write(big) },
		"/flushed": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "four")
			w.(http.Flusher).Flush()
			io.WriteString(w, "and more")
		},
		"/more": func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "four")
			if n, err := w.Write(make([]byte, 10<<20)); n != 0 || err != http.ErrContentLength {
				panic(err)
			}
		},
	}
	seen := map[string]map[string]string{}
	for kind, addr := range both(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10000000")
		w.Header().Set("X-A", "b")
		w.WriteHeader(203)
		short[r.URL.Path](w, r)
	})) {
		seen[kind] = map[string]string{}
		for path := range short {
			_, in := connect(t, addr, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n")
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Errorf("%s: %s: %v", kind, path, err)
				continue
			}
			body, err := io.ReadAll(res.Body)
			res.Header.Del("Date")
			seen[kind][path] = fmt.Sprint(res.Status, spell(res.Header), len(body), " ", err)
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("%s: %s: behind it: %v", kind, path, err)
			}
		}
	}
	for path := range short {
		if got, want := seen["From"][path], seen["net/http"][path]; got != want || !strings.HasSuffix(got, io.ErrUnexpectedEOF.Error()) {
			t.Errorf("%s\ngot  %s\nwant %s", path, got, want)
		}
	}
}

// TestFromDoesNotReturn holds that a handler that panics with nil, where the program allows that, has not completed its answer;
// nor has one that ends its goroutine.
func TestFromDoesNotReturn(t *testing.T) {
	t.Setenv("GODEBUG", "panicnil=1")
	for name, end := range map[string]func(){"panic(nil)": func() { panic(nil) }, "Goexit": runtime.Goexit} {
		for _, flushed := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " flushed ", flushed), func(t *testing.T) {
				leavesNothing(t)
				h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					io.WriteString(w, "x")
					if flushed {
						w.(http.Flusher).Flush()
					}
					end()
				})
				addrs := map[string]string{"From": serve(t, nethttp.From(h))}
				if name != "Goexit" { // which net/http leaves its client waiting for
					addrs["net/http"] = serveHTTP(t, h)
				}
				for kind, addr := range addrs {
					if s := fetch(t, addr, "/"); !s.broken {
						t.Errorf("%s: %s", kind, s)
					}
				}
			})
		}
	}
}

// TestFromReasonPhrases holds that every status for which net/http has a phrase has one here too, interim ones as well.
func TestFromReasonPhrases(t *testing.T) {
	leavesNothing(t)
	for code := range 600 {
		if http.StatusText(code) != "" && server.StatusText(code) == "" {
			t.Errorf("%d %s has no phrase", code, http.StatusText(code))
		}
	}
	for kind, addr := range both(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(102) })) {
		_, in := connect(t, addr, plainGet)
		if line, err := in.ReadString('\n'); line != "HTTP/1.1 102 Processing\r\n" || err != nil {
			t.Errorf("%s: %q, %v", kind, line, err)
		}
	}
}
