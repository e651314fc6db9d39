package server

import "microhttp/parser"

// fieldLines are the field lines of an answer, in order, as they go on the wire.
//
// A handler mostly sets the same fields as for the request before. So what the answer before has left in the buffer is
// looked at first: a line that still lies there need not be checked and written again.
type fieldLines struct {
	b     []byte // the lines, each with its CRLF
	lines []line // where each of them lies in b
	left  int    // so many lines lie where lines says, also behind its end: the answer before has left them
}

// line is one field line in fieldLines.b.
type line struct {
	start, colon, end uint32
	plain             bool // its name means nothing to the server, so it can be left for the next answer
}

// again takes a line that the answer before has left, and reports whether there is one with that name and value at this
// place. Lines of the same name that it would have to replace are not looked for: then it is false.
func (f *fieldLines) again(name, value string, replace bool) bool {
	i := len(f.lines)
	if i >= f.left {
		return false
	}
	l := &f.lines[:f.left][i]
	b := f.b[:l.end]
	if string(b[l.start:l.colon]) != name || string(b[l.colon+2:l.end-2]) != value || !l.plain {
		return false
	}
	if replace {
		for j := range f.lines {
			if other := &f.lines[j]; int(other.colon-other.start) == len(name) {
				return false
			}
		}
	}
	f.b, f.lines = b, f.lines[:i+1]
	return true
}

// add appends a line. Both name and value were checked.
func (f *fieldLines) add(name, value string, plain bool) {
	start := len(f.b)
	f.b = appendField(f.b, name, value)
	f.end(start, len(name), plain)
}

// end ends a line that was appended to b from start on.
func (f *fieldLines) end(start, name int, plain bool) {
	f.left = len(f.lines) // what comes after it has been overwritten
	f.lines = append(f.lines, line{uint32(start), uint32(start + name), uint32(len(f.b)), plain})
}

// name is the name of a line, lent.
func (f *fieldLines) name(l line) []byte { return f.b[l.start:l.colon] }

// value is the value of a line, lent.
func (f *fieldLines) value(l line) []byte { return f.b[l.colon+2 : l.end-2] }

// has reports whether l is a line with that name.
func (f *fieldLines) has(l line, name string) bool {
	return int(l.colon-l.start) == len(name) && parser.EqualFold(f.name(l), name)
}

// get returns the value of the first line with that name, lent, or nil.
func (f *fieldLines) get(name string) []byte {
	for _, l := range f.lines {
		if f.has(l, name) {
			return f.value(l)
		}
	}
	return nil
}

// del removes all lines with that name.
func (f *fieldLines) del(name string) {
	f.delFunc(func(l line) bool { return f.has(l, name) })
}

// delFunc removes the lines for which gone is true. It is asked once about each, in order.
func (f *fieldLines) delFunc(gone func(line) bool) {
	kept, at := f.lines[:0], uint32(0)
	for _, l := range f.lines {
		if gone(l) {
			continue
		}
		n := l.end - l.start
		if at != l.start {
			copy(f.b[at:], f.b[l.start:l.end])
			f.left = 0 // what has been left is overwritten
		}
		kept = append(kept, line{at, at + l.colon - l.start, at + n, l.plain})
		at += n
	}
	f.lines, f.b = kept, f.b[:at]
}

// reset removes all lines, and leaves them for the next answer.
func (f *fieldLines) reset() {
	f.left = max(f.left, len(f.lines))
	f.b, f.lines = f.b[:0], f.lines[:0]
}
