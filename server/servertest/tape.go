package servertest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A tape is what was said on a connection, in its order.
type tape struct{ turns []turn }

type turn struct {
	who  speaker
	said []byte
	note string
}

type speaker byte

const (
	client speaker = '>'
	host   speaker = '<'
	event  speaker = '='
)

// add adds bytes to what who says.
func (t *tape) add(who speaker, p []byte) {
	if len(p) == 0 {
		return
	}
	if n := len(t.turns); n > 0 && t.turns[n-1].who == who {
		t.turns[n-1].said = append(t.turns[n-1].said, p...)
		return
	}
	t.turns = append(t.turns, turn{who: who, said: append([]byte(nil), p...)})
}

// mark adds an event.
func (t *tape) mark(note string) { t.turns = append(t.turns, turn{who: event, note: note}) }

// passed notes that time has passed by the will of the test.
func (t *tape) passed(d time.Duration) { t.mark(d.String() + " later") }

// shown is the turns from one on, as text: a line for each line, with > before what the client has sent and < before what
// the server has. Bytes that are no text are escaped as in Go. Of each turn at most limit bytes are shown; 0 is all.
func (t *tape) shown(from, limit int) string {
	var b strings.Builder
	for _, turn := range t.turns[min(from, len(t.turns)):] {
		if turn.who == event {
			fmt.Fprintf(&b, "= %s\n", turn.note)
			continue
		}
		said, more := string(turn.said), 0
		if limit > 0 && len(said) > limit {
			said, more = said[:limit], len(said)-limit
		}
		for line := range strings.Lines(said) {
			text := strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
			fmt.Fprintf(&b, "%c %s", turn.who, escaped(text))
			b.WriteByte('\n')
		}
		if more > 0 {
			fmt.Fprintf(&b, "%c … and %d more bytes\n", turn.who, more)
		}
	}
	return strings.ReplaceAll(b.String(), " \n", "\n")
}

// escaped is a line with what is not text escaped.
func escaped(s string) string {
	for i, r := range s {
		if r != '\t' && (!strconv.IsPrint(r) || r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd")) {
			q := strconv.Quote(s)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		}
	}
	return s
}
