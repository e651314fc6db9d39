package parser

import (
	"encoding/binary"
	"math/bits"
	"testing"
	"time"
)

// The yardstick of the scanner: the least that finds and checks the parts of a head that is there whole. It passes names
// and targets by a table of classes and values eight bytes at a time, and notes where they stand. It decides nothing: not
// what the target means, nor the fields; it cannot stop and resume, knows no bounds, and has one error for all. Its loops
// are its own, so that it stays where it is when those of the parser get quicker.

type yardstick struct {
	method, target Span
	fields         [DefaultFieldLines]struct{ name, value Span }
	n              int
}

// scan returns the length of the head, or -1.
func (y *yardstick) scan(b []byte) int {
	y.n = 0
	i := yardRunEnd(b, 0, isToken)
	if i == 0 || i == len(b) || b[i] != ' ' {
		return -1
	}
	y.method = Span{0, uint32(i)}
	i++
	begin := i
	i = yardRunEnd(b, i, isQuery)
	if i == begin || i == len(b) || b[i] != ' ' {
		return -1
	}
	y.target = Span{uint32(begin), uint32(i - begin)}
	i++
	if !yardIsHTTP11(b[i:]) {
		return -1
	}
	for i += versionLen; i < len(b) && b[i] != '\r'; i += 2 {
		begin := i
		i = yardRunEnd(b, i, isToken)
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
		i = yardValueEnd(b, i)
		if len(b)-i < 2 || b[i] != '\r' || b[i+1] != '\n' {
			return -1
		}
		f.value = Span{uint32(begin), uint32(yardTrimEnd(b, begin, i) - begin)}
	}
	if len(b)-i < 2 || b[i+1] != '\n' {
		return -1
	}
	return i + 2
}

func yardRunEnd(w []byte, i int, of uint16) int {
	for _, c := range w[i:] {
		if class[c]&of == 0 {
			break
		}
		i++
	}
	return i
}

func yardValueEnd(w []byte, i int) int {
	for ; len(w)-i >= 8; i += 8 {
		x := binary.LittleEndian.Uint64(w[i:])
		if suspects(x) == 0 {
			continue
		}
		if ends := valueEnds(x); ends != 0 {
			return i + bits.TrailingZeros64(ends)/8
		}
	}
	return yardRunEnd(w, i, isValue)
}

func yardTrimEnd(w []byte, begin, end int) int {
	for end > begin && isSpace(w[end-1]) {
		end--
	}
	return end
}

func yardIsHTTP11(v []byte) bool {
	return len(v) >= versionLen && binary.LittleEndian.Uint64(v) == http11 && v[8] == '\r' && v[9] == '\n'
}

// suspects is not zero if x holds a byte below the space, or DEL.
func suspects(x uint64) uint64 {
	const sp, del = ' ' * ones, 0x7f * ones
	y := x ^ del
	return ((x-sp)&^x | (y-ones)&^y) & high
}

// valueEnds marks exactly the bytes of x that no field value holds: those below the space and DEL, but not the tab.
func valueEnds(x uint64) uint64 {
	const tab, del = '\t' * ones, 0x7f * ones
	low := x &^ high
	text := (low + (0x80-' ')*ones) | x
	notDEL := ((low ^ del) + del) | x
	notTab := ((low ^ tab) + del) | x
	return ^(text & notDEL) & notTab & high
}

// BenchmarkScanner times, in turn, the yardstick, the parser's scan alone (request line and field lines, with all that
// lets it resume and tells fields apart, but without their meaning) and the whole of a request, with the meaning of its head
// and the event of its end. It reports the quickest round of each, and the ratios to the yardstick.
func BenchmarkScanner(b *testing.B) {
	for _, c := range benchHeads {
		b.Run(c.name, func(b *testing.B) {
			m := []byte(c.head)
			var y yardstick
			var p, q Parser
			var h, g Head
			yard, scan, whole := time.Hour, time.Hour, time.Hour
			for b.Loop() {
				yard = min(yard, quickest(func() bool { return y.scan(m) == len(m) }))
				scan = min(scan, quickest(func() bool { return p.scanAlone(m, &h) == len(m) }))
				whole = min(whole, quickest(func() bool {
					ev, n, _ := q.Next(m, &g)
					end, _, _ := q.Next(nil, &g)
					return ev == EventHead && n == len(m) && end == EventEnd
				}))
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(yard)/scannerRound, "yardstick-ns")
			b.ReportMetric(float64(scan)/scannerRound, "scan-ns")
			b.ReportMetric(float64(whole)/scannerRound, "whole-ns")
			b.ReportMetric(float64(scan)/float64(yard), "scan/yardstick")
			b.ReportMetric(float64(whole)/float64(yard), "whole/yardstick")
		})
	}
}

const scannerRound = 500 // heads in a round: short enough to fall between two interruptions

func quickest(read func() bool) time.Duration {
	begin := time.Now()
	for range scannerRound {
		if !read() {
			panic("not a head")
		}
	}
	return time.Since(begin)
}

// scanAlone reads a head as if its field lines were trailers, which mean nothing.
func (p *Parser) scanAlone(m []byte, h *Head) int {
	p.part, p.at = partTrailer, atMethod
	h.reset()
	h.Method.Off = 0
	i, err := p.requestLine(m, 0, h)
	if err == nil {
		i, err = p.fieldLines(m, i, h)
	}
	if err != nil {
		return -1
	}
	return i
}
