package server

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"microhttp/parser"
)

// cookiesOf returns the cookies that a handler sees in a request with these Cookie
// fields, as name=value.
func cookiesOf(t *testing.T, fields ...string) (all []string) {
	t.Helper()
	request := "GET / HTTP/1.1\r\nHost: a\r\n"
	for _, f := range fields {
		request += "Cookie: " + f + "\r\n"
	}
	ask(t, request+"\r\n", func(r *Request) string {
		for n, v := range r.Cookies() {
			all = append(all, n+"="+v)
		}
		return ""
	})
	return all
}

func TestCookies(t *testing.T) {
	for _, c := range []struct {
		fields []string
		want   []string
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{"; ;;"}, nil},
		{[]string{`a=1; b="2";c = 3 ; ;nameless;d=x=y`, "a=4"}, []string{"a=1", `b="2"`, "c=3", "=nameless", "d=x=y", "a=4"}},
		{[]string{"a="}, []string{"a="}},
		{[]string{"=b", "="}, []string{"=b", "="}},
		{[]string{"a=1;\tb=2"}, []string{"a=1", "b=2"}},
		{[]string{"a=b\tc; d=e f"}, []string{"a=b\tc", "d=e f"}},
		{[]string{`a="b; c"`}, []string{`a="b`, `=c"`}}, // a quote protects nothing
		{[]string{`a=";b="`}, []string{`a="`, `b="`}},
		{[]string{"a=1, b=2"}, []string{"a=1, b=2"}}, // nor does a comma separate
		{[]string{"caf\xc3\xa9=\xff\x80"}, []string{"caf\xc3\xa9=\xff\x80"}},
		{[]string{"$Version=1; a=1; $Path=/"}, []string{"$Version=1", "a=1", "$Path=/"}},
		{[]string{"a[b]=1; c d=2"}, []string{"a[b]=1", "c d=2"}},
		{[]string{"a=%3B%20"}, []string{"a=%3B%20"}},
		{[]string{"a=" + strings.Repeat("x", 20_000)}, []string{"a=" + strings.Repeat("x", 20_000)}},
	} {
		if got := cookiesOf(t, c.fields...); !slices.Equal(got, c.want) {
			t.Errorf("%q:\n got %q\nwant %q", c.fields, got, c.want)
		}
	}
	for range 3 { // an iteration that is broken off, in the middle of a field and at its end
		ask(t, "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nCookie: c=3\r\n\r\n", func(r *Request) string {
			for n := range r.Cookies() {
				if n == "b" {
					break
				}
			}
			return ""
		})
	}
}

func TestCookieByName(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: a\r\nX: k=0\r\ncookie: k=1; K=2; empty=; =bare\r\nCOOKIE: k=3; k =4\r\n\r\n"
	for _, c := range []struct{ name, want string }{
		{"k", `"1" true`},
		{"K", `"2" true`},
		{"\u212a", `"" false`}, // the Kelvin sign, which some fold to a k
		{"empty", `"" true`},
		{"", `"bare" true`},
		{"k ", `"" false`},
		{"none", `"" false`},
	} {
		ask(t, request, func(r *Request) string {
			v, ok := r.Cookie(c.name)
			want(t, "Cookie "+c.name, fmt.Sprintf("%q %v", v, ok), c.want)
			peeked := r.PeekCookie(c.name)
			want(t, "PeekCookie "+c.name, fmt.Sprintf("%q %v", peeked, peeked != nil), c.want)
			return ""
		})
	}
}

// What cannot be told from framing or is beyond a bound never becomes a cookie.
func TestCookieFieldsThatAreRefused(t *testing.T) {
	for field, status := range map[string]string{
		"Cookie: a=b\x00":                         "400",
		"Cookie: a=b\x01c":                        "400",
		"Cookie: a=b\x7f":                         "400",
		"Cookie: a=1\n b=2":                       "400",
		"Cookie: a=1\r\n b=2":                     "400",
		"Cookie : a=1":                            "400",
		"Coo\u212aie: a=1":                        "400",
		"Cookie: a=" + strings.Repeat("x", 40000): "431",
		strings.Repeat("Cookie: a=1\r\n", 128) + "Cookie: a=1": "431",
	} {
		p, m := inMemory(t, func(*Response, *Request) { t.Errorf("%.40q was served", field) })
		p.DataReceived([]byte("GET / HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n"))
		if got := m.out.String(); !strings.HasPrefix(got, "HTTP/1.1 "+status) {
			t.Errorf("%.40q was answered with %q", field, got)
		}
	}
}

// Kept cookies stay as they were when the buffers are used again, whether the head was
// copied whole or is too large for that.
func TestCookiesAreKept(t *testing.T) {
	for _, padding := range []int{0, 2 * wholeCopy} {
		var kept []string
		p, _ := inMemory(t, func(w *Response, r *Request) {
			v, _ := r.Cookie("a")
			kept = append(kept, v)
			for n, v := range r.Cookies() {
				kept = append(kept, n+v)
			}
		})
		lent := []byte("GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", padding) + "\r\nCookie: a=1; b=2\r\n\r\n")
		p.DataReceived(lent)
		clear(lent)
		want(t, "kept", strings.Join(kept, " "), "1 a1 b2")
	}
}

func TestCookieAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	request := []byte("GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nCookie: c=3; d=4\r\n\r\n")
	for name, c := range map[string]struct {
		allocs float64
		h      HandlerFunc
	}{
		"nobody asks": {0, hello},
		"peeked":      {0, func(w *Response, r *Request) { w.Write(r.PeekCookie("d")) }},
		"one":         {1, func(w *Response, r *Request) { v, _ := r.Cookie("d"); w.WriteString(v) }},
		"all": {1, func(w *Response, r *Request) {
			for n, v := range r.Cookies() {
				w.WriteString(n)
				w.WriteString(v)
			}
		}},
	} {
		p, m := inMemory(t, c.h)
		if got := testing.AllocsPerRun(100, func() { m.out.Reset(); p.DataReceived(request) }); got != c.allocs {
			t.Errorf("%s: %v allocations, want %v", name, got, c.allocs)
		}
	}
}

// FuzzCookies holds two laws for any field value. A field is the sequence of its pieces
// between semicolons, however they stand together. And of one piece we say what net/http
// says, but for what is listed in netHTTPSays.
func FuzzCookies(f *testing.F) {
	for _, seed := range []string{
		"a=1", `a="1"; b=2;c`, "=;=b; ;", "a = 1 ;\tb=\t\"x y\"\t", "a=b=c;\x80=\xff", `a="; b=\`, "$a=1,2;@=1", "a=\" \"", "\"=1", "a=\"",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		got, ok := parsedCookies(t, field)
		if !ok {
			return // no field value: that is the parser's fuzz test
		}
		var apart [][2]string
		for piece := range strings.SplitSeq(field, ";") {
			ours, _ := parsedCookies(t, piece)
			apart = append(apart, ours...)
			if len(ours) > 1 {
				t.Errorf("%q has %q", piece, ours)
			}
			for _, pair := range ours {
				if theirs, expected := netHTTP(t, piece), netHTTPSays(piece, pair[0], pair[1]); theirs != expected {
					t.Errorf("of %q, which is %q, net/http says %q, want %q", piece, pair, theirs, expected)
				}
			}
			if len(ours) == 0 && netHTTP(t, piece) != "" {
				t.Errorf("%q is no cookie for us alone", piece)
			}
		}
		if !slices.Equal(got, apart) {
			t.Errorf("%q:\n is %q\napart %q", field, got, apart)
		}
	})
}

// netHTTPSays is what net/http makes of a piece in which we see the pair name, value: the
// differences, each with its reason.
func netHTTPSays(piece, name, value string) string {
	before, after, equals := strings.Cut(piece, "=")
	switch {
	case !equals:
		// RFC 6265bis, 5.8.3: a user agent sends a nameless cookie as its bare value.
		// net/http takes it for a name without a value.
		name, value = value, ""
	case strings.TrimLeft(after, " \t") != after && strings.Trim(after, " \t") != "":
		// RFC 6265bis, 5.6, step 3 (of user agents): white space around name and value is none of
		// theirs. net/http keeps that before the value, and then quotes are none any more.
		value = after[:len(after)-len(strings.TrimLeft(after, " \t"))] + value
	}
	if strings.Trim(before, " \t") == "" || !isToken(name) {
		// RFC 6265bis, 5: user agents take any name, none among them. net/http drops what is no token.
		return ""
	}
	if n := len(value); n > 1 && value[0] == '"' && value[n-1] == '"' {
		// RFC 6265bis, 4.1.1: the quotes are part of the value. net/http takes them off.
		value = value[1 : n-1]
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			// RFC 6265bis, 5.6: user agents take any byte but controls, and HTAB among them too.
			// net/http drops a cookie with bytes that a server should not have set.
			return ""
		}
	}
	return name + "=" + value
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	})
}

func cookieRequest(field string) string {
	return "GET / HTTP/1.1\r\nHost: a\r\nCookie: " + field + "\r\n\r\n"
}

// parsedCookies is what a handler would see, without a server around it.
func parsedCookies(t *testing.T, field string) (pairs [][2]string, ok bool) {
	t.Helper()
	var (
		p parser.Parser
		r Request
	)
	head := []byte(cookieRequest(field))
	if ev, n, err := p.Next(head, &r.head); err != nil || ev != parser.EventHead || n != len(head) || strings.Contains(field, "\r") {
		return nil, false
	}
	r.raw = head
	for n, v := range r.Cookies() {
		pairs = append(pairs, [2]string{n, v})
	}
	for _, pair := range pairs {
		first := slices.IndexFunc(pairs, func(p [2]string) bool { return p[0] == pair[0] })
		if v, there := r.Cookie(pair[0]); !there || v != pairs[first][1] {
			t.Errorf("Cookie(%q) in %q is %q, %v", pair[0], field, v, there)
		}
	}
	return pairs, true
}

func netHTTP(t *testing.T, piece string) string {
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader([]byte(cookieRequest(piece)))))
	if err != nil {
		t.Fatalf("net/http refuses %q: %v", piece, err)
	}
	all := ""
	for _, c := range r.Cookies() {
		all += c.Name + "=" + c.Value
	}
	return all
}
