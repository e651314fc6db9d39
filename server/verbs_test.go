package server

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"
)

// What a handler may do after what: each verb in each situation, through the API. It panics with what the table says, or
// works, and then the request has its answer.

// doVerb does v and returns what undoes it, so that the answer does not wait.
var doVerb = [verbs]func(w *Response, r *Request) (finish func()){
	verbLater: func(w *Response, r *Request) func() {
		p := w.Later()
		return func() { go p.Answer(func(*Response) {}) }
	},
	verbStream: func(w *Response, r *Request) func() {
		s := w.Stream()
		return func() { s.Close() }
	},
	verbLeaf: func(w *Response, r *Request) func() {
		r.ReadBody(0, func(*Response, *Request) {})
		return func() {}
	},
	verbOnBody: func(w *Response, r *Request) func() {
		r.OnBody(func([]byte, error) {})
		return func() {}
	},
	verbBodyReader: func(w *Response, r *Request) func() {
		b := r.BodyReader()
		return func() { b.Close() }
	},
	verbAnswerWithin: func(w *Response, r *Request) func() {
		w.AnswerWithin(time.Hour, nil)
		return func() {}
	},
	verbUpgrade: func(w *Response, r *Request) func() {
		if err := w.Upgrade("chat", &lines{}); !errors.Is(err, ErrNoUpgrade) {
			panic(err)
		}
		return func() {}
	},
	verbHijack: func(w *Response, r *Request) func() {
		conn, _, err := w.Hijack()
		if err != nil {
			panic(err)
		}
		return func() {
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			conn.Close()
		}
	},
	verbHold: func(w *Response, r *Request) func() {
		h := w.Hold()
		return func() { h.Serve(HandlerFunc(func(*Response, *Request) {})) }
	},
}

// inSituation makes a handler that calls do in a situation, and answers in the end.
var inSituation = [situations]func(do func(w *Response, r *Request)) Handler{
	undecided: func(do func(w *Response, r *Request)) Handler { return StreamingFunc(do) },
	leafChosen: func(do func(w *Response, r *Request)) Handler {
		return Wrap(func(w *Response, r *Request, next Handler) {
			next.Serve(w, r)
			do(w, r)
		})(HandlerFunc(func(*Response, *Request) {}))
	},
	holdTaken: func(do func(w *Response, r *Request)) Handler {
		return StreamingFunc(func(w *Response, r *Request) {
			h := w.Hold()
			do(w, r)
			h.Serve(HandlerFunc(func(*Response, *Request) {}))
		})
	},
	laterTaken: func(do func(w *Response, r *Request)) Handler {
		return StreamingFunc(func(w *Response, r *Request) {
			p := w.Later()
			do(w, r)
			go p.Answer(func(*Response) {})
		})
	},
	inAnswer: func(do func(w *Response, r *Request)) Handler {
		return StreamingFunc(func(w *Response, r *Request) {
			p := w.Later()
			go p.Answer(func(w *Response) { do(w, p.Request()) })
		})
	},
	streamOnLoop: func(do func(w *Response, r *Request)) Handler {
		return StreamingFunc(func(w *Response, r *Request) {
			s := w.Stream()
			do(w, r)
			s.Close()
		})
	},
	inBlocking: func(do func(w *Response, r *Request)) Handler { return Blocking(StreamingFunc(do)) },
	streamInBlocking: func(do func(w *Response, r *Request)) Handler {
		return Blocking(StreamingFunc(func(w *Response, r *Request) {
			w.Stream()
			do(w, r)
		}))
	},
	inOnPanic: func(do func(w *Response, r *Request)) Handler {
		return StreamingFunc(func(w *Response, r *Request) {
			w.OnPanic(func(w *Response, r *Request, _ any, _ []byte) { do(w, r) })
			panic("on purpose")
		})
	},
	inOnHead: func(do func(w *Response, r *Request)) Handler {
		return StreamingFunc(func(w *Response, r *Request) { w.OnHead(do) })
	},
	upgraded: func(do func(w *Response, r *Request)) Handler {
		return Blocking(StreamingFunc(func(w *Response, r *Request) {
			finish := doVerb[verbHijack](w, r)
			do(w, r)
			finish()
		}))
	},
}

func TestVerbs(t *testing.T) {
	for s := range situations {
		for v := range verbs {
			t.Run(fmt.Sprint(s, " ", verbNames[v]), func(t *testing.T) {
				got := make(chan string, 1)
				_, addr := start(t, nil, func(srv *Server) {
					srv.Handler = inSituation[s](func(w *Response, r *Request) {
						finish := func() {}
						defer func() {
							text, _ := recover().(string)
							got <- text
							finish()
						}()
						finish = doVerb[v](w, r)
					})
				})
				p := dial(t, addr)
				p.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
				if res, _ := p.answer("POST"); res.StatusCode != 200 {
					t.Errorf("status %d", res.StatusCode)
				}
				text := ""
				if why := forbidden[s][v]; why != "" {
					text = "server: " + verbNames[v] + " " + why
				}
				want(t, "it panics with", <-got, text)
			})
		}
	}
}

// A handler that is called where another cannot be chosen panics, whatever kind it is. Within Blocking it simply runs.
func TestHandlersInSituations(t *testing.T) {
	for name, h := range map[string]Handler{
		"plain":     AtHead(HandlerFunc(func(*Response, *Request) {})),
		"streaming": StreamingFunc(func(*Response, *Request) {}),
		"blocking":  BlockingFunc(func(*Response, *Request) {}),
	} {
		for s := range situations {
			got := make(chan string, 1)
			_, addr := start(t, nil, func(srv *Server) {
				srv.Handler = inSituation[s](func(w *Response, r *Request) {
					defer func() { text, _ := recover().(string); got <- text }()
					h.Serve(w, r)
				})
			})
			p := dial(t, addr)
			p.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc")
			p.answer("POST")
			text := "server: another handler " + forbidden[s][verbLeaf]
			if s == undecided || s == inBlocking || s == streamInBlocking {
				text = ""
			}
			want(t, fmt.Sprint(name, " in situation ", s), <-got, text)
		}
	}
}
