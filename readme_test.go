package microhttp_test

import (
	"bufio"
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the README says in Go is tried: programs are built, run, asked and stopped; other snippets and the code in its
// sentences are compiled; names are looked up; links lead somewhere. .ci/e2e tries its commands.

// readmePatience bounds every wait.
const readmePatience = 30 * time.Second

func readReadme(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	goBlock    = regexp.MustCompile("(?s)```go\n(.*?)```")
	anyBlock   = regexp.MustCompile("(?s)```.*?```")
	inlineCode = regexp.MustCompile("`([^`]+)`")
	target     = regexp.MustCompile(`\]\(([^)]+)\)`)
)

// goBlocks returns the snippets of Go that are programs, and those that are not.
func goBlocks(readme string) (programs, fragments []string) {
	for _, m := range goBlock.FindAllStringSubmatch(readme, -1) {
		if strings.HasPrefix(m[1], "package main\n") {
			programs = append(programs, m[1])
		} else {
			fragments = append(fragments, m[1])
		}
	}
	return programs, fragments
}

// codeSpans returns what stands between backticks in sentences.
func codeSpans(readme string) (spans []string) {
	for _, m := range inlineCode.FindAllStringSubmatch(anyBlock.ReplaceAllString(readme, ""), -1) {
		spans = append(spans, m[1])
	}
	return spans
}

// The programs are the first that people copy. Each says where it serves, answers, and lets an answer under way end when it is
// told to stop.
func TestReadmePrograms(t *testing.T) {
	t.Parallel()
	readme := readReadme(t)
	if !strings.HasPrefix(readme, "# microhttp\n\n    go run ./cmd/microhttp demo ") {
		t.Error("the README does not open with the two commands")
	}
	programs, _ := goBlocks(readme)
	if len(programs) == 0 {
		t.Fatal("the README shows no program")
	}
	for i, text := range programs {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) {
			serveAndDrain(t, buildProgram(t, strings.ReplaceAll(text, "127.0.0.1:8080", "127.0.0.1:0")))
		})
	}
}

// buildProgram holds that text is formatted, passes go vet and compiles, and returns the program.
func buildProgram(t *testing.T, text string) (path string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gofmt", "-l", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("gofmt: %v %s", err, out)
	}
	path = filepath.Join(dir, "program")
	for _, args := range [][]string{{"vet", file}, {"build", "-o", path, file}} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
	}
	return path
}

var servingOn = regexp.MustCompile(`http://(127\.0\.0\.1:[1-9][0-9]*)`)

func serveAndDrain(t *testing.T, program string) {
	cmd := exec.Command(program)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stuck := time.AfterFunc(readmePatience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	defer func() { _ = cmd.Process.Kill() }()
	said := bufio.NewReader(stderr)
	hear := func(what string) string {
		t.Helper()
		line, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("it does not say %s: %q, %v", what, line, err)
		}
		return line
	}
	where := servingOn.FindStringSubmatch(hear("where it serves"))
	if where == nil {
		t.Fatal("its first line has no address")
	}

	c, err := net.Dial("tcp", where[1])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(readmePatience))
	in := bufio.NewReader(c)
	hello := func(name string) (closes bool) {
		t.Helper()
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if want := "Hello, " + name + "!\n"; err != nil || res.StatusCode != 200 || string(body) != want {
			t.Errorf("answered with %d, %q, %v; want %q", res.StatusCode, body, err, want)
		}
		return res.Close
	}
	const first, second = "GET /hello/you HTTP/1.1\r\nHost: a\r\n\r\n", "GET /hello/again HTTP/1.1\r\nHost: a\r\n\r\n"
	_, _ = io.WriteString(c, first+second[:10]) // an error is seen by the one who reads
	hello("you")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if line := hear("that it ends"); !strings.Contains(line, "shutting down") {
		t.Errorf("after SIGTERM it says %q", line)
	}
	for end := time.Now().Add(readmePatience); ; runtime.Gosched() { // until it takes no more connections
		more, err := net.Dial("tcp", where[1])
		if err != nil {
			break
		}
		more.Close()
		if time.Now().After(end) {
			t.Fatal("it goes on taking connections")
		}
	}
	_, _ = io.WriteString(c, second[10:])
	if !hello("again") {
		t.Error("the last answer does not say that the connection ends")
	}
	rest, _ := io.ReadAll(said)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v, and it said %q", err, rest)
	}
}

