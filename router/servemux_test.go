package router

// The law of this package: it decides as http.ServeMux does. Here both are given the same patterns and the
// same requests, and must agree on which patterns conflict, which pattern takes a request, the values of its
// wildcards, the status and Allow of what none takes, and where redirects lead. They differ on purpose in this, and
// nothing else; the package comment lists the same for users:
//
//   - a pattern with an unclean path is refused also if it has no method, or CONNECT; one with more than maxWildcards
//     wildcards is refused, and so is one with the wildcards of other routers, or whose host has a port;
//   - an escaped dot is a dot, in patterns and in paths: what ServeMux does with the literal one is what is wanted. A path that has
//     dot segments only for those who decode its slashes gets 400;
//   - an IPv6 host of a request has no port and keeps its brackets, and a dot at the end of a host is nothing;
//   - OPTIONS is always allowed, and answered with 204 where no route takes it and ServeMux answers 405;
//   - a method that is not standard, that no route names, and for which no route takes the path, gets 501;
//   - CONNECT with an unclean path matches nothing, and the pattern that a redirect of CONNECT leads to is given as it was
//     registered, where ServeMux gives the path; a Server answers CONNECT before it reaches a Router.
//
// Requests that no parser lets through, or whose path net/url would spell differently, are not compared.

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"

	"microhttp/reactor/sim"
)

// TestServeMuxLaw compares random small routers, over an alphabet so small that patterns meet all the time.
func TestServeMuxLaw(t *testing.T) {
	const requestsEach = 40
	routers := sim.Seeds(2000)
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 0))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	count := make(map[int]int)
	for range routers {
		p := newPair(t)
		for range 1 + rng.IntN(8) {
			p.handle(randomPattern(rng))
		}
		for range requestsEach {
			count[p.request(randomMethod(rng), randomHost(rng), randomPath(rng), randomQuery(rng))]++
		}
		if t.Failed() {
			return
		}
	}
	// A law that is never put to the test holds trivially.
	for _, status := range []int{200, 204, 307, 404, 405, 501} {
		if count[status] < 100 {
			t.Errorf("only %d answers of %d were compared", count[status], status)
		}
	}
}

// FuzzRouter compares routers for patterns, one on each line, and a few requests made of one.
func FuzzRouter(f *testing.F) {
	for _, patterns := range []string{
		"GET /{$}\n/a/\n/a/{x}\nPOST /a/{y}/b",
		"/{x}/b\n/a/{x...}\n/a/b\nHEAD /a/b\nGET /a/{y}",
		"/%61/{$}\n/a/%2F\n/a/{x}\n/%2f/b\n/b%\n/{é}",
		"GET /a/b/c\n/{x}/{y}/{z}\n/{w...}\nLOCK /a/b/\nGET /a/{$}",
		"GET /a\nGET /{p}/b/c\nHEAD /a/{q}\n /b\nGET \t/c\nPOST host/a\n//\n/{x}x\nGET /./a",
		"/%2e/a\n/a/..%2fb\n/:a\n/*\na.org./b\n[0::1]/a",
		"a.org/\na.org/b/\n/b\n/c/\nGET a.org/{x}/c\n[::1]/a\nCONNECT a.org:80/a/",
	} {
		for _, method := range []string{"GET", "HEAD", "LOCK", "OPTIONS", "CONNECT"} {
			for _, path := range []string{"/", "/a", "/a/", "/a/b", "/%61/%2F", "/a/%2f/c%20d/", "/a//b", "/b/..", "/b", "/a/%2e%2E/b", "/a/.%2e", "/a/..%2Fb"} {
				f.Add(patterns, method, "a.org:80", path, "")
				f.Add(patterns, method, "[::1]", path, "q=/../?&x")
			}
		}
	}
	f.Fuzz(func(t *testing.T, patterns, method, host, path, query string) {
		const most = 20 // more find nothing new, and cost time
		p := newPair(t)
		for i, pattern := range strings.Split(patterns, "\n") {
			if i < most {
				p.handle(pattern)
			}
		}
		p.request(method, host, path, query)
		p.request("OPTIONS", host, path, query)
		p.request("GET", "", path+"/", query)
		p.request("POST", host, "/a"+path, "")
	})
}

var (
	someMethods  = []string{"GET", "GET", "HEAD", "POST", "OPTIONS", "DELETE", "LOCK", "CONNECT"}
	someHosts    = []string{"", "a.org", "b.org", "a.org:80", "[::1]", "::1", "b.org."}
	someLiterals = []string{"a", "b", "ab", "%61", "c", "%2F", "b%", "%7Bx%7d", ":a", "%3Aa"}
)

