package middleware

// One line for each request, written when its answer is done and so knowing how it went.
// Everything is appended to a buffer from where it lies: but for slog, a line costs no
// allocation.

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"microhttp/server"
)

// maxLogged bounds what a peer can put into a log line with one path or user agent; the
// rest of a longer one is cut off.
const maxLogged = 1 << 10

// AccessFormat says what the lines of an access log look like.
type AccessFormat uint8

const (
	// AccessFields are fields of a server.Log: JSON, mostly. It is the default.
	AccessFields AccessFormat = iota
	// AccessCombined is Apache's "combined" format, which many programs read.
	AccessCombined
	// AccessText is a line for people.
	AccessText
)

// AccessLogConfig is what [AccessLog] writes, and where. The zero value is ready.
type AccessLogConfig struct {
	// Format is what lines look like. The default is AccessFields.
	Format AccessFormat
	// Log gets the lines of AccessFields, at level info. nil is the default log: see server.Log.
	Log *server.Log
	// Output gets the lines of the other formats, one whole line at a time. It must not block, as lines are made on the
	// loops: give a server.LogWriter. A line that it fails to write is lost. The other formats need it.
	Output io.Writer
	// SampleEvery writes one of so many good answers: those whose status is below 400, and that went out whole. All others
	// are always written. 0 and 1 write every answer, unless SlowerThan is set.
	SampleEvery int
	// SlowerThan writes good answers only if they took at least so long. With SampleEvery, one of so many of the faster ones
	// is written too. 0 looks at no duration.
	SlowerThan time.Duration
}

// AccessLog writes one line for each request, when the response is done:
//
//	method       the method
//	path         the path as it came, escaped; never the query, which may hold secrets
//	pattern      the route that a router matched, if any
//	status       the status of the answer
//	bytes        how much content was sent
//	duration     from the end of the request's head to the end of the answer, in milliseconds
//	             (what zerolog.DurationFieldUnit says; under slog a Duration)
//	remote       address and port of the connection's peer; "unix" for a Unix socket
//	client       the client's address, when a trusted proxy has reported it: see ClientAddress
//	conn         the number of the connection, as in the server's own log
//	request_id   see RequestID; left out when there is none
//	user_agent   the request's User-Agent; left out when there is none
//	error        why the answer did not go out whole; left out when it did
//	reason       the short name of that, as server.CloseReason has it
//
// The other formats are
//
//	127.0.0.1 - ann [29/Nov/2026:15:04:05 +0100] "GET /a HTTP/1.1" 200 2326 "https://b.example/" "curl/8.14"
//	15:04:05 200 GET /a 2326 B 1.2ms 127.0.0.1
//
// where the first has the client's address, the name that [Basic] has found under [User], the request line without its
// query, the status, the bytes of content, the Referer without its query, and the User-Agent. The second ends in the
// error, if there is one.
//
// Paths, users and user agents are cut off after 1 KiB. Whatever a peer sends is escaped, so that a line stays a line.
//
// When the log does not write lines of level info at the time of the wrapping, the handler is returned as it is: the log
// then costs nothing. AccessLog panics for a format that has no Output.
func AccessLog(config AccessLogConfig) server.Middleware {
	l := &accessLog{AccessLogConfig: config}
	switch {
	case config.Format > AccessText:
		panic("middleware: AccessLog of an unknown format")
	case config.Format != AccessFields && config.Output == nil:
		panic("middleware: AccessLog of this format needs an Output")
	case config.Format == AccessFields && !config.Log.Enabled(slog.LevelInfo):
		return func(next server.Handler) server.Handler { return next }
	}
	done := l.done
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		w.OnDone(done)
		next.Serve(w, r)
	})
}

type accessLog struct {
	AccessLogConfig
	good atomic.Uint64 // answers, for SampleEvery
	out  sync.Mutex    // guards Output and line
	line []byte
}

// done is called when an answer is done, on its loop.
func (l *accessLog) done(w *server.Response, r *server.Request) {
	took := r.Elapsed()
	if !l.wants(w, took) {
		return
	}
	if l.Format == AccessFields {
		logAnswer(l.Log, w, r, took)
		return
	}
	l.out.Lock()
	defer l.out.Unlock()
	if l.Format == AccessCombined {
		l.line = appendCombined(l.line[:0], w, r)
	} else {
		l.line = appendPlain(l.line[:0], w, r, took)
	}
	_, _ = l.Output.Write(l.line)
}

// wants reports whether an answer gets a line.
func (l *accessLog) wants(w *server.Response, took time.Duration) bool {
	switch {
	case l.SampleEvery <= 1 && l.SlowerThan <= 0:
		return true
	case w.Status() >= 400 || w.Err() != nil:
		return true
	case l.SlowerThan > 0 && took >= l.SlowerThan:
		return true
	}
	return l.SampleEvery > 0 && l.good.Add(1)%uint64(l.SampleEvery) == 0
}

func logAnswer(log *server.Log, w *server.Response, r *server.Request, took time.Duration) {
	var buf [64]byte // longer than any address and port, but for one with a long zone
	remote := append(buf[:0], "unix"...)
	if addr := r.RemoteAddr(); addr.IsValid() {
		remote = addr.AppendTo(buf[:0])
	}
	e := appendRequest(log.Line(slog.LevelInfo), w, r).
		Int("status", w.Status()).
		Int64("bytes", w.BytesSent()).
		Dur("duration", took).
		Bytes("remote", remote).
		Uint64("conn", r.ConnID())
	if client := r.Forwarded().For; client.IsValid() {
		e = e.Bytes("client", client.AppendTo(buf[:0]))
	}
	if agent := r.PeekHeader("User-Agent"); agent != nil {
		e = e.Bytes("user_agent", clip(agent))
	}
	if err := w.Err(); err != nil {
		e = e.Err(err)
		if why, ok := errors.AsType[server.CloseReason](err); ok {
			e = e.Str("reason", why.Name())
		}
	}
	e.Msg("request")
}

// appendRequest adds what a log line says of a request, whatever it is about.
func appendRequest(e server.LogLine, w *server.Response, r *server.Request) server.LogLine {
	e = e.Str("method", r.Method()).
		Bytes("path", clip(r.PeekEscapedPath())).
		Str("pattern", r.Pattern())
	if id := w.PeekHeader(RequestIDHeader); id != nil {
		e = e.Bytes("request_id", id)
	}
	return e
}

func clip(b []byte) []byte { return b[:min(len(b), maxLogged)] }
