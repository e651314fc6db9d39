package server_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"microhttp/server"
)

// post prints what a POST brings.
func post(url, body string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Post(url, "text/plain", strings.NewReader(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	fmt.Println(res.StatusCode, strings.TrimSpace(string(b)))
}

// An upload of any size is summed up on the loop, in a few kilobytes of memory.
func ExampleStreaming() {
	url, end := serve(server.StreamingFunc(func(w *server.Response, r *server.Request) {
		n, sum := 0, sha256.New()
		r.OnBody(func(p []byte, err error) {
			n += len(p)
			sum.Write(p)
			if err == io.EOF {
				fmt.Fprintf(w, "%d %.4x", n, sum.Sum(nil))
			} // any other err says why the body is not whole; the answer says it, too
		})
	}))
	defer end()
	post(url, strings.Repeat("x", 1_000_000))
	// Output: 200 1000000 1b977e9f
}

// A handler that passes pieces on to something slow pauses the body. The peer is slowed down by TCP.
func ExampleRequest_OnBody() {
	url, end := serve(server.StreamingFunc(func(w *server.Response, r *server.Request) {
		loop, n := r.Reactor(), 0
		r.OnBody(func(p []byte, err error) {
			if err != nil {
				fmt.Fprint(w, n, " bytes, ", err)
				return
			}
			n += len(p)
			r.PauseBody()
			loop.CallLater(time.Millisecond, r.ResumeBody) // when the slow thing has taken p
		})
	}))
	defer end()
	post(url, "Hello, World!")
	// Output: 200 13 bytes, EOF
}

// A Blocking handler reads the body as any io.Reader. It begins when the head has come.
func ExampleRequest_BodyReader() {
	url, end := serve(server.Blocking(server.StreamingFunc(func(w *server.Response, r *server.Request) {
		n, err := io.Copy(io.Discard, r.BodyReader())
		if err != nil {
			return // the answer says why
		}
		fmt.Fprintf(w, "%d bytes", n)
	})))
	defer end()
	post(url, "Hello, World!")
	// Output: 200 13 bytes
}

// The innermost bound counts.
func ExampleMaxBody() {
	small := server.MaxBody(5)
	url, end := serve(small(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		fmt.Fprintf(w, "%q", r.Body())
	})))
	defer end()
	post(url, "Hello")
	post(url, "Hello, World!")
	// Output:
	// 200 "Hello"
	// 413 413 Content Too Large: body too large
}

type account struct{ name string }

// accountKey is the key of the account that a request was made with.
var accountKey = server.NewKey[*account]("account")

// Middleware leaves a value for the handlers inside.
func ExampleNewKey() {
	login := server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		accountKey.Set(r, &account{r.QueryValue("as")})
		next.Serve(w, r)
	})
	url, end := serve(login(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		fmt.Fprintf(w, "Hello, %s!", accountKey.Get(r).name)
	})))
	defer end()
	get(url + "/?as=Ann")
	// Output: 200 Hello, Ann!
}

type traceKey struct{}

// A library that takes a context gets what middleware has put there.
func ExampleRequest_SetContext() {
	trace := server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		r.SetContext(context.WithValue(r.Context(), traceKey{}, "trace 7"))
		next.Serve(w, r)
	})
	url, end := serve(trace(server.HandlerFunc(func(w *server.Response, r *server.Request) {
		fmt.Fprint(w, r.Context().Value(traceKey{}))
	})))
	defer end()
	get(url)
	// Output: 200 trace 7
}

// A handler that takes too long is answered for.
func ExampleResponse_AnswerWithin() {
	soon := server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.AnswerWithin(20*time.Millisecond, func(w *server.Response, r *server.Request) {
			w.Reset()
			w.SetStatus(504)
			w.WriteString("too slow")
		})
		next.Serve(w, r)
	})
	url, end := serve(soon(server.BlockingFunc(func(w *server.Response, r *server.Request) {
		<-r.Context().Done() // as a query of a database would
		w.WriteString("this goes nowhere")
	})))
	defer end()
	get(url)
	// Output: 504 too slow
}

// The first of a chain is the outermost.
func ExampleChain() {
	mark := func(name string) server.Middleware {
		return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
			w.WriteString(name + ", ")
			next.Serve(w, r)
		})
	}
	url, end := serve(server.Chain(mark("outer"), mark("inner"))(server.HandlerFunc(
		func(w *server.Response, r *server.Request) { w.WriteString("handler") })))
	defer end()
	get(url)
	// Output: 200 outer, inner, handler
}

// Only requests that say how long they are have their bodies read.
func ExampleRequest_ReadBody() {
	known := server.Wrap(func(w *server.Response, r *server.Request, _ server.Handler) {
		if r.ContentLength() < 0 {
			w.Error(411)
			return
		}
		r.ReadBody(1<<10, func(w *server.Response, r *server.Request) {
			fmt.Fprintf(w, "%q", r.Body())
		})
	})
	url, end := serve(known(server.HandlerFunc(func(*server.Response, *server.Request) {})))
	defer end()
	post(url, "Hello, World!")
	// Output: 200 "Hello, World!"
}

// A HeadTaker of one's own registers what it calls with AtHead: a handler that does not take the head then still gets its
// body whole.
func ExampleAtHead() {
	url, end := serve(byMethod{
		"GET":  server.AtHead(server.HandlerFunc(func(w *server.Response, r *server.Request) { w.WriteString("got") })),
		"POST": server.AtHead(server.HandlerFunc(func(w *server.Response, r *server.Request) { w.Write(r.PeekBody()) })),
	})
	defer end()
	get(url)
	post(url, "posted")
	// Output:
	// 200 got
	// 200 posted
}

// byMethod chooses a handler by the method alone.
type byMethod map[string]server.Handler

func (byMethod) TakesHead() {}

func (m byMethod) Serve(w *server.Response, r *server.Request) {
	if h := m[r.Method()]; h != nil {
		h.Serve(w, r)
		return
	}
	w.Error(405)
}
