package tlslayer

// The input buffer of crypto/tls. A tls.Conn keeps the largest that it ever had, up to 18 KiB, for
// as long as it lives, and nothing public gives it back. Between two reads it is empty, so all
// connections of a loop can use one. This file is the only one that looks into a tls.Conn. If Go
// changes its fields, nothing is lent, a test says so, and all else holds.

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"sync"
	"unsafe"
)

// rawInput and hand are where those fields of a tls.Conn begin: ciphertext that was read, and
// messages of a handshake. They are unlent when the fields are not what they were in Go 1.26.
//
// They are looked for by the first connection, and not when the program begins: a program that
// never makes one is then not linked with all methods of tls.Conn, which is a quarter of it.
var (
	rawInput, hand uintptr
	lookUp         sync.Once
)

const unlent = ^uintptr(0)

func findBuffers() { rawInput, hand = bufferAt("rawInput"), bufferAt("hand") }

func bufferAt(name string) uintptr {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	if !ok || f.Type != reflect.TypeFor[bytes.Buffer]() {
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

// shrink gives up what the handshake has needed.
func (e *engine) shrink() {
	if hand == unlent {
		return
	}
	if b := e.buffer(hand); b.Len() == 0 {
		*b = bytes.Buffer{}
	}
}
