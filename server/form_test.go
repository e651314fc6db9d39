package server

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"os"
	"runtime"
	"strings"
	"testing"
)

// formBody is a multipart form: fields by name=value, files by name@filename=content.
func formBody(t testing.TB, parts ...string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, part := range parts {
		name, value, _ := strings.Cut(part, "=")
		field, file, isFile := strings.Cut(name, "@")
		var to io.Writer
		var err error
		if isFile {
			to, err = w.CreateFormFile(field, file)
		} else {
			to, err = w.CreateFormField(field)
		}
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(to, value)
	}
	w.Close()
	return w.FormDataContentType(), b.String()
}

func post(kind, body string) string {
	return fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(body), body)
}

func TestFormURLEncoded(t *testing.T) {
	const kind = "application/x-www-form-urlencoded"
	for name, c := range map[string]struct {
		kind, body string
		status     int
	}{
		"fields":       {kind: kind, body: "a=1&b=x+y%26&a=2&&empty=&bare"},
		"with charset": {kind: kind + "; charset=utf-8", body: "a=1&b=x+y%26&a=2&empty=&bare="},
		"escape":       {kind: kind, body: "a=%zz", status: 400},
		"escape, name": {kind: kind, body: "%=1", status: 400},
		"other type":   {kind: "text/plain", body: "a=1", status: 415},
		"as allowed":   {kind: kind, body: "a=1&b=x+y%26&a=2&empty=&bare" + strings.Repeat("&z=1", 5)},
		"too many":     {kind: kind, body: strings.Repeat("&a=1", 11), status: 413},
	} {
		t.Run(name, func(t *testing.T) {
			answerOf(t, func(_ *Response, r *Request) {
				values, err := r.Form()
				if c.status > 0 {
					if e, ok := errors.AsType[*StatusError](err); !ok || e.Status != c.status {
						t.Errorf("got %v, want %d", err, c.status)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				values.Del("z")
				want(t, "form", values.Encode(), "a=1&a=2&b=x+y%26&bare=&empty=")
				want(t, "FormValue", r.FormValue("b")+r.FormValue("none"), "x y&")
			}, post(c.kind, c.body), func(s *Server) { s.MaxFormFields = 10 })
		})
	}
}

func TestMultipartIsForBlockingHandlers(t *testing.T) {
	kind, body := formBody(t, "a=1")
	for name, f := range map[string]func(r *Request){
		"Form": func(r *Request) { r.Form() }, "FormValue": func(r *Request) { r.FormValue("a") },
		"FormFile": func(r *Request) { r.FormFile("a") }, "MultipartReader": func(r *Request) { r.MultipartReader() },
	} {
		answerOf(t, func(_ *Response, r *Request) {
			defer func() {
				if v := fmt.Sprint(recover()); !strings.Contains(v, "Blocking") {
					t.Errorf("%s on the loop: %v", name, v)
				}
			}()
			f(r)
		}, post(kind, body))
	}
}

// temporaryFiles counts the open files that were temporary files of forms.
func temporaryFiles(t *testing.T) (n int) {
	if runtime.GOOS != "linux" {
		t.Skip("it looks into /proc")
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(to, "microhttp-form-") {
			n++
		}
	}
	return n
}

// Each bound of a multipart form is hit by what is beyond it, and never by what is at it. Whatever happens, nothing is left
// open and nothing is left on disk.
func TestMultipartForm(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	big := strings.Repeat("0123456789abcdef", 1<<10) // 16 KiB
	sum := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	handler := func(w *Response, r *Request) error {
		files, err := r.FormFiles()
		if err != nil {
			return err
		}
		values, _ := r.Form()
		fmt.Fprintf(w, "%s;", values.Encode())
		for _, f := range files {
			b, err := io.ReadAll(f)
			if err != nil {
				return err
			}
			fmt.Fprintf(w, "%s %s %d %s;", f.Field, f.Name, f.Size, sum(string(b)))
		}
		if file, err := r.FormFile("f"); err == nil {
			if names, _ := os.ReadDir(dir); len(names) > 0 {
				t.Errorf("a temporary file has a name: %v", names)
			}
			b := make([]byte, 4)
			if _, err := file.ReadAt(b, 10); err != nil {
				t.Error(err)
			}
			want(t, "ReadAt", string(b), big[10:14])
		}
		if r.FormValue("panic") != "" {
			panic(ErrAbortHandler)
		}
		return nil
	}
	for name, c := range map[string]struct {
		parts  []string
		limits func(s *Server)
		status int
		want   string
	}{
		"fields and files":    {parts: []string{"a=1", "f@x/y.txt=" + big, "a=2", "g@g=small"}, status: 200, want: "a=1&a=2;f y.txt 16384 " + sum(big) + ";g g 5 " + sum("small") + ";"},
		"on disk":             {parts: []string{"a=1", "f@f=" + big, "h@h=" + big}, limits: func(s *Server) { s.MaxFormMemory = 1 << 10 }, status: 200, want: "a=1;f f 16384 " + sum(big) + ";h h 16384 " + sum(big) + ";"},
		"no file chosen":      {parts: []string{"f@="}, status: 200, want: ";"},
		"a field beyond":      {parts: []string{"a=" + big}, limits: func(s *Server) { s.MaxFormMemory = 1 << 10 }, status: 413},
		"parts as allowed":    {parts: []string{"a=1", "b=2"}, limits: func(s *Server) { s.MaxFormParts = 2 }, status: 200, want: "a=1&b=2;"},
		"parts beyond":        {parts: []string{"a=1", "b=2", "c=3"}, limits: func(s *Server) { s.MaxFormParts = 2 }, status: 413},
		"disk as allowed":     {parts: []string{"f@f=" + big}, limits: func(s *Server) { s.MaxFormMemory, s.MaxFormDisk = 1, int64(len(big)) }, status: 200, want: ";f f 16384 " + sum(big) + ";"},
		"disk beyond":         {parts: []string{"f@f=" + big + "x"}, limits: func(s *Server) { s.MaxFormMemory, s.MaxFormDisk = 1, int64(len(big)) }, status: 413},
		"all disk as allowed": {parts: []string{"f@f=" + big}, limits: func(s *Server) { s.MaxFormMemory, s.MaxFormDiskAll = 1, int64(len(big)) }, status: 200, want: ";f f 16384 " + sum(big) + ";"},
		"all disk beyond":     {parts: []string{"f@f=" + big + "x"}, limits: func(s *Server) { s.MaxFormMemory, s.MaxFormDiskAll = 1, int64(len(big)) }, status: 503},
		"the handler panics":  {parts: []string{"panic=1", "f@f=" + big}, limits: func(s *Server) { s.MaxFormMemory = 1 << 10 }, status: 0},
	} {
		for _, streamed := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, streamed %v", name, streamed), func(t *testing.T) {
				s, addr := start(t, nil, func(s *Server) {
					var h Handler = Try(handler)
					if streamed {
						h = Streaming(h)
					}
					s.Handler = Blocking(h)
					if c.limits != nil {
						c.limits(s)
					}
				})
				p := dial(t, addr)
				p.send("%s", post(formBody(t, c.parts...)))
				got, _ := io.ReadAll(p.r)
				if c.status > 0 {
					wantContains(t, "answer", string(got), fmt.Sprintf("HTTP/1.1 %d ", c.status), c.want)
				}
				await(t, "files to be closed", func() bool { return temporaryFiles(t) == 0 && s.formDisk.Load() == 0 })
				if names, _ := os.ReadDir(dir); len(names) > 0 {
					t.Errorf("files are left: %v", names)
				}
			})
		}
	}
}

