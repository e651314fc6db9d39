package server

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var conditionTime = time.Date(2024, 2, 29, 12, 30, 15, 0, time.UTC)

// conditional serves a resource with these validators.
func conditional(t *testing.T, v Validators) *peer {
	t.Helper()
	_, addr := start(t, func(w *Response, r *Request) {
		w.SetHeader("Content-Type", "text/plain")
		w.SetHeader("Vary", "Accept")
		if !w.CheckPreconditions(v) {
			w.WriteString("done")
		}
	})
	return dial(t, addr)
}

func TestCheckPreconditions(t *testing.T) {
	const (
		at     = "Thu, 29 Feb 2024 12:30:15 GMT"
		before = "Thu, 29 Feb 2024 12:30:14 GMT"
		after  = "Thu, 29 Feb 2024 12:30:16 GMT"
	)
	both := Validators{ETag: `"a"`, LastModified: conditionTime.Add(999 * time.Millisecond)}
	weak := Validators{ETag: `W/"a"`}
	dated := Validators{LastModified: conditionTime}
	missing := Validators{Missing: true, ETag: `"a"`, LastModified: conditionTime}
	for _, tc := range []struct {
		v       Validators
		method  string
		fields  string
		want    int
		comment string
	}{
		{both, "GET", "", 200, "no condition"},
		{both, "GET", `If-None-Match: "a"`, 304, ""},
		{both, "HEAD", `If-None-Match: "a"`, 304, ""},
		{both, "PUT", `If-None-Match: "a"`, 412, ""},
		{both, "BREW", `If-None-Match: "a"`, 412, "as any method that may change something"},
		{both, "OPTIONS", `If-None-Match: "a"`, 200, "there is no representation to it"},
		{both, "OPTIONS", `If-Match: "b"`, 200, ""},
		{both, "TRACE", `If-Match: "b"`, 200, ""},
		{both, "GET", `If-None-Match: W/"a"`, 304, "by weak comparison"},
		{weak, "GET", `If-None-Match: "a"`, 304, ""},
		{weak, "GET", `If-None-Match: W/"a"`, 304, ""},
		{both, "GET", `If-None-Match: "A"`, 200, "tags have a case"},
		{both, "GET", `If-None-Match: "b",	"c" , W/"a"`, 304, ""},
		{both, "GET", `If-None-Match: ,, "b",, "a",`, 304, "empty members"},
		{both, "GET", "If-None-Match: \"b\"\r\nIf-None-Match: \"a\"", 304, "two lines are a list"},
		{both, "GET", `If-None-Match: a`, 200, "no tag"},
		{both, "GET", `If-None-Match: 'a'`, 200, ""},
		{both, "GET", `If-None-Match: "b" "a"`, 200, "no list"},
		{both, "GET", `If-None-Match: "b"x, "a"`, 200, ""},
		{both, "GET", `If-None-Match: "a`, 200, ""},
		{both, "GET", `If-None-Match: w/"a"`, 200, "the mark has a case"},
		{both, "GET", `If-None-Match: "", "a"`, 304, "an empty tag is one"},
		{both, "GET", `If-None-Match: ", "a"`, 200, "the tag is a comma with a space"},
		{both, "GET", `If-None-Match:`, 200, ""},
		{both, "GET", `If-None-Match: *`, 304, ""},
		{dated, "GET", `If-None-Match: *`, 304, ""},
		{both, "PUT", `If-None-Match: *`, 412, ""},
		{missing, "PUT", `If-None-Match: *`, 200, "to create and not to replace"},
		{missing, "PUT", `If-Match: *`, 412, "to replace and not to create"},
		{missing, "PUT", `If-Match: "a"`, 412, ""},
		{missing, "PUT", "If-Unmodified-Since: " + before, 200, "no date is known"},
		{both, "GET", `If-None-Match: "b", *`, 200, "a star stands alone"},
		{Validators{}, "GET", `If-None-Match: "a"`, 200, "what has no validator has not been seen before"},
		{Validators{}, "GET", `If-None-Match: ""`, 200, ""},

		{both, "PUT", `If-Match: "a"`, 200, ""},
		{both, "PUT", `If-Match: "b", "a"`, 200, ""},
		{both, "PUT", `If-Match: "b"`, 412, ""},
		{both, "GET", `If-Match: "b"`, 412, ""},
		{both, "PUT", `If-Match: W/"a"`, 412, "by strong comparison"},
		{weak, "PUT", `If-Match: W/"a"`, 412, ""},
		{weak, "PUT", `If-Match: "a"`, 412, ""},
		{both, "PUT", `If-Match: *`, 200, ""},
		{both, "PUT", `If-Match: x`, 412, "what is no tag matches nothing"},
		{Validators{}, "PUT", `If-Match: "a"`, 412, ""},
		{Validators{}, "PUT", `If-Match: *`, 200, ""},

		{both, "GET", "If-Modified-Since: " + at, 304, ""},
		{both, "GET", "If-Modified-Since: " + after, 304, ""},
		{both, "GET", "If-Modified-Since: " + before, 200, ""},
		{both, "HEAD", "If-Modified-Since: " + at, 304, ""},
		{both, "PUT", "If-Modified-Since: " + at, 200, "it is for GET and HEAD"},
		{both, "GET", "If-Modified-Since: Thursday, 29-Feb-24 12:30:15 GMT", 304, ""},
		{both, "GET", "If-Modified-Since: Thu Feb 29 12:30:15 2024", 304, ""},
		{both, "GET", "If-Modified-Since: Thu, 29 Feb 2024 12:30:15 UTC", 200, "no date"},
		{both, "GET", "If-Modified-Since: yesterday", 200, ""},
		{both, "GET", "If-Modified-Since: " + at + "\r\nIf-Modified-Since: " + at, 200, "two are none"},
		{weak, "GET", "If-Modified-Since: " + at, 200, "no date is known"},
		{both, "GET", "If-None-Match: \"b\"\r\nIf-Modified-Since: " + at, 200, "tags win"},
		{both, "GET", "If-Modified-Since: " + before + "\r\nIf-None-Match: \"a\"", 304, ""},

		{both, "PUT", "If-Unmodified-Since: " + at, 200, ""},
		{both, "PUT", "If-Unmodified-Since: " + before, 412, ""},
		{both, "GET", "If-Unmodified-Since: " + before, 412, ""},
		{both, "PUT", "If-Unmodified-Since: yesterday", 200, ""},
		{weak, "PUT", "If-Unmodified-Since: " + before, 200, ""},
		{both, "PUT", "If-Match: \"a\"\r\nIf-Unmodified-Since: " + before, 200, "tags win"},
		{both, "GET", "If-Match: \"a\"\r\nIf-None-Match: \"a\"", 304, "both are evaluated"},
		{both, "GET", "If-Match: \"b\"\r\nIf-None-Match: \"a\"", 412, "in this order"},
		{both, "GET", "If-Range: \"a\"\r\nRange: bytes=0-0", 200, "ranges are somebody else's"},
	} {
		name := tc.method + " " + tc.fields + " " + tc.comment
		p := conditional(t, tc.v)
		fields := strings.TrimPrefix(tc.fields+"\r\n", "\r\n")
		p.send("%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", tc.method, fields)
		res, body := p.answer(tc.method)
		if res.StatusCode != tc.want {
			t.Errorf("%s: status %d, want %d", name, res.StatusCode, tc.want)
			continue
		}
		etag, modified := "", ""
		if (tc.method == "GET" || tc.method == "HEAD") && tc.want != 412 {
			etag = tc.v.ETag
			if !tc.v.LastModified.IsZero() && (tc.want == 200 || etag == "") {
				modified = at
			}
		}
		want(t, name+": ETag", res.Header.Get("ETag"), etag)
		want(t, name+": Last-Modified", res.Header.Get("Last-Modified"), modified)
		want(t, name+": Vary", res.Header.Get("Vary"), "Accept")
		switch tc.want {
		case 304:
			want(t, name+": Content-Type", res.Header.Get("Content-Type"), "")
			want(t, name+": body", body, "")
		case 200:
			if tc.method != "HEAD" {
				want(t, name+": body", body, "done")
			}
		}
	}
}

