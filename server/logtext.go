package server

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rs/zerolog"
)

// Lines of the log for people, on a terminal. zerolog makes JSON, and what it is about comes last there. Here a line is
//
//	15:04:05 WARN  a loop is held up  route="GET /slow" lasted=102ms
//	               main.slow  /home/a/main.go:17
//
// the time of day, the level, the message with the error behind it, the fields in their order, and then the stack, without
// the frames that are not the program's. What is no JSON stays as it is.
//
// Fields hold what peers have sent. JSON has their control bytes escaped, and so has this: nothing that a peer sends
// reaches the terminal as a command.

// textStyle is how lines are written for people, if they are.
type textStyle uint8

const (
	styleNone    textStyle = iota // as they are
	stylePlain                    // for people
	styleColored                  // with the level in color
)

// styleOf is the style for a file: a terminal gets text, in color unless the environment speaks against it
// (https://no-color.org).
func styleOf(f *os.File) textStyle {
	stat, err := f.Stat()
	if err != nil || stat.Mode()&os.ModeCharDevice == 0 {
		return styleNone
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(null, stat) {
		return styleNone
	}
	if os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return stylePlain
	}
	return styleColored
}

// levelWords are the levels as they are shown, with their colors.
var levelWords = map[string]struct{ word, color string }{
	zerolog.LevelTraceValue: {"TRACE", ""},
	zerolog.LevelDebugValue: {"DEBUG", ""},
	zerolog.LevelInfoValue:  {"INFO ", "\x1b[32m"},
	zerolog.LevelWarnValue:  {"WARN ", "\x1b[33m"},
	zerolog.LevelErrorValue: {"ERROR", "\x1b[31m"},
	zerolog.LevelFatalValue: {"FATAL", "\x1b[31m"},
	zerolog.LevelPanicValue: {"PANIC", "\x1b[31m"},
}

const colorEnd = "\x1b[0m"

// durations are the fields whose numbers are durations, in zerolog.DurationFieldUnit.
var durations = map[string]bool{"duration": true, "lasted": true, "elapsed": true, "latency": true, "took": true, "held": true, "call": true}

// inMessage are the fields that stand behind the message, since they say what has happened.
var inMessage = map[string]bool{zerolog.ErrorFieldName: true, "panic": true}

// stackField is the field whose value stands on lines of its own.
const stackField = "stack"

// appendText appends whole lines of a log, for people.
func appendText(dst, lines []byte, style textStyle) []byte {
	for line := range bytes.Lines(lines) {
		text, ok := appendTextLine(dst, line, style)
		if !ok {
			text = append(dst, line...)
		}
		dst = text
	}
	return dst
}

// appendTextLine appends a line, unless it is no JSON object.
func appendTextLine(dst, line []byte, style textStyle) (text []byte, ok bool) {
	fields, ok := parseLine(line)
	if !ok {
		return dst, false
	}
	var level, message, stack, what string
	clock := ""
	rest := fields[:0]
	for _, f := range fields {
		switch {
		case f.name == zerolog.LevelFieldName:
			level = f.text
		case f.name == zerolog.MessageFieldName:
			message = f.text
		case f.name == zerolog.TimestampFieldName:
			clock = timeOfDay(f.text)
		case f.name == stackField && f.isString:
			stack = f.text
		case inMessage[f.name]:
			what += ": " + f.text
		case f.isString && f.text == "":
		default:
			rest = append(rest, f)
		}
	}
	if clock != "" {
		dst = append(append(dst, clock...), ' ')
	}
	if l, known := levelWords[level]; !known {
		dst = append(append(dst, printable(level)...), ' ')
	} else if style == styleColored && l.color != "" {
		dst = append(append(append(append(dst, l.color...), l.word...), colorEnd...), ' ')
	} else {
		dst = append(append(dst, l.word...), ' ')
	}
	dst = append(dst, printable(message+what)...)
	for i, f := range rest {
		if dst = append(dst, ' '); i == 0 {
			dst = append(dst, ' ')
		}
		dst = append(append(append(dst, printable(f.name)...), '='), f.show()...)
	}
	dst = append(dst, '\n')
	return appendStack(dst, stack), true
}

// lineField is a field of a line: a string without its quotes, or another value as it is in JSON.
type lineField struct {
	name, text string
	isString   bool
}

// parseLine reads the fields of a line, in their order.
func parseLine(line []byte) (fields []lineField, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(line))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for dec.More() {
		var f lineField
		var raw json.RawMessage
		t, err := dec.Token()
		if f.name, ok = t.(string); err != nil || !ok || dec.Decode(&raw) != nil {
			return nil, false
		}
		f.text = string(raw)
		if f.isString = raw[0] == '"'; f.isString {
			_ = json.Unmarshal(raw, &f.text) // it was decoded once, so it is valid
		}
		fields = append(fields, f)
	}
	end, err := dec.Token()
	return fields, err == nil && end == json.Delim('}')
}

// show is the value of a field on a line.
func (f *lineField) show() string {
	switch {
	case !f.isString && durations[f.name]:
		if n, err := strconv.ParseFloat(f.text, 64); err == nil {
			return showDuration(time.Duration(n * float64(zerolog.DurationFieldUnit)))
		}
	case f.isString && (strings.ContainsAny(f.text, " \"=") || printable(f.text) != f.text):
		return strconv.Quote(f.text)
	}
	return printable(f.text)
}

// showDuration is a duration to three digits, which is all that people read.
func showDuration(d time.Duration) string {
	unit := time.Duration(1)
	for d.Abs()/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// printable is s with what no terminal should get escaped as in Go.
func printable(s string) string {
	for i, r := range s {
		if !strconv.IsPrint(r) || r == utf8.RuneError && !strings.HasPrefix(s[i:], "\ufffd") {
			q := strconv.Quote(s)
			return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
		}
	}
	return s
}

// timeOfDay is the local time of day of a time stamp, or the stamp itself where it is not of zerolog's usual form.
func timeOfDay(stamp string) string {
	t, err := time.Parse(time.RFC3339Nano, stamp)
	if err != nil {
		return printable(stamp)
	}
	return t.Local().Format(time.TimeOnly)
}
