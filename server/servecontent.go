package server

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"microhttp/parser"
)

// ServeContent answers with content, or with the part of it that the request asks for, as
// http.ServeContent does. It evaluates all conditions, If-Range among them, and answers 200, 206 with
// one range or several (multipart/byteranges), 304, 412 or 416. HEAD gets the fields of GET.
//
//   - An ETag that should count is set in w before. modtime becomes Last-Modified, unless it is zero.
//   - Content-Type is taken from the extension of name, unless it is set already. Without either it is
//     application/octet-stream.
//   - Ranges are for GET. An answer with a [Response.Filter] has none.
//   - An *os.File that is a regular file, and an *io.SectionReader of one, is sent by
//     [Response.SendFile], from its beginning, whatever its offset. It is borrowed until OnDone.
//   - A *bytes.Reader is lent, as by SetBody, and a *strings.Reader is given. Neither is copied, but
//     for several ranges.
//   - Every other io.ReadSeeker may block, so it is for [Blocking] handlers. There it is read as the
//     peer takes it, through a [Stream]. ServeContent panics elsewhere.
//
// ServeContent closes nothing, for it opens nothing. An error of content makes a 500, or, within a
// Stream, an answer that is too short. An ETag that is none panics. Once a Stream was taken, and in
// OnDone, it does nothing, but for a line in the log. docs/design/026 lists what net/http does
// otherwise.
func ServeContent(w *Response, r *Request, name string, modtime time.Time, content io.ReadSeeker) {
	r.lent()
	if w.committed() {
		_ = w.tooLate("ServeContent")
		return
	}
	src, err := sourceOf(content)
	if err != nil {
		w.logMisuse("ServeContent: "+err.Error(), "")
		w.Error(500)
		return
	}
	if src.seeker != nil && w.x.mode != modeBlocking {
		panic(fmt.Sprintf("server: ServeContent of a %T outside a Blocking handler: it may block", content))
	}
	w.SetStatus(200)
	if len(w.PeekHeader("Content-Type")) == 0 {
		kind := mime.TypeByExtension(filepath.Ext(name))
		if kind == "" {
			kind = "application/octet-stream"
		}
		w.SetHeader("Content-Type", kind)
	}
	v := w.contentValidators(modtime)
	if w.CheckPreconditions(v) {
		return
	}
	if !r.reads() { // also in the answer to POST
		w.setValidators(v)
	}
	w.SetHeader("Accept-Ranges", "bytes")
	if w.hasFilter() {
		src.whole(w)
		return
	}
	switch ranges, a := r.ranges(v, src.size); {
	case a == askedUnsatisfiable:
		w.Error(416)
		w.DelHeader("Accept-Ranges")
		w.SetHeader("Content-Range", "bytes */"+strconv.FormatInt(src.size, 10))
	case a == askedWhole:
		src.whole(w)
	case len(ranges) == 1:
		w.SetStatus(206)
		w.SetHeader("Content-Range", ranges[0].of(src.size))
		src.one(w, ranges[0])
	default:
		w.SetStatus(206)
		kind := string(w.PeekHeader("Content-Type"))
		boundary := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
		w.SetHeader("Content-Type", "multipart/byteranges; boundary="+boundary)
		all := make([]part, len(ranges))
		lead := ""
		for i, one := range ranges {
			all[i] = part{one, []byte(lead + "--" + boundary + "\r\nContent-Range: " + one.of(src.size) +
				"\r\nContent-Type: " + kind + "\r\n\r\n")}
			lead = "\r\n"
		}
		src.parts(w, all, []byte("\r\n--"+boundary+"--\r\n"))
	}
}

// hasFilter reports whether a filter is there already.
func (w *Response) hasFilter() bool {
	for _, b := range w.before {
		if b.filter != nil {
			return true
		}
	}
	return false
}

// of is the range as Content-Range says it.
func (b byteRange) of(size int64) string {
	return fmt.Sprintf("bytes %d-%d/%d", b.start, b.start+b.n-1, size)
}

// part is a range of content, and the text before it.
type part struct {
	byteRange
	before []byte
}

// source is content of which ranges can be had.
type source struct {
	size   int64
	file   *os.File // from base on
	base   int64
	kind   contentKind
	p      []byte
	seeker io.ReadSeeker // what may block
}