func randomPattern(rng *rand.Rand) string {
	var b strings.Builder
	if rng.IntN(2) == 0 {
		b.WriteString(pick(rng, someMethods) + " ")
	}
	if rng.IntN(4) == 0 {
		b.WriteString(pick(rng, someHosts))
	}
	for i := range 1 + rng.IntN(3) {
		if rng.IntN(2) == 0 {
			fmt.Fprintf(&b, "/{w%d}", i)
		} else {
			b.WriteString("/" + pick(rng, someLiterals))
		}
	}
	b.WriteString(pick(rng, []string{"", "", "", "/", "/{$}", "/{rest...}"}))
	if rng.IntN(10) == 0 {
		return pick(rng, []string{"/", "/{$}", "/{all...}", "GET /"})
	}
	return b.String()
}

func randomMethod(rng *rand.Rand) string {
	return pick(rng, append(someMethods, "PUT", "get"))
}

func randomHost(rng *rand.Rand) string {
	return pick(rng, append(someHosts, "a.org:", "b.org:443", "[::1]:80", "A.org", "c.org", "a.org:80:80", "[a.org]:80", "[::1", ":80", "[0::1]:8080", "a.org.:80", "A.org."))
}

func randomQuery(rng *rand.Rand) string {
	return pick(rng, []string{"", "", "q", "a=b&c=%20d", "?x//../"})
}

func randomPath(rng *rand.Rand) string {
	var b strings.Builder
	for range rng.IntN(5) {
		b.WriteString("/" + pick(rng, append(someLiterals, "a", "b", "%41b", "%2f", "%2e%2e", ".%2E", "%2e", "..%2f..", "%2f.", "%2e%2ea", "{x}")))
	}
	b.WriteString(pick(rng, []string{"", "", "/", "/", "/", "//", "/.", "/../a", "/.a", "/..."}))
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

func pick(rng *rand.Rand, from []string) string { return from[rng.IntN(len(from))] }

// pair is a tree and a ServeMux that were given the same patterns.
type pair struct {
	t        *testing.T
	tree     tree
	mux      *http.ServeMux
	patterns []string
}

func newPair(t *testing.T) *pair { return &pair{t: t, mux: http.NewServeMux()} }

// verdict is what becomes of a request, as far as routing goes.
type verdict struct {
	status   int
	pattern  string
	values   map[string]string
	allow    string
	location string
}

// handle registers a pattern with both, or with neither if only this package means to refuse it.
func (p *pair) handle(pattern string) {
	parsed, err := parsePattern(pattern)
	if isOurs(err) {
		return
	}
	if _, host, _ := splitPattern(pattern); host != canonicalHost(host) {
		return
	}
	if err == nil {
		err = p.tree.insert(&Route{pattern: parsed, site: "here"})
	}
	muxErr := p.muxHandle(pattern)
	if (err == nil) != (muxErr == nil) {
		p.t.Errorf("patterns %q, then %q:\nrouter:   %v\nServeMux: %v", p.patterns, pattern, err, muxErr)
	}
	if err == nil {
		p.patterns = append(p.patterns, pattern)
	}
}

// isOurs reports whether err is a refusal of ours alone.
func isOurs(err error) bool {
	return slices.ContainsFunc([]error{errUnclean, errWildcards, errHost, errForeign, errCase, errQuery}, func(ours error) bool { return errors.Is(err, ours) })
}

func (p *pair) muxHandle(pattern string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		values := make(map[string]string)
		parsed, _ := parsePattern(r.Pattern)
		for _, name := range parsed.names {
			values[name] = r.PathValue(name)
		}
		w.(*recorder).got = verdict{status: http.StatusOK, values: values}
	})
	return nil
}

// request compares what both do with a request, and returns the status of the answer, or 0 if no client could
// send it.
func (p *pair) request(method, host, path, query string) int {
	u, err := url.ParseRequestURI(path)
	if err != nil || !strings.HasPrefix(path, "/") || u.EscapedPath() != path || !isToken(method) || !isQuery(query) {
		return 0
	}
	if method == "CONNECT" && !isClean(path) || !isHost(host) {
		return 0
	}
	u = withLiteralDots(u)
	u.RawQuery = query
	want := p.wanted(method, muxHost(method, host), u)
	if hidesDots(path) {
		want = verdict{status: http.StatusBadRequest}
	}
	got := p.treeAnswer(method, host, path, query)
	if method == "CONNECT" && want.status == http.StatusTemporaryRedirect {
		want.pattern = got.pattern
	}
	if got.status != want.status || got.pattern != want.pattern || got.allow != want.allow ||
		!leadAlike(path, got.location, want.location) || !maps.Equal(got.values, want.values) {
		p.t.Errorf("patterns %q, request %s %s %s %s:\ngot  %+v\nwant %+v", p.patterns, method, host, path, query, got, want)
	}
	return got.status
}

