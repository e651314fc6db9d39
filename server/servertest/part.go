package servertest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A Part is a part of a request: a field, a body, a property. Parts are given behind the method and the target.
type Part func(*message)

// A message is a request before it is sent.
type message struct {
	method, target string
	host           string
	version        string
	fields         []Field
	body           []byte
	pieces         []string // of a body in chunks
	framing        framing
	length         int64 // of a body that is awaited; -1 is in chunks
	expect         bool
	from           netip.AddrPort
	err            error
}

type framing uint8

const (
	noBody framing = iota
	wholeBody
	chunkedBody
	awaitedBody // comes by Exchange.Send
)

// A Field is one field line.
type Field struct{ Name, Value string }

// newMessage makes a request of "METHOD target", or of a target alone, and its parts.
func newMessage(request string, parts []Part) *message {
	m := &message{host: "example.com", version: "HTTP/1.1"}
	method, target, ok := strings.Cut(request, " ")
	if !ok {
		method, target = "GET", request
	}
	m.method, m.target = method, target
	for _, part := range parts {
		part(m)
	}
	return m
}

// Header adds a field line. It is sent as it is, so that it can also be wrong. "Host" replaces the one that is sent without.
func Header(name, value string) Part {
	return func(m *message) {
		if strings.EqualFold(name, "Host") {
			m.host = value
			return
		}
		m.fields = append(m.fields, Field{name, value})
	}
}

// Cookie adds a Cookie field line.
func Cookie(name, value string) Part { return Header("Cookie", name+"="+value) }

// BasicAuth adds credentials (RFC 7617).
func BasicAuth(user, password string) Part {
	return Header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// Bearer adds a token (RFC 6750).
func Bearer(token string) Part { return Header("Authorization", "Bearer "+token) }

// Body gives the request a body of known length.
func Body[T string | []byte](content T) Part {
	return func(m *message) { m.body, m.framing = []byte(content), wholeBody }
}

// Chunks gives the request a body in chunks. Each chunk arrives alone, and the server has handled it before the next one.
func Chunks(pieces ...string) Part {
	return func(m *message) { m.pieces, m.framing = pieces, chunkedBody }
}

// Upload announces a body of length bytes that comes by [Exchange.Send]; -1 is one in chunks of unknown length. It is for
// [Client.Start].
func Upload(length int64) Part {
	return func(m *message) { m.length, m.framing = length, awaitedBody }
}

// Expect100 has the client wait for 100 (Continue), or for a final answer, before it sends the body (RFC 9110, 10.1.1). It
// sends the body anyway when neither has come within a second.
func Expect100() Part { return func(m *message) { m.expect = true } }

// JSON gives the request a body that is v as JSON. A string is taken as a JSON text, which may be malformed; anything else is
// encoded.
func JSON(v any) Part {
	if text, ok := v.(string); ok {
		return typed("application/json", []byte(text), nil)
	}
	b, err := json.Marshal(v)
	return typed("application/json", b, err)
}

// Form gives the request the fields of a form, url-encoded: name, value, name, value.
func Form(pairs ...string) Part {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return typed("application/x-www-form-urlencoded", []byte(values.Encode()), evenly(pairs))
}

// evenly is the error of a name without a value.
func evenly(pairs []string) error {
	if len(pairs)%2 != 0 {
		return fmt.Errorf("the field %q of a form has no value", pairs[len(pairs)-1])
	}
	return nil
}

// A File is a file of a multipart form.
type File struct{ Field, Name, Content string }

// Multipart gives the request a multipart form of files and of fields: name, value, name, value.
func Multipart(files []File, pairs ...string) Part {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	err := evenly(pairs)
	if err == nil {
		err = w.SetBoundary("servertest-boundary") // always the same, for recorded conversations
	}
	for i := 0; i+1 < len(pairs) && err == nil; i += 2 {
		err = w.WriteField(pairs[i], pairs[i+1])
	}
	for _, f := range files {
		if err != nil {
			break
		}
		part, perr := w.CreateFormFile(f.Field, f.Name)
		if err = perr; err == nil {
			_, err = part.Write([]byte(f.Content))
		}
	}
	if err == nil {
		err = w.Close()
	}
	return typed(w.FormDataContentType(), b.Bytes(), err)
}

func typed(kind string, body []byte, err error) Part {
	return func(m *message) {
		m.fields = append(m.fields, Field{"Content-Type", kind})
		m.body, m.framing = body, wholeBody
		if err != nil {
			m.err = err
		}
	}
}

// HTTP10 sends the request as HTTP/1.0.
func HTTP10() Part { return func(m *message) { m.version = "HTTP/1.0" } }

// From sends the request from an address of the client's, "203.0.113.9" or "203.0.113.9:1024": what Request.RemoteAddr returns.
// A malformed one fails the test.
func From(addr string) Part {
	return func(m *message) {
		if ip, err := netip.ParseAddr(addr); err == nil {
			m.from = netip.AddrPortFrom(ip, 0)
			return
		}
		var err error
		if m.from, err = netip.ParseAddrPort(addr); err != nil {
			m.err = fmt.Errorf("From(%q): %w", addr, err)
		}
	}
}

// head is the request line and the field lines.
func (m *message) head() []byte {
	b := append([]byte(nil), m.method...)
	b = append(b, ' ')
	b = append(b, m.target...)
	b = append(b, ' ')
	b = append(b, m.version...)
	b = append(b, "\r\n"...)
	if m.host != "" {
		b = appendField(b, "Host", m.host)
	}
	for _, f := range m.fields {
		b = appendField(b, f.Name, f.Value)
	}
	if m.expect {
		b = appendField(b, "Expect", "100-continue")
	}
	switch {
	case m.framing == wholeBody:
		b = appendField(b, "Content-Length", strconv.Itoa(len(m.body)))
	case m.framing == awaitedBody && m.length >= 0:
		b = appendField(b, "Content-Length", strconv.FormatInt(m.length, 10))
	case m.framing != noBody:
		b = appendField(b, "Transfer-Encoding", "chunked")
	}
	return append(b, "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}
