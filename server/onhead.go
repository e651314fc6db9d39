package server

// What stands between a handler and the wire. Functions of OnHead have the last word on the head of
// an answer. They wait on a stack of the Response, and the moment that decides the head takes them
// from it: in answer, in Stream, and, so that no loop does the work of a Blocking handler or of
// Pending.Answer, at their ends. A Response whose stack is empty, as mostly, skips all of it.

// before is one entry of that stack.
type before struct {
	head   func(w *Response, r *Request)
	filter filterFunc // in place of head
}

// OnHead adds a function that is called at the last moment before the head of the answer is made.
// It may still change the status, the fields and the content: for middleware that adds a field to
// every answer, or that decides by what the handler has answered.
//
//   - Functions are called in reverse order of registration, so the outermost middleware has the
//     last word. Each is called once, and not for interim responses.
//   - They are called in the goroutine that commits the head. That is the handler's own for a
//     [Blocking] handler and for a [Stream], the caller's of [Pending.Answer], and else the loop,
//     which must not block.
//   - They are called, too, for an answer that the server makes after the handler was called: 408,
//     413, 500 of a panic, 503. If the request is refused before any handler is called, there is
//     none. Reset and Error keep them.
//   - A panic is the handler's: OnPanic makes the answer, and the functions that are left are called
//     for that. A second panic ends the connection.
//   - Within the function, whatever takes the answer elsewhere panics: Later, Stream, Blocking and
//     the like.
//
// OnHead panics for nil. When the head is decided it does nothing, but for a line in the log.
func (w *Response) OnHead(f func(w *Response, r *Request)) {
	w.x.req.lent()
	if f == nil {
		panic("server: OnHead of a nil function")
	}
	if w.headDecided() || w.x.heading {
		_ = w.tooLate("OnHead")
		return
	}
	w.before = append(w.before, before{head: f})
}

// headDecided reports whether the head is as it will be sent.
func (w *Response) headDecided() bool { return w.committed() || w.flags&decided != 0 }

// decideHead calls what stands before the head of an answer that is no Stream.
func decideHead(w *Response, _ *Request) {
	if err := w.x.body.failed.Load(); err != nil && w.status < 400 {
		w.refusal(err)
	}
	w.callOnHead()
	if w.filters != nil && w.body.kind != contentFile { // a file is filtered as it is sent: see filepump.go
		w.filterContent()
	}
	w.flags |= decided
}

// callOnHead empties the stack. An entry leaves it before its function is called, so that none is
// called again if it panics.
func (w *Response) callOnHead() {
	x := w.x
	x.heading = true
	defer func() { x.heading = false }()
	for len(w.before) > 0 {
		last := len(w.before) - 1
		b := w.before[last]
		w.before[last] = before{}
		w.before = w.before[:last]
		if b.filter != nil {
			w.addFilter(b.filter)
			continue
		}
		b.head(w, &x.req)
	}
	if w.filters != nil {
		w.filterHead()
	}
}

// decide makes the last changes to the head of an answer on the loop. It returns false if a function
// has panicked so that there is no answer.
func (x *exchange) decide() bool {
	for x.res.flags&decided == 0 {
		x.run(decideHead)
		if x.fate.Load() == fateAborted {
			return false
		}
		x.res.onPanic = nil // it has had its chance, and so this loop has its end
	}
	return true
}

// decideStream is decide for a Stream that is about to be taken. It runs within the handler, to whom a
// panic belongs. For a Blocking handler it begins the answer: taken is false if that comes too late.
func (w *Response) decideStream() (taken bool) {
	if w.x.mode == modeBlocking && w.x.take() != nil {
		clear(w.before)
		w.before = w.before[:0]
		return false
	}
	w.flags |= streamHead
	w.callOnHead()
	return true
}
