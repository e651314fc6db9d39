package router

import (
	"fmt"
	"strings"
	"testing"
)

// grow returns a tree of the patterns.
func grow(tb testing.TB, patterns ...string) *tree {
	tb.Helper()
	t := new(tree)
	for _, text := range patterns {
		p, err := parsePattern(text)
		if err == nil {
			err = t.insert(&Route{pattern: p, site: "here"})
		}
		if err != nil {
			tb.Fatalf("pattern %q: %v", text, err)
		}
	}
	return t
}

// lookUp matches and spells the result: the pattern and its values as they stand in the path, or the status and
// the Allow or Location field of the answer. The query is always q.
func lookUp(t *tree, method, path string) string {
	var m match
	if o := t.match(method, nil, []byte(path), &m); o != matched {
		r := t.refusal(o, &m, method, nil, []byte(path), func() string { return "q" })
		return strings.TrimSpace(fmt.Sprint(r.status, " ", r.allow, r.location))
	}
	words := []string{m.route.pattern.text}
	for i, name := range m.route.pattern.names {
		words = append(words, name+"="+path[m.spans[i].Off:][:m.spans[i].Len])
	}
	return strings.Join(words, " ")
}

// TestMatch shows the cases; TestServeMuxLaw covers the rest.
func TestMatch(t *testing.T) {
	tree := grow(t,
		"GET /{$}",
		"GET /users/{id}", "DELETE /users/{user}", "GET /users/me", "HEAD /users/me",
		"/users/{id}/posts/{post}", "/users/me/posts/pinned",
		"GET /files/{path...}", "GET /files/readme",
		"/api/", "/api/v1/{$}", "LOCK /api/v1/lock",
		"GET /a%20b/{x}",
	)
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/", "GET /{$}"},
		{"HEAD", "/", "GET /{$}"},
		{"POST", "/", "405 GET, HEAD, OPTIONS"},
		{"OPTIONS", "/", "204 GET, HEAD, OPTIONS"},
		{"GET", "/nowhere", "404"},
		{"OPTIONS", "/nowhere", "404"},

		// The more specific wins, in path and in method.
		{"GET", "/users/me", "GET /users/me"},
		{"HEAD", "/users/me", "HEAD /users/me"},
		{"HEAD", "/users/7", "GET /users/{id} id=7"},
		{"DELETE", "/users/me", "DELETE /users/{user} user=me"},
		{"PUT", "/users/me", "405 DELETE, GET, HEAD, OPTIONS"},

		// A branch that leads nowhere is given up.
		{"GET", "/users/me/posts/pinned", "/users/me/posts/pinned"},
		{"GET", "/users/me/posts/1", "/users/{id}/posts/{post} id=me post=1"},

		// A wildcard is a whole segment, and not an empty one.
		{"GET", "/users/a.b;c", "GET /users/{id} id=a.b;c"},
		{"GET", "/users/", "404"},
		{"GET", "/users/7/", "404"},

		// The rest of a path may be empty, but for its slash.
		{"GET", "/files/a/b/", "GET /files/{path...} path=a/b/"},
		{"GET", "/files/", "GET /files/{path...} path="},
		{"GET", "/files/readme", "GET /files/readme"},
		{"GET", "/api/x/y", "/api/"},
		{"GET", "/api/v1/", "/api/v1/{$}"},
		{"GET", "/api/v1/x", "/api/"},

		// A path that lacks a slash is not taken by a route for less.
		{"GET", "/files", "307 /files/?q"},
		{"GET", "/api/v1", "307 /api/v1/?q"},
		{"POST", "/files", "405 GET, HEAD, OPTIONS"},

		// Segments are decoded, each for itself.
		{"GET", "/%75sers/m%65", "GET /users/me"},
		{"GET", "/users/a%2Fb", "GET /users/{id} id=a%2Fb"},
		{"GET", "/users/..a%2f..b%2F...", "GET /users/{id} id=..a%2f..b%2F..."},
		{"GET", "/a%20b/%41", "GET /a%20b/{x} x=%41"},
		{"GET", "/a%2/b", "404"},

		// A path that is not clean matches nothing, least of all what takes the rest: it is redirected.
		{"GET", "/files/../users/me", "307 /users/me?q"},
		{"POST", "/files/a/..", "307 /files?q"},
		{"GET", "/files//a", "307 /files/a?q"},
		{"GET", "/files/.", "307 /files/?q"},
		{"GET", "//", "307 /?q"},
		{"GET", "/nowhere//", "307 /nowhere/?q"},
		{"GET", "/users//posts/1", "307 /users/posts/1?q"},
		{"GET", "/a%20b/./c", "307 /a%20b/c?q"}, // and not /a%2520b/c
		{"GET", "/files/.../.a", "GET /files/{path...} path=.../.a"},

		// An escaped dot is a dot.
		{"GET", "/files/%2e%2e/users/me", "307 /users/me?q"},
		{"GET", "/files/.%2e/users/me", "307 /users/me?q"},
		{"GET", "/files/%2E./users/me", "307 /users/me?q"},
		{"GET", "/files/%2E", "307 /files/?q"},
		{"GET", "/users/%2e", "307 /users?q"},
		{"POST", "/files/a%2eb/%2e%2E", "307 /files?q"},
		{"GET", "/%2e%2e/%2e%2e/files/%2e%2e%2e/%2ea/%2e/%2e%20", "307 /files/%2e%2e%2e/%2ea/%2e%20?q"},
		{"GET", "/files/%2e%2e%2e/%2ea", "GET /files/{path...} path=%2e%2e%2e/%2ea"},
		{"GET", "/%2e%2e/", "307 /?q"},

		// Where an escaped slash would make a dot segment, nothing is guessed.
		{"GET", "/users/..%2f..", "400"},
		{"GET", "/files/..%2Fusers/me", "400"},
		{"GET", "/files/a/b%2f%2e", "400"},
		{"GET", "/files/a%2F.%2e%2fb", "400"},
		{"GET", "/files/%2f../a", "400"},
		{"GET", "/nowhere/%2e%2f", "400"},
		{"POST", "/files/../users/..%2fme", "400"},
		{"LOCK", "/..%2f", "400"},

		// Methods that the standard does not know are known if a route names them.
		{"LOCK", "/api/v1/lock", "LOCK /api/v1/lock"},
		{"LOCK", "/api/x", "/api/"},
		{"UNLOCK", "/api/x", "/api/"}, // whoever takes every method takes this one
		{"UNLOCK", "/users/me", "501"},
		{"get", "/", "501"},
		{"", "/", "501"},

		// Targets that are not of origin form.
		{"OPTIONS", "*", "204 DELETE, GET, HEAD, LOCK, OPTIONS, PATCH, POST, PUT, TRACE"},
		{"GET", "*", "404"},
		{"CONNECT", "example.com:80", "404"},
		{"GET", "", "404"},
	} {
		if got := lookUp(tree, test.method, test.path); got != test.want {
			t.Errorf("%s %s: got %s, want %s", test.method, test.path, got, test.want)
		}
	}
}

