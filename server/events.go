package server

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Server-sent events (WHATWG HTML, 9.2): a Stream whose content is a series of small texts, which EventSource reads.

// ErrEvent says that the ID or the Name of an Event holds CR, LF or NUL, which no event can carry. Nothing was sent.
var ErrEvent = errors.New("server: the id or the name of an event holds CR, LF or NUL")

// An Event is one server-sent event. Fields that are empty are not sent.
type Event struct {
	// ID is what the client sends as Last-Event-ID when it connects again.
	ID string
	// Name is the type of the event, for which the client has a listener. Without one it is "message".
	Name string
	// Data is the content, of any number of lines. A line ends with LF, CR or CRLF; the client sees LF. The text should be
	// UTF-8: the client replaces what is not.
	//
	// An event that has neither Data nor a Name only sets the ID and Retry; the client dispatches nothing.
	Data string
	// Retry is the time after which the client connects again when it has lost the connection, in whole milliseconds.
	// 0 leaves it as it was.
	Retry time.Duration
}

// Events is an answer of server-sent events. It is a [Stream] underneath, and for the same goroutine.
type Events struct {
	s   *Stream
	sub *subscriber // of a Hub
}

// LastEventID returns the id of the last event that the client has seen, by its own account: what it sends as Last-Event-ID
// when it connects again. It is "" for a client that begins.
func (r *Request) LastEventID() string { return r.Header("Last-Event-ID") }

// Events commits the status and the fields of w, as [Response.Stream] does, with Content-Type text/event-stream, and with
// Cache-Control no-store if there is no other. A Content-Length is not sent. To HEAD the answer ends at once.
//
// On the loop, Send never blocks, and the answer stays open when the handler has returned: until Close, or until the peer
// ends, if OnPeerEnd or a [Hub] looks after that. In a Blocking handler Send blocks while the peer does not keep up, and the
// end of the handler ends the answer.
func (w *Response) Events() *Events {
	if w.stream == nil {
		w.SetHeader("Content-Type", eventStream)
		if len(w.PeekHeader("Cache-Control")) == 0 {
			w.SetHeader("Cache-Control", "no-store")
		}
		w.DelHeader("Content-Length")
	}
	e := &Events{s: w.Stream()}
	if e.s.framing.mute {
		_ = e.s.Close()
	}
	return e
}

// Send sends an event, past a filter that gathers, too. Errors are [ErrEvent] and those of [Stream.Write].
func (e *Events) Send(ev Event) error {
	b, err := appendEvent(nil, &ev)
	if err != nil {
		return err
	}
	return e.give(b)
}

// Comment sends a comment, which clients ignore: it keeps a connection alive through proxies that end silent ones, and shows
// a peer that is gone. The WHATWG advises one every 15 s. The text may have several lines. Errors are those of Stream.Write.
func (e *Events) Comment(text string) error { return e.give(appendComment(nil, text)) }

func (e *Events) give(b []byte) error {
	_, err := e.s.Give(b)
	if err == nil && e.s.filters != nil {
		err = e.s.Flush()
	}
	return err
}

// Stream returns the Stream underneath, for Full, OnDrain, OnPeerEnd and OnShutdown. What is written to it directly must be
// whole events. A Hub that the Events is subscribed to has taken its functions for itself.
func (e *Events) Stream() *Stream { return e.s }

// Close ends the answer, and its subscription to a Hub. An EventSource connects again, unless that gets 204. The error is
// that of [Stream.Close].
func (e *Events) Close() error {
	if e.sub != nil {
		e.sub.leave()
	}
	return e.s.Close()
}

// appendEvent appends ev as it stands in the stream.
func appendEvent(b []byte, ev *Event) ([]byte, error) {
	if strings.ContainsAny(ev.ID, "\r\n\x00") || strings.ContainsAny(ev.Name, "\r\n\x00") {
		return b, ErrEvent
	}
	if ev.ID != "" {
		b = append(append(append(b, "id: "...), ev.ID...), '\n')
	}
	if ev.Name != "" {
		b = append(append(append(b, "event: "...), ev.Name...), '\n')
	}
	if ms := ev.Retry.Milliseconds(); ms > 0 {
		b = append(strconv.AppendInt(append(b, "retry: "...), ms, 10), '\n')
	}
	if ev.Data != "" || ev.Name != "" { // a client dispatches nothing that has no data line
		b = appendLines(b, "data: ", ev.Data)
	}
	return append(b, '\n'), nil
}

func appendComment(b []byte, text string) []byte { return append(appendLines(b, ": ", text), '\n') }

// appendLines appends each line of text after the name of its field.
func appendLines(b []byte, field, text string) []byte {
	for {
		i := strings.IndexAny(text, "\r\n")
		b = append(b, field...)
		if i < 0 {
			return append(append(b, text...), '\n')
		}
		b = append(append(b, text[:i]...), '\n')
		if strings.HasPrefix(text[i:], "\r\n") {
			i++
		}
		text = text[i+1:]
	}
}
