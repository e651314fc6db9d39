package parser

import "testing"

// The yardstick of the scanner: the least that finds and checks the parts of a head that is there whole. It passes names
// and targets by a table of classes and values some words at a time, and notes where they stand. It decides nothing: not
// what the target means, nor the fields; it cannot stop and resume, knows no bounds, and has one error for all. Run in
// turn with the Parser it says what those cost, whatever the machine.

type yardstick struct {
	method, target Span
	fields         [DefaultFieldLines]struct{ name, value Span }
	n              int
}

// scan returns the length of the head, or -1.
func (y *yardstick) scan(b []byte) int {
	y.n = 0
	i := runEnd(b, 0, isToken)
	if i == 0 || i == len(b) || b[i] != ' ' {
		return -1
	}
	y.method = Span{0, uint32(i)}
	i++
	begin := i
	i = runEnd(b, i, isQuery)
	if i == begin || i == len(b) || b[i] != ' ' {
		return -1
	}
	y.target = Span{uint32(begin), uint32(i - begin)}
	i++
	if !isHTTP11(b[i:]) {
		return -1
	}
	for i += versionLen; i < len(b) && b[i] != '\r'; i += 2 {
		begin := i
		i = runEnd(b, i, isToken)
		if i == begin || i == len(b) || b[i] != ':' || y.n == len(y.fields) {
			return -1
		}
		f := &y.fields[y.n]
		y.n++
		f.name = Span{uint32(begin), uint32(i - begin)}
		i++
		for i < len(b) && isSpace(b[i]) {
			i++
		}
		begin = i
		i = valueEnd(b, i)
		if len(b)-i < 2 || b[i] != '\r' || b[i+1] != '\n' {
			return -1
		}
		f.value = Span{uint32(begin), uint32(trimEnd(b, begin, i) - begin)}
	}
	if len(b)-i < 2 || b[i+1] != '\n' {
		return -1
	}
	return i + 2
}

func BenchmarkScan(b *testing.B) {
	for _, c := range benchHeads {
		b.Run(c.name, func(b *testing.B) {
			message := []byte(c.head)
			var y yardstick
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				if y.scan(message) != len(message) {
					b.Fatal("not a head")
				}
			}
		})
	}
}
