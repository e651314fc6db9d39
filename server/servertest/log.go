package servertest

import (
	"io"
	"sync"
	"testing"

	"microhttp/server"
	"microhttp/server/internal/driven"

	"github.com/rs/zerolog"
)

// Log returns a log that writes to the output of the test, as people read it: for middleware, whose default log is standard
// error. go test shows it when the test fails, and with -v. A server whose Log is nil needs none, see [Serve].
func Log(t testing.TB) *server.Log {
	return server.Zerolog(zerolog.New(&textWriter{to: t.Output()}).Level(zerolog.InfoLevel))
}

// textWriter writes lines of JSON as text. It may be used by any goroutine.
type textWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *textWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := w.to.Write(driven.Text(nil, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// logged is the log of a server. Its methods may be called from any goroutine.
type logged struct {
	mu  sync.Mutex
	all []byte
	bad []byte // those of level error
}

// maxLogged bounds what is kept of the log of one server.
const maxLogged = 1 << 20

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) { return l.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel implements zerolog.LevelWriter.
func (l *logged) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	l.keep(p, level >= zerolog.ErrorLevel && level <= zerolog.PanicLevel)
	return len(p), nil
}

// add adds the message of an error of a server that has its own log.
func (l *logged) add(message string) { l.keep([]byte(message+"\n"), true) }

func (l *logged) keep(line []byte, bad bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all)+len(line) > maxLogged {
		return
	}
	l.all = append(l.all, line...)
	if bad {
		l.bad = append(l.bad, line...)
	}
}

func (l *logged) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(driven.Text(nil, l.all))
}

func (l *logged) errors() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(driven.Text(nil, l.bad))
}
