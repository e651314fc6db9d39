package router

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// spell writes segments in a notation that shows what became of each.
func spell(segments []segment) string {
	var words []string
	for _, s := range segments {
		words = append(words, fmt.Sprintf([]string{"=%s", "$%s", "{%s}", "{%s...}"}[s.kind], s.text))
	}
	return strings.Join(words, " ")
}

func TestParsePattern(t *testing.T) {
	for _, test := range []struct {
		text, method, segments string
		names                  []string
	}{
		{"example.com/a", "", "=a", nil},
		{"GET [::1]/{a}", "GET", "{a}", []string{"a"}},
		{"/", "", "{...}", nil},
		{"/{$}", "", "$", nil},
		{"/a", "", "=a", nil},
		{"/a/", "", "=a {...}", nil},
		{"/a/{$}", "", "=a $", nil},
		{"GET /users/{id}", "GET", "=users {id}", []string{"id"}},
		{"PROPFIND \t /{a}/b/{c...}", "PROPFIND", "{a} =b {c...}", []string{"a", "c"}},
		{"brew /", "brew", "{...}", nil},
		{" /a", "", "=a", nil},
		{"/{größe}/{_1}", "", "{größe} {_1}", []string{"größe", "_1"}},
		{"/%61%2fb/%7Bx}", "", "=a/b ={x}", nil},
		{"/%/%zz/a%2", "", "=% =%zz =a%2", nil}, // no escapes, so themselves
		{"/a/%2F", "", "=a $", nil},             // as http.ServeMux has it
		{"/.a/...", "", "=.a =...", nil},
		{"/%2e%2E./a%2F.c/%2Fb..", "", "=... =a/.c =/b..", nil},
		{"/a:b/%3Ac/a*/%2A", "", "=a:b =:c =a* =*", nil},
	} {
		p, err := parsePattern(test.text)
		if err != nil {
			t.Errorf("%q: %v", test.text, err)
			continue
		}
		if got := spell(p.segments); p.method != test.method || got != test.segments || !slices.Equal(p.names, test.names) {
			t.Errorf("%q: got method %q, segments %s, names %q", test.text, p.method, got, p.names)
		}
	}
}

func TestParsePatternErrors(t *testing.T) {
	manyWildcards := ""
	for i := range maxWildcards {
		manyWildcards += fmt.Sprintf("/{w%d}", i)
	}
	for _, end := range []string{"", "/{$}", "/a"} {
		if _, err := parsePattern(manyWildcards + end); err != nil {
			t.Errorf("%d wildcards and %q: %v", maxWildcards, end, err)
		}
	}
	for text, want := range map[string]string{
		"":                     "offset 0: path missing /",
		"GET":                  "offset 0: path missing /",
		"GET ":                 "offset 4: path missing /",
		"/a b":                 `offset 0: invalid method "/a"`,
		"G=T /":                `offset 0: invalid method "G=T"`,
		"GÖT /":                `offset 0: invalid method "GÖT"`,
		"example.com":          "offset 0: path missing /",
		"GET a.org{x}/":        "offset 9: path must begin with / before '{'",
		"GET {x}/":             "offset 4: path must begin with / before '{'",
		"/a//b":                "offset 0: a path with an empty",
		"//":                   "offset 0: a path with an empty",
		"PUT  /a/../b":         "offset 5: a path with an empty",
		"/a/.":                 "offset 0: a path with an empty",
		"CONNECT /./":          "offset 8: a path with an empty",
		"/a/%2e":               "offset 0: a path with an empty",
		"/.%2E/a":              "offset 0: a path with an empty",
		"/a/..%2Fb":            "offset 0: a path with an empty",
		"/a%2f%2e%2e":          "offset 0: a path with an empty",
		"GET a.org:80/":        `offset 4: requests are matched by their host without its port: write "a.org" for "a.org:80"`,
		"[::1]:80/":            `offset 0: requests are matched by their host without its port: write "[::1]" for "[::1]:80"`,
		"::1/":                 `write "[::1]" for "::1"`,
		"[::1/":                `"[::1" is none`,
		"a:b:c/":               `"a:b:c" is none`,
		"GET /users/:id":       `offset 11: ":id" is no wildcard here: write "GET /users/{id}", or "GET /users/%3Aid" for the text itself`,
		"a.org/:a/b/:c":        `offset 6: ":a" is no wildcard here: write "a.org/{a}/b/{c}", or "a.org/%3Aa/b/%3Ac"`,
		"/{a}/*":               `offset 5: "*" is no wildcard here: write "/{a}/{rest...}", or "/{a}/%2A"`,
		"/*/b":                 `write "/{name}/b", or "/%2A/b"`,
		"/f/*path":             `write "/f/{path...}", or "/f/%2Apath"`,
		"/:a/:a/{a2}":          `write "/{a}/{a3}/{a2}"`,
		"/:/:id([0-9]+)":       `write "/{name}/{id}"`,
		"/a/x{y}":              "offset 3: bad wildcard segment (must start with '{')",
		"/a/{y}x":              "offset 3: bad wildcard segment (must end with '}')",
		"/{":                   "offset 1: bad wildcard segment (must end with '}')",
		"/{a/b}":               "offset 1: bad wildcard segment (must end with '}')",
		"/{$}/a":               "offset 1: {$} not at end",
		"/{$}/":                "offset 1: {$} not at end",
		"/{x...}/":             "offset 1: {...} wildcard not at end",
		"/{}":                  "offset 1: empty wildcard",
		"/{...}":               "offset 1: empty wildcard",
		"/{$...}":              `offset 1: bad wildcard name "$"`,
		"/{1a}":                `offset 1: bad wildcard name "1a"`,
		"/{a-b}":               `offset 1: bad wildcard name "a-b"`,
		"/{%61}":               `offset 1: bad wildcard name "%61"`,
		"GET /{x}/b/{x...}":    `offset 11: duplicate wildcard name "x"`,
		manyWildcards + "/{x}": "more than 16 wildcards",
		manyWildcards + "/":    "more than 16 wildcards",
	} {
		if _, err := parsePattern(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", text, err, want)
		}
	}
}
