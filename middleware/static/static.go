// Package static serves the files of a directory, or of any fs.FS.
//
//	files, err := static.Dir("public", static.Config{})
//	r.Handle("GET /{path...}", files)
//
// It answers as http.FileServer does where both can. What is different:
//
//   - Directories are listed only if Config.Listing says so. Otherwise one without an index is a 404.
//   - Names that begin with a dot are a 404, but for /.well-known/.
//   - A path that is not clean is redirected to the clean one, with 307; net/http serves what that stands for.
//   - Methods other than GET and HEAD get 405. Ranges are for GET, and otherwise as docs/design/026 says.
//   - Answers have an ETag, X-Content-Type-Options: nosniff, and no Content-Type that was guessed from the content:
//     a file without a known extension is application/octet-stream.
//   - What is neither a regular file nor a directory is a 404, and is never waited for.
//   - Names that cannot be (NUL, too long, below a file, through a link that leads out) are a 404.
package static

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"microhttp/server"
)

// Config says how files are served. The zero value is ready.
type Config struct {
	// Prefix is cut off the path of the request, as "/static". A path that does not begin with it is a 404.
	Prefix string
	// Index is the file that stands for its directory. Default index.html; "-" is none.
	Index string
	// Listing shows what is in a directory that has no index: names, sizes and times, at most 10,000 of them.
	Listing bool
	// DotFiles serves, and lists, files and directories whose names begin with a dot.
	DotFiles bool
	// Precompressed serves a sibling in place of a file, if there is one that the client takes: x.js.br, x.js.zst or
	// x.js.gz for x.js. It has an ETag of its own, and Vary says so.
	Precompressed bool
	// SPA is the file that answers, with 200, a GET that accepts HTML and finds no file: the page of an application that
	// routes by itself. Caches are to check it each time. "" is none.
	SPA string
	// NotFound is the file that is the content of a 404, at most 1 MiB of it. "" is a line of text.
	NotFound string
	// CacheControl returns the Cache-Control of a file by its path, as "css/a.css"; "" sets none. It must not block. A nil
	// function sets none.
	CacheControl func(path string) string
	// MaxOpen bounds the files that are kept open for the next request. Default 256; negative keeps none.
	MaxOpen int
	// Validate is how old what is known of an open file may be. Beyond it the name is looked up again, off the loop.
	// Default 1 s.
	Validate time.Duration
}

// Files is a server.Handler of files. Its methods may be called from any goroutine. Files that are open already are served
// on the loop. Opening and looking up names leaves the loop, see server.Blocking.
type Files struct {
	config Config
	src    source
	cold   server.Handler
	open   cache
}

// Dir serves the files of a directory. No path leads out of it, neither by "..", escapes or NUL nor by a symbolic link: see
// os.Root. Links that stay within are followed. The error is that of os.OpenRoot.
func Dir(dir string, config Config) (*Files, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return newFiles(dirSource{root}, config), nil
}

// FS serves the files of fsys, such as an embed.FS. Each file is opened for each request, off the loop. A file without a
// time has an ETag made of its content, which is then assumed never to change.
func FS(fsys fs.FS, config Config) *Files {
	if fsys == nil {
		panic("static: nil fs.FS")
	}
	return newFiles(fsSource{fsys: fsys}, config)
}

func newFiles(src source, config Config) *Files {
	if config.Index == "" {
		config.Index = "index.html"
	}
	if config.MaxOpen == 0 {
		config.MaxOpen = 256
	}
	if config.Validate <= 0 {
		config.Validate = time.Second
	}
	f := &Files{config: config, src: src}
	f.open.most = config.MaxOpen
	f.cold = server.Blocking(server.Streaming(server.HandlerFunc(f.serveCold)))
	typeOf(".html") // package mime reads the types of the system now, and not on a loop
	return f
}

// Close closes the files that are kept open, and the directory. Answers under way are finished. Requests that come later
// are answered with 404.
func (f *Files) Close() error {
	f.open.close()
	return f.src.close()
}

// TakesHead implements server.HeadTaker: no file needs a body.
func (f *Files) TakesHead() {}