// TestHostsHaveNoCase holds that a host is the same however it is written, in a pattern and in a request.
func TestHostsHaveNoCase(t *testing.T) {
	tree := grow(t, "GET Example.COM/x", "GET example.com/y", "GET /x")
	for host, want := range map[string]string{
		"example.com": "GET Example.COM/x", "EXAMPLE.com": "GET Example.COM/x", "eXample.com": "GET Example.COM/x",
		"example.org": "GET /x", "EXAMPLE.org": "GET /x", "": "GET /x",
	} {
		var m match
		if o := tree.match("GET", []byte(host), []byte("/x"), &m); o != matched || m.route.pattern.text != want {
			t.Errorf("%q: %v %v, want %s", host, o, m.route, want)
		}
	}
	again, err := parsePattern("GET EXAMPLE.com/y")
	if err != nil {
		t.Fatal(err)
	}
	if err := tree.insert(&Route{pattern: again, site: "here"}); err == nil {
		t.Error("two patterns for one host are no conflict")
	}
	other := []byte("example.org")
	if n := testing.AllocsPerRun(100, func() { tree.host(other) }); n != 0 {
		t.Errorf("a host without routes: %v allocations", n)
	}
}

// TestHostsWithPortsAndDots holds that a host is the same with and without a port, and with the dot that says that it is whole; and
// that an IPv6 address is the same however it is written.
func TestHostsWithPortsAndDots(t *testing.T) {
	tree := grow(t, "example.com/", "[::1]/", "[2001:DB8:0::1]/", "dotted.org./", "[v1.a]/", "/")
	for want, hosts := range map[string]string{
		"example.com/":     "example.com example.com: example.com:80 example.com. example.com.:8080 Example.Com.:80",
		"[::1]/":           "[::1] [::1]: [::1]:80 [0:0:0:0:0:0:0:1] [0::0001]:443",
		"[2001:DB8:0::1]/": "[2001:db8::1] [2001:db8::1]:8080 [2001:0DB8::0001]",
		"dotted.org./":     "dotted.org dotted.org. dotted.org:1 dotted.org.:1",
		"[v1.a]/":          "[v1.a] [V1.a]:80",
		"/":                "example.com.. .example.com [::2] [::1]. ::1 example.co com . .:80 [v1.a.]",
	} {
		for _, host := range strings.Fields(hosts) {
			var m match
			if o := tree.match("GET", hostOf("GET", []byte(host)), []byte("/x"), &m); o != matched || m.route.pattern.text != want {
				t.Errorf("%q: %v %v, want %s", host, o, m.route.pattern.text, want)
			}
		}
	}
	if n := testing.AllocsPerRun(100, func() { tree.host(hostOf("GET", []byte("example.com:80"))) }); n != 0 {
		t.Errorf("a host that is written as most are: %v allocations", n)
	}
}

