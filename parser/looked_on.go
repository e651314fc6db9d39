//go:build parser_looked

package parser

import "bytes"

// With the build tag parser_looked the parser counts the bytes that it looks at; looked_test.go holds the sum against
// the law. Each place that reads a byte of the caller says so, by these rules: a byte that is read again counts again, if
// it is also decided about elsewhere; the byte at which a run ends counts once, for the run and for the decision that it
// brings; of a word that is read whole those bytes count that come before what is found in it, and the found one.

var lookedAt int

func looked(n int) { lookedAt += n }

func lookedTo(w []byte, begin, end int) { looked(min(end+1, len(w)) - begin) }

func lookedFor(c byte, b []byte) {
	if i := bytes.IndexByte(b, c); i >= 0 {
		b = b[:i+1]
	}
	looked(len(b))
}
