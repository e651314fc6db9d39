package servertest

import (
	"sync"

	"microhttp/server/internal/driven"

	"github.com/rs/zerolog"
)

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
