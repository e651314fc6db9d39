package main

// The loader of testdata/wire; the README there says how the cases are written.

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	wireFolder = "../../testdata/wire"
	slowFolder = wireFolder + "/slow"
)

// wireCase is what a client does on one connection, and what it must get.
type wireCase struct {
	name     string // file, title and variant
	title    string // file and title
	stages   []stage
	persists bool // else the connection ends behind the last answer
	silent   bool // the connection ends though no answer says so
	together bool // a stage is never cut: its bytes must arrive at once
	first    bool // of the variants
}

// stage is what the client sends, and the answers that it awaits before it goes on.
type stage struct {
	message   []byte
	halfClose bool // the client says that it will send no more
	answers   []want
}

// want is an answer that is awaited.
type want struct {
	statuses []int // any of these
	toHEAD   bool  // it answers a HEAD: whatever its fields say, no content follows
	checks   []check
}

func (w *want) String() string { return fmt.Sprint("status ", w.statuses) }

// check is a demand on an answer, as written and as a function.
type check struct {
	text string
	ok   func(a *answer) bool
}

func (w *want) check(a *answer) error {
	if !slices.Contains(w.statuses, a.status) {
		return fmt.Errorf("want %s", w)
	}
	for _, c := range w.checks {
		if !c.ok(a) {
			return fmt.Errorf("want %s", c.text)
		}
	}
	return nil
}

// excerpt shows what a case sends, shortened.
func (c *wireCase) excerpt() string {
	const most = 300
	var pieces []string
	for _, s := range c.stages {
		pieces = append(pieces, fmt.Sprintf("%.*q", most, s.message))
	}
	return strings.Join(pieces, ", then ")
}

// loadWireCases reads the files of cases in a folder.
func loadWireCases(t testing.TB, folder string) (cases []wireCase) {
	files, err := filepath.Glob(filepath.Join(folder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatal("no cases:", err)
	}
	titles := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range strings.Split(string(text), "\n\n") {
			if block = strings.Trim(block, "\n"); block == "" || block[0] == '#' {
				continue
			}
			variants := parseVariants(t, filepath.Base(file), block)
			if titles[variants[0].title] {
				t.Fatalf("%s stands there twice", variants[0].title)
			}
			titles[variants[0].title] = true
			cases = append(cases, variants...)
		}
	}
	return cases
}

// parseVariants parses a block once for each of its variants.
func parseVariants(t testing.TB, file, block string) (cases []wireCase) {
	p := wireParser{t: t}
	var variants []string
	for line := range strings.SplitSeq(block, "\n") {
		switch key, rest, _ := strings.Cut(line, " "); key {
		case "with":
			variants = append(variants, p.unescape(rest))
		case "each":
			variants = append(variants, p.bytesOf(rest)...)
		}
	}
	if variants == nil {
		c := p.parse(file, block)
		c.first = true
		return append(cases, c)
	}
	for i, v := range variants {
		p.variant, p.used = v, false
		c := p.parse(file, block)
		if !p.used {
			t.Fatalf("%s: no place for the variants", c.name)
		}
		c.name += fmt.Sprintf(" [%.40q]", v)
		c.first = i == 0
		cases = append(cases, c)
	}
	return cases
}

// wireParser parses a block of a file with one variant.
type wireParser struct {
	t       testing.TB
	variant string
	used    bool
	c       wireCase
}

func (p *wireParser) parse(file, block string) wireCase {
	p.c = wireCase{}
	ended := false
	for line := range strings.SplitSeq(block, "\n") {
		if ended {
			p.t.Fatalf("%s: a line behind the end of a case:\n%s", file, block)
		}
		switch key, rest, _ := strings.Cut(line, " "); {
		case key == "=":
			p.c.title = file + ": " + rest
			p.c.name = p.c.title
		case key == "with", key == "each":
		case key == ">":
			p.send(rest + `\r\n`)
		case line[0] == '|':
			p.send(line[1:])
		case line == "half-close":
			p.send("")
			p.last().halfClose = true
		case line == "together":
			p.c.together = true
		case line == "silent":
			p.c.silent = true
		case line == "persists", line == "closes":
			p.c.persists = line == "persists"
			ended = true
		case strings.HasPrefix(line, "  "):
			p.check(line[2:])
		default:
			p.answer(line)
		}
	}
	if p.c.name == "" || !ended || len(p.c.stages) == 0 {
		p.t.Fatalf("%s: not a case:\n%s", file, block)
	}
	return p.c
}

