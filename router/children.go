package router

// Texts without escapes are found by their first and last eight bytes, held as words: a segment of a request's path is
// read as words anyway, to see where it ends, and up to sixteen bytes two words and a size are all of it. A hash of the
// three leads to a slot of an open table that is at most half full. So it costs the same among two texts and among
// thousands, and nothing that a peer sends can make a chain longer: chains are made of what was registered.
//
// A segment that holds percent-escapes has no words before it is decoded. It is compared while it is being decoded, by
// binary search. Neither way allocates.

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
)

// A key is what a text without escapes is compared by. If it is longer than two words, the text has the last word.
type key struct {
	first, last uint64 // its first and last eight bytes, filled up with zeros; last is only set beyond eight
	size        int
}

// whole is the longest text that a key holds all of.
const whole = 16

// keyOf returns the key of text.
func keyOf(text []byte) key {
	k := key{size: len(text)}
	k.first, _ = wordAt(text, 0)
	if len(text) > 8 {
		k.last = binary.LittleEndian.Uint64(text[len(text)-8:])
	}
	return k
}

// hash spreads keys over all bits; the high ones are the best. The factor is 2^64 divided by the golden ratio (Knuth,
// The Art of Computer Programming, volume 3, section 6.4).
func (k key) hash() uint64 {
	return (k.first ^ bits.RotateLeft64(k.last, 29) ^ uint64(k.size)<<56) * 0x9e3779b97f4a7c15
}

// slot is a place in an open table of nodes, which is a power of two of them, or none. The table's shift takes the high
// bits of a hash, as many as there are slots. A slot is empty if node is nil; then a chain ends.
type slot struct {
	key  key
	node *node
}

// addSlot adds n, whose key must not be there yet, to a table of count nodes.
func addSlot(at []slot, shift uint8, count int, k key, n *node) ([]slot, uint8) {
	if 2*(count+1) > len(at) {
		old := at
		log := bits.Len(uint(2*count + 1))
		at, shift = make([]slot, 1<<log), uint8(64-log)
		for _, s := range old {
			if s.node != nil {
				putSlot(at, shift, s)
			}
		}
	}
	putSlot(at, shift, slot{k, n})
	return at, shift
}

func putSlot(at []slot, shift uint8, s slot) {
	i := int(s.key.hash() >> shift)
	for at[i&(len(at)-1)].node != nil {
		i++
	}
	at[i&(len(at)-1)] = s
}

// find returns the literal child of n for text, which holds no escapes and whose key is k, or nil.
func (n *node) find(k key, text []byte) *node {
	at := n.at
	if len(at) == 0 {
		return nil
	}
	for i := int(k.hash() >> n.shift); ; i++ {
		s := &at[i&(len(at)-1)]
		if s.key == k && (k.size <= whole || s.node.text == string(text)) {
			return s.node
		}
		if s.node == nil {
			return nil
		}
	}
}

// findEscaped returns the literal child of n for what seg decodes to, or nil. Its escapes must be well-formed.
func (n *node) findEscaped(seg []byte) *node {
	i, ok := slices.BinarySearchFunc(n.sorted, seg, func(c *node, seg []byte) int { return compareEscaped(c.text, seg) })
	if !ok {
		return nil
	}
	return n.sorted[i]
}

// get returns the literal child of n for text, or nil.
func (n *node) get(text string) *node { return n.find(keyOf([]byte(text)), []byte(text)) }

// child is get, and makes the child if there is none.
func (n *node) child(text string) *node {
	c := n.get(text)
	if c == nil {
		c = newNode()
		c.text = text
		n.at, n.shift = addSlot(n.at, n.shift, len(n.sorted), keyOf([]byte(text)), c)
		i, _ := slices.BinarySearchFunc(n.sorted, text, func(c *node, text string) int { return strings.Compare(c.text, text) })
		n.sorted = slices.Insert(n.sorted, i, c)
	}
	return c
}

// paths finds the nodes at which paths end that are literal throughout, by the whole path: there is no need to walk
// to them. The zero value is empty.
type paths struct {
	at    []slot
	shift uint8
	count int
	sizes [4]uint64 // a bit for each size up to 255 that a path has
}

// find returns the node at which path ends, or nil if it is not known as a whole.
func (p *paths) find(path []byte) *node {
	at, size := p.at, len(path)
	if len(at) == 0 || size < 64*len(p.sizes) && p.sizes[size/64]>>(size%64)&1 == 0 {
		return nil
	}
	k := keyOf(path[1:])
	for i := int(k.hash() >> p.shift); ; i++ {
		s := &at[i&(len(at)-1)]
		if s.key == k && s.node != nil && (k.size <= whole || s.node.path == string(path)) {
			return s.node
		}
		if s.node == nil {
			return nil
		}
	}
}

// know adds n, at which path ends.
func (p *paths) know(path string, n *node) {
	if n.path == "" {
		n.path = path
		if i := len(path) / 64; i < len(p.sizes) {
			p.sizes[i] |= 1 << (len(path) % 64)
		}
		p.at, p.shift = addSlot(p.at, p.shift, p.count, keyOf([]byte(path[1:])), n)
		p.count++
	}
}
