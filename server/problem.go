package server

import (
	"bytes"
	"encoding/json"
)

// A Problem says what went wrong, for programs and people (RFC 9457).
type Problem struct {
	Type     string // a URI that names the kind of problem; "" means about:blank, of which the status says all
	Title    string // what that kind is; "" is the reason phrase of the status
	Detail   string // what went wrong this time
	Instance string // a URI that names this occurrence

	// Members are further ones, sorted by name in the answer. One that has the name of a standard member is left out.
	Members map[string]any
}

// Problem answers with p as application/problem+json (RFC 9457). status stands in the document, too. A member that cannot be
// encoded is treated as by [Response.JSON].
func (w *Response) Problem(status int, p Problem) {
	if p.Title == "" {
		p.Title = StatusText(status)
	}
	w.marshal("Problem", status, "application/problem+json", problemOf{p, status})
}

// problemOf is a Problem with its status.
type problemOf struct {
	Problem
	status int
}

// MarshalJSON implements json.Marshaler.
func (p problemOf) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(struct {
		Type     string `json:"type,omitempty"`
		Title    string `json:"title,omitempty"`
		Status   int    `json:"status"`
		Detail   string `json:"detail,omitempty"`
		Instance string `json:"instance,omitempty"`
	}{p.Type, p.Title, p.status, p.Detail, p.Instance})
	if err != nil || len(p.Members) == 0 {
		return b, err
	}
	more := make(map[string]any, len(p.Members))
	for name, v := range p.Members {
		switch name {
		case "type", "title", "status", "detail", "instance":
		default:
			more[name] = v
		}
	}
	if len(more) == 0 {
		return b, nil
	}
	rest, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	return append(append(bytes.TrimSuffix(b, []byte("}")), ','), rest[1:]...), nil
}
