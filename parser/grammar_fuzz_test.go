package parser

import (
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// The parser against the grammar of the RFCs, written down once more as regular expressions: slow, whole, and close to
// the ABNF. Each target below feeds one part of a message and asks whether both take it, and take the same from it.

const (
	tchar      = "[!#$%&'*+.^_`|~0-9A-Za-z-]"
	pctEncoded = "%[0-9A-Fa-f]{2}"
	regName    = "(?:[A-Za-z0-9._~!$&'()*+;=-]|" + pctEncoded + ")+" // without the comma
	ipLiteral  = `\[([^\]]*)\]`
	uriHost    = "(" + ipLiteral + "|" + regName + ")"
	ows        = `[ \t]*`
	quotedStr  = `"(?:[\t !#-\[\]-~\x{80}-\x{ff}]|\\[\t -~\x{80}-\x{ff}])*"`
	chunkExt   = "(?:" + ows + ";" + ows + tchar + "+(?:" + ows + "=" + ows + "(?:" + tchar + "+|" + quotedStr + "))?)*"
	segment    = "(?:[A-Za-z0-9._~!$&'()*+,;=:@|\\[\\]/-]|" + pctEncoded + ")*"
	queryChars = "(?:[A-Za-z0-9._~!$&'()*+,;=:@|\\[\\]/?{}^\\\\`-]|" + pctEncoded + ")*"
)

var (
	hostForm      = regexp.MustCompile("^" + uriHost + "(:([0-9]*))?$")
	futureForm    = regexp.MustCompile(`^[vV][0-9A-Fa-f]+\.[A-Za-z0-9._~!$&'()*+;=:-]+$`)
	hiddenControl = regexp.MustCompile("%([01][0-9A-Fa-f]|7[Ff])")
	hiddenLineEnd = regexp.MustCompile("%0[0aAdD]")
	originForm    = regexp.MustCompile(`^(/` + segment + `)(?:\?(` + queryChars + `))?$`)
	absoluteForm  = regexp.MustCompile(`^(?i:https?)://([^/?]*)((?:/` + segment + `)?)(?:\?(` + queryChars + `))?$`)
	chunkLine     = regexp.MustCompile("^([0-9A-Fa-f]{1,16})" + chunkExt + "\r\n")
	trailerLines  = regexp.MustCompile("^(?:" + tchar + "+:[\t -~\\x{80}-\\x{ff}]*\r\n)*\r\n")
)

// validHost decides as RFC 3986 section 3.2.2 does, and this server's bounds: no comma, no hidden control byte, a port of
// TCP.
func validHost(s string) (port string, ok bool) {
	m := hostForm.FindStringSubmatch(s)
	if m == nil || hiddenControl.MatchString(m[1]) {
		return "", false
	}
	if n, err := strconv.Atoi(m[4]); m[4] != "" && (err != nil || n > maxPort) {
		return "", false
	}
	if !strings.HasPrefix(s, "[") || futureForm.MatchString(m[2]) {
		return m[4], true
	}
	addr, err := netip.ParseAddr(m[2])
	return m[4], err == nil && addr.Is6() && addr.Zone() == ""
}

// FuzzHost puts anything into a Host field.
func FuzzHost(f *testing.F) {
	for _, s := range []string{
		"a.example:80", "a", ":80", "[::1]:80", "[v1.a:b]", "a%2fb", "a%00", "a:65536", "a:", "a,b", "user@a", "[::1", "a]", "1.2.3.4:0", "[::1.2.3.4]:",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !ValidFieldValue(s) {
			return
		}
		_, want := validHost(s)
		var p Parser
		var h Head
		b := []byte("GET / HTTP/1.1\r\nHost: " + s + "\r\n\r\n")
		ev, _, err := p.Next(b, &h)
		if got := ev == EventHead; got != want || !got && err != errHost && len(s) < DefaultHead/2 {
			t.Errorf("%q: event %d, %v; want %v", s, ev, err, want)
		}
		if ev == EventHead && string(h.Authority.In(b)) != s {
			t.Errorf("%q: %q", s, h.Authority.In(b))
		}
	})
}

