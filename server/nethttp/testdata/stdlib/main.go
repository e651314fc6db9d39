// Command stdlib runs tests of net/http and net/http/httputil, as they are in GOROOT, against nethttp.From. It is run in the
// directory of the module:
//
//	go run ./server/nethttp/testdata/stdlib [-all] [-run regexp] [-v]
//
// The go command's overlay puts a hook into Server.Serve: each connection that a test's http.Server accepts is given to
// package hook. Nothing else of the standard library is changed, and nothing is written into GOROOT or this repository.
// Subtests for HTTP/2 are left out, and so is what leftout.txt names, each with a reason. The command fails if any other test
// fails, or if leftout.txt names a test that is not there.
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

var (
	all     = flag.Bool("all", false, "run what leftout.txt names as well")
	only    = flag.String("run", "", "run only the tests whose names match")
	keep    = flag.String("keep", "", "make the overlay in this directory, so that the next run has less to compile")
	verbose = flag.Bool("v", false, "print the output of tests that fail")
)

//go:embed leftout.txt
var leftOut string

// otherModes are the subtests that are left out, at any depth: the server has no HTTP/2, and TLS is not From's.
const otherModes = "^(h2|h2unencrypted|https1)$"

// suites are the packages, and the files of theirs whose tests are run.
var suites = []struct {
	path    string
	pkg     string // of the file that sets the hook
	files   []string
	timeout string
}{
	{"net/http", "http_test", []string{"serve_test.go", "clientserver_test.go", "fs_test.go", "responsecontroller_test.go"}, "4m"},
	{"net/http/httputil", "httputil", []string{"reverseproxy_test.go"}, "2m"},
}

// changes are made to net/http/server.go. Each text occurs there once.
var changes = [][2]string{
	{
		"	baseCtx := context.Background()\n	if s.BaseContext != nil {",
		"	baseCtx := context.Background()\n	if s.BaseContext != nil && ServeConnHook == nil {",
	},
	{
		"		if cc := s.ConnContext; cc != nil {",
		"		if cc := s.ConnContext; cc != nil && ServeConnHook == nil {",
	},
	{
		"		c := s.newConn(rw)\n		c.setState(c.rwc, StateNew, runHooks) // before Serve can return\n		go c.serve(connCtx)",
		"		var begin func(func(ConnState), func())\n" +
			"		if ServeConnHook != nil {\n			rw, begin = ServeConnHook(s, rw)\n		}\n" +
			"		c := s.newConn(rw)\n		c.setState(c.rwc, StateNew, runHooks) // before Serve can return\n" +
			"		if begin != nil {\n" +
			"			go begin(func(st ConnState) { c.setState(c.rwc, st, runHooks) }, func() { c.serve(connCtx) })\n" +
			"			continue\n		}\n		go c.serve(connCtx)",
	},
}

const declared = `
// ServeConnHook serves the connections of all servers.
var ServeConnHook func(s *Server, rw net.Conn) (net.Conn, func(state func(ConnState), itself func()))
`

const setsHook = `package %s

import (
	"net/http"

	"microhttp/server/nethttp/testdata/stdlib/hook"
)

func init() { http.ServeConnHook = hook.Conn }
`

func main() {
	flag.Parse()
	dir, err := os.MkdirTemp("", "stdlib")
	if *keep != "" {
		dir, err = *keep, os.MkdirAll(*keep, 0o700)
	}
	if err == nil {
		err = run(dir)
	}
	if *keep == "" {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "stdlib:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return err
	}
	src := filepath.Join(strings.TrimSpace(string(root)), "src")
	overlay, err := makeOverlay(src, dir)
	if err != nil {
		return err
	}
	out, err := parseLeftOut()
	if err != nil {
		return err
	}
	failed := false
	for _, s := range suites {
		names, err := testsIn(filepath.Join(src, s.path), s.files)
		if err != nil {
			return err
		}
		r := report{left: map[string][]string{}}
		var wanted []string
		for _, name := range names {
			why := out[name]
			delete(out, name)
			switch {
			case *only != "" && !regexp.MustCompile(*only).MatchString(name):
			case why != "" && !*all:
				r.left[why] = append(r.left[why], name)
			default:
				wanted = append(wanted, name)
			}
		}
		if len(wanted) == 0 {
			continue
		}
		cmd := exec.Command("go", "test", "-json", "-short", "-overlay", overlay, "-timeout", s.timeout, "-count=1",
			"-run", "^("+strings.Join(wanted, "|")+")$", "-skip", "/"+otherModes+"|//"+otherModes, s.path)
		served := filepath.Join(dir, "served")
		cmd.Env = append(os.Environ(), "STDLIB_SERVED="+served)
		cmd.Stderr = os.Stderr
		stdout, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return err
		}
		r.read(stdout)
		err = cmd.Wait()
		if info, err := os.Stat(served); err == nil {
			r.served = info.Size()
		}
		_ = os.Remove(served)
		r.print(s.path, len(names))
		failed = failed || err != nil || len(r.failed) > 0
	}
	if len(out) > 0 && *only == "" {
		return fmt.Errorf("leftout.txt names tests that are not there: %v", slices.Sorted(maps.Keys(out)))
	}
	if failed {
		return errors.New("tests fail that leftout.txt does not name")
	}
	return nil
}

