package parser

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"testing"
)

// TestRunsEndWhereByteByByteDoes holds the loops that take several bytes at a time against the table: every byte, at every
// place of a run, behind beginnings of every length that their steps can tell apart.
func TestRunsEndWhereByteByByteDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(splitSeed, 3))
	for _, of := range []uint16{isToken, isPath, isQuery, isHost, isName, isScheme, isHex, isValue} {
		var members []byte
		for c := range 256 {
			if class[c]&of != 0 {
				members = append(members, byte(c))
			}
		}
		for n := range 20 {
			for place := range n {
				for c := range 256 {
					w := make([]byte, n)
					for i := range w {
						if w[i] = 'a'; r.IntN(4) == 0 {
							w[i] = members[r.IntN(len(members))]
						}
					}
					w[place] = byte(c)
					want := r.IntN(place + 1)
					begin := want
					for want < n && class[w[want]]&of != 0 {
						want++
					}
					if got := runEnd(w, begin, of); got != want {
						t.Fatalf("class %#x, %q from %d: ends at %d, want %d", of, w, begin, got, want)
					}
					if of != isValue {
						continue
					}
					if got := valueEnd(w, begin); got != want {
						t.Fatalf("value %q from %d: ends at %d, want %d", w, begin, got, want)
					}
				}
			}
		}
	}
}

// TestNotText holds the lowest mark of a word against its bytes, one after the other: each pair of neighbours at each place.
func TestNotText(t *testing.T) {
	plain := func(c byte) bool { return c >= ' ' && c < 0x7f }
	for place := range 7 {
		for pair := range 1 << 16 {
			b := []byte("~ ~ ~ ~ ")
			b[place], b[place+1] = byte(pair), byte(pair>>8)
			want := 0
			for want < 8 && plain(b[want]) {
				want++
			}
			if got := bits.TrailingZeros64(notText(binary.LittleEndian.Uint64(b))) / 8; got != want {
				t.Fatalf("%q: marked first at %d, want %d", b, got, want)
			}
		}
	}
}
