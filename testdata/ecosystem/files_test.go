package ecosystem

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tus/tusd/v2/pkg/filelocker"
	"github.com/tus/tusd/v2/pkg/filestore"
	tusd "github.com/tus/tusd/v2/pkg/handler"
	"golang.org/x/exp/slog"
	"golang.org/x/net/webdav"
)

// random is content that is the same in each run.
func random(n int) []byte {
	var seed [32]byte
	p := make([]byte, n)
	_, _ = rand.NewChaCha8(seed).Read(p)
	return p
}

func TestFileServer(t *testing.T) {
	both(t, func(t *testing.T) http.Handler {
		dir := t.TempDir()
		then := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for name, content := range map[string][]byte{
			"small.txt": []byte("content"), "large.bin": random(5 << 20), "sub/index.html": []byte("<p>index"), "a b.html": []byte("<p>"),
		} {
			path := filepath.Join(dir, name)
			_ = os.MkdirAll(filepath.Dir(path), 0o755)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_ = os.Chtimes(path, then, then)
		}
		_ = os.Chtimes(dir, then, then)
		mux := http.NewServeMux()
		mux.Handle("/files/", http.StripPrefix("/files", http.FileServer(http.Dir(dir))))
		return mux
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		url += "/files"
		for _, path := range []string{"/small.txt", "/large.bin", "/", "/sub", "/sub/", "/sub/index.html", "/a%20b.html", "/none", "/../x"} {
			ask(t, s, c, "GET", url+path, nil)
			ask(t, s, c, "HEAD", url+path, nil)
		}
		for _, field := range []string{
			"Range: bytes=2-4", "Range: bytes=-3", "Range: bytes=1-2,4-5", "Range: bytes=100-", "Range: x=1-2",
			"If-Modified-Since: Fri, 02 Jan 2026 03:04:05 GMT", "If-Unmodified-Since: Thu, 01 Jan 2026 03:04:05 GMT", "If-None-Match: *",
		} {
			body := ask(t, &seen{}, c, "GET", url+"/small.txt", nil, field)
			if strings.Contains(field, "1-2,") { // the boundary is random
				s.add("%s: %q", field, regexp.MustCompile(`[0-9a-f]{60}`).ReplaceAllString(body, "boundary"))
				continue
			}
			ask(t, s, c, "GET", url+"/small.txt", nil, field)
		}
		ask(t, s, c, "GET", url+"/large.bin", nil, "Range: bytes=1000000-4999999")
	}, `"content"`, "5242880 bytes", "/sub: 301", "bytes 2-4/7", "416", "304", "412", "boundary", "4000000 bytes")
}

func TestTimeoutHandler(t *testing.T) {
	both(t, func(t *testing.T) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/fast", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Own", "field")
			w.WriteHeader(201)
			fmt.Fprint(w, "in time")
		})
		result := make(chan error, 1)
		mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			_, err := w.Write([]byte("too late"))
			result <- errors.Join(r.Context().Err(), err)
		})
		all := http.NewServeMux()
		all.Handle("/", http.TimeoutHandler(mux, 50*time.Millisecond, "it took too long"))
		all.HandleFunc("/result", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, <-result) })
		return all
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		for _, target := range []string{"/fast", "/slow", "/result", "/fast"} {
			ask(t, s, c, "GET", url+target, nil)
		}
	}, "201", "in time", "503", "it took too long", "context deadline exceeded\\nhttp: Handler timeout")
}

