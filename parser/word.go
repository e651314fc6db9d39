package parser

// A word is a token in lower case as a number of 16 bytes, with its length: it is made while the token is read, so its
// bytes need no second look to be compared with those that mean something. Of a longer token the end is kept alone; its
// length tells it apart.
type word struct {
	high, low uint64
	len       int
}

// add puts c behind w.
func (w *word) add(c byte) {
	w.high = w.high<<8 | w.low>>56
	w.low = w.low<<8 | uint64(lower[c])
	w.len++
}

func wordOf(s string) (w word) {
	for i := range len(s) {
		w.add(s[i])
	}
	return w
}

// member reads the member of a comma-separated list that begins at v[i], and returns it and the index of the comma behind
// it, or len(v). It is empty if there is nothing but white space. ok tells whether it is a token.
func member(v []byte, i int) (m word, end int, ok bool) {
	ended := false
	for ; i < len(v); i++ {
		c := v[i]
		looked(1)
		switch {
		case class[c]&isToken != 0 && !ended:
			m.add(c)
		case c == ',':
			return m, i, true
		case !isSpace(c):
			return m, i, false
		default:
			ended = m.len > 0
		}
	}
	return m, i, true
}
