package microhttp_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tables in docs/rfc say which test shows each requirement to be met. This test holds them to it: what is named in the
// last column of a table must be there. docs/rfc/README.md says how the tables are written.

const rfcFolder = "docs/rfc"

// leastShown guards against a reader of tables that finds none.
const leastShown = 100

var (
	rfcColumns = []string{"section", "level", "requirement", "what we do", "shown by"}
	rfcLevels  = []string{"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "OPTIONAL", "—"}
	codeSpan   = regexp.MustCompile("`([^`]+)`")
	cellEnd    = regexp.MustCompile(`[^\\]\|`)
)

func TestWhatTheTablesOfRFCsNameExists(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(rfcFolder, "*.md"))
	if err != nil || len(files) == 0 {
		t.Fatal("no tables:", err)
	}
	shown := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		inTable := false
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			cells := rfcCells(line)
			switch {
			case len(cells) == 0:
				inTable = false
				continue
			case slices.Equal(cells, rfcColumns):
				inTable = true
				continue
			case !inTable || strings.HasPrefix(line, "|:"):
				continue
			case len(cells) != len(rfcColumns):
				t.Errorf("%s: %d cells: %s", file, len(cells), line)
				continue
			}
			for level := range strings.SplitSeq(cells[1], ", ") {
				if !slices.Contains(rfcLevels, level) {
					t.Errorf("%s: %q is no level: %s", file, level, line)
				}
			}
			names := codeSpan.FindAllStringSubmatch(cells[4], -1)
			if len(names) == 0 && cells[4] != "—" {
				t.Errorf("%s: nothing is named, nor that there is nothing: %s", file, line)
			}
			for _, name := range names {
				shown++
				if !rfcShown(t, name[1]) {
					t.Errorf("%s: there is no %s", file, name[1])
				}
			}
		}
	}
	if shown < leastShown {
		t.Errorf("the tables name %d tests, fewer than %d", shown, leastShown)
	}
}

// wireSpan is how docs/strictness.md names a conversation, or a file of them.
var wireSpan = regexp.MustCompile(`^[a-z/-]+\.txt(: .+)?$`)

func TestWhatStrictnessNamesExists(t *testing.T) {
	text, err := os.ReadFile("docs/strictness.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, span := range codeSpan.FindAllStringSubmatch(string(text), -1) {
		if !wireSpan.MatchString(span[1]) {
			continue
		}
		shown++
		if !rfcShown(t, "testdata/wire/"+span[1]) {
			t.Errorf("there is no %s", span[1])
		}
	}
	if shown < leastShown {
		t.Errorf("%d conversations are named, fewer than %d", shown, leastShown)
	}
}

// rfcCells cuts a row of a table at its bars, but not at those that a backslash precedes.
func rfcCells(line string) (cells []string) {
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	line = line[1:]
	for {
		end := cellEnd.FindStringIndex(line)
		if end == nil {
			return cells
		}
		cells = append(cells, strings.TrimSpace(line[:end[1]-1]))
		line = line[end[1]:]
	}
}

// rfcShown reports whether a test with this name, or a file of vectors, or a vector in it, or a command of bench, is there.
func rfcShown(t *testing.T, name string) bool {
	if command, ok := strings.CutPrefix(name, "cd bench && go run . "); ok {
		return inFiles(t, "bench/*.go", `"`+command+`"`)
	}
	if strings.HasPrefix(name, "testdata/") {
		file, title, _ := strings.Cut(name, ": ")
		text, err := os.ReadFile(file)
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(text)) {
			vector, ok := strings.CutPrefix(strings.TrimSpace(line), "= ")
			if title == "" || ok && (vector == title || strings.HasSuffix(vector, ": "+title)) {
				return true
			}
		}
		return false
	}
	dot := strings.LastIndex(name, ".")
	if dot < 0 {
		return false
	}
	folder, test := strings.TrimPrefix(name[:dot], "microhttp/"), name[dot+1:]
	if folder == "microhttp" {
		folder = "."
	}
	return inFiles(t, filepath.Join(folder, "*_test.go"), "\nfunc "+test+"(")
}

// inFiles reports whether one of the files that the pattern names holds text.
func inFiles(t *testing.T, pattern, text string) bool {
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), text) {
			return true
		}
	}
	return false
}
