// Package golden compares texts with files that hold them as they should be: recorded conversations, pages, documents.
//
//	golden.Want(t, "hello", servertest.Get(t, routes, "/hello/Ann").Conversation())
//
// The file is testdata/hello.golden, beside the test. go test with -update writes what the tests have seen to the files
// instead; read the difference before you commit it. The package defines that flag, so only tests may import it, and a test
// package that defines -update itself cannot.
package golden

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Want fails the test if got is not the content of testdata/NAME.golden. With -update it makes that file, and its directory.
// name may have slashes, and t.Name() is a good one. CRLF in the file counts as LF, since version control may have
// changed it.
func Want(t testing.TB, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", filepath.FromSlash(name)+".golden")
	if *update {
		if err := write(file, got); err != nil {
			t.Fatalf("golden: %v", err)
		}
		return
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("golden: %v (go test -update makes it)", err)
	}
	if want := unified(string(b)); want != unified(got) {
		t.Errorf("golden: this is not %s (go test -update makes it so):\n%s", file, Diff(want, unified(got)))
	}
}

func unified(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

func write(file, content string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(content), 0o666)
}

// Diff returns the lines of two texts: those that only want has after "-", those that only got has after "+", and those of both
// after a space.
func Diff(want, got string) string {
	a, b := strings.SplitAfter(want, "\n"), strings.SplitAfter(got, "\n")
	var out strings.Builder
	line := func(mark, s string) {
		if s != "" {
			out.WriteString("\t" + mark + " " + strings.TrimSuffix(s, "\n") + "\n")
		}
	}
	same := common(a, b)
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			line(" ", a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && same[i+1][j] >= same[i][j+1]:
			line("-", a[i])
			i++
		default:
			line("+", b[j])
			j++
		}
	}
	return out.String()
}

// maxCompared bounds the table of common, in entries.
const maxCompared = 4 << 20

// common is the length of the longest common subsequence of the rests of a and b, for each place in both. For texts that are too
// long it says that there is none.
func common(a, b []string) [][]int {
	table := make([][]int, len(a)+2)
	row := make([]int, len(b)+2)
	for i := range table {
		table[i] = row
	}
	if len(a)*len(b) > maxCompared {
		return table
	}
	for i := len(a) - 1; i >= 0; i-- {
		row := make([]int, len(b)+2)
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				row[j] = table[i+1][j+1] + 1
			} else {
				row[j] = max(table[i+1][j], row[j+1])
			}
		}
		table[i] = row
	}
	return table
}
