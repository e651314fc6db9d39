package golden_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"microhttp/server"
	"microhttp/server/servertest"
	"microhttp/server/servertest/golden"
)

func hello(w *server.Response, r *server.Request) { w.Text(200, "Hello!\n") }

// A conversation is the same each time, its Date too.
func TestConversation(t *testing.T) {
	golden.Want(t, "conversation", servertest.Get(t, server.HandlerFunc(hello), "/").Conversation())
}

type probe struct {
	testing.TB
	said string
}

func (p *probe) Helper()                           {}
func (p *probe) Errorf(format string, args ...any) { p.said += fmt.Sprintf(format, args...) }
func (p *probe) Fatalf(format string, args ...any) { p.said += fmt.Sprintf(format, args...); panic(p) }

// said is what Want prints for a text.
func said(t *testing.T, name, got string) string {
	p := &probe{TB: t}
	defer func() { _ = recover() }()
	defer func() { t.Log(p.said) }()
	golden.Want(p, name, got)
	return p.said
}

func TestWant(t *testing.T) {
	t.Chdir(t.TempDir())
	defer flag.Set("update", flag.Lookup("update").Value.String())
	_ = flag.Set("update", "false")
	if text := said(t, "a/b", "one\n"); text != "" {
		t.Errorf("%q", text) // it has ended the test: there is no such file
	}
	if err := flag.Set("update", "true"); err != nil {
		t.Fatal(err)
	}
	golden.Want(t, "a/b", "one\ntwo\nthree\n")
	_ = flag.Set("update", "false")
	b, err := os.ReadFile(filepath.Join("testdata", "a", "b.golden"))
	if err != nil || string(b) != "one\ntwo\nthree\n" {
		t.Fatalf("%q, %v", b, err)
	}
	golden.Want(t, "a/b", "one\r\ntwo\nthree\n")
	text := said(t, "a/b", "one\n2\nthree\nfour\n")
	if !strings.Contains(text, "\t  one\n\t- two\n\t+ 2\n\t  three\n\t+ four\n") {
		t.Errorf("%q", text)
	}
}

func ExampleDiff() {
	fmt.Print(golden.Diff("a\nb\nc\n", "a\nc\nd\n"))
	// Output:
	// 	  a
	// 	- b
	// 	  c
	// 	+ d
}
