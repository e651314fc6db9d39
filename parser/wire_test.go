package parser

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/quick"
)

// The helpers, against the rules spelled out another way.

func TestValidFieldName(t *testing.T) {
	const separators = "\"(),/:;<=>?@[\\]{}"
	for c := range 256 {
		want := c > ' ' && c < 0x7f && !strings.ContainsRune(separators, rune(c))
		if got := ValidFieldName([]byte{'a', byte(c)}); got != want {
			t.Errorf("byte %#x: %v", c, got)
		}
	}
	if ValidFieldName("") {
		t.Error("an empty name is none")
	}
}

func TestValidFieldValue(t *testing.T) {
	for c := range 256 {
		want := c >= ' ' && c != 0x7f || c == '\t'
		if got := ValidFieldValue([]byte{'a', byte(c), 'b'}); got != want {
			t.Errorf("byte %#x: %v", c, got)
		}
	}
	for value, want := range map[string]bool{"": true, "a": true, " a": false, "a ": false, "\ta": false, "a\t": false, " ": false} {
		if got := ValidFieldValue(value); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// TestValidAtEachPlace puts every byte at every place of names and values of all lengths up to three words.
func TestValidAtEachPlace(t *testing.T) {
	for c := range 256 {
		name, value := class[c]&isToken != 0, class[c]&isValue != 0
		for _, ground := range []byte{'a', 'Z', '-', '7', '_'} {
			for n := 1; n <= 24; n++ {
				for at := range n {
					b := bytes.Repeat([]byte{ground}, n)
					b[at] = byte(c)
					if got := ValidFieldName(b); got != name || got != ValidFieldName(string(b)) {
						t.Fatalf("the name %q: %v", b, got)
					}
					inside := value && (at > 0 && at < n-1 || !isSpace(byte(c)))
					if got := ValidFieldValue(b); got != inside || got != ValidFieldValue(string(b)) {
						t.Fatalf("the value %q: %v", b, got)
					}
				}
			}
		}
	}
}

// TestValueEnd puts every byte at every place of two words, with every alignment.
func TestValueEnd(t *testing.T) {
	for c := range 256 {
		for _, ground := range []byte{'a', '\t', 0x80, 0xff, ' ', '~'} {
			for at := range 17 {
				w := bytes.Repeat([]byte{ground}, 17)
				w[at] = byte(c)
				want := len(w)
				if class[c]&isValue == 0 {
					want = at
				}
				for from := range at + 1 {
					if got := valueEnd(w, from); got != want {
						t.Fatalf("byte %#x at %d among %#x, from %d: %d", c, at, ground, from, got)
					}
				}
			}
		}
	}
}

func TestEqualFold(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			want := a == b || a|0x20 == b|0x20 && 'a' <= a|0x20 && a|0x20 <= 'z'
			if got := EqualFold([]byte{byte(a)}, string([]byte{byte(b)})); got != want {
				t.Errorf("%#x, %#x: %v", a, b, got)
			}
		}
	}
	if EqualFold("a", "ab") || EqualFold("K", "\u212a") {
		t.Error("unequal strings are equal")
	}
}

func TestUnescape(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""}, {"/a%20b", "/a b"}, {"%41%4a%4A", "AJJ"}, {"a+b", "a+b"}, {"%2541", "%41"}, {"%", "%"}, {"%4", "%4"}, {"%zz%41", "%zzA"},
	} {
		if got := string(Unescape(nil, []byte(c.in))); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
		in := []byte(c.in)
		if got := string(Unescape(in[:0], in)); got != c.want {
			t.Errorf("%q in place: %q, want %q", c.in, got, c.want)
		}
	}
	agrees := func(s string) bool {
		return string(Unescape(nil, []byte(url.PathEscape(s)))) == s
	}
	if err := quick.Check(agrees, nil); err != nil {
		t.Error(err)
	}
}

func TestTokens(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, ",": nil, " \t": nil, "a": {"a"}, "a,b": {"a", "b"}, " a ,\tb\t,,c, ": {"a", "b", "c"}, "a b, c": {"a b", "c"},
	} {
		var got []string
		for token := range Tokens([]byte(in)) {
			got = append(got, string(token))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for range Tokens([]byte("a,b")) {
		break // which must not be taken for a panic of the iterator
	}
}

func TestCookies(t *testing.T) {
	for in, want := range map[string][]string{
		"": nil, ";": nil, "a=b": {"a=b"}, "a=b; c=d": {"a=b", "c=d"}, "a = b ;c=d;": {"a=b", "c=d"}, `a="b c"`: {`a="b c"`},
		"a=b=c": {"a=b=c"}, "a=": {"a="}, "=b": {"=b"}, "flag": {"=flag"}, "a=1; a=2": {"a=1", "a=2"}, "a=b, c=d": {"a=b, c=d"},
	} {
		var got []string
		for name, value := range Cookies([]byte(in)) {
			got = append(got, fmt.Sprintf("%s=%s", name, value))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for range Cookies([]byte("a=b; c=d")) {
		break
	}
}

func TestFieldID(t *testing.T) {
	for i, name := range fieldNames[1:] {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			for before := range 10 { // a name may stand at the very beginning of a trailer section
				w := append(make([]byte, before), spelled...)
				if got := fieldID(w, before, len(w)); got != FieldID(i+1) {
					t.Errorf("%q behind %d bytes is %d, want %d", spelled, before, got, i+1)
				}
			}
		}
	}
	for _, name := range otherNames() {
		if got := fieldID([]byte(name), 0, len(name)); got != FieldOther {
			t.Errorf("%q is %s", name, got)
		}
	}
}

// otherNames are those that differ in a byte, or in their length, from one that is known.
func otherNames() []string {
	names := []string{"X-Host", "\u212aeep-Alive"}
	for _, name := range fieldNames[1:] {
		for i := range len(name) {
			names = append(names, name[:i]+"~"+name[i+1:], name[:i]+name[i+1:], name[:i+1]+name[i:])
		}
	}
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

func TestMethodID(t *testing.T) {
	for id, name := range methodNames {
		if got := methodID(pack([]byte(name + " "))); got != MethodID(id) {
			t.Errorf("%q is %d, want %d", name, got, id)
		}
	}
}

func TestGet(t *testing.T) {
	message := []byte("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n")
	var p Parser
	var h Head
	if ev, _, err := p.Next(message, &h); ev != EventHead {
		t.Fatal(err)
	}
	if v, ok := h.Get(message, "X"); !ok || string(v) != "1" {
		t.Errorf("Get: %q, %v", v, ok)
	}
	if v, ok := h.Get(message, "Y"); ok {
		t.Errorf("Get of an absent field: %q", v)
	}
	if v, ok := h.Find(message, FieldHost); !ok || string(v) != "a" {
		t.Errorf("Find: %q, %v", v, ok)
	}
	var all []string
	for v := range h.Values(message, "x") {
		all = append(all, string(v))
	}
	if !slices.Equal(all, []string{"1", "2"}) {
		t.Errorf("Values: %q", all)
	}
	for range h.Values(message, "x") {
		break
	}
}
