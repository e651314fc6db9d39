package router

// The literal children of a node are found in three ways, as the segment at hand allows. A few are compared in
// turn, many are found by hash, and a segment that holds percent-escapes, which has no text to hash before it
// is decoded, is compared while it is being decoded, by binary search. None of them allocates.

import "slices"

// scanLimit is the number of children up to which comparing with each costs no more than hashing does.
const scanLimit = 8

// children maps what literal segments decode to, to nodes. The zero value is empty.
type children struct {
	texts  []string // sorted
	nodes  []*node  // nodes[i] belongs to texts[i]
	byText map[string]*node
}

// get returns the child for text, or nil.
func (c *children) get(text string) *node {
	if i, ok := slices.BinarySearch(c.texts, text); ok {
		return c.nodes[i]
	}
	return nil
}

// find returns the child for a segment that holds no escapes, or nil.
func (c *children) find(seg []byte) *node {
	if len(c.texts) > scanLimit {
		return c.byText[string(seg)]
	}
	for i, text := range c.texts {
		if string(seg) == text {
			return c.nodes[i]
		}
	}
	return nil
}

// findEscaped returns the child for what seg decodes to, or nil. Its escapes must be well-formed.
func (c *children) findEscaped(seg []byte) *node {
	if i, ok := slices.BinarySearchFunc(c.texts, seg, compareEscaped); ok {
		return c.nodes[i]
	}
	return nil
}

// grow returns the child for text, which it makes if there is none.
func (c *children) grow(text string) *node {
	i, ok := slices.BinarySearch(c.texts, text)
	if ok {
		return c.nodes[i]
	}
	n := new(node)
	c.texts = slices.Insert(c.texts, i, text)
	c.nodes = slices.Insert(c.nodes, i, n)
	if c.byText == nil {
		c.byText = make(map[string]*node)
	}
	c.byText[text] = n
	return n
}

// each calls yield for each child, in order, until it returns false, and then returns false too.
func (c *children) each(yield func(*node) bool) bool {
	for _, n := range c.nodes {
		if !yield(n) {
			return false
		}
	}
	return true
}
