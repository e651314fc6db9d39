package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// startFiles serves a directory as the flags have it, until the test ends.
func startFiles(t *testing.T, flags ...string) (base string) {
	t.Helper()
	var o serveOptions
	if err := o.parse(append([]string{"-addr", "127.0.0.1:0", "-loops", "1"}, flags...), nil); err != nil {
		t.Fatal(err)
	}
	s, files, err := o.newServer(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	at, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run() // ErrServerClosed, or the requests fail
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-ended
		files.Close()
	})
	return "http://" + at.String()
}

func TestServeADirectory(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a.txt": "hello", "app.html": "app", ".env": "hidden", "pw": "ann:secret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		flags, path string
		status      int
		body        string // that the answer has in it
		field       string
	}{
		{"", "/a.txt", 200, "hello", ""},
		{"", "/", 200, ">a.txt</a>", ""},
		{"", "/.env", 404, "", ""},
		{"-dot-files", "/.env", 200, "hidden", ""},
		{"-no-listing", "/", 404, "", ""},
		{"-spa app.html", "/users/7", 200, "app", ""},
		{"-not-found a.txt", "/nothing", 404, "hello", ""},
		{"-cache-control max-age=60", "/a.txt", 200, "hello", "Cache-Control: max-age=60"},
		{"-basic-auth ann:secret", "/a.txt", 401, "", `WWW-Authenticate: Basic realm="files", charset="UTF-8"`},
		{"-basic-auth @" + filepath.Join(dir, "pw"), "/a.txt", 401, "", ""},
		{"-trust 127.0.0.1 -max-open 0", "/a.txt", 200, "hello", ""},
	} {
		base := startFiles(t, append(strings.Fields(c.flags), dir)...)
		req, _ := http.NewRequest("GET", base+c.path, nil)
		req.Header.Set("Accept", "text/html")
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		name, value, _ := strings.Cut(c.field, ": ")
		if res.StatusCode != c.status || !strings.Contains(string(body), c.body) || c.field != "" && res.Header.Get(name) != value {
			t.Errorf("%s, %s: %d %q %v", c.flags, c.path, res.StatusCode, body, res.Header)
		}
		if res.StatusCode != 401 {
			continue
		}
		req.SetBasicAuth("ann", "secret")
		if res, err = http.DefaultClient.Do(req); err != nil || res.StatusCode != 200 {
			t.Fatalf("%s: with the password: %v, %v", c.flags, res, err)
		}
		res.Body.Close()
	}
}

// Serve compresses a file that has no compressed sibling. With -no-compress it compresses none.
func TestServeCompresses(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("hello ", 1000)
	for name, content := range map[string]string{"a.txt": long, "b.txt": long, "b.txt.br": "not really", "c.png": long} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ flags, path, coding, length string }{
		{"", "/a.txt", "gzip", ""},
		{"", "/b.txt", "br", "10"},
		{"", "/c.png", "", "6000"},
		{"-no-compress", "/a.txt", "", "6000"},
		{"-no-compress", "/b.txt", "br", "10"},
	} {
		base := startFiles(t, append(strings.Fields(c.flags), dir)...)
		req, _ := http.NewRequest("GET", base+c.path, nil)
		req.Header.Set("Accept-Encoding", "br;q=0.5, gzip")
		if c.coding == "br" {
			req.Header.Set("Accept-Encoding", "zstd, gzip;q=0.5, br;q=0.5")
		}
		req.Close = true
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if h := res.Header; h.Get("Content-Encoding") != c.coding || h.Get("Content-Length") != c.length {
			t.Errorf("%s, %s: %v", c.flags, c.path, h)
		}
	}
}

func TestServeIsCalledWrongly(t *testing.T) {
	for _, c := range []struct {
		args   string
		status int
		words  string
	}{
		{"serve a b", exitUsage, "flags come before"},
		{"serve -trust x", exitUsage, "want networks"},
		{"serve -basic-auth ann", exitUsage, "want user:password"},
		{"serve -basic-auth @/nowhere/at/all", exitUsage, "no such file"},
		{"serve -cache-control \x01", exitUsage, "what a field may hold"},
		{"serve -routes", exitUsage, "not defined"},
		{"serve /nowhere/at/all", exitFailed, "no such file"},
		{"version x", exitUsage, "unexpected"},
	} {
		var out, err bytes.Buffer
		if status := run(strings.Fields(c.args), &out, &err); status != c.status || !strings.Contains(err.String(), c.words) || strings.Count(err.String(), "\n") != 1 {
			t.Errorf("%s: %d %q", c.args, status, err.String())
		}
	}
	for _, args := range []string{"serve -h", "help serve", "version"} {
		var out, err bytes.Buffer
		if status := run(strings.Fields(args), &out, &err); status != exitOK || !strings.Contains(out.String(), "microhttp") || err.Len() > 0 {
			t.Errorf("%s: %d %q %q", args, status, out.String(), err.String())
		}
	}
}
