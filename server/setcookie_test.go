package server

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"microhttp/parser"
)

// setCookies returns the Set-Cookie lines of an answer whose handler is h.
func setCookies(t *testing.T, h HandlerFunc) []string {
	t.Helper()
	head, _, _ := strings.Cut(answerTo(t, plainGet, h), "\r\n\r\n")
	var lines []string
	for line := range strings.SplitSeq(head, "\r\n") {
		if value, ok := strings.CutPrefix(line, "Set-Cookie: "); ok {
			lines = append(lines, value)
		} else if strings.Contains(line, "ookie") {
			t.Errorf("an odd line: %q", line)
		}
	}
	return lines
}

func TestSetCookie(t *testing.T) {
	when := time.Date(2031, 3, 1, 13, 4, 5, 9, time.FixedZone("", 3600))
	for _, c := range []struct {
		cookie Cookie
		want   string
	}{
		{Cookie{Name: "a"}, "a="},
		{Cookie{Name: "a", Value: "b"}, "a=b"},
		{Cookie{Name: "a", Value: `"b"`}, `a="b"`},
		{Cookie{Name: "a", Value: `""`}, `a=""`},
		{Cookie{Name: "!#$%&'*+-.^_`|~09azAZ", Value: "!#$%&'()*+-./09:<=>?@AZ[]^_`az{|}~"}, "!#$%&'*+-.^_`|~09azAZ=!#$%&'()*+-./09:<=>?@AZ[]^_`az{|}~"},
		{Cookie{Name: "a", Path: "/"}, "a=; Path=/"},
		{Cookie{Name: "a", Path: "/b c,\"=\\"}, "a=; Path=/b c,\"=\\"},
		{Cookie{Name: "a", Domain: "Example.com"}, "a=; Domain=Example.com"},
		{Cookie{Name: "a", Domain: "localhost"}, "a=; Domain=localhost"},
		{Cookie{Name: "a", Domain: "xn--bcher-kva.3.example"}, "a=; Domain=xn--bcher-kva.3.example"},
		{Cookie{Name: "a", Expires: when}, "a=; Expires=Sat, 01 Mar 2031 12:04:05 GMT"},
		{Cookie{Name: "a", MaxAge: 60}, "a=; Max-Age=60"},
		{Cookie{Name: "a", MaxAge: 60, Expires: when}, "a=; Expires=Sat, 01 Mar 2031 12:04:05 GMT; Max-Age=60"},
		{Cookie{Name: "a", MaxAge: -1, Expires: when}, "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"},
		{Cookie{Name: "a", HttpOnly: true, Secure: true}, "a=; HttpOnly; Secure"},
		{Cookie{Name: "a", SameSite: SameSiteLaxMode}, "a=; SameSite=Lax"},
		{Cookie{Name: "a", SameSite: SameSiteStrictMode}, "a=; SameSite=Strict"},
		{Cookie{Name: "a", SameSite: SameSiteNoneMode, Secure: true}, "a=; Secure; SameSite=None"},
		{Cookie{Name: "a", Partitioned: true, Secure: true}, "a=; Secure; Partitioned"},
		{Cookie{Name: "__Secure-a", Secure: true, Domain: "a.example"}, "__Secure-a=; Domain=a.example; Secure"},
		{Cookie{Name: "__Host-a", Secure: true, Path: "/"}, "__Host-a=; Path=/; Secure"},
		{Cookie{Name: "a__Host-"}, "a__Host-="},
		{Cookie{Name: "__Host"}, "__Host="},
		{Cookie{Name: "a", Value: strings.Repeat("x", 4095)}, "a=" + strings.Repeat("x", 4095)},
	} {
		got := setCookies(t, func(w *Response, r *Request) { w.SetCookie(&c.cookie) })
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%+v:\n got %q\nwant %q", c.cookie, got, c.want)
		}
	}
}

