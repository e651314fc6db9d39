package server

import (
	"fmt"
	"strings"
	"testing"
)

// What is used when its response is done: it changes no other answer, it ends no program, and the log says so.

// A response that is used when it is done is not part of the next one, and the log says so.
func TestLateUseIsUndone(t *testing.T) {
	kept := make(chan *Response, 1)
	p, log := logged(t, func(w *Response, r *Request) {
		if r.Path() == "/kept" {
			kept <- w
		}
		w.WriteString(r.Path())
	})
	want(t, "the first answer", p.get("/kept"), "/kept")
	w, did := <-kept, make(chan bool)
	w.x.req.conn.w.loop.CallFromThread(func() { // on the loop, or the race detector says it all
		w.WriteString("secret")
		w.SetHeader("X-Secret", "1")
		w.SetStatus(500)
		w.OnDone(func(*Response, *Request) { t.Error("OnDone of a request that was over") })
		for what, use := range map[string]func(){
			"Later":    func() { w.Later() },
			"Stream":   func() { w.Stream() },
			"Interim":  func() { w.Interim(103) },
			"Blocking": func() { BlockingFunc(hello).Serve(w, &w.x.req) },
		} {
			if !panics(use) {
				t.Errorf("late use of %s did not panic", what)
			}
		}
		close(did)
	})
	<-did
	p.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
	res, body := p.answer("GET")
	want(t, "the next answer", fmt.Sprint(res.StatusCode, " ", body, res.Header["X-Secret"]), "200 /next[]")
	if n := strings.Count(log.String(), lateUse); n != 1 {
		t.Errorf("%d lines say so: %s", n, log.String())
	}
	wantContains(t, "log", log.String(), "TestLateUseIsUndone") // its stack
}

// What a Request is asked when its response is done, it answers with nothing: a panic in a goroutine of the program would end
// the program. The log says so.
func TestLateQuestions(t *testing.T) {
	kept := make(chan *Request, 1)
	p, log := logged(t, func(w *Response, r *Request) {
		r.SetMatch("/{a}", []string{"a"}, []Span{{Off: 1, Len: 5}})
		kept <- r
		w.NoContent()
	})
	p.send("GET %s HTTP/1.1\r\nHost: a\r\nCookie: c=1\r\nX: 1\r\n\r\n", "/st%61r?q=1")
	p.answer("GET")
	r, did := <-kept, make(chan bool)
	r.conn.w.loop.CallFromThread(func() { // on the loop, or the race detector says it all
		defer close(did)
		cookie, _ := r.Cookie("c")
		asked := []any{
			r.Method(), r.Target(), r.Path(), r.RawQuery(), r.QueryValue("q"), r.Host(), r.Header("X"), r.PathValue("a"), cookie,
			string(r.PeekTarget()), string(r.PeekHost()), string(r.PeekHeader("X")), string(r.PeekCookie("c")), string(r.PeekEscapedPath()),
			len(r.Body()), r.Scheme(), r.ContentLength(),
		}
		for name, value := range r.Headers() {
			asked = append(asked, name+value)
		}
		for name, value := range r.PathValues() {
			asked = append(asked, name+value)
		}
		if said := fmt.Sprint(asked); strings.ContainsAny(said, "qrX1") {
			t.Errorf("it tells of what is gone: %s", said)
		}
	})
	<-did
	wantContains(t, "log", log.String(), lateUse)
}
