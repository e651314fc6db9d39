package parser

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The vectors under testdata/parser are the rules by example; their README says how to read them. The law tests and
// the fuzz corpus start from the same messages.

const vectorFolder = "../testdata/parser"

// leastVectors guards against a loader that finds nothing and therefore passes.
const leastVectors = 650

type vector struct {
	name    string // file and title
	limits  *Limits
	message []byte
	events  []string
}

func TestVectors(t *testing.T) {
	vs := loadVectors(t)
	if len(vs) < leastVectors {
		t.Fatalf("%d vectors, want at least %d", len(vs), leastVectors)
	}
	for _, v := range vs {
		got := transcript(t, v.limits, v.message, nil)
		for _, kind := range []string{"field ", "fault "} {
			is := func(e string) bool { return strings.HasPrefix(e, kind) }
			if !slices.ContainsFunc(v.events, is) {
				got = slices.DeleteFunc(got, is)
			}
		}
		if !slices.Equal(got, v.events) {
			t.Errorf("%s\n%q\ngot:\n\t%s\nwant:\n\t%s", v.name, v.message,
				strings.Join(got, "\n\t"), strings.Join(v.events, "\n\t"))
		}
	}
}

// TestEachRuleHasItsFault holds that there is a vector that breaks each rule and says where.
func TestEachRuleHasItsFault(t *testing.T) {
	shown := map[string]bool{}
	for _, v := range loadVectors(t) {
		if n := len(v.events); strings.HasPrefix(v.events[n-1], "fault ") {
			shown[v.events[n-2]] = true
		}
	}
	for _, e := range rules {
		if refusal := strconv.Itoa(e.Status) + " " + e.Reason; !shown[refusal] {
			t.Errorf("no vector says where a message is refused with %s", refusal)
		}
	}
}

// TestFaultAllocatesNothing holds that a server under attack pays nothing for what it does not log, and little for what it
// does.
func TestFaultAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, v := range loadVectors(t) {
		if !strings.HasPrefix(v.events[len(v.events)-1], "fault ") {
			continue
		}
		var h Head
		if n := testing.AllocsPerRun(10, func() {
			p := Parser{Limits: v.limits}
			for rest := v.message; ; {
				_, n, err := p.Next(rest, &h)
				if err != nil {
					p.Fault(rest, &h)
					return
				}
				rest = rest[n:]
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", v.name, n)
		}
	}
}

// loadVectors reads all files of vectors.
func loadVectors(t testing.TB) (vs []vector) {
	files, err := filepath.Glob(filepath.Join(vectorFolder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors:", err)
	}
	titles := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "\n\n") {
			if block = strings.Trim(block, "\n"); block == "" || block[0] == '#' {
				continue
			}
			v := parseVector(t, filepath.Base(file), block)
			if titles[v.name+string(v.message)] {
				t.Fatalf("%s stands there twice", v.name)
			}
			titles[v.name+string(v.message)] = true
			vs = append(vs, v)
		}
	}
	return vs
}

func parseVector(t testing.TB, file, block string) vector {
	var v vector
	for line := range strings.Lines(block) {
		line = strings.TrimSuffix(line, "\n")
		key, rest, _ := strings.Cut(line, " ")
		switch {
		case key == "=":
			v.name = file + ": " + rest
		case key == "limits":
			v.limits = parseLimits(t, rest)
		case line == ">" || strings.HasPrefix(line, "> "):
			v.message = append(v.message, unescape(t, strings.TrimPrefix(line[1:], " "))+"\r\n"...)
		case line[0] == '|':
			v.message = append(v.message, unescape(t, line[1:])...)
		case key == "field" || key == "trailer" || key == "body":
			v.events = append(v.events, key+" "+strconv.QuoteToASCII(unescape(t, rest)))
		default:
			v.events = append(v.events, line)
		}
	}
	if v.name == "" || len(v.message) == 0 || len(v.events) == 0 {
		t.Fatalf("%s: not a vector:\n%s", file, block)
	}
	return v
}

func parseLimits(t testing.TB, text string) *Limits {
	var l Limits
	for _, set := range strings.Fields(text) {
		name, value, _ := strings.Cut(set, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		field := reflect.ValueOf(&l).Elem().FieldByName(name)
		if err != nil || !field.IsValid() {
			t.Fatalf("no such limit: %s", set)
		}
		field.SetInt(n)
	}
	return &l
}

// unescape decodes the escapes of a vector's line.
func unescape(t testing.TB, s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case 'r':
			out.WriteByte('\r')
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case '\\':
			out.WriteByte('\\')
		case 'x':
			c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteByte(byte(c))
			i += 2
		case '{':
			end := i + strings.IndexByte(s[i:], '}')
			count, piece, _ := strings.Cut(s[i+1:end], ":")
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			out.WriteString(strings.Repeat(piece, n))
			i = end
		default:
			t.Fatalf("unknown escape in %q", s)
		}
	}
	return out.String()
}