func TestCookiesThatAreNotSet(t *testing.T) {
	var invalid []Cookie
	for _, name := range []string{"", "a b", "a=b", "a;", "a\r\nX", "\x00", "caf\xc3\xa9", `"a"`, "a,b"} {
		invalid = append(invalid, Cookie{Name: name})
	}
	for _, value := range []string{
		" ", "a b", "a,b", "a;b", `a\b`, `"`, `a"b`, `"a`, `"a b"`, `"a"b"`, "a\r\nSet-Cookie: b=c", "\x00", "\t", "\x7f", "\xff", "é",
		strings.Repeat("x", 4096),
	} {
		invalid = append(invalid, Cookie{Name: "a", Value: value})
	}
	for _, path := range []string{"a", "/;Domain=b", "/\r\nX: y", "/\x00", "/é", " /", "/ ", "/" + strings.Repeat("x", 1024)} {
		invalid = append(invalid, Cookie{Name: "a", Path: path})
	}
	for _, domain := range []string{
		".", ".a.example", "a.example.", "a..b", "a;b", "a\r\nX: y", "a b", "-a", "a-", "a_b", "é.example", "a:80", "[::1]", "::1", "*.a",
		strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a",
	} {
		invalid = append(invalid, Cookie{Name: "a", Domain: domain})
	}
	invalid = append(
		invalid,
		Cookie{Name: "a", Expires: time.Date(1600, 12, 31, 23, 59, 59, 0, time.UTC)},
		Cookie{Name: "a", Expires: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		Cookie{Name: "a", SameSite: SameSiteNoneMode},
		Cookie{Name: "a", SameSite: -1},
		Cookie{Name: "a", SameSite: SameSiteNoneMode + 1, Secure: true},
		Cookie{Name: "a", Partitioned: true},
		Cookie{Name: "__Secure-a"},
		Cookie{Name: "__secure-a"},
		Cookie{Name: "__Host-a", Path: "/"},
		Cookie{Name: "__Host-a", Secure: true},
		Cookie{Name: "__Host-a", Secure: true, Path: "/a"},
		Cookie{Name: "__Host-a", Secure: true, Path: "/", Domain: "a.example"},
		Cookie{Name: "__hOsT-a", Secure: true},
	)
	for _, c := range invalid {
		got := setCookies(t, func(w *Response, r *Request) {
			if panicked := panics(func() { w.SetCookie(&c) }); panicked == ValidFieldName(c.Name) {
				t.Errorf("%+v: panicked: %v", c, panicked)
			}
			err := c.Valid()
			if !errors.Is(err, ErrCookie) {
				t.Errorf("%+v: %v, want ErrCookie", c, err)
			}
			if len(c.Value) > 2 && strings.Contains(err.Error(), c.Value) {
				t.Errorf("the value, which may be a secret, is in %q", err)
			}
		})
		if got != nil {
			t.Errorf("%+v was sent: %q", c, got)
		}
	}
}

func TestOneSetCookieForEachName(t *testing.T) {
	got := setCookies(t, func(w *Response, r *Request) {
		w.SetHeader("X", "y")
		w.SetCookie(&Cookie{Name: "a", Value: "1"})
		w.SetCookie(&Cookie{Name: "ab", Value: "2"})
		w.AddHeader("set-cookie", "b=3") // by hand
		w.SetCookie(&Cookie{Name: "A", Value: "4"})
		w.SetCookie(&Cookie{Name: "a", Value: "5", Path: "/"})
		w.SetCookie(&Cookie{Name: "b", MaxAge: -1})
		want(t, "another field", w.Header("X"), "y")
	})
	want(t, "cookies", strings.Join(got, "|"), "ab=2|A=4|a=5; Path=/|b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
}

// What a cookie allocates does not grow with those that were set before: who asks for a thousand would hold the loop up.
func TestManyCookies(t *testing.T) {
	got := setCookies(t, func(w *Response, r *Request) {
		for i := range 1000 {
			w.SetCookie(&Cookie{Name: "a" + strconv.Itoa(i)})
		}
		if n := testing.AllocsPerRun(10, func() { w.SetCookie(&Cookie{Name: "a7"}) }); n > 10 {
			t.Errorf("%v allocations for the last", n)
		}
	})
	if len(got) != 1000 || got[6] != "a6=" || got[7] != "a8=" || got[999] != "a7=" {
		t.Errorf("%d cookies: %q", len(got), got)
	}
}

func TestNoCookieOnceAStreamWasTaken(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		s := w.Stream()
		w.SetCookie(&Cookie{Name: "a"})
		s.Close()
	})
	p := dial(t, addr)
	p.send(plainGet)
	if res, _ := p.answer("GET"); res.Header["Set-Cookie"] != nil {
		t.Errorf("Set-Cookie: %q", res.Header["Set-Cookie"])
	}
}

// FuzzSetCookie: whatever is set arrives as it was meant, by the reading of net/http's
// client, comes back as it was set, and nothing else comes with it.
func FuzzSetCookie(f *testing.F) {
	f.Add("a", "b", "/", "a.example", int64(1e9), 60, 3, byte(7))
	f.Add("__Host-a", `"b"`, "/", "", int64(0), -1, 1, byte(1))
	f.Add("a", "b\r\nc", "/;", ".", int64(-1), 0, 0, byte(0))
	f.Fuzz(func(t *testing.T, name, value, path, domain string, expires int64, maxAge, sameSite int, flags byte) {
		c := Cookie{
			Name: name, Value: value, Path: path, Domain: domain, MaxAge: maxAge, SameSite: SameSite(sameSite),
			Secure: flags&1 != 0, HttpOnly: flags&2 != 0, Partitioned: flags&4 != 0,
		}
		if expires != 0 {
			c.Expires = time.Unix(expires%1e12, 0)
		}
		if c.Valid() != nil {
			return
		}
		line := string(c.appendTo(nil))
		if !parser.ValidFieldValue(line) {
			t.Fatalf("%q is no field value", line)
		}
		got, err := http.ParseSetCookie(line)
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", line, err)
		}
		if got.Quoted {
			got.Value = `"` + got.Value + `"`
		}
		if maxAge < 0 {
			c.MaxAge, c.Expires = 0, time.Unix(0, 0)
		}
		if strings.ContainsAny(path, `"\`) {
			path = "" // net/http does not take what the grammar of an attribute allows
		}
		if got.Name != name || got.Value != value || got.Path != path || got.Domain != domain ||
			got.Secure != c.Secure || got.HttpOnly != c.HttpOnly || got.Partitioned != c.Partitioned || got.MaxAge != c.MaxAge ||
			!got.Expires.Equal(c.Expires) || c.SameSite > 0 && int(got.SameSite) != sameSite+1 || c.SameSite == 0 && got.SameSite != 0 {
			t.Errorf("%+v\n is %q\n to net/http %+v", c, line, got)
		}
		if pairs, _ := parsedCookies(t, name+"="+value); len(pairs) != 1 || pairs[0] != [2]string{name, value} {
			t.Errorf("%q comes back as %q", line, pairs)
		}
	})
}
