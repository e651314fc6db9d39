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

// outputs is the pool of the connections' own buffers, and outputMin the least room of one.
var outputs bytebufferpool.Pool

const outputMin = 512

// takeBuffer gets an empty buffer with room for n bytes. One that is not for the pool in the end is not of it either, and no
// larger than it must be. How much room a buffer has decides what a write takes along, and the pool forgets when the collector
// likes; so a simulation, which is to be the same each time, has a list of its own.
func (r *Reactor) takeBuffer(n int) *bytebufferpool.ByteBuffer {
	var b *bytebufferpool.ByteBuffer
	switch last := len(r.spare) - 1; {
	case n > outputKeep:
		r.held += n
		return &bytebufferpool.ByteBuffer{B: make([]byte, 0, n)}
	case r.real:
		b = outputs.Get()
	case last >= 0:
		b = r.spare[last]
		r.spare = r.spare[:last]
	default:
		b = &bytebufferpool.ByteBuffer{}
	}
	if cap(b.B) < n || cap(b.B) == 0 {
		b.B = make([]byte, 0, max(n, outputMin))
	}
	r.held += cap(b.B)
	return b
}

// giveBuffer gives it back.
func (r *Reactor) giveBuffer(b *bytebufferpool.ByteBuffer) {
	r.held -= cap(b.B)
	switch {
	case cap(b.B) > outputKeep:
	case r.real:
		b.B = b.B[:cap(b.B)] // the pool keeps what is as large as most: that is to be the room, and not what lay in it
		outputs.Put(b)
	default:
		b.Reset()
		r.spare = append(r.spare, b)
	}
}