// makeOverlay writes what takes the place of files in GOROOT.
func makeOverlay(src, dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(src, "net/http/server.go"))
	if err != nil {
		return "", err
	}
	for _, c := range changes {
		if bytes.Count(text, []byte(c[0])) != 1 {
			return "", fmt.Errorf("net/http of %s has changed: this is not in server.go once:\n%s", runtime.Version(), c[0])
		}
		text = bytes.Replace(text, []byte(c[0]), []byte(c[1]), 1)
	}
	replace := map[string]string{}
	put := func(path string, text []byte) error {
		file := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		replace[filepath.Join(src, path)] = file
		return os.WriteFile(file, text, 0o600)
	}
	err = put("net/http/server.go", append(text, declared...))
	for _, s := range suites {
		err = errors.Join(err, put(s.path+"/microhttp_hook_test.go", fmt.Appendf(nil, setsHook, s.pkg)))
	}
	spec, jsonErr := json.Marshal(map[string]any{"Replace": replace})
	overlay := filepath.Join(dir, "overlay.json")
	return overlay, errors.Join(err, jsonErr, os.WriteFile(overlay, spec, 0o600))
}

// parseLeftOut reads leftout.txt: a reason that ends in a colon, and then the tests, each with more about it perhaps.
func parseLeftOut() (map[string]string, error) {
	out, why := map[string]string{}, ""
	for line := range strings.Lines(leftOut) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == "" || name == "#":
		case strings.HasSuffix(strings.TrimSpace(line), ":"):
			why = strings.TrimSuffix(strings.TrimSpace(line), ":")
		case why == "" || out[name] != "" || !strings.HasPrefix(name, "Test"):
			return nil, fmt.Errorf("leftout.txt: %q", line)
		default:
			out[name] = why
		}
	}
	return out, nil
}

var testFunc = regexp.MustCompile(`(?m)^func (Test[A-Z0-9_]\w*)\(t \*testing\.T\)`)

func testsIn(dir string, files []string) (names []string, err error) {
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return nil, err
		}
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names, nil
}

// report is what has become of the tests of a package.
type report struct {
	served           int64 // connections
	passed, subtests int
	skipped          []string // by themselves
	failed           []string
	left             map[string][]string
	output           map[string]*strings.Builder
	rest             strings.Builder // what belongs to no test
}

// read reads the output of go test -json.
func (r *report) read(in io.Reader) {
	r.output = map[string]*strings.Builder{}
	for lines := bufio.NewReader(in); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(line, &e) != nil {
			r.rest.Write(line)
			continue
		}
		if e.Action == "output" {
			if e.Test == "" {
				r.rest.WriteString(e.Output)
				continue
			}
			if r.output[e.Test] == nil {
				r.output[e.Test] = new(strings.Builder)
			}
			r.output[e.Test].WriteString(e.Output)
			continue
		}
		r.count(e.Action, e.Test)
	}
}

func (r *report) count(action, test string) {
	sub := strings.Contains(test, "/")
	switch {
	case test == "":
	case action == "pass" && sub:
		r.subtests++
	case action == "pass":
		r.passed++
	case action == "skip" && !sub:
		r.skipped = append(r.skipped, test)
	case action == "fail":
		r.failed = append(r.failed, test)
	}
}

func (r *report) print(path string, n int) {
	left := 0
	for _, names := range r.left {
		left += len(names)
	}
	fmt.Printf("%s: %d tests, %d run, %d passed (with %d subtests), %d failed, %d skip themselves, %d left out; %d connections\n",
		path, n, r.passed+len(r.failed)+len(r.skipped), r.passed, r.subtests, len(r.failed), len(r.skipped), left, r.served)
	for _, why := range slices.Sorted(maps.Keys(r.left)) {
		fmt.Printf("  %4d left out: %s\n", len(r.left[why]), why)
	}
	slices.Sort(r.failed)
	for _, test := range r.failed {
		fmt.Println("  failed:", test)
		if o := r.output[test]; o != nil && *verbose {
			fmt.Println(strings.ReplaceAll(strings.TrimSpace(o.String()), "\n", "\n\t"))
		}
	}
	for line := range strings.Lines(r.rest.String()) {
		if len(r.failed) > 0 {
			fmt.Print("  ", line)
		}
	}
}
