package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"sync/atomic"

	"microhttp/parser"
)

// Multipart forms. They may use the disk, so they are for Blocking handlers.

// formLimits bound a form. 0 is no bound.
type formLimits struct {
	memory int64 // of a request
	parts  int
	fields int
	disk   int64 // of a request
	all    int64 // of the server, on disk
}

// ErrNotMultipart is the error within the [*StatusError] of [Request.MultipartReader] for a body of another type.
var ErrNotMultipart = errors.New("server: the body is no multipart form")

// ErrFormTooLarge is the error within the [*StatusError] of a form that passes a bound of the server.
var ErrFormTooLarge = errors.New("server: the form is too large")

// MultipartReader returns a reader of the parts of a multipart/form-data body as they come, in a Blocking handler. Nothing
// is kept, so a body of any size takes little memory: wrap the handler in [Streaming], too. The error is a [*StatusError] of
// 415 when the body is of another type, and of 400 when the type has no boundary. It panics on the loop, and when the body
// was asked for before.
func (r *Request) MultipartReader() (*multipart.Reader, error) {
	r.lent()
	if r.x.mode != modeBlocking {
		panic("server: MultipartReader on the loop: a multipart form is for Blocking handlers")
	}
	boundary, err := r.boundary()
	if err != nil {
		return nil, err
	}
	return multipart.NewReader(r.BodyReader(), boundary), nil
}

// A FormFile is a file of a form. It is in memory, or in a temporary file that has no name any more. It is valid until the
// response is done, and for one goroutine at a time but for ReadAt.
type FormFile struct {
	Field  string               // the name of the field
	Name   string               // the base name that the client gave, never a path; anything may stand in it
	Size   int64                // in bytes
	Header textproto.MIMEHeader // of the part

	io.ReadSeeker
	io.ReaderAt

	disk *os.File
}

// FormFile returns the first file of that field in the form in the body. The error is a [*StatusError]: 400 when there is
// none, else as that of [Request.Form]. The form is parsed once, within these bounds:
//
//   - Server.MaxFormMemory bytes of fields and files in memory. A file beyond that goes to a temporary file, which is
//     unlinked right after it was opened: nothing is left behind, also by a crash. A field beyond that is refused.
//   - Server.MaxFormParts parts
//   - Server.MaxFormDisk bytes in temporary files for a request, and Server.MaxFormDiskAll for all of the server. Beyond the
//     latter the status is 503.
//
// It is for Blocking handlers, and panics on the loop.
func (r *Request) FormFile(field string) (*FormFile, error) {
	r.lent()
	f := r.parseForm()
	if f.err != nil {
		return nil, f.err
	}
	for _, file := range f.files {
		if file.Field == field {
			return file, nil
		}
	}
	return nil, Fail(400, fmt.Sprintf("the form lacks the file %.100q", field))
}

// FormFiles returns all files of the form in the body, in order. Otherwise it is as FormFile.
func (r *Request) FormFiles() ([]*FormFile, error) {
	r.lent()
	f := r.parseForm()
	return f.files, f.err
}

// boundary is the boundary of a multipart form.
func (r *Request) boundary() (string, error) {
	kind, parameters, err := mime.ParseMediaType(r.Header("Content-Type"))
	switch {
	case err != nil, kind != "multipart/form-data":
		return "", &StatusError{Status: 415, Detail: "the content type must be multipart/form-data", Err: ErrNotMultipart}
	case parameters["boundary"] == "":
		return "", Fail(400, "the content type has no boundary")
	}
	return parameters["boundary"], nil
}

// parseMultipart parses the form of r into f. What it keeps is given back when the response is done.
func (r *Request) parseMultipart(f *form) (err error) {
	if r.x.mode != modeBlocking {
		panic("server: a multipart form on the loop: it may use the disk, so it is for Blocking handlers")
	}
	reader, err := r.MultipartReader()
	if err != nil {
		return err
	}
	p := &formParser{form: f, w: r.conn.w, limits: r.conn.w.srv.conf.form, onDisk: &r.conn.w.srv.formDisk}
	f.values = url.Values{}
	r.x.res.OnDone(func(*Response, *Request) { p.release() })
	defer func() {
		if err != nil {
			p.release()
			f.values, f.files = nil, nil
		}
	}()
	for parts := 1; ; parts++ {
		part, err := reader.NextPart()
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return FormError(err)
		case p.limits.parts > 0 && parts > p.limits.parts:
			return tooLargeForm(413, fmt.Sprintf("the form has more than %d parts", p.limits.parts))
		}
		if err := p.add(part); err != nil {
			return err
		}
	}
}

// FormError is the error to return for one of a [multipart.Reader] or of a part that it gave: a [*StatusError] of 400 when the
// form is malformed, and the error of the body when that is not whole.
func FormError(err error) error {
	if isBodyError(err) {
		return err
	}
	return &StatusError{Status: 400, Detail: "the form is malformed", Err: err}
}