// Whatever the conditions, http.ServeContent decides the same.
func TestConditionsAsNetHTTP(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	date := func() string {
		return conditionTime.Add(time.Duration(rnd.IntN(5)-2) * time.Second).Format(http.TimeFormat)
	}
	tags := func() string {
		return pick(`"a"`, `"b"`, `W/"a"`, `*`, `"b", "a"`, `W/"b", W/"a"`, `"b",,"a"`, `a`, `"b`, `, "a"`)
	}
	var now atomic.Pointer[Validators]
	_, addr := start(t, func(w *Response, r *Request) {
		if !w.CheckPreconditions(*now.Load()) {
			w.WriteString("x")
		}
	})
	p := dial(t, addr)
	for range 3000 {
		v := Validators{ETag: pick("", `"a"`, `W/"a"`, `"b"`)}
		if rnd.IntN(2) == 0 {
			v.LastModified = conditionTime
		}
		now.Store(&v)
		req := httptest.NewRequest(pick("GET", "HEAD", "PUT", "POST", "DELETE"), "/", nil)
		for _, field := range []struct {
			name  string
			value func() string
		}{{"If-Match", tags}, {"If-None-Match", tags}, {"If-Modified-Since", date}, {"If-Unmodified-Since", date}} {
			if rnd.IntN(3) == 0 {
				req.Header.Set(field.name, field.value())
			}
		}
		theirs := httptest.NewRecorder()
		if v.ETag != "" {
			theirs.Header().Set("ETag", v.ETag)
		}
		http.ServeContent(theirs, req, "x.txt", v.LastModified, strings.NewReader("x"))

		var fields strings.Builder
		req.Header.Write(&fields)
		p.send("%s / HTTP/1.1\r\nHost: a\r\n%s\r\n", req.Method, fields.String())
		if ours, _ := p.answer(req.Method); ours.StatusCode != theirs.Code {
			t.Fatalf("%+v\n%s %q: %d, net/http %d (seed %d)", v, req.Method, fields.String(), ours.StatusCode, theirs.Code, seed)
		}
	}
}

