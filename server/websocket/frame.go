package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Frames (RFC 6455, 5): bytes in, events out, without I/O. What it reports does not depend on how the bytes were split.

type opcode uint8

const (
	opContinuation opcode = 0
	opText         opcode = 1
	opBinary       opcode = 2
	opClose        opcode = 8
	opPing         opcode = 9
	opPong         opcode = 10
)

func (op opcode) control() bool { return op >= opClose }

func (op opcode) known() bool { return op <= opBinary || op >= opClose && op <= opPong }

// maxControl is the longest payload of a control frame.
const maxControl = 125

// decoder splits what a client sends into frames.
type decoder struct {
	rsv1 bool // was agreed on: a first frame may have it

	fin, compressed bool // of the present frame
	fragmented      bool // a message has begun and not ended
	op              opcode
	inPayload       bool
	n               uint8 // of head that have come
	head            [14]byte
	mask            [4]byte
	at              uint8 // in mask
	left            int64 // of the payload
}

type event uint8

const (
	needMore event = iota
	frameHead
	framePayload
	frameEnd
)

// next reads from p, and returns what it has found and how much of p that was. A payload is unmasked in place. Between
// events of a frame, frameEnd comes last, also behind an empty payload.
func (d *decoder) next(p []byte) (ev event, n int, err *CloseError) {
	if d.inPayload {
		if d.left == 0 {
			d.inPayload, d.n = false, 0
			return frameEnd, 0, nil
		}
		n = int(min(int64(len(p)), d.left))
		if n == 0 {
			return needMore, 0, nil
		}
		d.unmask(p[:n])
		d.left -= int64(n)
		return framePayload, n, nil
	}
	if d.n == 0 && len(p) >= 2 {
		return d.headAtOnce(p)
	}
	for n < len(p) {
		d.head[d.n] = p[n]
		d.n++
		n++
		if d.n == 1 {
			if err := d.first(); err != nil {
				return needMore, n, err
			}
		}
		if d.n == 2 {
			if err := d.second(); err != nil {
				return needMore, n, err
			}
		}
		if d.n >= 2 && int(d.n) == d.size() {
			if err := d.whole(); err != nil {
				return needMore, n, err
			}
			return frameHead, n, nil
		}
	}
	return needMore, n, nil
}

// headAtOnce is next for a head of which two bytes at least are there. Mostly all of it is.
func (d *decoder) headAtOnce(p []byte) (ev event, n int, err *CloseError) {
	d.head[0], d.head[1], d.n = p[0], p[1], 2
	if err := d.first(); err != nil {
		return needMore, 1, err
	}
	if err := d.second(); err != nil {
		return needMore, 2, err
	}
	n = d.size()
	if n > len(p) {
		d.n = uint8(copy(d.head[:], p))
		return needMore, len(p), nil
	}
	d.n = uint8(copy(d.head[:n], p))
	if err := d.whole(); err != nil {
		return needMore, n, err
	}
	return frameHead, n, nil
}

// first judges the first byte.
func (d *decoder) first() *CloseError {
	b := d.head[0]
	d.fin, d.op, d.compressed = b&0x80 != 0, opcode(b&0x0f), b&0x40 != 0
	switch {
	case !d.op.known():
		return violation("reserved opcode")
	case b&0x30 != 0:
		return violation("reserved bit")
	case d.compressed && (!d.rsv1 || d.op.control() || d.op == opContinuation):
		return violation("reserved bit 1")
	case d.op.control() && !d.fin:
		return violation("fragmented control frame")
	case d.op == opContinuation && !d.fragmented:
		return violation("continuation of nothing")
	case (d.op == opText || d.op == opBinary) && d.fragmented:
		return violation("a message within a message")
	}
	return nil
}

// second judges the second byte.
func (d *decoder) second() *CloseError {
	switch {
	case d.head[1]&0x80 == 0:
		return violation("not masked")
	case d.op.control() && d.head[1]&0x7f > maxControl:
		return violation("long control frame")
	}
	return nil
}

// size is how long the head is.
func (d *decoder) size() int {
	switch d.head[1] & 0x7f {
	case 126:
		return 8
	case 127:
		return 14
	}
	return 6
}

// whole takes a head that is complete.
func (d *decoder) whole() *CloseError {
	length := uint64(d.head[1] & 0x7f)
	switch length {
	case 126:
		if length = uint64(binary.BigEndian.Uint16(d.head[2:])); length < 126 {
			return violation("length not minimal")
		}
	case 127:
		if length = binary.BigEndian.Uint64(d.head[2:]); length < 1<<16 || length >= 1<<63 {
			return violation("bad length")
		}
	}
	copy(d.mask[:], d.head[d.n-4:d.n])
	d.at, d.left, d.inPayload = 0, int64(length), true
	if !d.op.control() {
		d.fragmented = !d.fin
	}
	return nil
}

// unmask unmasks eight bytes at a time.
func (d *decoder) unmask(p []byte) {
	var key [8]byte
	for i := range key {
		key[i] = d.mask[(int(d.at)+i)&3]
	}
	d.at = uint8((int(d.at) + len(p)) & 3)
	k := binary.LittleEndian.Uint64(key[:])
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^k)
		p = p[8:]
	}
	for i := range p {
		p[i] ^= key[i&7]
	}
}

// appendHead appends the head of a frame of ours, which is not masked.
func appendHead(b []byte, op opcode, compressed bool, n int) []byte {
	first := 0x80 | byte(op)
	if compressed {
		first |= 0x40
	}
	switch {
	case n <= maxControl:
		return append(b, first, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, first, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(b, first, 127), uint64(n))
}

// utf8Check checks text as it comes. The zero value is at the beginning of a character.
type utf8Check struct{ need, lo, hi uint8 }

// write reports whether the text may go on with p. It fails at the first byte that cannot be.
func (u *utf8Check) write(p []byte) bool {
	for len(p) > 0 && u.need > 0 {
		if !u.step(p[0]) {
			return false
		}
		p = p[1:]
	}
	if utf8.Valid(p) {
		return true
	}
	for len(p) > 0 {
		r, n := utf8.DecodeRune(p)
		if r == utf8.RuneError && n == 1 {
			break
		}
		p = p[n:]
	}
	for _, c := range p {
		if !u.step(c) {
			return false
		}
	}
	return true
}

// whole reports whether no character is cut off.
func (u *utf8Check) whole() bool { return u.need == 0 }

// step takes one byte: table 3-7 of the Unicode standard.
func (u *utf8Check) step(c byte) bool {
	if u.need > 0 {
		if c < u.lo || c > u.hi {
			return false
		}
		u.need--
		u.lo, u.hi = 0x80, 0xbf
		return true
	}
	u.lo, u.hi = 0x80, 0xbf
	switch {
	case c < 0x80:
	case c >= 0xc2 && c <= 0xdf:
		u.need = 1
	case c >= 0xe0 && c <= 0xef:
		u.need = 2
		if c == 0xe0 {
			u.lo = 0xa0
		} else if c == 0xed {
			u.hi = 0x9f
		}
	case c >= 0xf0 && c <= 0xf4:
		u.need = 3
		if c == 0xf0 {
			u.lo = 0x90
		} else if c == 0xf4 {
			u.hi = 0x8f
		}
	default:
		return false
	}
	return true
}
