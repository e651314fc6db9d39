package parser

import (
	"slices"
	"strings"
	"testing"
)

var lists = []struct {
	in   string
	want []string
}{
	{"", []string{""}},
	{",", []string{"", ""}},
	{"a", []string{"a"}},
	{"a,b", []string{"a", "b"}},
	{" a ,\tb\t,,c, ", []string{"a", "b", "", "c", ""}},
	{`a="b,c",d`, []string{`a="b,c"`, "d"}},
	{`"a\",b",c`, []string{`"a\",b"`, "c"}},
	{`"a\\",b`, []string{`"a\\"`, "b"}},
	{`a\,b`, []string{`a\`, "b"}},
	{`"a,b`, []string{`"a,b`}},
	{`"a\`, []string{`"a\`}},
	{`"",","`, []string{`""`, `","`}},
	{`a"b,c"d,e`, []string{`a"b,c"d`, "e"}},
	{"a;b,c", []string{"a;b", "c"}},
}

func TestSplit(t *testing.T) {
	for _, x := range lists {
		var got []string
		for part := range Split(x.in, ',') {
			got = append(got, part)
		}
		if !slices.Equal(got, x.want) {
			t.Errorf("%q: %q, want %q", x.in, got, x.want)
		}
	}
	for range Split("a;b", ';') {
		break // which must not be taken for a panic of the iterator
	}
}

func TestUnquote(t *testing.T) {
	for _, x := range []struct {
		in, want string
		ok       bool
	}{
		{"a", "a", true},
		{`"a"`, "a", true},
		{`""`, "", true},
		{`"a b,c;d"`, "a b,c;d", true},
		{`"\a\"\\"`, `a"\`, true},
		{`"a\b"`, "ab", true},
		{"", "", false},
		{`"`, "", false},
		{`"a`, "", false},
		{`"a\`, "", false},
		{`"a\"`, "", false},
		{`"a"b`, "", false},
		{`"a" `, "", false},
		{"a b", "", false},
		{`a"b"`, "", false},
	} {
		got, ok := Unquote(x.in)
		if ok != x.ok || ok && got != x.want {
			t.Errorf("%q: %q, %t", x.in, got, ok)
		}
	}
}

// FuzzSplit holds that the parts are those of a splitter that goes by states, that each is trimmed, that a string and its
// bytes split alike, and that what was quoted is unquoted to what it was.
func FuzzSplit(f *testing.F) {
	for _, x := range lists {
		f.Add(x.in, byte(','))
	}
	f.Fuzz(func(t *testing.T, s string, separator byte) {
		if separator == '"' || separator == '\\' {
			return
		}
		var got, bytesGot []string
		for part := range Split(s, separator) {
			got = append(got, part)
		}
		for part := range Split([]byte(s), separator) {
			bytesGot = append(bytesGot, string(part))
		}
		if want := splitByStates(s, separator); !slices.Equal(got, want) || !slices.Equal(bytesGot, want) {
			t.Errorf("%q: %q, of its bytes %q, want %q", s, got, bytesGot, want)
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
		if back, ok := Unquote(quoted); !ok || back != s {
			t.Errorf("%q: %q, %t", quoted, back, ok)
		}
		if value, ok := Unquote(s); ok && len(value) > len(s) {
			t.Errorf("%q: %q is longer", s, value)
		}
	})
}

// splitByStates is Split, byte by byte.
func splitByStates(s string, separator byte) []string {
	parts, state := []string{""}, "outside"
	for _, c := range []byte(s) {
		last := &parts[len(parts)-1]
		switch {
		case state == "outside" && c == separator:
			parts = append(parts, "")
			continue
		case state == "outside" && c == '"':
			state = "inside"
		case state == "inside" && c == '"':
			state = "outside"
		case state == "inside" && c == '\\':
			state = "escaped"
		case state == "escaped":
			state = "inside"
		}
		*last += string([]byte{c})
	}
	for i := range parts {
		parts[i] = strings.Trim(parts[i], " \t")
	}
	return parts
}