// isBodyError reports whether err says that the body of a request is not whole.
func isBodyError(err error) bool {
	if _, ok := errors.AsType[*parser.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[CloseReason](err); ok {
		return true
	}
	return errors.Is(err, ErrBodyClosed) || errors.Is(err, ErrAnswered) || errors.Is(err, ErrTimeout)
}

func tooLargeForm(status int, detail string) error {
	return &StatusError{Status: status, Detail: detail, Err: ErrFormTooLarge}
}

// formParser keeps the parts of one form.
type formParser struct {
	form    *form
	w       *worker
	limits  formLimits
	memory  int64         // bytes that are kept in memory
	counted int           // what of that was last counted: see memory.go
	disk    int64         // bytes that are kept on disk
	onDisk  *atomic.Int64 // the same of all forms of the server
}

func (p *formParser) add(part *multipart.Part) error {
	field := part.FormName()
	if field == "" {
		return nil // it has no place in a form; RFC 7578, 4.2 demands a name
	}
	for n, lines := range part.Header {
		for _, v := range lines {
			p.memory += int64(len(n) + len(v))
		}
	}
	name := part.FileName()
	b, err := p.readMemory(part)
	switch {
	case err != nil:
		return err
	case name == "" && !hasFileName(part):
		if p.tooMuchMemory() {
			return tooLargeForm(413, fmt.Sprintf("the form has more than %d bytes of fields", p.limits.memory))
		}
		p.form.values[field] = append(p.form.values[field], string(b))
		return nil
	case name == "" && len(b) == 0:
		return nil // the user has chosen no file
	}
	file := &FormFile{Field: field, Name: name, Header: part.Header}
	if !p.tooMuchMemory() {
		in := bytes.NewReader(b)
		file.Size, file.ReadSeeker, file.ReaderAt = int64(len(b)), in, in
		p.form.files = append(p.form.files, file)
		return nil
	}
	if err := p.toDisk(file, b, part); err != nil {
		return err
	}
	p.keeps(p.memory - int64(len(b)))
	p.form.files = append(p.form.files, file)
	return nil
}

// readMemory reads a part up to one byte beyond what may be in memory.
func (p *formParser) readMemory(part *multipart.Part) ([]byte, error) {
	var from io.Reader = part
	if p.limits.memory > 0 {
		from = io.LimitReader(part, p.limits.memory-p.memory+1)
	}
	b, err := io.ReadAll(&memoryReader{p, from})
	if err != nil {
		return nil, FormError(err)
	}
	return b, nil
}

// memoryReader counts what is read into memory, as it comes.
type memoryReader struct {
	p    *formParser
	from io.Reader
}

// Read implements io.Reader.
func (m *memoryReader) Read(b []byte) (int, error) {
	n, err := m.from.Read(b)
	m.p.keeps(m.p.memory + int64(n))
	return n, err
}

// keeps says how much the form keeps in memory now. It counts for MaxBufferedBytes.
func (p *formParser) keeps(n int64) {
	p.memory = n
	p.w.recountMade(&p.counted, int(n))
}

func (p *formParser) tooMuchMemory() bool { return p.limits.memory > 0 && p.memory > p.limits.memory }

// toDisk moves a file to the disk: what was read of it, and the rest.
func (p *formParser) toDisk(file *FormFile, b []byte, rest io.Reader) error {
	f, err := os.CreateTemp("", "microhttp-form-")
	if err != nil {
		return &StatusError{Status: 500, Detail: "", Err: err}
	}
	var n int64
	if err = os.Remove(f.Name()); err == nil {
		n, err = io.Copy(&diskWriter{p, f}, io.MultiReader(bytes.NewReader(b), rest))
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return diskError(err)
	}
	file.disk, file.Size, file.ReadSeeker, file.ReaderAt = f, n, f, f
	return nil
}

// diskError tells what the peer did wrong from what the disk did.
func diskError(err error) error {
	if _, ok := errors.AsType[*StatusError](err); ok {
		return err
	}
	if _, ok := errors.AsType[*os.PathError](err); ok {
		return &StatusError{Status: 500, Detail: "", Err: err}
	}
	return FormError(err)
}

// diskWriter writes to a temporary file and holds the bounds.
type diskWriter struct {
	p *formParser
	f *os.File
}

func (d *diskWriter) Write(b []byte) (int, error) {
	p, n := d.p, int64(len(b))
	switch {
	case p.limits.disk > 0 && p.disk+n > p.limits.disk:
		return 0, tooLargeForm(413, fmt.Sprintf("the form has more than %d bytes of files", p.limits.disk))
	case p.limits.all > 0 && p.onDisk.Add(n) > p.limits.all:
		p.onDisk.Add(-n)
		return 0, tooLargeForm(503, "")
	case p.limits.all <= 0:
		p.onDisk.Add(n)
	}
	p.disk += n
	return d.f.Write(b)
}

// release gives back what the form holds. It may be called twice.
func (p *formParser) release() {
	var open []*os.File
	for _, file := range p.form.files {
		if file.disk != nil {
			open = append(open, file.disk)
		}
	}
	p.form.files = nil
	p.keeps(0)
	disk := p.disk
	p.disk = 0
	if disk == 0 && len(open) == 0 {
		return
	}
	free := func() {
		for _, f := range open {
			_ = f.Close() // it was only read
		}
		p.onDisk.Add(-disk)
	}
	if p.w.loop.Go(free) != nil { // the last close of an unlinked file frees it, and may take long: not on the loop
		free()
	}
}

// hasFileName reports whether a part says that it is a file, also one without a name.
func hasFileName(part *multipart.Part) bool {
	return strings.Contains(strings.ToLower(part.Header.Get("Content-Disposition")), "filename")
}
