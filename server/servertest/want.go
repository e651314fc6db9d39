package servertest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// Want fails the test if the status is another one. It goes on, as all that begin with Want do, and returns the answer, so that
// they can be chained:
//
//	servertest.Get(t, routes, "/hello/Ann").Want(200).WantText("Hello, Ann!\n")
func (r *Response) Want(status int) *Response {
	r.x.c.t.Helper()
	if r.Status != status {
		r.errorf("status %d, want %d", r.Status, status)
	}
	return r
}

// WantText fails the test if the content is another one.
func (r *Response) WantText(text string) *Response {
	r.x.c.t.Helper()
	if string(r.Body) != text {
		r.errorf("the content is\n\t%q, want\n\t%q", r.Body, text)
	}
	return r
}

// WantContains fails the test if the content lacks one of the parts.
func (r *Response) WantContains(parts ...string) *Response {
	r.x.c.t.Helper()
	for _, part := range parts {
		if !strings.Contains(string(r.Body), part) {
			r.errorf("the content lacks %q", part)
		}
	}
	return r
}

// WantHeader fails the test if the first field line of that name has another value; "" is no such line.
func (r *Response) WantHeader(name, value string) *Response {
	r.x.c.t.Helper()
	if got := r.Header(name); got != value {
		r.errorf("%s is %q, want %q", name, got, value)
	}
	return r
}

// WantJSON fails the test if the content is not the same JSON as v: a string is taken as a JSON text, anything else is encoded.
// The order of members and white space do not matter.
func (r *Response) WantJSON(v any) *Response {
	r.x.c.t.Helper()
	text, ok := v.(string)
	want := []byte(text)
	if !ok {
		var err error
		if want, err = json.Marshal(v); err != nil {
			r.fatalf("WantJSON: %v", err)
		}
	}
	wanted, err := decoded(want)
	if err != nil {
		r.fatalf("WantJSON: %q is no JSON: %v", want, err)
	}
	got, err := decoded(r.Body)
	switch {
	case err != nil:
		r.errorf("the content is no JSON: %v", err)
	case !reflect.DeepEqual(got, wanted):
		r.errorf("the content is\n\t%s, want\n\t%s", r.Body, want)
	}
	return r
}

// decoded is a JSON text as a value. Numbers keep all their digits.
func decoded(text []byte) (any, error) {
	var v any
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	err := dec.Decode(&v)
	if err == nil && dec.More() {
		return nil, errMore
	}
	return v, err
}

type moreError struct{}

func (moreError) Error() string { return "there is more than one document" }

var errMore error = moreError{}

func (r *Response) errorf(format string, args ...any) {
	r.x.c.t.Helper()
	r.x.c.t.Errorf("%s: "+format+"\n%s", r.shown(args)...)
}

func (r *Response) fatalf(format string, args ...any) {
	r.x.c.t.Helper()
	r.x.c.t.Fatalf("%s: "+format+"\n%s", r.shown(args)...)
}

// shown is the arguments of a report, with the request in front and the conversation at the end.
func (r *Response) shown(args []any) []any {
	t := tape{r.x.conn.tape.turns[:r.turns]}
	return append(append([]any{r.x.name()}, args...), t.shown(r.x.from, shownMost))
}
