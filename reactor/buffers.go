package reactor

// The connections' own buffers, for what their sockets do not take. They are pooled, but only small ones: a slow reader of a
// large answer should not leave its memory to a thousand slow readers of small ones.

import "github.com/valyala/bytebufferpool"

const (
	// outputKeep is the largest buffer that goes back to the pool.
	outputKeep = 32 << 10

	// outputShrink is from which size on a buffer is exchanged for a smaller one when a quarter of it is left to be sent.
	outputShrink = 64 << 10
)

// outputs is the pool of the connections' own buffers, and marks of those that only mark the place of a file.
var outputs, marks bytebufferpool.Pool

// markSize is the most room that a buffer of marks has: what the pool gives to a new one.
const markSize = 64

// takeBuffer gets an empty buffer for n bytes. One that is not for the pool in the end is not of it either, and no larger
// than it must be; and who only marks the place of a file needs no room. How much room a buffer has decides what a write
// takes along, and the pool forgets when the collector likes; so a simulation, which is to be the same each time, has a
// list of its own.
func (r *Reactor) takeBuffer(n int) *bytebufferpool.ByteBuffer {
	switch {
	case n > outputKeep:
		return &bytebufferpool.ByteBuffer{B: make([]byte, 0, n)}
	case r.real && n == 0:
		return marks.Get()
	case r.real:
		b := outputs.Get()
		if cap(b.B) <= markSize { // a new one; so small, it would go back as a mark
			b.B = make([]byte, 0, max(n, 8*markSize))
		}
		return b
	}
	if n := len(r.spare); n > 0 {
		b := r.spare[n-1]
		r.spare = r.spare[:n-1]
		return b
	}
	return &bytebufferpool.ByteBuffer{}
}

// giveBuffer gives it back.
func (r *Reactor) giveBuffer(b *bytebufferpool.ByteBuffer) {
	switch {
	case cap(b.B) > outputKeep:
	case r.real && cap(b.B) <= markSize:
		marks.Put(b)
	case r.real:
		outputs.Put(b)
	default:
		b.Reset()
		r.spare = append(r.spare, b)
	}
}
