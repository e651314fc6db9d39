package server

import (
	"fmt"
	"strings"
)

// A stack for people: a line for each frame, the innermost first, with what the runtime and the server add to every stack
// left out.

// stackIndent is where the frames stand: below the message.
const stackIndent = "               "

// ownFrames are the beginnings of the names of functions that are not the program's.
var ownFrames = []string{"microhttp/server.", "microhttp/reactor.", "microhttp/router.", "microhttp/middleware.", "runtime.", "runtime/debug.", "sync.", "internal/", "created by "}

// stackFrame is a function and where it is.
type stackFrame struct{ name, place string }

// appendStack appends a stack as package runtime formats it. Of the frames up to a panic nothing is shown, and of those
// that called the program's only how many they are.
func appendStack(dst []byte, stack string) []byte {
	if stack == "" {
		return dst
	}
	frames := parseStack(stack)
	for i, f := range frames {
		if f.name == "panic" {
			frames = frames[i+1:]
			break
		}
	}
	last := len(frames)
	for last > 0 && frames[last-1].own() {
		last--
	}
	if last == 0 {
		last = len(frames) // the fault is ours: show it all
	}
	for _, f := range frames[:last] {
		dst = fmt.Appendf(dst, "%s%s  %s\n", stackIndent, printable(f.name), printable(f.place))
	}
	if n := len(frames) - last; n > 0 {
		dst = fmt.Appendf(dst, "%s(and %d of the server)\n", stackIndent, n)
	}
	return dst
}

func (f *stackFrame) own() bool {
	for _, prefix := range ownFrames {
		if strings.HasPrefix(f.name, prefix) {
			return true
		}
	}
	return false
}

// parseStack reads the frames of a stack. What does not look like one becomes frames without a place.
func parseStack(stack string) (frames []stackFrame) {
	for line := range strings.Lines(stack) {
		line = strings.TrimRight(line, "\n")
		switch place, isPlace := strings.CutPrefix(line, "\t"); {
		case line == "", strings.HasPrefix(line, "goroutine "):
		case isPlace && len(frames) > 0:
			place, _, _ = strings.Cut(place, " +0x")
			frames[len(frames)-1].place = place
		default:
			if i := strings.LastIndexByte(line, '('); i > 0 && strings.HasSuffix(line, ")") && !strings.HasPrefix(line, "created by ") {
				line = line[:i] // without the arguments
			}
			frames = append(frames, stackFrame{name: line})
		}
	}
	return frames
}