// transcript presents message to a Parser, cut at the given offsets, as a connection would: it keeps what was not
// consumed and puts what arrives behind it. It returns the events as the vectors spell them, pieces of a body joined.
func transcript(t testing.TB, limits *Limits, message []byte, cuts []int) (events []string) {
	p := Parser{Limits: limits}
	var h Head
	var kept, body []byte
	from := 0
	for _, to := range append(slices.Clone(cuts), len(message)) {
		kept = append(slices.Clone(kept), message[from:to]...) // always another place: nobody may keep the old one
		from = to
		for {
			ev, n, err := p.Next(kept[:len(kept):len(kept)], &h)
			if n < 0 || n > len(kept) {
				t.Fatalf("%q %v: consumed %d of %d bytes", message, cuts, n, len(kept))
			}
			if ev != EventBody && ev != NeedMore || err != nil {
				if body != nil {
					events = append(events, "body "+strconv.QuoteToASCII(string(body)))
				}
				body = nil
			}
			if err != nil {
				fault := describeFault(p.Fault(kept, &h))
				checkSticky(t, &p, &h, err)
				e := err.(*Error)
				return append(events, strconv.Itoa(e.Status)+" "+e.Reason, fault)
			}
			switch ev {
			case EventHead:
				events = append(events, describeHead(t, kept[:n], &h)...)
			case EventBody:
				if h.Body.Len == 0 {
					t.Fatalf("%q %v: an empty piece of a body", message, cuts)
				}
				body = append(body, h.Body.In(kept[:n])...)
			case EventEnd:
				events = append(events, describeLines(t, "trailer", kept[:n], h.Trailers)...)
				events = append(events, "end")
			}
			kept = kept[n:]
			if ev == NeedMore {
				break
			}
		}
	}
	if body != nil {
		events = append(events, "body "+strconv.QuoteToASCII(string(body)))
	}
	if !p.Idle() || len(events) == 0 {
		events = append(events, "more")
	}
	return events
}

// describeFault spells where a message broke its rule, as the vectors do.
func describeFault(f Fault) string {
	s := fmt.Sprintf("fault %s %d", f.Section, f.Offset)
	if f.HasByte {
		s += fmt.Sprintf(" byte=%02x", f.Byte)
	}
	for _, part := range []struct {
		name string
		text []byte
	}{{"method", f.Method}, {"path", f.Path}, {"field", f.Field}} {
		if part.text != nil {
			s += fmt.Sprintf(" %s=%s", part.name, part.text)
		}
	}
	return s
}

func checkSticky(t testing.TB, p *Parser, h *Head, err error) {
	if ev, n, again := p.Next([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), h); again != err || n != 0 || ev != NeedMore {
		t.Fatalf("after %v: %v, %d bytes, %v", err, ev, n, again)
	}
	if p.Idle() {
		t.Fatalf("idle after %v", err)
	}
}

// describeHead spells a head, and its fields, as the vectors do.
func describeHead(t testing.TB, b []byte, h *Head) []string {
	var s strings.Builder
	fmt.Fprintf(&s, "head 1.%d %s", h.Minor, h.Method.In(b))
	if h.MethodID == MethodOther {
		s.WriteString("(other)")
	} else if h.MethodID.String() != string(h.Method.In(b)) {
		t.Fatalf("%s is not %s", h.Method.In(b), h.MethodID)
	}
	s.WriteString([]string{" origin", " absolute", " authority", " asterisk"}[h.Form])
	if h.HTTPS {
		s.WriteString(" https")
	}
	if h.Authority.Len > 0 {
		fmt.Fprintf(&s, " host=%s", h.Authority.In(b))
	}
	fmt.Fprintf(&s, " path=%s", h.Path.In(b))
	if h.HasQuery {
		fmt.Fprintf(&s, " query=%s", h.Query.In(b))
	}
	if h.PathEscaped {
		s.WriteString(" escaped")
	}
	if h.ContentLength >= 0 {
		fmt.Fprintf(&s, " length=%d", h.ContentLength)
	}
	for _, flag := range []struct {
		set  bool
		name string
	}{{h.Chunked, "chunked"}, {h.KeepAlive, "keep-alive"}, {h.Expect100, "expect"}, {h.Upgrade, "upgrade"}} {
		if flag.set {
			s.WriteString(" " + flag.name)
		}
	}
	if whole := h.Target.In(b); !bytes.HasPrefix(b[h.Start:], fmt.Appendf(nil, "%s %s HTTP/1.", h.Method.In(b), whole)) {
		t.Fatalf("%q does not begin with its method and target at %d", b, h.Start)
	}
	return append([]string{s.String()}, describeLines(t, "field", b, h.Fields)...)
}

func describeLines(t testing.TB, what string, b []byte, fields []Field) (lines []string) {
	for _, f := range fields {
		name, value := f.Name.In(b), f.Value.In(b)
		if !ValidFieldName(name) || !ValidFieldValue(value) {
			t.Fatalf("%q: %q is no field line", name, value)
		}
		if f.Known != FieldOther && !EqualFold(name, f.Known.String()) {
			t.Fatalf("%s is not %s", name, f.Known)
		}
		line := string(name) + ":"
		if len(value) > 0 {
			line += " " + string(value)
		}
		lines = append(lines, what+" "+strconv.QuoteToASCII(line))
	}
	return lines
}
