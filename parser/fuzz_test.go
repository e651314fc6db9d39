package parser

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// FuzzParser feeds anything, in any pieces: the parser must not panic, its answers must be consistent with themselves
// (transcript checks that), and no split may change them. Small limits put every bound within the fuzzer's reach.
func FuzzParser(f *testing.F) {
	for i, v := range loadVectors(f) {
		if i%3 == 0 { // a third is enough to begin with, and quicker to run through
			f.Add(v.message, uint64(i), v.limits != nil)
		}
	}
	tight := &Limits{
		Head: 200, FieldLines: 4, Target: 20, Body: 20, ChunkExtensions: 8, Trailer: 40, BlankLines: 1,
	}
	f.Fuzz(func(t *testing.T, message []byte, seed uint64, tightly bool) {
		var limits *Limits
		if tightly {
			limits = tight
		}
		want := transcript(t, limits, message, nil)
		r := rand.New(rand.NewPCG(seed, 0))
		var cuts []int
		for range r.IntN(8) {
			cuts = append(cuts, r.IntN(len(message)+1))
		}
		slices.Sort(cuts)
		if got := transcript(t, limits, message, cuts); !slices.Equal(got, want) {
			t.Errorf("%q\ncut at %v:\n\t%s\nwhole:\n\t%s", message, cuts,
				strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	})
}

// FuzzIPv6 holds the check of IP literals against netip, which knows zones besides.
func FuzzIPv6(f *testing.F) {
	for _, s := range []string{
		"::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8",
		"::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3", "::01.2.3.4", "::1.2.3.256", ":::", "1:", ":1", "12345::",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		addr, err := netip.ParseAddr(s)
		want := err == nil && addr.Is6() && addr.Zone() == ""
		if got := ipv6Len([]byte(s)) == len(s); got != want {
			t.Errorf("ipv6Len(%q) = %v", s, got)
		}
	})
}
