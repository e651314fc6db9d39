package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strconv"
	"strings"
	"unicode/utf8"

	"microhttp/parser"
)

const (
	// defaultJSONBytes bounds a document of DecodeJSON.
	defaultJSONBytes = 1 << 20

	// maxJSONDepth bounds how deep a document may be nested.
	maxJSONDepth = 100
)

// A JSONOption changes what [Request.DecodeJSON] takes.
type JSONOption func(*jsonOptions)

type jsonOptions struct {
	most    int64
	known   bool
	numbers bool
}

// JSONLimit bounds a document in bytes, in place of 1 MiB. The bound of the body, [MaxBody] or Server.MaxBodyBytes, stays.
func JSONLimit(n int64) JSONOption { return func(o *jsonOptions) { o.most = n } }

// KnownFields has DecodeJSON refuse a document with a field that v does not have.
func KnownFields() JSONOption { return func(o *jsonOptions) { o.known = true } }

// KeepNumbers has DecodeJSON decode a number into an any as a json.Number, which has the digits as they came, and not as a
// float64.
func KeepNumbers() JSONOption { return func(o *jsonOptions) { o.numbers = true } }

// DecodeJSON decodes the body, one JSON document in UTF-8, into v as json.Unmarshal does. What it returns is a
// [*StatusError], which a function of [Try] returns as it is:
//
//   - 415 when Content-Type is not application/json or a type that ends in +json, or when there is a Content-Encoding
//   - 413 when the document is longer than 1 MiB; see [JSONLimit]
//   - 400 when it is malformed, nested deeper than 100, no UTF-8, followed by anything but white space, or does not fit into
//     v. The Detail says where, and so do the Members "line", "column", "offset" and "field", as far as encoding/json knows
//     it. Lines and columns count from 1, columns and the offset in bytes.
//   - the error of the body, when a streamed one is not whole
//
// It is for handlers whose body is whole, and for Blocking handlers, where it reads the body. Elsewhere it panics. A v that
// nothing can be decoded into also panics.
func (r *Request) DecodeJSON(v any, options ...JSONOption) error {
	r.lent()
	o := jsonOptionsOf(options)
	if t := r.PeekHeader("Content-Type"); !parser.EqualFold(t, "application/json") && !isJSON(string(t)) {
		return Fail(415, "the content type must be application/json")
	}
	if c := r.PeekHeader("Content-Encoding"); len(c) > 0 && !parser.EqualFold(c, "identity") {
		return Fail(415, "the content must not be encoded")
	}
	b, err := r.wholeBody(o.most)
	if err != nil {
		return err
	}
	return decodeJSON(b, v, o)
}

func jsonOptionsOf(options []JSONOption) jsonOptions {
	o := jsonOptions{most: defaultJSONBytes}
	if len(options) > 0 {
		p := &jsonOptions{most: o.most} // which the options move to the heap
		for _, f := range options {
			f(p)
		}
		o = *p
	}
	return o
}

// wholeBody is the body, of at most so many bytes. In a Blocking handler whose body is not whole it is read.
func (r *Request) wholeBody(most int64) ([]byte, error) {
	if r.whole || r.x.mode != modeBlocking {
		if b := r.PeekBody(); int64(len(b)) <= most {
			return b, nil
		}
		return nil, longerThan(most)
	}
	if r.ContentLength() > most {
		return nil, longerThan(most)
	}
	if err := r.readWhole(most); err == errBeyond {
		return nil, longerThan(most)
	} else if err != nil {
		return nil, err
	}
	return r.body, nil
}

func longerThan(most int64) error {
	return &StatusError{Status: 413, Detail: fmt.Sprintf("the body is longer than %d bytes", most), Err: ErrBodyTooLarge}
}

func isJSON(contentType string) bool {
	kind, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return false
	}
	return kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
}

