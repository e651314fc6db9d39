package router

// Wildcards as other routers write them, :id, *path and <id>. Here they would be literal text, a route that no request meets, and
// nothing would say so. So they are mistakes, and the error has the pattern to write instead.

import (
	"fmt"
	"strings"
	"unicode"
)

// isForeign reports whether a segment of a pattern, as written, is a wildcard in the language of another router.
func isForeign(raw string) bool {
	return raw != "" && (raw[0] == ':' || raw[0] == '*' || raw[0] == '<' && strings.HasSuffix(raw, ">"))
}

// foreignWildcard is the error for the foreign wildcard raw of p.
func foreignWildcard(p *pattern, raw string) error {
	return fmt.Errorf("%q %w: write %q, or %q for the text itself", raw, errForeign, p.translated(false), p.translated(true))
}

// translated is the pattern with its foreign wildcards as ours, or as literal text.
func (p *pattern) translated(asText bool) string {
	segments := strings.Split(p.path, "/")
	for i, raw := range segments {
		switch {
		case !isForeign(raw):
		case asText:
			segments[i] = fmt.Sprintf("%%%X", raw[0]) + raw[1:]
		default:
			segments[i] = ourWildcard(raw, i == len(segments)-1, segments)
		}
	}
	text := p.host + strings.Join(segments, "/")
	if p.method != "" {
		text = p.method + " " + text
	}
	return text
}

// ourWildcard translates a foreign wildcard. Its name is that which raw begins with, if that is none of another segment.
func ourWildcard(raw string, last bool, segments []string) string {
	name, dots := leadingIdentifier(raw[1:]), ""
	if raw[0] == '*' && last {
		dots = "..."
	}
	switch {
	case name != "":
	case dots != "":
		name = "rest"
	default:
		name = "name"
	}
	for n, free := 2, name; ; n++ {
		if !usesName(segments, free) {
			return "{" + free + dots + "}"
		}
		free = fmt.Sprint(name, n)
	}
}

// leadingIdentifier returns the longest Go identifier that s begins with, or "".
func leadingIdentifier(s string) string {
	end := strings.IndexFunc(s, func(c rune) bool { return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	if end < 0 {
		end = len(s)
	}
	if !isIdentifier(s[:end]) {
		return ""
	}
	return s[:end]
}

func usesName(segments []string, name string) bool {
	for _, s := range segments {
		if s == "{"+name+"}" || s == "{"+name+"...}" {
			return true
		}
	}
	return false
}
