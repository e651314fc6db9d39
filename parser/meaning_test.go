package parser

import "testing"

// TestNothingDoubtfulIsRefused proves that the table of refusals may be passed over when Host is there and nothing doubtful is.
func TestNothingDoubtfulIsRefused(t *testing.T) {
	for set := range 1 << 16 {
		if seen(set)&(seenHost|doubtful) != seenHost {
			continue
		}
		for _, r := range refusals {
			if seen(set)&r.of == r.are {
				t.Fatalf("%#x is passed over, and refused: %v", set, r.err)
			}
		}
	}
}