// TestOptionsAsterisk holds that the server's methods are those that routes named, and what follows from them.
func TestOptionsAsterisk(t *testing.T) {
	for want, patterns := range map[string][]string{
		"204 OPTIONS":                  {},
		"204 OPTIONS, POST":            {"POST /a"},
		"204 GET, HEAD, LOCK, OPTIONS": {"GET /a", "LOCK /b"},
		"204 CONNECT, HEAD, OPTIONS":   {"CONNECT /a", "OPTIONS /b", "HEAD /c"},
		"204 DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE": {"/"},
	} {
		if got := lookUp(grow(t, patterns...), "OPTIONS", "*"); got != want {
			t.Errorf("%q: got %s, want %s", patterns, got, want)
		}
	}
}

// TestChildren holds that the two ways of finding a child agree, for few children and for many.
func TestChildren(t *testing.T) {
	c := newNode()
	for i := range 100 {
		text := fmt.Sprintf("%d é%%", i*7%10+i)
		if i%2 == 0 {
			text = strings.Repeat("é ", i/2+1) // the beginning of others, and they of it
		}
		want := c.child(text)
		if c.child(text) != want {
			t.Fatalf("%q was made twice", text)
		}
		escaped := strings.NewReplacer(" ", "%20", "é", "%c3%A9", "%", "%25").Replace(text)
		for way, got := range map[string]*node{
			"get": c.get(text), "findEscaped": c.findEscaped([]byte(escaped)),
		} {
			if got != want {
				t.Errorf("%d children: %s gave another child for %q", len(c.sorted), way, text)
			}
		}
		for _, absent := range []string{"", "%20", text + "x", text[:len(text)-1], "\xff", "%ff" + escaped} {
			if c.get(absent) != nil || isEscaped([]byte(absent)) && c.findEscaped([]byte(absent)) != nil {
				t.Errorf("found %q", absent)
			}
		}
	}
}

// TestSegments holds that a walk reads the same segments and keys, wherever in a path they lie.
func TestSegments(t *testing.T) {
	for size := range 40 {
		for _, before := range []string{"", "/x", "/12345", "/1234567/"} {
			for _, after := range []string{"", "/", "/y", "/12345678"} {
				text := strings.Repeat("abcdefghijk", 4)[:size]
				path := []byte(before + "/" + text + after)
				begin := len(before) + 1
				w, n := wordAt(path, begin)
				if n != min(8, len(path)-begin) || size >= 8 && w != keyOf([]byte(text)).first {
					t.Errorf("%s: the word at %d is %x, of %d bytes", path, begin, w, n)
				}
				if size < 8 {
					continue
				}
				if k, percent := scanLong(path, begin, w); k != keyOf([]byte(text)) || percent {
					t.Errorf("%s: the key at %d is %v, %t", path, begin, k, percent)
				}
				for i := range size {
					path[begin+i] = '%'
					if _, percent := scanLong(path, begin, w|uint64(size)); i >= 8 && !percent {
						t.Errorf("%s: no percent sign was seen", path)
					}
					path[begin+i] = 'x'
				}
			}
		}
	}
}

func TestMostWildcards(t *testing.T) {
	pattern, path, want := "", "", ""
	for i := range maxWildcards {
		pattern += fmt.Sprintf("/{w%d}", i)
		path += fmt.Sprintf("/%d", i)
		want += fmt.Sprintf(" w%d=%d", i, i)
	}
	if got := lookUp(grow(t, pattern), "GET", path); got != pattern+want {
		t.Errorf("got %s", got)
	}
	if got := lookUp(grow(t, pattern), "GET", path+"/x"); got != "404" {
		t.Errorf("with a segment too many: got %s", got)
	}
}

func TestTooManyExtensionMethods(t *testing.T) {
	tree := new(tree)
	for i := range maxExtensions + 1 {
		p, err := parsePattern(fmt.Sprintf("M%d /", i))
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.insert(&Route{pattern: p}); (err != nil) != (i == maxExtensions) {
			t.Errorf("method %d: %v", i, err)
		}
	}
}
