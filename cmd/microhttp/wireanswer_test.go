package main

// The reader of answers that judges the server. It is strict where clients are lenient, so that
// every answer of every case proves the laws of RFC 9110 and 9112 for answers on the way.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"microhttp/parser"
)

// answer is a response as it stood on the wire, its content decoded.
type answer struct {
	status int
	fields []field
	body   []byte
}

func (a answer) String() string { return fmt.Sprintf("%d %q %.300q", a.status, a.fields, a.body) }

// values returns the values of all lines of a field.
func (a *answer) values(name string) (values []string) {
	for _, f := range a.fields {
		if parser.EqualFold(f.name, name) {
			values = append(values, f.value)
		}
	}
	return values
}

// closes reports whether the answer says that the connection ends behind it.
func (a *answer) closes() bool {
	for _, v := range a.values("Connection") {
		for option := range parser.Tokens([]byte(v)) {
			if parser.EqualFold(option, "close") {
				return true
			}
		}
	}
	return false
}

var statusLine = regexp.MustCompile(`^HTTP/1\.1 ([1-5][0-9][0-9]) [\t -~]*$`)

// readAnswer reads one answer, interim or final, and holds it to the laws: the syntax of its
// head, one Date in the one format, exactly one way to tell where the content ends, none where
// there cannot be content, and the fields that its status demands.
func readAnswer(in *bufio.Reader, toHEAD bool) (a answer, err error) {
	line, err := readLine(in)
	if err != nil {
		return a, err
	}
	m := statusLine.FindStringSubmatch(line)
	if m == nil {
		return a, fmt.Errorf("status line %q", line)
	}
	a.status, _ = strconv.Atoi(m[1]) // three digits
	for {
		if line, err = readLine(in); err != nil {
			return a, fmt.Errorf("in the head of %d: %w", a.status, err)
		}
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ": ")
		if !parser.ValidFieldName(name) || !parser.ValidFieldValue(value) {
			return a, fmt.Errorf("field line %q", line)
		}
		a.fields = append(a.fields, field{name, value})
	}
	if err := a.checkHead(); err != nil {
		return a, fmt.Errorf("%w: %v", err, a)
	}
	a.body, err = a.readBody(in, toHEAD)
	return a, err
}

// readLine reads a line that ends in CR LF and holds neither elsewhere.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%q, then %w", line, err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok || strings.Contains(text, "\r") {
		return "", fmt.Errorf("line %q", line)
	}
	return text, nil
}

// demanded names the field without which an answer of a status is not whole.
var demanded = map[int]string{
	401: "WWW-Authenticate",   // RFC 9110 section 15.5.2
	405: "Allow",              // section 15.5.6
	407: "Proxy-Authenticate", // section 15.5.8
	426: "Upgrade",            // section 15.5.22
}

func (a *answer) checkHead() error {
	dates, lengths, codings := a.values("Date"), a.values("Content-Length"), a.values("Transfer-Encoding")
	if a.status < 200 {
		if len(a.fields) > 0 {
			return errors.New("an interim answer with fields")
		}
		return nil
	}
	if len(dates) != 1 {
		return errors.New("not one Date")
	}
	if at, err := time.Parse(http.TimeFormat, dates[0]); err != nil || at.Format(http.TimeFormat) != dates[0] {
		return errors.New("not an IMF-fixdate")
	}
	switch {
	case len(lengths)+len(codings) > 1:
		return errors.New("more than one framing")
	case a.status == 204 && len(lengths)+len(codings) > 0:
		return errors.New("204 with framing")
	case len(codings) == 1 && codings[0] != "chunked":
		return errors.New("another coding than chunked")
	}
	if name := demanded[a.status]; name != "" && len(a.values(name)) == 0 {
		return errors.New("no " + name)
	}
	return nil
}

func (a *answer) readBody(in *bufio.Reader, toHEAD bool) ([]byte, error) {
	if a.status < 200 || a.status == 204 || a.status == 304 || toHEAD {
		return nil, nil
	}
	if length := a.values("Content-Length"); len(length) > 0 {
		n, err := strconv.Atoi(length[0])
		if err != nil || strconv.Itoa(n) != length[0] || n < 0 {
			return nil, fmt.Errorf("Content-Length %q", length[0])
		}
		body := make([]byte, n)
		_, err = io.ReadFull(in, body)
		return body, err
	}
	if len(a.values("Transfer-Encoding")) > 0 {
		return readChunks(in)
	}
	if !a.closes() {
		return nil, fmt.Errorf("content without an end: %v", a)
	}
	return io.ReadAll(in)
}

func readChunks(in *bufio.Reader) (body []byte, err error) {
	for {
		line, err := readLine(in)
		if err != nil {
			return body, err
		}
		size, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return body, fmt.Errorf("chunk size %q", line)
		}
		piece := make([]byte, size)
		if _, err := io.ReadFull(in, piece); err != nil {
			return body, err
		}
		if end, err := readLine(in); err != nil || end != "" {
			return body, fmt.Errorf("chunk ends in %q, %w", end, err)
		}
		if body = append(body, piece...); size == 0 {
			return body, nil
		}
	}
}