// FuzzTarget puts anything in the place of a target.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{
		"/", "/a/b?c=d", "/%41?%00", "/%00", "/a[b]|c", "/a?{}^\\`", "http://a/b?c", "HTTPS://a", "http://[::1]?", "http://u@a/", "ftp://a/",
		"*", "a:80", "[::1]:443", "//a", "/a#b", "/\xff", "?", "http://", "http:/a",
	} {
		for _, method := range []string{"GET", "OPTIONS", "CONNECT"} {
			f.Add(method, s)
		}
	}
	f.Fuzz(func(t *testing.T, method, s string) {
		if !slices.Contains([]string{"GET", "OPTIONS", "CONNECT"}, method) || strings.Contains(s, " ") {
			return
		}
		want := readTarget(method, s)
		if len(s) > DefaultTarget {
			want = nil
		}
		var p Parser
		var h Head
		b := []byte(method + " " + s + " HTTP/1.1\r\nHost: a\r\n\r\n")
		var got []string
		if ev, _, _ := p.Next(b, &h); ev == EventHead {
			got = []string{string(h.Path.In(b)), string(h.Query.In(b)), string(h.Authority.In(b)), strconv.FormatBool(h.HasQuery), strconv.FormatBool(h.HTTPS)}
			if string(h.Target.In(b)) != s || h.PathEscaped != strings.Contains(got[0], "%") {
				t.Errorf("%s %q: target %q, escaped %v", method, s, h.Target.In(b), h.PathEscaped)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %q: %q, want %q", method, s, got, want)
		}
	})
}

// readTarget gives path, query, authority, and whether there is a query and the scheme is https; nil for no target.
func readTarget(method, s string) []string {
	hasQuery := strconv.FormatBool(strings.Contains(s, "?"))
	if method == "CONNECT" {
		if port, ok := validHost(s); ok && port != "" {
			return []string{"", "", s, "false", "false"}
		}
		return nil
	}
	if s == "*" && method == "OPTIONS" {
		return []string{"", "", "a", "false", "false"}
	}
	if m := originForm.FindStringSubmatch(s); m != nil && !hiddenLineEnd.MatchString(m[1]) {
		return []string{m[1], m[2], "a", hasQuery, "false"}
	}
	if m := absoluteForm.FindStringSubmatch(s); m != nil && !hiddenLineEnd.MatchString(m[2]) {
		if _, ok := validHost(m[1]); ok {
			return []string{m[2], m[3], m[1], hasQuery, strconv.FormatBool(EqualFold(s[:5], "https"))}
		}
	}
	return nil
}

// FuzzChunks puts anything behind the head of a chunked message.
func FuzzChunks(f *testing.F) {
	for _, v := range loadVectors(f) {
		if _, body, ok := strings.Cut(string(v.message), "\r\n\r\n"); ok && strings.HasPrefix(v.name, "chunks.txt") {
			f.Add(body, uint16(3))
		}
	}
	const head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	f.Fuzz(func(t *testing.T, s string, cut uint16) {
		want, whole := readChunks(s)
		r := readOurs([]byte(head + s))
		if got := r.err == nil; got != whole && !slices.Contains(bounds, r.err) {
			t.Fatalf("%q: %v; want %v", s, r.err, whole)
		}
		if whole && r.err == nil && r.body != want {
			t.Errorf("%q: body %q, want %q", s, r.body, want)
		}
		message := []byte(head + s)
		at := len(head) + int(cut)%(len(s)+1)
		if a, b := transcript(t, nil, message, nil), transcript(t, nil, message, []int{at}); !slices.Equal(a, b) {
			t.Errorf("%q cut at %d:\n\t%q\nwhole:\n\t%q", message, at, b, a)
		}
	})
}

// bounds are the errors that the grammar knows nothing of.
var bounds = []error{errBodyLarge, errChunkOverflow, errChunkExtensions, errTrailerLarge, errFieldLines}

// readChunks decodes the chunked body at the beginning of s, if it is whole.
func readChunks(s string) (body string, whole bool) {
	for {
		m := chunkLine.FindStringSubmatch(latin1(s))
		if m == nil {
			return "", false
		}
		s = s[utf8.RuneCountInString(m[0]):]
		n, err := strconv.ParseInt(m[1], 16, 64)
		if err != nil || n > int64(len(s)) {
			return "", false
		}
		if n == 0 {
			return body, trailerLines.MatchString(latin1(s))
		}
		body += s[:n]
		if s = s[n:]; !strings.HasPrefix(s, "\r\n") {
			return "", false
		}
		s = s[2:]
	}
}

// latin1 makes a character of each byte, since regular expressions are about characters.
func latin1(s string) string {
	r := make([]rune, len(s))
	for i := range len(s) {
		r[i] = rune(s[i])
	}
	return string(r)
}