// sourceOf finds out where content lies.
func sourceOf(content io.ReadSeeker) (source, error) {
	switch c := content.(type) {
	case *os.File:
		if info, err := c.Stat(); err == nil && info.Mode().IsRegular() {
			return source{file: c, size: info.Size()}, nil
		}
	case *io.SectionReader:
		outer, base, n := c.Outer()
		if f, ok := outer.(*os.File); ok {
			return source{file: f, base: base, size: n}, nil
		}
	case *bytes.Reader:
		return inMemorySource(c, c.Size())
	case *strings.Reader:
		return inMemorySource(c, c.Size())
	}
	size, err := content.Seek(0, io.SeekEnd)
	if err == nil && size < 0 {
		err = fmt.Errorf("content of the size %d", size)
	}
	return source{seeker: content, size: size}, err
}

// inMemorySource gets the bytes of a reader without copying them: WriteTo writes them in one piece.
func inMemorySource(content interface {
	io.Seeker
	io.WriterTo
}, size int64,
) (source, error) {
	src := source{size: size}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return src, err
	}
	_, err := content.WriteTo((*captor)(&src))
	return src, err
}

// captor is a writer that keeps what is written to it, where it lies.
type captor source

func (c *captor) Write(p []byte) (int, error) {
	c.kind, c.p = contentLent, p
	return len(p), nil
}

func (c *captor) WriteString(s string) (int, error) {
	// SAFETY: what is given is read and never written to, and the slice keeps the string alive.
	c.kind, c.p = contentGiven, unsafe.Slice(unsafe.StringData(s), len(s))
	return len(s), nil
}

// whole makes all of the content the body of w.
func (src *source) whole(w *Response) { src.one(w, byteRange{0, src.size}) }

// one makes a range of the content the body of w.
func (src *source) one(w *Response, b byteRange) {
	if src.file != nil && b.n > 0 { // as mostly: without an allocation
		w.SendFile(src.file, src.base+b.start, b.n)
		return
	}
	src.parts(w, []part{{byteRange: b}}, nil)
}

// parts makes ranges of the content the body of w.
func (src *source) parts(w *Response, all []part, end []byte) {
	total := int64(len(end))
	for _, p := range all {
		total += p.n + int64(len(p.before))
	}
	switch {
	case total == 0:
		w.setBody("ServeContent", contentLent, nil)
		w.declared = 0 // for HEAD
	case src.file != nil:
		file := w.takeFile(src.file)
		file.end, file.total = end, total
		for _, p := range all {
			file.parts = append(file.parts, filePart{p.before, src.base + p.start, p.n})
		}
		w.setFile(file)
	case src.seeker != nil:
		src.read(w, all, end, total)
	case len(all) == 1:
		w.setBody("ServeContent", src.kind, src.p[all[0].start:all[0].start+all[0].n])
	default:
		body := make([]byte, 0, total)
		for _, p := range all {
			body = append(append(body, p.before...), src.p[p.start:p.start+p.n]...)
		}
		w.setBody("ServeContent", contentGiven, append(body, end...))
	}
}

// read answers with ranges of content that may block, in a Blocking handler.
func (src *source) read(w *Response, all []part, end []byte, total int64) {
	w.SetHeader("Content-Length", strconv.FormatInt(total, 10))
	if w.x.req.head.MethodID == parser.MethodHead {
		w.setBody("ServeContent", contentLent, nil)
		return
	}
	if _, err := src.seeker.Seek(all[0].start, io.SeekStart); err != nil {
		w.logMisuse("ServeContent: "+err.Error(), "")
		w.Error(500)
		return
	}
	w.body.clear() // what was written before is not the beginning of the Stream
	s := w.Stream()
	for _, p := range all {
		if _, err := s.Write(p.before); err != nil {
			return // the peer is gone, and the server knows
		}
		if _, err := src.seeker.Seek(p.start, io.SeekStart); err != nil {
			w.logMisuse("ServeContent: "+err.Error(), "")
			return // the answer is too short, and says so
		}
		if _, err := io.CopyN(s, src.seeker, p.n); err != nil {
			return
		}
	}
	_, _ = s.Write(end)
}

// ServeFile answers with a file that the handler has opened, by [ServeContent]: conditions, ranges, and a Content-Type by the
// extension of its name, unless one is set. It takes f over, and closes it when the response is done. A directory is answered
// with 404, as a *[StatusError] for a function of [Try] to return. Any other error is that of f.Stat.
//
// Opening a file may block, so it is for [Blocking] handlers. The file is sent by the loop when the handler has returned.
func ServeFile(w *Response, r *Request, f *os.File) error {
	w.OnDone(func(*Response, *Request) { _ = f.Close() })
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return Fail(404, "there is no such file")
	}
	ServeContent(w, r, info.Name(), info.ModTime(), f)
	return nil
}