func (p *wireParser) last() *stage { return &p.c.stages[len(p.c.stages)-1] }

// send adds to what is sent; behind an answer, that begins a stage.
func (p *wireParser) send(text string) {
	if len(p.c.stages) == 0 || len(p.last().answers) > 0 {
		p.c.stages = append(p.c.stages, stage{})
	}
	p.last().message = append(p.last().message, p.unescape(text)...)
}

// answer parses "200", "400|501", "200 to HEAD", "200 times 50".
func (p *wireParser) answer(line string) {
	var w want
	words, times := strings.Fields(line), 1
	for status := range strings.SplitSeq(words[0], "|") {
		w.statuses = append(w.statuses, p.number(status))
	}
	switch {
	case len(words) == 1:
	case len(words) == 3 && words[1] == "to" && words[2] == "HEAD":
		w.toHEAD = true
	case len(words) == 3 && words[1] == "times":
		times = p.number(words[2])
	default:
		p.t.Fatalf("%s: %q", p.c.name, line)
	}
	for range times {
		p.last().answers = append(p.last().answers, w)
	}
}

// check parses a demand on the latest answer.
func (p *wireParser) check(line string) {
	answers := p.last().answers
	w := &answers[len(answers)-1]
	var ok func(a *answer) bool
	if text, is := strings.CutPrefix(line, "body has "); is {
		text = p.unescape(text)
		ok = func(a *answer) bool { return strings.Contains(string(a.body), text) }
	} else if text, is := strings.CutPrefix(line, "body lacks "); is {
		text = p.unescape(text)
		ok = func(a *answer) bool { return !strings.Contains(string(a.body), text) }
	} else if text, is := strings.CutPrefix(line, "body "); is {
		text = p.unescape(text)
		ok = func(a *answer) bool { return string(a.body) == text }
	} else if line == "no body" {
		ok = func(a *answer) bool { return len(a.body) == 0 }
	} else if name, is := strings.CutPrefix(line, "no "); is {
		ok = func(a *answer) bool { return len(a.values(name)) == 0 }
	} else if name, value, is := strings.Cut(line, ": "); is {
		value = p.unescape(value)
		ok = func(a *answer) bool {
			values := a.values(name)
			return len(values) == 1 && (value == "*" || values[0] == value)
		}
	} else {
		p.t.Fatalf("%s: %q", p.c.name, line)
	}
	w.checks = append(w.checks, check{line, ok})
}

func (p *wireParser) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		p.t.Fatalf("%s: %v", p.c.name, err)
	}
	return n
}

// bytesOf lists the bytes of a class: single ones and ranges, with spaces between.
func (p *wireParser) bytesOf(class string) (all []string) {
	for _, item := range strings.Fields(class) {
		from, to, isRange := strings.Cut(item, "..")
		first, last := p.unescape(from), p.unescape(to)
		if !isRange {
			last = first
		}
		if len(first) != 1 || len(last) != 1 || first > last {
			p.t.Fatalf("no class: %q", class)
		}
		for c := int(first[0]); c <= int(last[0]); c++ {
			all = append(all, string([]byte{byte(c)}))
		}
	}
	return all
}

// unescape decodes the escapes of a line.
func (p *wireParser) unescape(s string) string {
	var out bytes.Buffer
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			out.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			p.t.Fatalf("%q ends in a backslash", s)
		}
		switch s[i] {
		case 'r':
			out.WriteByte('\r')
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case '\\':
			out.WriteByte('\\')
		case '?':
			out.WriteString(p.variant)
			p.used = true
		case 'x':
			c, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				p.t.Fatal(err)
			}
			out.WriteByte(byte(c))
			i += 2
		case '{':
			end := i + repeatEnd(s[i:])
			count, piece, _ := strings.Cut(s[i+1:end], ":")
			out.WriteString(strings.Repeat(p.unescape(piece), p.number(p.unescape(count))))
			i = end
		default:
			p.t.Fatalf("unknown escape in %q", s)
		}
	}
	return out.String()
}

// repeatEnd finds the brace that ends a repetition; within it others may begin and end.
func repeatEnd(s string) int {
	for i, depth := 0, 0; i < len(s); i++ {
		switch {
		case s[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		case s[i] == '{' && (i == 0 || s[i-1] == '\\'):
			depth++
		}
	}
	return len(s)
}