func decodeJSON(b []byte, v any, o jsonOptions) error {
	if !utf8.Valid(b) {
		return failAt(b, invalidUTF8(b), "", "the document is not UTF-8", nil)
	}
	if at := tooDeep(b, maxJSONDepth); at >= 0 {
		return failAt(b, at, "", fmt.Sprintf("nested deeper than %d", maxJSONDepth), nil)
	}
	if !o.known && !o.numbers {
		if err := json.Unmarshal(b, v); err != nil {
			return badJSON(b, err)
		}
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if o.known {
		d.DisallowUnknownFields()
	}
	if o.numbers {
		d.UseNumber()
	}
	if err := d.Decode(v); err != nil {
		return badJSON(b, err)
	}
	end := int(d.InputOffset())
	if rest := bytes.TrimLeft(b[end:], " \t\r\n"); len(rest) > 0 {
		return failAt(b, len(b)-len(rest), "", "something follows the document", nil)
	}
	return nil
}

// badJSON is the error of a document that encoding/json has refused with err.
func badJSON(b []byte, err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var invalid *json.InvalidUnmarshalError
	switch {
	case errors.As(err, &invalid):
		panic("server: DecodeJSON into what nothing can be decoded into: " + err.Error())
	case errors.As(err, &syntax) && !strings.HasPrefix(syntax.Error(), "unexpected end"):
		return failAt(b, int(syntax.Offset)-1, "", syntax.Error(), err)
	case errors.As(err, &syntax), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return failAt(b, len(b), "", "unexpected end", err)
	case errors.As(err, &kind):
		detail := "a " + kind.Value + " does not fit"
		if kind.Field != "" {
			detail = "field " + strconv.Quote(kind.Field) + ": " + detail
		}
		return failAt(b, int(kind.Offset)-1, kind.Field, detail, err)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		field, _ := strconv.Unquote(name)
		return &StatusError{Status: 400, Detail: "unknown field " + name, Err: err, Members: map[string]any{"field": field}}
	}
	// It is of an UnmarshalJSON of the program, and may show what a client need not know.
	return &StatusError{Status: 400, Detail: "a value does not fit", Err: err}
}

// failAt is the error of a mistake at a byte of b. The place is in the text, for people, and in members, for programs.
func failAt(b []byte, at int, field, detail string, err error) error {
	at = max(min(at, len(b)), 0)
	line, column := bytes.Count(b[:at], []byte("\n"))+1, at-bytes.LastIndexByte(b[:at], '\n')
	members := map[string]any{"offset": at, "line": line, "column": column}
	if field != "" {
		members["field"] = field
	}
	return &StatusError{
		Status: 400, Detail: fmt.Sprintf("line %d, column %d: %s", line, column, detail), Err: err, Members: members,
	}
}

// invalidUTF8 is the place of the first byte that is not UTF-8.
func invalidUTF8(b []byte) int {
	at := 0
	for at < len(b) {
		c, n := utf8.DecodeRune(b[at:])
		if c == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

// tooDeep is the place of the first bracket that is nested deeper than most, or -1.
func tooDeep(b []byte, most int) int {
	if bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) <= most { // as mostly, and much faster
		return -1
	}
	depth := 0
	for i := 0; i < len(b); i++ {
		switch structure[b[i]] {
		case opens:
			if depth++; depth > most {
				return i
			}
		case closes:
			depth--
		case quotes:
			if i = endOfString(b, i+1); i < 0 {
				return -1 // encoding/json says so
			}
		}
	}
	return -1
}

// endOfString is where the string ends whose content begins at i, or -1.
func endOfString(b []byte, i int) int {
	for {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		end := i + n
		slashes := 0
		for slashes < n && b[end-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return end
		}
		i = end + 1
	}
}

// structure tells the bytes that nest a document from others.
var structure = [256]byte{'{': opens, '[': opens, '}': closes, ']': closes, '"': quotes}

const (
	opens = 1 + iota
	closes
	quotes
)
