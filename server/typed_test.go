package server

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestTypedParameters(t *testing.T) {
	said := func(v any, err error) string {
		var e *StatusError
		if errors.As(err, &e) {
			return fmt.Sprint(e.Status, " ", e.Detail)
		}
		return fmt.Sprint(v, " ", err)
	}
	p, _ := logged(t, func(w *Response, r *Request) {
		r.SetMatch("/{n}", []string{"n"}, []Span{{Off: 1, Len: uint32(len(r.PeekEscapedPath()) - 1)}})
		switch r.Path() {
		case "/i":
			w.WriteString(said(r.QueryInt("q", 7)))
		case "/b":
			w.WriteString(said(r.QueryBool("q", true)))
		default:
			w.WriteString(said(r.PathInt("n")))
		}
	})
	for target, wanted := range map[string]string{
		"/i":                          "7 <nil>",
		"/i?q=":                       "7 <nil>",
		"/i?x=1&q=-12&q=3":            "-12 <nil>",
		"/i?q=%31":                    "1 <nil>",
		"/i?q=1x":                     `400 the query parameter "q" is no number`,
		"/i?q=9223372036854775808":    `400 the query parameter "q" is no number`,
		"/b":                          "true <nil>",
		"/b?q":                        "true <nil>",
		"/b?q=0":                      "false <nil>",
		"/b?q=maybe":                  `400 the query parameter "q" is neither true nor false`,
		"/12":                         "12 <nil>",
		"/%31%32":                     "12 <nil>",
		"/-3":                         "-3 <nil>",
		"/" + strings.Repeat("9", 40): `400 the path parameter "n" is no number`,
		"/x":                          `400 the path parameter "n" is no number`,
	} {
		want(t, target, p.get(target), wanted)
	}
}

func TestPathIntOfNoWildcard(t *testing.T) {
	p, log := logged(t, func(_ *Response, r *Request) {
		r.SetMatch("GET /notes/{id}", []string{"id"}, []Span{{Off: 0, Len: 1}})
		r.PathInt("note")
	})
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	want(t, "answer", p.rest(), "")
	wantContains(t, "log", log.String(), `PathInt(\"note\"): the pattern \"GET /notes/{id}\" has no wildcard {note}`)
}
