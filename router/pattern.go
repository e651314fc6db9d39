package router

// A pattern is text that a programmer wrote; here it becomes a list of segments, or an error that says at
// which offset it is wrong. The language is net/http's since Go 1.22:
//
//	[METHOD ][HOST]/seg/seg/…
//
// where a segment is literal text (percent-escapes are decoded), a wildcard {name}, or, at the end only, the
// wildcard {name...} for all that is left, {$} for "the path ends with this slash", or nothing: a pattern that
// ends in a slash matches the whole subtree, as {name...} without a name.
//
// The list keeps of this what matching needs: {$} is the segment that a lone final slash leaves behind, and a
// trailing slash is the wildcard of many segments with no name.

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// maxWildcards bounds the wildcards of one pattern, so that a match fits in a fixed array on the stack.
// Sixteen is several times what any published API uses.
const maxWildcards = 16

// kind says what a segment of a pattern matches.
type kind uint8

const (
	literal kind = iota // one segment that decodes to the text
	slash               // the empty segment after a final slash: {$}
	single              // any one segment: {name}
	multi               // all that is left, at least a slash: {name...} or a trailing slash
	kinds
)

// segment is one piece of a pattern. Its text is what a literal decodes to, or the name of a wildcard.
type segment struct {
	kind kind
	text string
}

// pattern is a parsed pattern. It never changes after parsePattern returned it.
type pattern struct {
	text     string // as registered
	method   string // empty: every method
	host     string // as canonicalHost writes it; empty: every host
	path     string // as registered
	segments []segment
	names    []string // of the wildcards, in the order of the path
}

// What this package refuses and http.ServeMux takes. They are values so that the comparison with ServeMux can
// tell these differences from mistakes.
var (
	errUnclean   = errors.New("a path with an empty, '.' or '..' segment can never match")
	errHost      = errors.New("requests are matched by their host without its port")
	errForeign   = errors.New("is no wildcard here")
	errCase      = errors.New("methods are case-sensitive")
	errQuery     = errors.New("a pattern has no query")
	errWildcards = fmt.Errorf("more than %d wildcards", maxWildcards)
)

// parsePattern parses text. Its errors name the offset at which the pattern is wrong.
func parsePattern(text string) (*pattern, error) {
	p := &pattern{text: text}
	p.method, p.host, p.path = splitPattern(text)
	rest := p.path
	// All errors are about what begins at rest, which is always a suffix of text.
	fail := func(err error) (*pattern, error) {
		return nil, fmt.Errorf("at offset %d: %w", len(text)-len(rest), err)
	}
	switch {
	case p.method != "" && !isToken(p.method):
		rest = text
		if strings.Contains(p.method, "/") {
			return fail(fmt.Errorf("invalid method %q: a path has no spaces, %%20 is one", p.method))
		}
		return fail(fmt.Errorf("invalid method %q", p.method))
	case isMiscased(p.method):
		rest = text
		return fail(fmt.Errorf("%w: write %s for %s", errCase, strings.ToUpper(p.method), p.method))
	case p.path == "":
		rest = text[len(text)-len(p.host):]
		return fail(errors.New("path missing /"))
	case strings.Contains(p.host, "{"):
		rest = p.host[strings.IndexByte(p.host, '{'):] + p.path
		return fail(errors.New("path must begin with / before '{'"))
	case strings.HasSuffix(p.host, ":") && strings.HasPrefix(p.path, "//"):
		return fail(fmt.Errorf("%w: a pattern has no scheme, write %q", errUnclean, p.path[2:]))
	case !isClean(p.path), hidesDots(p.path):
		return fail(errUnclean)
	}
	if p.host != "" {
		host, err := patternHost(p.host)
		if err != nil {
			rest = p.host + p.path
			return fail(err)
		}
		p.host = host
	}
	for rest != "" {
		rest = rest[1:] // the slash
		var raw string
		raw, after := cutSegment(rest)
		if isForeign(raw) {
			return fail(foreignWildcard(p, raw))
		}
		seg, err := parseSegment(raw, after == "")
		if err != nil {
			return fail(err)
		}
		if err := p.add(seg); err != nil {
			return fail(err)
		}
		rest = after
	}
	return p, nil
}

