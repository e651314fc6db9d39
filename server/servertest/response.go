package servertest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A Response is an answer.
type Response struct {
	Status   int
	Reason   string
	Fields   []Field // as they came, in their order
	Body     []byte  // without its framing; of an Exchange only once Response was called
	Trailers []Field
	// Interim are the 1xx answers that came before.
	Interim []*Response

	version string
	x       *Exchange
	turns   int   // where it ends on the tape
	err     error // it is none
}

// String returns the status and its reason: "404 Not Found".
func (r *Response) String() string { return strconv.Itoa(r.Status) + " " + r.Reason }

// Header returns the value of the first field line of that name, "" if there is none.
func (r *Response) Header(name string) string { return first(r.Fields, name) }

// Values returns the values of all field lines of that name.
func (r *Response) Values(name string) []string {
	var all []string
	for _, f := range r.Fields {
		if strings.EqualFold(f.Name, name) {
			all = append(all, f.Value)
		}
	}
	return all
}

// Trailer returns the value of the first trailer field of that name.
func (r *Response) Trailer(name string) string { return first(r.Trailers, name) }

func first(fields []Field, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Text returns the content.
func (r *Response) Text() string { return string(r.Body) }

// JSON decodes the content into v. It fails the test if that does not work.
func (r *Response) JSON(v any) {
	r.x.c.t.Helper()
	if err := json.Unmarshal(r.Body, v); err != nil {
		r.fatalf("the content is not the JSON of a %T: %v", v, err)
	}
}

// Cookie returns the value of the last Set-Cookie of that name, "" if there is none.
func (r *Response) Cookie(name string) string {
	value := ""
	for _, line := range r.Values("Set-Cookie") {
		if n, v, _ := setCookie(line); n == name {
			value = v
		}
	}
	return value
}

// Conversation returns what was said for this answer, and before it, for the request: a line for each line, > is the client, <
// the server, = what has happened. The Date is that of virtual time, so a recorded conversation stays the same.
func (r *Response) Conversation() string {
	t := tape{r.x.conn.tape.turns[:r.turns]}
	return t.shown(r.x.from, 0)
}

// keepsAlive reports whether another request may follow.
func (r *Response) keepsAlive(m *message) bool {
	for _, v := range append(r.Values("Connection"), connectionOf(m)...) {
		for option := range strings.SplitSeq(v, ",") {
			switch option = strings.TrimSpace(option); {
			case strings.EqualFold(option, "close"):
				return false
			case strings.EqualFold(option, "keep-alive") && m.version == "HTTP/1.0":
				return true
			}
		}
	}
	return m.version == "HTTP/1.1" && r.version == "HTTP/1.1"
}

func connectionOf(m *message) []string {
	return (&Response{Fields: m.fields}).Values("Connection")
}

// maxLine bounds a line of a head.
const maxLine = 1 << 20

// readHead reads the next head. If it is that of the final answer, or there is none, res is set.
func (x *Exchange) readHead() {
	res, err := readHead(x.conn.r)
	res.x, res.err = x, err
	res.turns = len(x.conn.tape.turns)
	if err == nil && res.Status < 200 && res.Status != 101 {
		x.interim = append(x.interim, res)
		return
	}
	x.res, res.Interim = res, x.interim
	x.body = newBody(x.conn.r, res, x.m.method)
	if err == nil {
		x.c.keepCookies(res)
	}
}

var errNoHTTP = errors.New("this is no HTTP")

func readHead(r *bufio.Reader) (*Response, error) {
	res := &Response{}
	line, err := readLine(r)
	if err != nil {
		return res, err
	}
	version, rest, _ := strings.Cut(line, " ")
	status, reason, ok := strings.Cut(rest, " ")
	if res.Status, err = strconv.Atoi(status); !ok || err != nil || len(status) != 3 || !strings.HasPrefix(version, "HTTP/1.") {
		return res, fmt.Errorf("%w: the status line is %q", errNoHTTP, line)
	}
	res.version, res.Reason = version, reason
	res.Fields, err = readFields(r)
	return res, err
}

func readFields(r *bufio.Reader) ([]Field, error) {
	var all []Field
	for {
		line, err := readLine(r)
		switch {
		case err != nil:
			return all, unexpected(err)
		case line == "":
			return all, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return all, fmt.Errorf("%w: a field line is %q", errNoHTTP, line)
		}
		all = append(all, Field{name, strings.Trim(value, " \t")})
	}
}

// readLine reads a line that ends with CRLF.
func readLine(r *bufio.Reader) (string, error) {
	var line []byte
	for {
		b, err := r.ReadSlice('\n')
		line = append(line, b...)
		if err == nil {
			break
		}
		if err != bufio.ErrBufferFull || len(line) > maxLine {
			if len(line) > 0 {
				err = unexpected(err)
			}
			return string(line), err
		}
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.IndexByte(text, '\r') >= 0 {
		return string(line), fmt.Errorf("%w: a line is %q", errNoHTTP, line)
	}
	return string(text), nil
}

// unexpected is err at a place where the end must not come.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// body is the content of an answer, without its framing (RFC 9112, 6.3).
type body struct {
	r        *bufio.Reader
	framed   bool // it ends before the connection does
	chunked  bool
	left     int64 // of the content, or of a chunk
	err      error // what Read returns when nothing is left
	trailers []Field
}

func newBody(r *bufio.Reader, res *Response, method string) *body {
	b := &body{r: r, framed: true, err: io.EOF}
	length := res.Header("Content-Length")
	switch {
	case res.err != nil || method == "HEAD" || res.Status < 200 || res.Status == 204 || res.Status == 304:
	case strings.EqualFold(res.Header("Transfer-Encoding"), "chunked"):
		b.chunked, b.err = true, nil
	case length != "":
		var err error
		if b.left, err = strconv.ParseInt(length, 10, 64); err != nil || b.left < 0 {
			b.err = fmt.Errorf("%w: Content-Length is %q", errNoHTTP, length)
		}
	default:
		b.framed, b.err = false, nil
	}
	return b
}

// Read implements io.Reader. It reads at most to the end of a chunk.
func (b *body) Read(p []byte) (int, error) {
	if b.chunked && b.left == 0 && b.err == nil {
		b.nextChunk()
	}
	if b.framed && b.left == 0 {
		return 0, b.err
	}
	if b.framed {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.r.Read(p)
	if !b.framed {
		return n, err
	}
	if b.left -= int64(n); b.chunked && b.left == 0 && err == nil {
		if line, err := readLine(b.r); err != nil || line != "" {
			b.err = noChunk(line, err)
		}
	}
	return n, unexpected(err)
}

// nextChunk reads the line before a chunk, and what is behind the last one.
func (b *body) nextChunk() {
	line, err := readLine(b.r)
	if err == nil {
		b.left, err = strconv.ParseInt(line, 16, 64)
	}
	switch {
	case err != nil || b.left < 0:
		b.left, b.err = 0, noChunk(line, err)
	case b.left == 0:
		if b.trailers, b.err = readFields(b.r); b.err == nil {
			b.err = io.EOF
		}
	}
}

func noChunk(line string, err error) error {
	if numError := (*strconv.NumError)(nil); err == nil || errors.As(err, &numError) {
		return fmt.Errorf("%w: a chunk begins with %q", errNoHTTP, line)
	}
	return unexpected(err)
}
