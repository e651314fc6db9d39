package server

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"microhttp/parser"
)

// Filters transform the content of an answer between the handler and the wire. They wait on the stack
// of onhead.go, and are taken from it when the head is decided: then it is known which of them there
// are, and that the head says what they do. Content of a handler that returns is filtered in one piece.
// Content of a Stream is filtered as it is written, in front of the sink, so a sink, and every bound,
// only sees what comes out.

// filterFunc is what Filter takes.
type filterFunc = func(dst, p []byte, last bool) ([]byte, error)

// Filter adds a function that transforms the content of the answer: inline, late, streamed, of a
// Blocking handler, or of a file. f appends what becomes of p to dst and returns the result. p is lent
// until f returns.
//
//   - f may keep content back. A call with an empty p that is not the last is a flush, for [Stream.Flush]:
//     f then appends what it has kept.
//   - The last call has last set, and p may be empty. There is none if the connection is lost before,
//     or the answer is replaced. What f holds is given back in OnDone.
//   - Filters run innermost first: the last that was added sees the content first. The innermost of
//     those that functions of OnHead add is that of the innermost function.
//   - There is no call for HEAD, 204, 205, 206 and 304. The head of those is as it would be for GET and
//     200, but for 206, which stays as it is.
//   - The answer has no Content-Length and no Accept-Ranges, and a strong ETag becomes weak. Who decides
//     by a field of the request adds Vary, also to 304 and HEAD, and sets Content-Encoding.
//   - If f returns an error or panics, the answer is 500 if its head is not sent, and else the connection
//     is reset. An error leaves one line in the log, and Err returns it, wrapped with [ErrFilter].
//   - Reset and Error take filters away, as they do the fields that describe content.
//   - Calls are made by the goroutine that makes the answer, one after the other. For content that is
//     written to no Stream, and for a Stream that was taken on the loop, that may be the loop.
//
// MaxUnsentBytes counts what comes out. Filter panics for nil. When the head is decided it does nothing,
// but for a line in the log.
func (w *Response) Filter(f func(dst, p []byte, last bool) ([]byte, error)) {
	w.x.req.lent()
	if f == nil {
		panic("server: Filter of a nil function")
	}
	if w.headDecided() {
		_ = w.tooLate("Filter")
		return
	}
	w.before = append(w.before, before{filter: f})
}

// filters are those of one answer, in the order in which they run.
type filters struct {
	all  []filterFunc
	bufs [2][]byte // what comes out, in turns
}

var filterPool = sync.Pool{New: func() any { return new(filters) }}

// maxKeptFiltered is the largest buffer that filters keep for their next answer.
const maxKeptFiltered = 64 << 10

// release gives f back, when none of its filters will be called any more.
func (f *filters) release() {
	clear(f.all)
	f.all = f.all[:0]
	for i := range f.bufs {
		if cap(f.bufs[i]) > maxKeptFiltered {
			f.bufs[i] = nil
		}
	}
	filterPool.Put(f)
}

// run passes p through all filters. The result is lent until the next run. An empty p that is not the
// last is a flush.
func (f *filters) run(p []byte, last bool) (out []byte, err error) {
	flush := len(p) == 0 && !last
	for i, filter := range f.all {
		out = f.bufs[i&1][:0]
		if len(p) > 0 || last {
			out, err = filter(out, p, last)
		}
		if flush && err == nil {
			out, err = filter(out, nil, false)
		}
		if f.bufs[i&1] = out; err != nil {
			return nil, err
		}
		p = out
	}
	return out, nil
}

// addFilter takes a filter from the stack.
func (w *Response) addFilter(f filterFunc) {
	if w.filters == nil {
		w.filters = filterPool.Get().(*filters)
	}
	w.filters.all = append(w.filters.all, f)
}

// dropFilters takes all filters away.
func (w *Response) dropFilters() {
	w.before = slices.DeleteFunc(w.before, func(b before) bool { return b.filter != nil })
	w.takeFilters()
	w.flags &^= filtered
}

// takeFilters makes an end of the filters, which are not called any more.
func (w *Response) takeFilters() {
	if w.filters != nil {
		w.filters.release()
		w.filters = nil
	}
}

// filterHead makes the head say what the filters do, and decides whether they run.
func (w *Response) filterHead() {
	if w.status == 206 {
		w.takeFilters()
		return
	}
	w.flags |= filtered
	w.declared = -1
	w.fields.del("Accept-Ranges")
	if tag := w.PeekHeader("ETag"); len(tag) > 0 && tag[0] == '"' {
		w.SetHeader("ETag", "W/"+string(tag))
	}
	if bodyless(w.status) || w.x.req.head.MethodID == parser.MethodHead {
		w.takeFilters()
	}
}

// filterContent replaces the content by what the filters make of it.
func (w *Response) filterContent() {
	f := w.filters
	w.filters = nil // so that it is not called again if it panics
	out, err := f.run(w.body.bytes(), true)
	if err != nil {
		err = w.filterFailed(err)
		w.Error(500)
		w.err = err
		return
	}
	i := (len(f.all) - 1) & 1
	f.bufs[i] = w.body.buf
	w.body.clear()
	w.body.buf = out
	f.release()
	w.recount()
}

const filterLine = "a filter has failed"

// filterFailed writes the line of a filter that has returned an error.
func (w *Response) filterFailed(err error) error {
	c := w.x.req.conn
	if s := c.w.srv; s.mayLog(slog.LevelError, filterLine, "", linesPerWindow) {
		f := w.x.req.shown()
		e := appendFault(s.log.Line(slog.LevelError).Err(err), &f).Str("pattern", w.x.req.pattern)
		c.appendPeer(e).Msg(filterLine)
	}
	return fmt.Errorf("%w: %w", ErrFilter, err)
}

// pass has the filters of a Stream transform a piece of content, or flush, or end, and sends what comes
// out. The sink has admitted it.
func (s *Stream) pass(p []byte, last bool) error {
	f := s.filters
	if last {
		s.filters = nil
	}
	out, err := f.run(p, last)
	if err != nil {
		err = s.x.res.filterFailed(err)
		s.filters, s.closed = nil, true
		s.breakOff(err)
		_ = s.sink.close(nil, true)
		return err
	}
	if len(out) > 0 {
		_, err = s.sink.put(out, false)
	}
	if last {
		f.release()
	}
	return err
}

// Flush has filters give out what they keep back: see [Response.Filter]. Without a filter it does
// nothing, since Write keeps nothing back. Its errors are those of Write.
func (s *Stream) Flush() error {
	switch {
	case s.closed:
		return ErrStreamClosed
	case s.filters == nil:
		return nil
	}
	if err := s.sink.admits(); err != nil {
		return err
	}
	return s.pass(nil, false)
}
