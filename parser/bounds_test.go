package parser

import (
	"bytes"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// What the parser costs: no allocation, little memory for an idle connection, and work that is linear in the bytes.

// maxParserSize is what the state of an idle connection may take, in bytes.
const maxParserSize = 40

func TestParserIsSmall(t *testing.T) {
	if n := unsafe.Sizeof(Parser{}); n > maxParserSize {
		t.Errorf("a Parser takes %d bytes, more than %d", n, maxParserSize)
	}
}

func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, v := range loadVectors(t) {
		h := &Head{Fields: make([]Field, 0, 32), Trailers: make([]Field, 0, 8)}
		p := &Parser{Limits: v.limits}
		read := func() {
			p.Reset()
			for b := v.message; ; {
				ev, n, err := p.Next(b, h)
				b = b[n:]
				if ev == NeedMore || err != nil {
					return
				}
			}
		}
		if n := testing.AllocsPerRun(10, read); n != 0 {
			t.Errorf("%s: %v allocations", v.name, n)
		}
	}
}

func TestIteratorsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	message := []byte("GET / HTTP/1.1\r\nHost: a\r\nX: 1, 2\r\nx: 3\r\nCookie: a=b; c=d\r\n\r\n")
	var p Parser
	var h Head
	if ev, _, err := p.Next(message, &h); ev != EventHead {
		t.Fatal(ev, err)
	}
	members, room := 0, make([]byte, 0, 16)
	n := testing.AllocsPerRun(10, func() {
		for value := range h.Values(message, "X") {
			for range Tokens(value) {
				members++
			}
		}
		cookie, _ := h.Find(message, FieldCookie)
		for range Cookies(cookie) {
			members++
		}
		if _, ok := h.Get(message, "absent"); !ok {
			room = Unescape(room[:0], []byte("/a%20b"))
		}
	})
	if n != 0 || members != 11*5 {
		t.Errorf("%v allocations, %d members", n, members)
	}
}

// TestResetForgets dirties every field of a Head, and holds a reset one that has read a plain request against a new
// one that has.
func TestResetForgets(t *testing.T) {
	read := func(h *Head) *Head {
		var p Parser
		if ev, _, err := p.Next([]byte("OPTIONS * HTTP/1.0\r\n\r\n"), h); ev != EventHead {
			t.Fatal(ev, err)
		}
		h.Fields, h.Trailers = slices.Clip(h.Fields), slices.Clip(h.Trailers)
		return h
	}
	dirty := new(Head)
	soil(reflect.ValueOf(dirty).Elem())
	fresh, reused := read(new(Head)), read(dirty)
	if len(reused.Fields)+len(reused.Trailers) != 0 {
		t.Errorf("field lines of an earlier message: %v %v", reused.Fields, reused.Trailers)
	}
	fresh.Fields, fresh.Trailers, reused.Fields, reused.Trailers = nil, nil, nil, nil
	fresh.kind = reused.kind // looked at only when seenType is set
	if !reflect.DeepEqual(fresh, reused) {
		t.Errorf("a reused Head is\n\t%+v, a new one\n\t%+v", reused, fresh)
	}
}

// soil sets every number, flag and slice below v to something else than zero.
func soil(v reflect.Value) {
	if !v.CanSet() { // an unexported field
		v = reflect.NewAt(v.Type(), v.Addr().UnsafePointer()).Elem()
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			soil(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(7)
	default:
		v.SetUint(7)
	}
}

// TestBytesAreLookedAtTwiceAtMost builds the package with its counter of looks, and runs the test that reads it. The counter
// costs nothing where it is not asked for, so it cannot be there in this build.
func TestBytesAreLookedAtTwiceAtMost(t *testing.T) {
	if raceEnabled {
		t.Skip("the build that counts is another one, and the ordinary run has tested it")
	}
	t.Parallel() // with the compiler, for as long as the others take
	out, err := exec.Command("go", "test", "-tags=parser_looked", "-count=1", "-v", "-run=^TestLookedAtMostTwice$", ".").CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestLookedAtMostTwice")) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestDrippedBytesAreScannedOnce proves that the work is linear in the bytes of a head that drips in, without counting:
// before each call the bytes that the parser has scanned already are destroyed, and put back only where the new byte
// completes the token or the line that they belong to. A parser that looked at them in between would refuse them.
func TestDrippedBytesAreScannedOnce(t *testing.T) {
	head := []byte("GET http://" + strings.Repeat("host.", 20) + ":80/" + strings.Repeat("a%41b", 20) + "?" + strings.Repeat("q=%00&", 20) + " HTTP/1.1\r\n" +
		"Host: www.example.com:8080\r\n" + "X-" + strings.Repeat("Long", 20) + ": \t " + strings.Repeat("value\t: ", 40) + "\r\n" +
		"Content-Type: text/plain\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
	trailer := []byte("0\r\nX-Sum: " + strings.Repeat("abc ", 40) + "\r\nY: z\r\n\r\n")
	var p Parser
	var h Head
	drip(t, &p, &h, head, EventHead)
	_, n, err := p.Next(trailer[:3], &h)
	if n != 3 || err != nil {
		t.Fatal(n, err)
	}
	drip(t, &p, &h, trailer[3:], EventEnd)
}

func drip(t *testing.T, p *Parser, h *Head, message []byte, last Event) {
	t.Helper()
	restored := 0
	for i, c := range message {
		b := append(make([]byte, i), c) // zeros, which nothing in a head may be
		from := i
		if i > 0 {
			from = completed(p, h, i, c)
		}
		restored += copy(b[from:i], message[from:i])
		ev, n, err := p.Next(b, h)
		switch {
		case err != nil:
			t.Fatalf("byte %d, %q: %v", i, c, err)
		case i < len(message)-1 && (ev != NeedMore || n != 0):
			t.Fatalf("byte %d, %q: event %d, %d bytes", i, c, ev, n)
		case i == len(message)-1 && (ev != last || n != len(message)):
			t.Fatalf("the last byte: event %d, %d bytes of %d", ev, n, len(message))
		}
	}
	if restored > 2*len(message) {
		t.Errorf("%d bytes were needed again, of %d", restored, len(message))
	}
}

// completed returns where the token or line begins that c at offset i completes, or i: a method, the second digit of
// an escape, a scheme, an authority, a version, the name or the value of a field line.
func completed(p *Parser, h *Head, i int, c byte) int {
	line := lastLine(h.Fields)
	if p.part == partTrailer {
		line = lastLine(h.Trailers)
	}
	switch {
	case p.at == atMethod && c == ' ':
		return int(h.Method.Off)
	case p.at == atScheme && c == ':':
		return int(h.Target.Off)
	case p.at == atAuthority && c == '/':
		return int(h.Authority.Off)
	case p.at == atPathHex2:
		return i - 1
	case p.at == atVersionMore && c == '\r':
		return int(h.Target.Off + h.Target.Len + 1)
	case p.at == atName && c == ':':
		return int(line.Name.Off)
	case p.at == atValue && c == '\r', p.at == atValueLF:
		return int(line.Value.Off)
	}
	return i
}