// splitPattern splits a pattern into its parts, none of which it checks. The path begins with a slash or is empty.
func splitPattern(text string) (method, host, path string) {
	rest := text
	if i := strings.IndexAny(text, " \t"); i >= 0 {
		method, rest = text[:i], strings.TrimLeft(text[i:], " \t")
	}
	host, path = cutSegment(rest)
	return method, host, path
}

// cutSegment splits s before its first slash.
func cutSegment(s string) (seg, after string) {
	if i := strings.IndexByte(s, '/'); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// isMiscased reports whether method is a standard one but for its case: no request would have it.
func isMiscased(method string) bool {
	upper := strings.ToUpper(method)
	return method != upper && slices.Contains(standardMethods[:], upper)
}

const wholeSegment = ": a wildcard is a whole segment, of which the handler may cut something off"

// parseSegment parses the text between two slashes, or after the last one.
func parseSegment(raw string, last bool) (segment, error) {
	brace := strings.IndexByte(raw, '{')
	switch {
	case raw == "":
		return segment{kind: multi}, nil
	case brace < 0 && strings.Contains(raw, "?"):
		return segment{}, fmt.Errorf("%w: the handler asks for it by QueryValue, and %%3F is the text itself", errQuery)
	case brace < 0:
		return literalSegment(raw), nil
	case brace > 0:
		return segment{}, errors.New("bad wildcard segment (must start with '{')" + wholeSegment)
	case !strings.HasSuffix(raw, "}"):
		return segment{}, errors.New("bad wildcard segment (must end with '}')" + wholeSegment)
	}
	name, many := strings.CutSuffix(raw[1:len(raw)-1], "...")
	switch {
	case name == "$" && !many && last:
		return segment{kind: slash}, nil
	case name == "$" && !many:
		return segment{}, errors.New("{$} not at end")
	case many && !last:
		return segment{}, errors.New("{...} wildcard not at end")
	case name == "":
		return segment{}, errors.New("empty wildcard")
	case strings.HasSuffix(name, "?"):
		return segment{}, fmt.Errorf("bad wildcard name %q: no segment is optional, register both paths", name)
	case strings.Contains(name, ":"):
		before, _, _ := strings.Cut(name, ":")
		return segment{}, fmt.Errorf("bad wildcard name %q: write {%s}, and check the value in the handler, as PathInt does", name, before)
	case !isIdentifier(name):
		return segment{}, fmt.Errorf("bad wildcard name %q: it is an identifier of Go", name)
	case many:
		return segment{kind: multi, text: name}, nil
	}
	return segment{kind: single, text: name}, nil
}

// literalSegment decodes raw. An escape that is none stands for itself, as in the paths of requests. What
// decodes to a lone slash is to http.ServeMux the same as {$}, so it is here.
func literalSegment(raw string) segment {
	text, err := url.PathUnescape(raw)
	if err != nil {
		text = raw
	}
	if text == "/" {
		return segment{kind: slash}
	}
	return segment{kind: literal, text: text}
}

// isTree reports whether p matches paths that it does not spell: all that is below some place.
func (p *pattern) isTree() bool { return p.segments[len(p.segments)-1].kind == multi }

// add appends s to the segments, and its name, if it is a wildcard that has one, to the names.
func (p *pattern) add(s segment) error {
	p.segments = append(p.segments, s)
	switch {
	case s.kind != single && s.kind != multi:
		return nil
	case len(p.names) == maxWildcards:
		return errWildcards
	case slices.Contains(p.names, s.text):
		return fmt.Errorf("duplicate wildcard name %q", s.text)
	case s.text != "":
		p.names = append(p.names, s.text)
	}
	return nil
}

// isIdentifier reports whether s is a Go identifier, as the names of wildcards must be.
func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2), as methods must be.
func isToken(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	for i := range len(s) {
		c := s[i]
		alnum := '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		if !alnum && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return s != ""
}