// fragmentNames are what snippets and sentences may use without saying what it is.
const fragmentNames = `package fragments

import (
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	"microhttp/middleware"
	"microhttp/middleware/static"
	"microhttp/router"
	"microhttp/server"
	"microhttp/server/nethttp"
	"microhttp/server/servertest"
	"microhttp/server/websocket"
)

var (
	log    *server.Log
	routes *router.Router
	w      *server.Response
	r      *server.Request
	tag    string
	v      any
	mw     server.Middleware
	secret []byte
	tokens map[string]string
	h      interface { // of either kind
		server.Handler
		http.Handler
	}
)

func report(*server.Response, *server.Request) {}

var (
	_, _ = nethttp.From, middleware.Recover
	_    *sql.DB
	_    = errors.Is
	_    = io.Copy
	_    = os.CreateTemp
	_    = strconv.Itoa
	_    = slog.LevelInfo
	_    = servertest.New
	_    *testing.T
	_    time.Time
	_    static.Config
	_    websocket.Handler
)
`

// Statements in sentences, such as w.Later(), compile.
func TestReadmeFragments(t *testing.T) {
	t.Parallel()
	readme := readReadme(t)
	_, all := goBlocks(readme)
	for _, span := range codeSpans(readme) {
		if strings.Contains(span, "(") && regexp.MustCompile(`^(if )?(w|r|routes|server|nethttp|middleware)\.`).MatchString(span) {
			all = append(all, span)
		}
	}
	if len(all) < 5 {
		t.Fatalf("only %q are tried", all)
	}
	var text bytes.Buffer
	text.WriteString(fragmentNames)
	for _, fragment := range all {
		if strings.HasPrefix(fragment, "func ") {
			fmt.Fprintf(&text, "\n%s\n", fragment)
			continue
		}
		fmt.Fprintf(&text, "\nfunc _() (err error) {\n%s\nreturn\n}\n", fragment)
	}
	file := filepath.Join(t.TempDir(), "fragments.go")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-gcflags=-e", "-o", os.DevNull, file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, text.Bytes())
	}
}

// Names in sentences and tables, such as Server.MaxConns and server.Wrap, are names that there are.
func TestReadmeNames(t *testing.T) {
	names := exportedNames(t)
	types := map[string]string{"w": "Response", "r": "Request", "routes": "Scope"}
	tried := 0
	for _, span := range codeSpans(readReadme(t)) {
		m := regexp.MustCompile(`^([A-Za-z]+)\.([A-Z][A-Za-z]*)\b`).FindStringSubmatch(span)
		switch {
		case m == nil && regexp.MustCompile(`^[A-Z][a-z]+[A-Z][A-Za-z]+$`).MatchString(span):
			m = []string{span, "Server", span} // a field, as in the table of bounds
		case m == nil:
			continue
		}
		of := m[1]
		if t, ok := types[of]; ok {
			of = t
		}
		switch of {
		case "net", "netip", "http", "chi", "c", "e", "echo", "context", "httptest": // not ours
			continue
		}
		tried++
		if !names[of+"."+m[2]] {
			t.Errorf("`%s`: there is no %s.%s", span, of, m[2])
		}
	}
	if tried < 40 {
		t.Errorf("only %d names were looked up", tried)
	}
}

// exportedNames has Type.Name for methods and fields, and package.Name for what a package declares.
func exportedNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range []string{"reactor", "parser", "server", "server/nethttp", "server/servertest", "router", "middleware"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(names, declared(f))
		}
	}
	return names
}

func declared(f *ast.File) map[string]bool {
	names := map[string]bool{}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			of := f.Name.Name
			if d.Recv != nil {
				of = receiver(d.Recv.List[0].Type)
			}
			names[of+"."+d.Name.Name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names[f.Name.Name+"."+n.Name] = true
					}
				case *ast.TypeSpec:
					names[f.Name.Name+"."+s.Name.Name] = true
					if st, ok := s.Type.(*ast.StructType); ok {
						for _, field := range st.Fields.List {
							for _, n := range field.Names {
								names[s.Name.Name+"."+n.Name] = true
							}
						}
					}
				}
			}
		}
	}
	return names
}

func receiver(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// Links within the repository lead to a file, and those within the README to a heading.
func TestReadmeLinks(t *testing.T) {
	readme := readReadme(t)
	prose := inlineCode.ReplaceAllString(anyBlock.ReplaceAllString(readme, ""), "code")
	all := target.FindAllStringSubmatch(prose, -1)
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^##+ (.*)$`).FindAllStringSubmatch(readme, -1) {
		words := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors[strings.ReplaceAll(words, " ", "-")] = true
	}
	links := slices.DeleteFunc(all, func(m []string) bool { return strings.Contains(m[1], "://") })
	if len(links) < 10 {
		t.Errorf("only %d links were followed", len(links))
	}
	for _, m := range links {
		path, anchor, _ := strings.Cut(m[1], "#")
		if path == "" {
			if !anchors[anchor] {
				t.Errorf("the link %s leads to no heading: %v", m[1], anchors)
			}
			continue
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("the link %s: %v", m[1], err)
		}
	}
}
