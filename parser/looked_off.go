//go:build !parser_looked

package parser

// looked says that n bytes were looked at. It does nothing, but in the test that counts them: see looked_on.go.
func looked(n int) {}

// lookedTo says that the bytes from w[begin] to w[end] were looked at, the one that ends the run among them if it is there.
func lookedTo(w []byte, begin, end int) {}

// lookedFor says that the bytes of b up to the first c were looked at.
func lookedFor(c byte, b []byte) {}
