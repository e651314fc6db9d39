package tlslayer

// The buffers of crypto/tls. A tls.Conn keeps the largest input buffer that it ever had, up to
// 18 KiB, for as long as it lives, and nothing public gives it back. Between two reads it is empty,
// so all connections of a loop can use one. During a handshake, crypto/tls makes three buffers that
// it throws away, 13 KiB with those that they have grown from. It is lent buffers of 2 and 4 KiB.
//
// This file is the only one that looks into a tls.Conn. If Go changes its fields, nothing is lent, a
// test says so, and all else holds.

import (
	"bytes"
	"crypto/tls"
	"io"
	"reflect"
	"sync"
	"unsafe"
)

// rawInput, hand and sendBuf are where those fields of a tls.Conn begin: ciphertext that was read,
// messages of a handshake, and records that are sent together. They are unlent when the fields are
// not what they were in Go 1.26.
//
// They are looked for by the first connection, and not when the program begins: a program that
// never makes one is then not linked with all methods of tls.Conn, which is a quarter of it.
var (
	rawInput, hand, sendBuf uintptr
	exchanges               bool // a bytes.Buffer that is reading can be given other memory
	lookUp                  sync.Once
)

const unlent = ^uintptr(0)

func findBuffers() {
	rawInput, hand = fieldAt[bytes.Buffer]("rawInput"), fieldAt[bytes.Buffer]("hand")
	sendBuf = fieldAt[[]byte]("sendBuf")
	exchanges = canExchange()
}

// canExchange reports whether an empty bytes.Buffer can be given other memory while its ReadFrom waits
// for its reader. It can, as long as ReadFrom keeps no slice of it meanwhile.
func canExchange() bool {
	var b bytes.Buffer
	var other [bytes.MinRead]byte
	n, err := b.ReadFrom(readerFunc(func([]byte) (int, error) {
		b = *bytes.NewBuffer(other[:0])
		other[0] = 'x'
		return 1, io.EOF
	}))
	return n == 1 && err == nil && b.String() == "x" && &b.Bytes()[0] == &other[0]
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func fieldAt[T any](name string) uintptr {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[T]() {
		return unlent
	}
	return f.Offset
}

// buffer is such a field of the connection.
//
// SAFETY: the field is a bytes.Buffer at that offset, as bufferAt has found by reflection. It is
// only reached while no method of the tls.Conn runs: the loop calls them one after another, after
// the handshake. So no lock of it is needed.
func (e *engine) buffer(at uintptr) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(e.conn), at))
}

// lend gives crypto/tls memory to read into, if it has none of its own, and reports whether it did.
func (e *engine) lend(p []byte) bool {
	if rawInput == unlent {
		return false
	}
	b := e.buffer(rawInput)
	if b.Cap() > 0 {
		return false
	}
	*b = *bytes.NewBuffer(p[:0])
	return true
}

// takeBack takes the memory back that was lent, or what crypto/tls had of its own, if nothing is
// left in it. It returns nil if there is: then crypto/tls keeps it, until a later call.
//
// SAFETY: plaintext that crypto/tls has not handed over lies in the same memory. There is none when
// a read has had room for more, which is the caller's to know.
func (e *engine) takeBack() (p []byte) {
	if rawInput == unlent {
		return nil
	}
	b := e.buffer(rawInput)
	if b.Len() > 0 {
		return nil
	}
	b.Reset()
	p = b.AvailableBuffer()
	*b = bytes.Buffer{}
	return p
}

// stepSize is the length of what is lent for a step of a handshake: the answer to a ClientHello, with
// a certificate of ECDSA, fits in. helloSize is that of the input buffer: a usual ClientHello fits in.
const (
	stepSize  = 4 << 10
	helloSize = 2 << 10
)

// stepBuffers and helloBuffers are the buffers that no handshake uses.
var (
	stepBuffers  = sync.Pool{New: func() any { return new([stepSize]byte) }}
	helloBuffers = sync.Pool{New: func() any { return new([helloSize]byte) }}
)

func takeStepBuffer() []byte  { return stepBuffers.Get().(*[stepSize]byte)[:0] }
func takeHelloBuffer() []byte { return helloBuffers.Get().(*[helloSize]byte)[:0] }

// giveStepBuffer gives p back, if it is one of either. One that had to grow is left to the collector.
func giveStepBuffer(p []byte) {
	switch cap(p) {
	case stepSize:
		stepBuffers.Put((*[stepSize]byte)(p[:stepSize]))
	case helloSize:
		helloBuffers.Put((*[helloSize]byte)(p[:helloSize]))
	}
}

// lendStep lends crypto/tls the buffers of a step of the handshake.
//
// SAFETY: as for buffer: the coroutine is suspended within a Read of e.mem, or has not begun. That Read
// gets the new place to read to from e.hs.into. crypto/tls looks at the other two again when it goes on.
func (e *engine) lendStep() {
	if rawInput != unlent && e.buffer(rawInput).Cap() == 0 {
		p := takeHelloBuffer()
		*e.buffer(rawInput) = *bytes.NewBuffer(p)
		e.hs.into = p[:cap(p)]
	}
	if hand != unlent && e.buffer(hand).Cap() == 0 {
		*e.buffer(hand) = *bytes.NewBuffer(takeStepBuffer())
	}
	if b := e.sending(); b != nil && *b == nil {
		e.mem.lent = takeStepBuffer()
		*b = e.mem.lent
	}
}

// takeBackStep takes back what is not needed until the next step: a handshake that waits for its
// peer keeps no buffer, unless a part of a record is in it. A flight that was sent is in e.mem.out,
// whose memory is given back when the loop has written it.
func (e *engine) takeBackStep() {
	if b := e.sending(); b != nil && e.mem.lent != nil {
		if len(*b) == 0 {
			*b = nil
		}
		if *b == nil {
			giveStepBuffer(e.mem.lent)
		}
		e.mem.lent = nil
	}
	e.shrink()
	if e.hs.over || exchanges && e.readsInput() {
		e.hs.into = nil
		giveStepBuffer(e.takeBack())
	}
}

// readsInput reports whether the Read of e.mem in which the handshake is suspended fills rawInput
// from its beginning, so that other memory does as well.
func (e *engine) readsInput() bool {
	if rawInput == unlent || len(e.hs.into) == 0 {
		return false
	}
	b := e.buffer(rawInput)
	room := b.AvailableBuffer()
	return cap(room) > 0 && cap(room) == b.Cap() && &e.hs.into[0] == &room[:1][0]
}

// sending is the field sendBuf.
func (e *engine) sending() *[]byte {
	if sendBuf == unlent {
		return nil
	}
	return (*[]byte)(unsafe.Add(unsafe.Pointer(e.conn), sendBuf))
}

// shrink takes back what collects messages of a handshake. crypto/tls copies each before it uses it.
func (e *engine) shrink() {
	if hand == unlent {
		return
	}
	if b := e.buffer(hand); b.Len() == 0 {
		b.Reset()
		giveStepBuffer(b.AvailableBuffer())
		*b = bytes.Buffer{}
	}
}
