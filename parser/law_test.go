package parser

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// The first law: the events of a message, its error among them, are the events of any split of it. It is held over all
// vectors, over garbled ones, and by the fuzzer over whatever it finds.

const (
	splitSeed   = 1     // change it to look elsewhere; a failure prints its cuts, not the seed
	randomCuts  = 20    // random splits of each message
	wholeSplits = 2_000 // messages up to this length are cut at every offset
)

func TestEventsDoNotDependOnSplits(t *testing.T) {
	r := rand.New(rand.NewPCG(splitSeed, 0))
	for _, v := range loadVectors(t) {
		checkSplits(t, r, v.limits, v.message)
	}
}

// garbage are bytes that break something nearly wherever they stand.
var garbage = []byte("\x00\t\n\r \"%,/:;=@[\\]a1\x7f\x80")

// TestGarbledMessages breaks one byte of each vector at a time, so that errors stand in every place.
func TestGarbledMessages(t *testing.T) {
	r := rand.New(rand.NewPCG(splitSeed, 1))

	times := 4
	if raceEnabled { // ten times slower, and there is nothing here that could race
		times = 1
	}
	for _, v := range loadVectors(t) {
		for range times {
			m := slices.Clone(v.message)
			m[r.IntN(len(m))] = garbage[r.IntN(len(garbage))]
			checkSplits(t, r, v.limits, m)
		}
	}
}

// checkSplits holds the whole message against every split in two, against single bytes, and against random splits.
func checkSplits(t testing.TB, r *rand.Rand, limits *Limits, message []byte) {
	t.Helper()
	want := transcript(t, limits, message, nil)
	check := func(cuts ...int) {
		t.Helper()
		if got := transcript(t, limits, message, cuts); !slices.Equal(got, want) {
			t.Fatalf("%q\ncut at %v:\n\t%s\nwhole:\n\t%s", message, cuts,
				strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
	var each []int
	for i := 1; i < min(len(message), wholeSplits); i++ {
		each = append(each, i)
		check(i)
	}
	check(each...)
	for range randomCuts {
		var cuts []int
		for range 1 + r.IntN(5) {
			cuts = append(cuts, r.IntN(len(message)+1))
		}
		slices.Sort(cuts)
		check(cuts...)
	}
}