func TestMultipartMalformed(t *testing.T) {
	kind, body := formBody(t, "a=1", "f@f=content")
	for name, c := range map[string]struct {
		kind, body string
		status     int
	}{
		"no boundary":    {"multipart/form-data", body, 400},
		"other type":     {"multipart/mixed; boundary=x", body, 415},
		"other boundary": {"multipart/form-data; boundary=other", body, 400},
		"cut":            {kind, body[:len(body)-20], 400},
	} {
		_, addr := start(t, nil, func(s *Server) {
			s.Handler = Blocking(Streaming(Try(func(_ *Response, r *Request) error { _, err := r.FormFile("f"); return err })))
		})
		p := dial(t, addr)
		p.send("%s", post(c.kind, c.body))
		wantContains(t, name, p.rest(), fmt.Sprintf("HTTP/1.1 %d ", c.status))
	}
}

// What a form keeps in memory counts for MaxBufferedBytes, until its response is done.
func TestMultipartMemoryIsCounted(t *testing.T) {
	const size = 1 << 20 // much more than waits between loop and handler
	held := make(chan int64, 1)
	s, addr := start(t, nil, func(s *Server) {
		s.Handler = Blocking(Streaming(Try(func(_ *Response, r *Request) error {
			_, err := r.FormFile("f")
			held <- r.conn.w.made.bytes.Load()
			return err
		})))
	})
	p := dial(t, addr)
	p.send("%s", post(formBody(t, "f@f="+strings.Repeat("x", size))))
	if n := <-held; n < size {
		t.Errorf("%d bytes are counted of %d that are held", n, size)
	}
	wantContains(t, "answer", p.rest(), "HTTP/1.1 200 OK")
	await(t, "the count to be taken back", func() bool { return s.workers[0].made.bytes.Load() == 0 })
}