// withLiteralDots is u with the escaped dots of dot segments as dots.
func withLiteralDots(u *url.URL) *url.URL {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, s := range segments {
		if dots, err := url.PathUnescape(s); err == nil && (dots == "." || dots == "..") {
			segments[i] = dots
		}
	}
	dotted, err := url.ParseRequestURI(strings.Join(segments, "/"))
	if err != nil {
		panic(err) // it could be parsed with the dots escaped
	}
	return dotted
}

// isHost reports whether the parser would let a host with brackets through.
func isHost(host string) bool {
	literal, port, ok := strings.Cut(strings.TrimPrefix(host, "["), "]")
	if !strings.ContainsAny(host, "[]") {
		return true
	}
	ip, err := netip.ParseAddr(literal)
	return ok && host[0] == '[' && err == nil && ip.Is6() && ip.Zone() == "" && (port == "" || port[0] == ':')
}

// muxHost is the host that ServeMux is to be asked with for it to do what is wanted.
func muxHost(method, host string) string {
	host = lowerHost(host)
	if method == "CONNECT" {
		return canonicalHost(host)
	}
	if end := strings.IndexByte(host, ']'); end >= 0 {
		return canonicalHost(host[:end+1])
	}
	name, port, found := strings.Cut(host, ":")
	name = strings.TrimSuffix(name, ".")
	if found {
		return name + ":" + port
	}
	return name
}

// leadAlike reports whether our redirect of path leads where that of ServeMux does, which escapes more than has to be; or, if
// there are escapes in path, to what is clean of it as it came, with or without a slash.
func leadAlike(path, ours, mux string) bool {
	to, query, _ := strings.Cut(ours, "?")
	muxTo, muxQuery, _ := strings.Cut(mux, "?")
	if ours == "" || mux == "" {
		return ours == mux
	}
	slash := strings.HasSuffix(muxTo, "/")
	if strings.Contains(path, "%") {
		muxTo = strings.TrimSuffix(cleanPath(path), "/")
		if slash {
			muxTo += "/"
		}
	} else {
		muxTo, _ = url.PathUnescape(muxTo)
	}
	return to == notInPaths.Replace(muxTo) && query == muxQuery
}

// isQuery reports whether the parser would take s for a query.
func isQuery(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"#<>", c) >= 0 {
			return false
		}
	}
	return true
}

func (p *pair) treeAnswer(method, host, path, query string) verdict {
	var m match
	authority := hostOf(method, []byte(host))
	outcome := p.tree.match(method, authority, []byte(path), &m)
	if outcome != matched {
		r := p.tree.refusal(outcome, &m, method, authority, []byte(path), func() string { return query })
		return verdict{status: r.status, allow: r.allow, location: r.location, pattern: r.pattern}
	}
	a := verdict{status: http.StatusOK, pattern: m.route.pattern.text, values: make(map[string]string)}
	for i, name := range m.route.pattern.names {
		s := m.spans[i]
		value, err := url.PathUnescape(path[s.Off : s.Off+s.Len])
		if err != nil {
			p.t.Errorf("value %q of %s: %v", path[s.Off:s.Off+s.Len], path, err)
		}
		a.values[name] = value
	}
	return a
}

// wanted is what ServeMux does, but for the differences listed above.
func (p *pair) wanted(method, host string, u *url.URL) verdict {
	a := p.muxAnswer(method, host, u)
	known := slices.Contains(p.tree.methods.known(), method)
	switch a.status {
	case http.StatusOK, http.StatusTemporaryRedirect:
		return a
	case http.StatusNotFound, http.StatusMethodNotAllowed:
	default:
		p.t.Errorf("ServeMux answered %+v", a)
	}
	if !known {
		return verdict{status: http.StatusNotImplemented}
	}
	if a.status == http.StatusNotFound {
		return a
	}
	a.allow = allowField(strings.Split(a.allow, ", "))
	if method == "OPTIONS" {
		a.status = http.StatusNoContent
	}
	return a
}

func (p *pair) muxAnswer(method, host string, u *url.URL) verdict {
	var w recorder
	r := &http.Request{Method: method, Host: host, URL: u, RequestURI: u.RequestURI(), Proto: "HTTP/1.1"}
	if method == "CONNECT" {
		target := *u
		target.Host = host // on the wire it is the target
		r.URL = &target
	}
	p.mux.ServeHTTP(&w, r)
	w.got.pattern = r.Pattern
	return w.got
}

// recorder is a ResponseWriter that keeps what the test compares.
type recorder struct {
	header http.Header
	got    verdict
}

func (w *recorder) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

func (w *recorder) WriteHeader(status int) {
	w.got = verdict{status: status, allow: w.header.Get("Allow"), location: w.header.Get("Location")}
}

func (w *recorder) Write(p []byte) (int, error) { return len(p), nil }
