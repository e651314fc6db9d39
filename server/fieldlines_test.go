package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"microhttp/parser"
	"microhttp/reactor/sim"
)

// Whatever the answers before have left in the buffer, an answer has the lines that its handler has set, and no others: as
// a list has them that begins empty.
func TestFieldLinesLaw(t *testing.T) {
	names := []string{"ETag", "Date", "date", "Vary", "A", "B", "X-One", "X-Two", "x-one", "Connection", "Set-Cookie"}
	values := []string{"", "1", "2", "one", "two", "a longer one"}
	for seed := range uint64(sim.Seeds(300)) {
		w, rnd := &newExchange().res, rand.New(rand.NewPCG(seed, 0))
		var usual [][2]string // a handler does mostly the same
		for range 40 {
			var want [][2]string
			for i := range rnd.IntN(6) {
				name, value := names[rnd.IntN(len(names))], values[rnd.IntN(len(values))]
				if i < len(usual) && rnd.IntN(3) > 0 {
					name, value = usual[i][0], usual[i][1]
				}
				if len(want) > 0 && rnd.IntN(4) == 0 { // the same again
					name, value = want[0][0], want[0][1]
				}
				if name == "Connection" {
					value = "keep-alive, x" // without another option it is the server's alone
				}
				want = changeLines(w, rnd, want, name, value)
			}
			usual = want
			checkLines(t, seed, w, want)
			w.recycle()
		}
	}
}

// changeLines changes the fields of w, and the list of them, and returns that.
func changeLines(w *Response, rnd *rand.Rand, lines [][2]string, name, value string) [][2]string {
	switch rnd.IntN(6) {
	case 0:
		w.DelHeader(name)
		return without(lines, name)
	case 1, 2:
		w.AddHeader(name, value)
		if parser.EqualFold(name, "Date") { // of which there is only one
			lines = without(lines, name)
		}
	case 3:
		c := &Cookie{Name: fmt.Sprint("c", rnd.IntN(3)), Value: fmt.Sprint(rnd.IntN(2))}
		w.SetCookie(c)
		name, value = setCookie, string(c.appendTo(nil))
		lines = slices.DeleteFunc(lines, func(l [2]string) bool {
			return parser.EqualFold(l[0], setCookie) && strings.HasPrefix(l[1], c.Name+"=")
		})
	default:
		w.SetHeader(name, value)
		lines = without(lines, name)
	}
	return append(lines, [2]string{name, value})
}

func checkLines(t *testing.T, seed uint64, w *Response, want [][2]string) {
	t.Helper()
	var wire strings.Builder
	for _, l := range want {
		wire.WriteString(l[0] + ": " + l[1] + "\r\n")
	}
	if got := string(w.fields.b); got != wire.String() {
		t.Fatalf("seed %d: %q, want %q", seed, got, wire.String())
	}
	var got [][2]string
	for name, value := range w.Headers() {
		got = append(got, [2]string{name, value})
	}
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d: the lines are %q, want %q", seed, got, want)
	}
	own := slices.ContainsFunc(want, func(l [2]string) bool { return parser.EqualFold(l[0], "Date") })
	if own != (w.flags&ownDate != 0) {
		t.Fatalf("seed %d: Date is the handler's: %t, and the lines are %q", seed, !own, want)
	}
}

func without(lines [][2]string, name string) [][2]string {
	return slices.DeleteFunc(lines, func(l [2]string) bool { return parser.EqualFold(l[0], name) })
}

// A field that the answer before has left costs no copy, and one that differs is checked again.
func TestFieldLinesAgain(t *testing.T) {
	w := &newExchange().res
	w.SetHeader("Content-Type", "text/plain")
	w.SetHeader("X-A", "1")
	w.recycle()
	w.SetHeader("Content-Type", "text/plain")
	if w.fields.left != 2 {
		t.Errorf("%d lines are left, want 2", w.fields.left)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a name that is not a token was taken")
			}
		}()
		w.SetHeader("X A", "1")
	}()
	if got, want := string(w.fields.b), "Content-Type: text/plain\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The text of a Content-Length is that of strconv.
func TestAppendLength(t *testing.T) {
	for n := int64(0); n >= 0; n = n*3 + 1 {
		for _, n := range []int64{n, max(n, 1) - 1, 1<<63 - 1} {
			if got, want := string(appendLength([]byte("x"), n)), fmt.Sprintf("x%d\r\n", n); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
	}
}
