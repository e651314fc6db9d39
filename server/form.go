package server

import (
	"fmt"
	"mime"
	"net/url"
	"strings"
)

// Forms: the fields and files of a body that a browser has made of one (application/x-www-form-urlencoded, and
// multipart/form-data by RFC 7578).

// maxURLEncodedForm bounds a form that is read in a Blocking handler whose body is streamed, in bytes.
const maxURLEncodedForm = 8 << 20

// Form returns the fields of a form in the body, by name, in their order. Those of the query are not among them: see
// [Request.QueryValue]. It is parsed once; later calls return the same map, which is the caller's to keep. The error is a
// [*StatusError]:
//
//   - 415 when the body is no form
//   - 400 when it is malformed
//   - 413 when it has more fields than Server.MaxFormFields, or passes another bound of a form: see [Request.FormFile]
//   - the error of the body, when a streamed one is not whole
//
// A form of multipart/form-data is for Blocking handlers; elsewhere Form panics.
func (r *Request) Form() (url.Values, error) {
	r.lent()
	f := r.parseForm()
	return f.values, f.err
}

// FormValue returns the first field of that name in the form in the body, or "", also when Form would return an error.
func (r *Request) FormValue(name string) string {
	values, _ := r.Form()
	return values.Get(name)
}

// form is a form that was parsed.
type form struct {
	values url.Values
	files  []*FormFile
	err    error
}

func (r *Request) parseForm() *form {
	if r.form == nil {
		f := new(form)
		switch kind, _, err := mime.ParseMediaType(r.Header("Content-Type")); {
		case err == nil && kind == "application/x-www-form-urlencoded":
			f.values, f.err = r.urlEncodedForm()
		case err == nil && kind == "multipart/form-data":
			f.err = r.parseMultipart(f)
		default:
			f.err = Fail(415, "the content type must be application/x-www-form-urlencoded or multipart/form-data")
		}
		r.form = f
	}
	return r.form
}

func (r *Request) urlEncodedForm() (url.Values, error) {
	b, err := r.wholeBody(maxURLEncodedForm)
	if err != nil {
		return nil, err
	}
	most := r.conn.w.srv.conf.form.fields
	values := url.Values{}
	fields := 0
	for pair := range strings.SplitSeq(string(b), "&") {
		if pair == "" {
			continue
		}
		if fields++; fields > most && most > 0 {
			return nil, Fail(413, fmt.Sprintf("the form has more than %d fields", most))
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err := url.QueryUnescape(name)
		if err != nil {
			return nil, &StatusError{Status: 400, Detail: fmt.Sprintf("field %d of the form has a malformed escape", fields), Err: err}
		}
		v, err := url.QueryUnescape(value)
		if err != nil {
			return nil, &StatusError{Status: 400, Detail: fmt.Sprintf("field %d of the form has a malformed escape", fields), Err: err}
		}
		values[n] = append(values[n], v)
	}
	return values, nil
}
