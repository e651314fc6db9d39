package main

// The routes of demo. Each shows one thing that the server does; each is small enough to
// be copied as a beginning.

import (
	"fmt"
	"strconv"

	"microhttp/router"
	"microhttp/server"
)

// newRoutes registers every route. What no route takes the router answers: 404, 405 with
// Allow, 501, and OPTIONS.
func newRoutes() *router.Router {
	r := router.New()
	r.HandleFunc("GET /{$}", servePage)
	r.HandleFunc("POST /{$}", returnBody)
	r.HandleFunc("GET /plaintext", plaintext)
	r.HandleFunc("GET /json", jsonMessage)
	r.Post("/json", server.Try(returnJSON))
	r.Handle("POST /form", server.Blocking(server.Streaming(server.Try(summarizeForm))))
	r.HandleFunc("GET /users/{id}", parameters("id"))
	r.HandleFunc("GET /users/{user}/posts/{post}", parameters("user", "post"))
	r.HandleFunc("GET /echo", echo)
	r.HandleFunc("POST /echo", echo)
	r.HandleFunc("GET /cookie", cookies)
	r.HandleFunc("GET /cookie/set", setCookies)
	r.HandleFunc("GET /status/{code}", status)
	r.HandleFunc("GET /reflect", reflect)
	r.HandleFunc("GET /bytes/{n}", streamBytes)
	r.HandleFunc("GET /download/{n}", download)
	r.HandleFunc("GET /page", servePacked)
	r.HandleFunc("GET /events", events)
	r.HandleFunc("GET /clock", new(clock).serve)
	r.Handle("GET /sleep/{ms}", server.BlockingFunc(sleep))
	r.Handle("POST /upload", server.StreamingFunc(upload))
	r.Handle("PUT /upload", server.StreamingFunc(upload))
	r.HandleFunc("GET /lag", lag)
	r.Handle("GET /ws/echo", wsEcho)
	r.HandleFunc("GET /chat", serveChat)
	r.Handle("GET /chat/ws", newChat())
	return r
}

// returnBody answers with the body as it came.
func returnBody(w *server.Response, r *server.Request) {
	if t := r.Header("Content-Type"); t != "" {
		w.SetHeader("Content-Type", t)
	}
	w.SetHeader("X-Content-Type-Options", "nosniff") // whatever it is, it is not ours
	w.SetBody(r.PeekBody())                          // lent for as long as the answer needs it
}

// plaintext is the least that a handler can do.
func plaintext(w *server.Response, _ *server.Request) {
	w.SetHeader("Content-Type", "text/plain")
	w.WriteString("Hello, World!")
}

// jsonMessage encodes anew for each request.
func jsonMessage(w *server.Response, _ *server.Request) {
	w.JSON(200, message{"Hello, World!"})
}

type message struct {
	Message string `json:"message"`
}

// parameters answers with the values of the wildcards with these names, one a line.
func parameters(names ...string) func(w *server.Response, r *server.Request) {
	return func(w *server.Response, r *server.Request) {
		setText(w)
		for _, name := range names {
			writeLine(w, name, "=", r.PathValue(name))
		}
	}
}

// echo answers with the header fields of the request, in order, names as they came.
func echo(w *server.Response, r *server.Request) {
	setLines(w)
	for name, value := range r.Headers() {
		writeLine(w, name, ": ", value)
	}
}

// cookies answers with the cookies of the request.
func cookies(w *server.Response, r *server.Request) {
	setLines(w)
	for name, value := range r.Cookies() {
		writeLine(w, name, "=", value)
	}
}

// maxCookies is how many one answer sets: every user agent keeps as many of a site
// (RFC 6265bis, 6.1). A query names thousands, and each is compared with those before it.
const maxCookies = 50

// setCookies sets a cookie for each parameter of the query. What user agents would drop is
// refused, and the handler need not know what that is.
func setCookies(w *server.Response, r *server.Request) {
	setLines(w)
	set := 0
	for name, value := range r.Query() {
		if set++; set > maxCookies {
			w.Reset()
			refuse(w, fmt.Sprintf("at most %d cookies", maxCookies))
			return
		}
		c := server.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: server.SameSiteLaxMode}
		if err := c.Valid(); err != nil {
			w.Reset()
			refuse(w, err.Error())
			return
		}
		w.SetCookie(&c)
		writeLine(w, name, "=", value)
	}
}

// reflect puts a value that the peer has chosen into a field, if a field can hold it. The server
// would drop what could end the field; here the peer is to know.
func reflect(w *server.Response, r *server.Request) {
	v, given := "", false
	for name, value := range r.Query() {
		if name == "v" {
			v, given = value, true
			break
		}
	}
	if !given {
		refuse(w, "the query needs a v")
		return
	}
	if !server.ValidFieldValue(v) {
		refuse(w, "no field value may hold v")
		return
	}
	w.SetHeader("X-Reflect", v)
	setText(w)
	w.WriteString("see X-Reflect\n")
}

// lag answers with how long the loop that serves this connection was away from its descriptors:
// what a handler that blocks does to all others on it. The log tells which one it was.
func lag(w *server.Response, r *server.Request) {
	ticks := r.Reactor().Lag()
	setText(w)
	w.SetHeader("Cache-Control", "no-store")
	_, _ = fmt.Fprintf(w, "ticks: %d\n", ticks.Count())
	for _, percent := range [...]float64{50, 99, 99.9, 100} {
		_, _ = fmt.Fprintf(w, "%v %% within %v\n", percent, ticks.Quantile(percent/100))
	}
}

// setText makes the answer plain text. What a peer sent is shown as text only: no browser
// may take it for a page.
func setText(w *server.Response) {
	w.SetHeader("Content-Type", "text/plain; charset=utf-8")
	w.SetHeader("X-Content-Type-Options", "nosniff")
}

// setLines is setText for an answer that may turn out to have no line at all. The server
// counts what is written, but to HEAD nothing may also mean that only GET would have
// written: that there is none is said here, for HEAD has the fields of GET (RFC 9110, 9.3.2).
func setLines(w *server.Response) {
	setText(w)
	w.SetHeader("Content-Length", "0")
}

func writeLine(w *server.Response, name, between, value string) {
	for _, s := range [...]string{name, between, value, "\n"} {
		w.WriteString(s)
	}
}

// refuse answers 400 and says why.
func refuse(w *server.Response, why string) {
	w.Error(400)
	w.WriteString(why + "\n")
}

// wholeNumber reads the wildcard of that name: digits alone, least to most, as one writes
// such a number. If it is anything else, it answers 400.
func wholeNumber(w *server.Response, r *server.Request, name string, least, most int) (n int, ok bool) {
	text := r.PathValue(name)
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most || strconv.Itoa(n) != text {
		refuse(w, fmt.Sprintf("%s is a whole number from %d to %d", name, least, most))
		return 0, false
	}
	return n, true
}
