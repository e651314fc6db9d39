//go:build !race

package microhttp_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// What a program pays that imports server and nothing else: no module of metrics or tracing, and a binary that does not grow
// unnoticed.

// heavyModules are the modules below the root that bring others along.
var heavyModules = []string{"middleware/metrics", "middleware/tracing"}

// TestHeavyModulesStayOutside holds that no module which only they require stands in the root's go.sum, which is what
// the go.sum of a program that imports this module is made of.
func TestHeavyModulesStayOutside(t *testing.T) {
	sums, err := os.ReadFile("go.sum")
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]bool{}
	for _, m := range requirements(t, ".") {
		ours[m] = true
	}
	for _, dir := range heavyModules {
		theirs := requirements(t, dir)
		if len(theirs) < 5 {
			t.Errorf("%s requires %v", dir, theirs)
		}
		for _, m := range theirs {
			if !ours[m] && m != "microhttp" && strings.Contains(string(sums), m+" ") {
				t.Errorf("%s, of %s, stands in the root's go.sum", m, dir)
			}
		}
	}
}

// requirements are the paths of the modules that the go.mod in dir requires.
func requirements(t *testing.T, dir string) []string {
	t.Helper()
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	var file struct{ Require []struct{ Path string } }
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range file.Require {
		paths = append(paths, r.Path)
	}
	return paths
}

const helloProgram = `package main

import "microhttp/server"

func main() {
	s := server.Server{Handler: server.HandlerFunc(func(w *server.Response, _ *server.Request) { w.WriteString("Hello, World!") })}
	panic(s.ListenAndServe())
}
`

// maxGrowth is how much a server that says hello may grow beyond the size on record.
const maxGrowth = 1.05

// TestHelloSize holds the size of such a program to the last one in testdata/hello-size.txt. A compiler or a system that the file
// does not know makes other sizes, and the test skips. A feature that is worth more than 5 % adds a line to the file and
// says there what it is.
func TestHelloSize(t *testing.T) {
	t.Parallel()
	record, what := recordedSize(t)
	if record == 0 {
		t.Skipf("testdata/hello-size.txt has no size of %s on %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	}
	dir := t.TempDir()
	source, program := filepath.Join(dir, "main.go"), filepath.Join(dir, "hello")
	if err := os.WriteFile(source, []byte(helloProgram), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-pgo=off", "-o", program, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	size := info.Size()
	t.Logf("hello is %d bytes, %+.1f %% since %q", size, 100*(float64(size)/float64(record)-1), what)
	if float64(size) > maxGrowth*float64(record) {
		t.Errorf("hello is %d bytes, more than 5 %% above the %d of %q", size, record, what)
	}
	if float64(size)*maxGrowth < float64(record) {
		t.Errorf("hello is %d bytes, more than 5 %% below the %d of %q: put that on record", size, record, what)
	}
}

// recordedSize is the last size in the file for this compiler and system, and what the line says of it.
func recordedSize(t *testing.T) (size int64, what string) {
	t.Helper()
	f, err := os.Open("testdata/hello-size.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var version, system string
		var n int64
		line := lines.Text()
		if _, err := fmt.Sscan(line, &version, &system, &n); err != nil || strings.HasPrefix(line, "#") {
			continue
		}
		if version == runtime.Version() && system == runtime.GOOS+"/"+runtime.GOARCH {
			_, what, _ = strings.Cut(line, fmt.Sprint(n))
			size, what = n, strings.TrimSpace(what)
		}
	}
	return size, what
}