func TestWebDAV(t *testing.T) {
	large := random(48 << 20)
	both(t, func(t *testing.T) http.Handler {
		return &webdav.Handler{FileSystem: webdav.Dir(t.TempDir()), LockSystem: webdav.NewMemLS()}
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		// Times, and what is made of them, differ from one run to the next.
		varies := regexp.MustCompile(`(<D:(getlastmodified|getetag)>[^<]*)|opaquelocktoken:[^<>]*|http://127.0.0.1:\d+|\d{10,}`)
		ask := func(method, path string, body io.Reader, fields ...string) string {
			req, err := http.NewRequest(method, url+path, body)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				req.Header.Set(name, value)
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if len(b) < 10_000 {
				parts := strings.Split(string(varies.ReplaceAll(b, nil)), "<") // the order of properties is random
				slices.Sort(parts)
				b = []byte(strings.Join(parts, "<"))
			}
			s.add("%s %s: %d %v %s", method, path, res.StatusCode, err, show(b))
			return res.Header.Get("Lock-Token")
		}
		ask("OPTIONS", "/", nil)
		ask("MKCOL", "/dir", nil)
		ask("PUT", "/dir/large", bytes.NewReader(large))
		ask("PUT", "/dir/chunked", io.MultiReader(bytes.NewReader(large))) // whose length http does not know
		ask("GET", "/dir/large", nil)
		ask("GET", "/dir/chunked", nil, "Range: bytes=100-199")
		ask("PROPFIND", "/dir", nil, "Depth: 1")
		ask("PROPPATCH", "/dir/large", strings.NewReader(`<D:propertyupdate xmlns:D="DAV:"><D:set><D:prop><x xmlns="y">z</x></D:prop></D:set></D:propertyupdate>`))
		ask("COPY", "/dir/large", nil, "Destination: "+url+"/dir/copy")
		ask("MOVE", "/dir/copy", nil, "Destination: "+url+"/dir/moved")
		token := ask("LOCK", "/dir/moved", strings.NewReader(
			`<D:lockinfo xmlns:D="DAV:"><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockinfo>`))
		ask("PUT", "/dir/moved", strings.NewReader("without the token"))
		ask("PUT", "/dir/moved", strings.NewReader("with the token"), "If: ("+token+")")
		ask("UNLOCK", "/dir/moved", nil, "Lock-Token: "+token)
		ask("GET", "/dir/moved", nil)
		ask("DELETE", "/dir", nil)
		ask("GET", "/dir/large", nil)
	}, "MKCOL /dir: 201", "PUT /dir/large: 201", "PUT /dir/chunked: 201", "50331648 bytes", "PROPFIND /dir: 207", "COPY /dir/large: 201",
		"MOVE /dir/copy: 201", "LOCK /dir/moved: 200", "PUT /dir/moved: 423", "with the token", "GET /dir/large: 404")
}