// Serve implements server.Handler.
func (f *Files) Serve(w *server.Response, r *server.Request) {
	w.SetHeader("X-Content-Type-Options", "nosniff")
	switch r.Method() {
	case "GET", "HEAD":
	default:
		w.Error(405)
		w.SetHeader("Allow", "GET, HEAD")
		return
	}
	if f.serveHot(w, r) {
		return
	}
	urlPath, ok := f.cut(r.Path())
	if !ok {
		w.Error(404)
		return
	}
	if clean := cleaned(urlPath); clean != urlPath {
		redirect(w, r, 307, escaped(f.config.Prefix+clean))
		return
	}
	f.cold.Serve(w, r)
}

// cut returns the path below the prefix, beginning with a slash.
func (f *Files) cut(p string) (string, bool) {
	p, ok := strings.CutPrefix(p, f.config.Prefix)
	if p == "" && f.config.Prefix != "" {
		p = "/"
	}
	return p, ok && strings.HasPrefix(p, "/") && !strings.Contains(p, "\x00")
}

func cleaned(p string) string {
	clean := path.Clean(p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// serveHot answers with a file that is open already, on the loop, and reports whether it could. It needs no string of the path:
// what the cache has by that name is clean.
func (f *Files) serveHot(w *server.Response, r *server.Request) bool {
	p := r.PeekEscapedPath()
	if bytes.IndexByte(p, '%') >= 0 {
		p = []byte(r.Path())
	}
	n := len(f.config.Prefix)
	if len(p) <= n || string(p[:n]) != f.config.Prefix || p[n] != '/' {
		return false
	}
	now := r.Received()
	e := f.open.getDirect(p[n+1:], now, f.config.Validate)
	if e == nil {
		return false
	}
	if coding := chooseCoding(r, e.codings); coding != nil {
		sibling := f.open.get(e.name+coding.suffix, now, f.config.Validate)
		if sibling != nil {
			f.serveEntry(w, r, e, sibling, coding)
		}
		f.open.put(e)
		return sibling != nil
	}
	f.serveEntry(w, r, e, e, nil)
	return true
}

// serveCold looks the path up, off the loop.
func (f *Files) serveCold(w *server.Response, r *server.Request) {
	urlPath, _ := f.cut(r.Path())
	name := strings.Trim(urlPath, "/")
	slash := name == "" || strings.HasSuffix(urlPath, "/")
	if name != "" && path.Base(name) == f.config.Index && !slash {
		redirect(w, r, 301, "./")
		return
	}
	if f.hidden(name) {
		f.notFound(w, r)
		return
	}
	e, err := f.lookUp(name)
	switch {
	case err != nil:
		f.fail(w, r, err)
		return
	case e.dir && !slash:
		redirect(w, r, 301, escaped(path.Base(name))+"/")
	case e.dir:
		f.serveDir(w, r, name)
	case slash:
		redirect(w, r, 301, escaped("../"+path.Base(name)))
	default:
		f.serveFound(w, r, name, e)
		return
	}
	f.open.put(e)
}

// serveDir answers with the index of a directory, or with its list.
func (f *Files) serveDir(w *server.Response, r *server.Request, name string) {
	if f.config.Index != "-" {
		index := path.Join(name, f.config.Index)
		switch e, err := f.lookUp(index); {
		case err == nil && !e.dir:
			f.serveFound(w, r, index, e)
			return
		case err == nil:
			f.open.put(e)
		case !errors.Is(err, errNotFound):
			f.fail(w, r, err)
			return
		}
	}
	if !f.config.Listing {
		f.notFound(w, r)
		return
	}
	f.list(w, r, name)
}

// serveFound answers with an entry that the caller holds, or with its sibling, and lets go of it.
func (f *Files) serveFound(w *server.Response, r *server.Request, name string, e *entry) {
	if coding := chooseCoding(r, e.codings); coding != nil {
		if sibling, err := f.lookUp(name + coding.suffix); err == nil && !sibling.dir {
			f.serveEntry(w, r, e, sibling, coding)
			f.open.put(e)
			return
		} else if err == nil {
			f.open.put(sibling)
		}
	}
	f.serveEntry(w, r, e, e, nil)
}

// serveEntry answers with the content of from, which is e or its sibling in a coding. from is let go when the response is
// done.
func (f *Files) serveEntry(w *server.Response, r *server.Request, e, from *entry, coding *coding) {
	if w.PeekHeader("Content-Type") == nil {
		w.SetHeader("Content-Type", e.kind)
	}
	if len(e.codings) > 0 {
		w.AddHeader("Vary", "Accept-Encoding")
	}
	tag := from.etag
	if coding != nil {
		w.SetHeader("Content-Encoding", coding.name)
		tag = tag[:len(tag)-1] + "-" + coding.name + `"` // siblings may be of one time and size
	}
	if f.config.CacheControl != nil {
		if value := f.config.CacheControl(e.name); value != "" {
			w.SetHeader("Cache-Control", value)
		}
	}
	w.SetHeader("ETag", tag)
	w.OnDone(from.letGo)
	server.ServeContent(w, r, e.name, from.modTime, from.content())
}

// lookUp returns the entry of a name, which the caller holds. It is called off the loop.
func (f *Files) lookUp(name string) (*entry, error) {
	if name == "" {
		name = "."
	}
	if old := f.open.get(name, time.Time{}, 0); old != nil {
		if !f.src.same(name, old) || !slices.Equal(old.codings, f.siblings(name)) {
			f.open.drop(name, old)
		}
		f.open.put(old)
	}
	return f.open.getOr(name, func() (*entry, error) {
		e, err := f.src.open(name)
		if err == nil && !e.dir {
			e.codings = f.siblings(name)
			e.direct = path.Base(name) != f.config.Index && !f.hidden(name)
		}
		return e, err
	})
}

func (f *Files) siblings(name string) (found []*coding) {
	if !f.config.Precompressed {
		return nil
	}
	for i := range codings {
		if f.src.isFile(name + codings[i].suffix) {
			found = append(found, &codings[i])
		}
	}
	return found
}

// hidden reports whether a name has a segment that begins with a dot.
func (f *Files) hidden(name string) bool {
	if f.config.DotFiles || name == "" {
		return false
	}
	return strings.Contains(name, "/.") || name[0] == '.' && name != wellKnown && !strings.HasPrefix(name, wellKnown+"/")
}

// wellKnown is the one name with a dot that is served: certificates are renewed by it (RFC 8615).
const wellKnown = ".well-known"

// fail answers for an error of the file system.
func (f *Files) fail(w *server.Response, r *server.Request, err error) {
	switch {
	case errors.Is(err, errNotFound):
		f.notFound(w, r)
	case errors.Is(err, fs.ErrPermission):
		w.Error(403)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		w.Error(503)
		w.SetHeader("Retry-After", "1")
	default:
		w.LogMisuse(fmt.Sprintf("static: %v", err))
		w.Error(500)
	}
}

// notFound answers where there is no file. It is called off the loop.
func (f *Files) notFound(w *server.Response, r *server.Request) {
	if f.config.SPA != "" && r.Method() == "GET" && acceptsHTML(r) {
		if e, err := f.lookUp(f.config.SPA); err == nil && !e.dir {
			w.SetHeader("Cache-Control", "no-cache")
			w.AddHeader("Vary", "Accept")
			f.serveFound(w, r, f.config.SPA, e)
			return
		} else if err == nil {
			f.open.put(e)
		}
	}
	w.Error(404)
	if f.config.NotFound != "" {
		if page, err := f.src.read(f.config.NotFound, 1<<20); err == nil {
			w.SetHeader("Content-Type", typeOf(path.Ext(f.config.NotFound)))
			w.GiveBody(page)
		}
	}
}

func acceptsHTML(r *server.Request) bool {
	return strings.Contains(strings.ToLower(r.Header("Accept")), "text/html")
}

// redirect leads to a location, with the query of the request.
func redirect(w *server.Response, r *server.Request, status int, location string) {
	if query := r.RawQuery(); query != "" {
		location += "?" + query
	}
	w.SetStatus(status)
	w.SetHeader("Location", location)
}

// escaped is a path as a reference has it: with "./" before a first segment that has a colon.
func escaped(p string) string { return (&url.URL{Path: p}).String() }
