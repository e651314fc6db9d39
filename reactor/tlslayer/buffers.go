package tlslayer

// The buffers of a loop, which its connections share. Each is taken while it is used, so that one
// connection inside another (TLS in TLS) gets a second one; and one that a panic has kept from
// coming back is not used again, so that what is in it is never seen by another connection.

import "microhttp/reactor"

const (
	plainSize  = 64 << 10  // what one read of the transport below may hold
	cipherSize = 272 << 10 // encryptMost as records, whatever their length
	rawSize    = 20 << 10  // a record, and what bytes.Buffer wants beyond it
	smallMin   = 1 << 10
	smallMost  = 32 << 10 // larger ones are not kept
	smallKept  = 64
)

type loopBuffers struct {
	plain  []byte
	raw    []byte // of crypto/tls, see lend.go
	tail   []byte
	cipher []byte
	file   []byte
	smalls [][]byte
}

type buffersKey struct{}

func buffersOf(r *reactor.Reactor) *loopBuffers {
	return r.Local(buffersKey{}, func() any { return &loopBuffers{} }).(*loopBuffers)
}

// take takes a buffer out of where it is kept.
func take(from *[]byte, size int) []byte {
	b := *from
	*from = nil
	if b == nil {
		b = make([]byte, size)
	}
	return b
}

func (l *loopBuffers) takeRaw() []byte { return take(&l.raw, rawSize) }

func (l *loopBuffers) giveRaw(b []byte) {
	if cap(b) >= rawSize && cap(b) <= 2*rawSize {
		l.raw = b[:cap(b)]
	}
}

func (l *loopBuffers) takePlain() []byte  { return take(&l.plain, plainSize) }
func (l *loopBuffers) givePlain(b []byte) { l.plain = b }

func (l *loopBuffers) takeCipher() []byte  { return take(&l.cipher, cipherSize)[:0] }
func (l *loopBuffers) giveCipher(b []byte) { l.cipher = b[:cap(b)] }

func (l *loopBuffers) takeFile() []byte  { return take(&l.file, filePiece) }
func (l *loopBuffers) giveFile(b []byte) { l.file = b }

// small returns an empty buffer with room for n bytes.
func (l *loopBuffers) small(n int) []byte {
	if last := len(l.smalls) - 1; last >= 0 && cap(l.smalls[last]) >= n {
		b := l.smalls[last]
		l.smalls[last] = nil
		l.smalls = l.smalls[:last]
		return b
	}
	return make([]byte, 0, max(n, smallMin))
}

func (l *loopBuffers) giveSmall(b []byte) {
	if cap(b) > 0 && cap(b) <= smallMost && len(l.smalls) < smallKept {
		l.smalls = append(l.smalls, b[:0])
	}
}