// An upload by tus that is cut off in the middle of a PATCH, twice, and resumed where the server says that it stands.
func TestTusd(t *testing.T) {
	content := random(6 << 20)
	both(t, func(t *testing.T) http.Handler {
		dir := t.TempDir()
		composer := tusd.NewStoreComposer()
		filestore.New(dir).UseIn(composer)
		filelocker.New(dir).UseIn(composer)
		h, err := tusd.NewHandler(tusd.Config{
			BasePath: "/files/", StoreComposer: composer, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		return http.StripPrefix("/files/", h)
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		tus := func(method, at string, body io.Reader, fields ...string) *http.Response {
			req, err := http.NewRequest(method, at, body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Tus-Resumable", "1.0.0")
			for _, f := range fields {
				name, value, _ := strings.Cut(f, ": ")
				req.Header.Set(name, value)
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			return res
		}
		res := tus("POST", url+"/files/", nil, fmt.Sprintf("Upload-Length: %d", len(content)),
			"Upload-Metadata: filename "+base64.StdEncoding.EncodeToString([]byte("f.bin")))
		at := res.Header.Get("Location")
		s.add("POST: %d, a place: %t", res.StatusCode, strings.HasPrefix(at, url+"/files/"))
		offset := int64(0)
		for cut := range 2 {
			cutOff(t, at, offset, content, (cut+1)*2<<20)
			offset = resumeOffset(t, tus, at, offset)
			s.add("after cut %d some is there: %t", cut, offset > 0 && offset <= int64((cut+1)*2<<20))
		}
		res = tus("PATCH", at, bytes.NewReader(content[1:]), "Upload-Offset: 1", "Content-Type: application/offset+octet-stream")
		s.add("PATCH elsewhere: %d", res.StatusCode)
		res = tus("PATCH", at, bytes.NewReader(content[offset:]), fmt.Sprintf("Upload-Offset: %d", offset),
			"Content-Type: application/offset+octet-stream")
		s.add("PATCH of the rest: %d, at %s", res.StatusCode, res.Header.Get("Upload-Offset"))
		whole := &seen{}
		ask(t, whole, c, "GET", at, nil)
		s.add("%s", regexp.MustCompile(`/files/\w+|Last-Modified=\S+ [^"]*"]`).ReplaceAllString(whole.lines()[0], ""))
		res = tus("DELETE", at, nil)
		s.add("DELETE: %d", res.StatusCode)
		res = tus("HEAD", at, nil)
		s.add("HEAD: %d", res.StatusCode)
	}, "POST: 201, a place: true", "after cut 1 some is there: true", "PATCH elsewhere: 409", "PATCH of the rest: 204, at 6291456",
		"6291456 bytes", "DELETE: 204", "HEAD: 404")
}

// cutOff begins a PATCH that announces all the rest, sends up to an end, and resets the connection once the server has stored
// some of that.
func cutOff(t *testing.T, at string, from int64, content []byte, to int) {
	t.Helper()
	host, path, _ := strings.Cut(strings.TrimPrefix(at, "http://"), "/")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "PATCH /%s HTTP/1.1\r\nHost: %s\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: %d\r\n"+
		"Content-Type: application/offset+octet-stream\r\nContent-Length: %d\r\n\r\n", path, host, from, int64(len(content))-from)
	if _, err := conn.Write(content[from:to]); err != nil {
		t.Fatal(err)
	}
	_ = conn.(*net.TCPConn).CloseWrite() // an end before the announced length; what was sent is stored
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.Copy(io.Discard, conn) // the server says what it thinks of it, or nothing
}

// resumeOffset asks where an upload stands, until it has moved: the server may still hold the lock of the request that was cut.
func resumeOffset(t *testing.T, tus func(method, at string, body io.Reader, fields ...string) *http.Response, at string, before int64) int64 {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var offset int64
		if res := tus("HEAD", at, nil); res.StatusCode == 200 {
			if _, err := fmt.Sscan(res.Header.Get("Upload-Offset"), &offset); err == nil && offset > before {
				return offset
			}
		}
	}
	t.Fatal("the upload never moved")
	return 0
}

// git clones and pushes through git-http-backend, run by net/http/cgi. A push beyond http.postBuffer comes chunked, which cgi.Handler
// answers with 400: CGI has no chunks. So the buffer is larger than the push, as it must be for net/http's server.
func TestGitHTTPBackend(t *testing.T) {
	path, err := exec.LookPath("git")
	if err != nil {
		t.Fatal("git is not installed; on Debian: apt-get install git")
	}
	home := t.TempDir()
	git := func(t *testing.T, dir string, args ...string) string {
		t.Helper()
		cmd := exec.Command(path, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+home, "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@a.example", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@a.example",
			"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	both(t, func(t *testing.T) http.Handler {
		root := t.TempDir()
		git(t, root, "init", "-q", "--bare", "-b", "main", "r.git")
		git(t, filepath.Join(root, "r.git"), "config", "http.receivepack", "true")
		return &cgi.Handler{
			Path: path, Args: []string{"http-backend"}, Root: "/git", Stderr: io.Discard,
			Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + home},
		}
	}, func(t *testing.T, s *seen, url string) {
		work := t.TempDir()
		git(t, work, "clone", "-q", url+"/git/r.git", "one")
		one := filepath.Join(work, "one")
		for name, content := range map[string][]byte{"small": []byte("content"), "large": random(4 << 20)} {
			if err := os.WriteFile(filepath.Join(one, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		git(t, one, "checkout", "-q", "-b", "main")
		git(t, one, "add", ".")
		git(t, one, "commit", "-q", "-m", "first")
		git(t, one, "-c", "http.postBuffer=16777216", "push", "-q", "origin", "main")
		git(t, work, "clone", "-q", url+"/git/r.git", "two")
		two := filepath.Join(work, "two")
		s.add("%s %s", git(t, two, "rev-parse", "HEAD"), git(t, two, "ls-tree", "HEAD"))
		git(t, two, "commit", "-q", "--allow-empty", "-m", "second")
		git(t, two, "push", "-q", "origin", "main")
		git(t, one, "pull", "-q", "--ff-only", "origin", "main")
		s.add("%s", git(t, one, "log", "--format=%H %s"))
		b, err := os.ReadFile(filepath.Join(two, "large"))
		s.add("%s %v", show(b), err)
		ask(t, s, newClient(t), "GET", url+"/git/none.git/info/refs?service=git-upload-pack", nil)
	}, "first", "second", "4194304 bytes", "/git/none.git/info/refs?service=git-upload-pack: 404")
}