func TestValidTag(t *testing.T) {
	for _, tag := range []string{"", `""`, `"a"`, `W/"a"`, `W/""`, `"!#~é"`} {
		if !validTag(tag) {
			t.Errorf("%q is an entity tag", tag)
		}
		p := conditional(t, Validators{ETag: tag})
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		res, _ := p.answer("GET")
		want(t, "ETag", res.Header.Get("ETag"), tag)
	}
	for _, tag := range []string{"a", `"`, `"a`, `a"`, `"a"b`, `w/"a"`, `W/a`, `W/`, `"a b"`, "\"a\r\"", `"a""`} {
		if validTag(tag) {
			t.Errorf("%q is no entity tag", tag)
		}
		p, log := logged(t, func(w *Response, r *Request) { w.CheckPreconditions(Validators{ETag: tag}) })
		p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		want(t, "answer", p.rest(), "")
		wantContains(t, "log", log.String(), "no entity tag")
	}
}

// What was changed in the future was changed now, as the answer has it: Date is of the tick in which the handler began, however
// long it takes.
func TestLastModifiedIsNotLaterThanDate(t *testing.T) {
	_, addr := start(t, func(w *Response, r *Request) {
		<-time.After(time.Until(r.Received().Truncate(time.Second).Add(time.Second)))
		w.CheckPreconditions(Validators{LastModified: time.Now().Add(time.Hour)})
	})
	p := dial(t, addr)
	p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	res, _ := p.answer("GET")
	modified, err := http.ParseTime(res.Header.Get("Last-Modified"))
	date, _ := http.ParseTime(res.Header.Get("Date"))
	if err != nil || modified.After(date) {
		t.Errorf("modified %v, %v; Date %v", modified, err, date)
	}
}

func TestParseDate(t *testing.T) {
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"Sun, 06 Nov 1994 08:49:37 GMT":     "1994-11-06 08:49:37",
		"Sunday, 06-Nov-94 08:49:37 GMT":    "1994-11-06 08:49:37",
		"Sun Nov  6 08:49:37 1994":          "1994-11-06 08:49:37",
		"Sun Nov 16 08:49:37 1980":          "1980-11-16 08:49:37",
		"Tuesday, 30-Jun-76 00:00:00 GMT":   "2076-06-30 00:00:00", // 50 years ahead, and no more
		"Friday, 02-Jul-76 00:00:00 GMT":    "1976-07-02 00:00:00",
		"Saturday, 29-Feb-20 00:00:00 GMT":  "2020-02-29 00:00:00",
		"Thursday, 29-Feb-96 00:00:00 GMT":  "1996-02-29 00:00:00",
		"Thu, 01 Jan 1970 00:00:00 GMT":     "1970-01-01 00:00:00",
		"Mon, 06 Nov 1994 08:49:37 GMT":     "1994-11-06 08:49:37", // it was a Sunday
		"Moonday, 06 Nov 1994 08:49:37 GMT": "",
		"Sun, 6 Nov 1994 08:49:37 GMT":      "",
		"Sun, 06 nov 1994 08:49:37 GMT":     "",
		"Sun, 06 Nov 1994 08:49:37.5 GMT":   "",
		"Sun, 06 Nov 1994 08:49:37 gmt":     "",
		"Sun, 06 Nov 1994 08:49:37 +0000":   "",
		"Sun, 06 Nov 1994 24:00:00 GMT":     "",
		"Thu, 30 Feb 2024 00:00:00 GMT":     "",
		"Sun Nov 6 08:49:37 1994":           "",
		"784111777":                         "",
		"":                                  "",
	} {
		got := ""
		if at, ok := parseDate(s, now); ok {
			got = at.Format(time.DateTime)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// Behind a Stream it is too late.
func TestCheckPreconditionsBehindAStream(t *testing.T) {
	p, log := logged(t, func(w *Response, r *Request) {
		s := w.Stream()
		fmt.Fprint(s, w.CheckPreconditions(Validators{ETag: `"a"`}))
		s.Close()
	})
	p.send("GET / HTTP/1.1\r\nHost: a\r\nIf-None-Match: \"a\"\r\n\r\n")
	res, body := p.answer("GET")
	want(t, "answer", fmt.Sprint(res.StatusCode, body, res.Header["Etag"]), "200false[]")
	wantContains(t, "log", log.String(), "CheckPreconditions comes too late")
}
