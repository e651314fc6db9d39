package server

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// All lines of the server and of its middleware are made here, field by field, for one of two libraries. A line of zerolog is
// appended to that library's buffer as it is made, and costs no allocation. For slog its fields are gathered and handed over
// as a Record, so that they keep their types.

// Log is where a Server and its middleware write their lines. [Zerolog] and [Slog] make one. A nil *Log is the default: lines
// of level info and above, written to standard error through a [LogWriter]. To be silent, use Zerolog(zerolog.Nop()).
//
// Lines are made on the loops, so a Log must write to something that does not block: a file on a local disk, or a LogWriter
// around anything else. Fields have the same names whichever library writes them.
//
// Middleware of your own writes to the same Log:
//
//	log.Line(slog.LevelWarn).Str("user", name).Int("tries", n).Msg("too many logins")
//
// Its methods may be called from any goroutine.
type Log struct {
	z zerolog.Logger
	h slog.Handler // used instead of z, unless nil
}

// Zerolog returns a Log that writes to l. Durations are numbers in zerolog.DurationFieldUnit, by default milliseconds.
func Zerolog(l zerolog.Logger) *Log { return &Log{z: l} }

// Slog returns a Log that writes to l, or to slog.Default() as it is at this call if l is nil. Durations are of slog's kind
// Duration. The handler is called with the background context and without a source position.
func Slog(l *slog.Logger) *Log {
	if l == nil {
		l = slog.Default()
	}
	return &Log{h: l.Handler()}
}

// Enabled reports whether lines of the level are written.
func (l *Log) Enabled(level slog.Level) bool {
	l = l.orDefault()
	if l.h != nil {
		return l.h.Enabled(context.Background(), level)
	}
	return max(l.z.GetLevel(), zerolog.GlobalLevel()) <= zerologLevel(level)
}

// Line begins a line of the level. Nothing is written before Msg. Unless Enabled(level), all that is done with the line does
// nothing.
func (l *Log) Line(level slog.Level) LogLine {
	l = l.orDefault()
	if l.h == nil {
		return LogLine{z: l.z.WithLevel(zerologLevel(level))}
	}
	if !l.h.Enabled(context.Background(), level) {
		return LogLine{}
	}
	r := slogRecords.Get().(*slogRecord)
	r.h, r.level = l.h, level
	return LogLine{s: r}
}

func (l *Log) orDefault() *Log {
	if l == nil {
		return defaultLog()
	}
	return l
}

// zerologLevel is the level of zerolog for one of slog: the next lower one that has a name.
func zerologLevel(level slog.Level) zerolog.Level {
	switch {
	case level >= slog.LevelError:
		return zerolog.ErrorLevel
	case level >= slog.LevelWarn:
		return zerolog.WarnLevel
	case level >= slog.LevelInfo:
		return zerolog.InfoLevel
	case level >= slog.LevelDebug:
		return zerolog.DebugLevel
	}
	return zerolog.TraceLevel
}

// noLine is the level of what is not worth a line.
const noLine = slog.Level(math.MinInt)

// LogLine is a line of a [Log] in the making. It belongs to one goroutine. Each method adds a field and returns the line;
// Msg writes it, and then the line must not be used again. A line without Msg is never written.
type LogLine struct {
	z *zerolog.Event
	s *slogRecord
}

// slogRecord is a line that is made for slog.
type slogRecord struct {
	h     slog.Handler
	level slog.Level
	attrs []slog.Attr
}

var slogRecords = sync.Pool{New: func() any { return new(slogRecord) }}

// Str adds a string.
func (l LogLine) Str(name, value string) LogLine {
	if l.s != nil {
		l.s.attrs = append(l.s.attrs, slog.String(name, value))
	}
	l.z.Str(name, value)
	return l
}

// Bytes adds a copy of value as a string.
func (l LogLine) Bytes(name string, value []byte) LogLine {
	if l.s != nil {
		l.s.attrs = append(l.s.attrs, slog.String(name, string(value)))
	}
	l.z.Bytes(name, value)
	return l
}

// Int adds a number.
func (l LogLine) Int(name string, value int) LogLine { return l.Int64(name, int64(value)) }

// Int64 adds a number.
func (l LogLine) Int64(name string, value int64) LogLine {
	if l.s != nil {
		l.s.attrs = append(l.s.attrs, slog.Int64(name, value))
	}
	l.z.Int64(name, value)
	return l
}

// Uint64 adds a number.
func (l LogLine) Uint64(name string, value uint64) LogLine {
	if l.s != nil {
		l.s.attrs = append(l.s.attrs, slog.Uint64(name, value))
	}
	l.z.Uint64(name, value)
	return l
}

// Dur adds a duration.
func (l LogLine) Dur(name string, value time.Duration) LogLine {
	if l.s != nil {
		l.s.attrs = append(l.s.attrs, slog.Duration(name, value))
	}
	l.z.Dur(name, value)
	return l
}

// Err adds err as the field "error", or nothing if err is nil.
func (l LogLine) Err(err error) LogLine {
	if l.s != nil && err != nil {
		l.s.attrs = append(l.s.attrs, slog.Any(zerolog.ErrorFieldName, err))
	}
	l.z.Err(err)
	return l
}

// Msg writes the line, with its message. A line that a handler of slog fails to write is lost.
func (l LogLine) Msg(message string) {
	r := l.s
	if r == nil {
		l.z.Msg(message)
		return
	}
	record := slog.NewRecord(time.Now(), r.level, message, 0)
	record.AddAttrs(r.attrs...)
	_ = r.h.Handle(context.Background(), record)
	clear(r.attrs)
	r.h, r.attrs = nil, r.attrs[:0]
	slogRecords.Put(r)
}
