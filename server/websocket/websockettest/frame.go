package websockettest

import (
	"encoding/binary"
	"fmt"
	"io"

	"microhttp/server/websocket"
)

// Opcode is what a frame is (RFC 6455, 5.2).
type Opcode uint8

// The opcodes that are defined.
const (
	OpContinuation Opcode = 0
	OpText         Opcode = 1
	OpBinary       Opcode = 2
	OpClose        Opcode = 8
	OpPing         Opcode = 9
	OpPong         Opcode = 10
)

// Frame is one frame. Any combination can be sent, also those that are forbidden.
type Frame struct {
	Fin              bool
	RSV1, RSV2, RSV3 bool
	Opcode           Opcode // the lower four bits count
	Payload          []byte
	Unmasked         bool // a client must not
	Length           int  // in how many bytes the length is sent: 1, 2 or 8; 0 is the shortest
}

// String says what f is, for error messages.
func (f Frame) String() string {
	return fmt.Sprintf("frame %02x %.40q", f.first(), f.Payload)
}

// Text is a whole message of text, which need not be UTF-8.
func Text(s string) Frame { return Frame{Fin: true, Opcode: OpText, Payload: []byte(s)} }

// Binary is a whole message.
func Binary(s string) Frame { return Frame{Fin: true, Opcode: OpBinary, Payload: []byte(s)} }

// Ping is a ping.
func Ping(s string) Frame { return Frame{Fin: true, Opcode: OpPing, Payload: []byte(s)} }

// CloseFrame is a close frame with a code, which need not be valid. With CloseNoCode it has no payload.
func CloseFrame(code int, reason string) Frame {
	f := Frame{Fin: true, Opcode: OpClose}
	if code != websocket.CloseNoCode || reason != "" {
		f.Payload = append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
	}
	return f
}

func (f *Frame) first() byte {
	b := byte(f.Opcode & 15)
	for bit, set := range map[byte]bool{0x80: f.Fin, 0x40: f.RSV1, 0x20: f.RSV2, 0x10: f.RSV3} {
		if set {
			b |= bit
		}
	}
	return b
}

// Append appends f as it stands on the wire. The masking key is always the same.
func (f Frame) Append(b []byte) []byte {
	n, mask := len(f.Payload), byte(0x80)
	if f.Unmasked {
		mask = 0
	}
	b = append(b, f.first())
	switch {
	case f.Length == 8 || f.Length == 0 && n >= 1<<16:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	case f.Length == 2 || f.Length == 0 && n > 125:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = append(b, mask|byte(n)&127)
	}
	if f.Unmasked {
		return append(b, f.Payload...)
	}
	key := [4]byte{0x01, 0x80, 0x7f, 0xaa}
	b = append(b, key[:]...)
	for i, c := range f.Payload {
		b = append(b, c^key[i&3])
	}
	return b
}

// WriteFrame sends a frame as it is.
func (c *Client) WriteFrame(f Frame) error { return c.Write(f.Append(nil)) }

// Write sends bytes as they are.
func (c *Client) Write(p []byte) error {
	c.renew()
	_, err := c.conn.Write(p)
	return err
}

// maxFrame bounds what ReadFrame takes, so that a broken length does not end the test's memory.
const maxFrame = 64 << 20

// ReadFrame reads the next frame, and checks what must hold for each one that a server sends (RFC 6455, 5). Its payload is
// the caller's. The end of the connection between frames is io.EOF.
func (c *Client) ReadFrame() (f Frame, err error) {
	if c.peeked != nil {
		f, c.peeked = *c.peeked, nil
		return f, nil
	}
	c.renew()
	var head [2]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return f, err
	}
	b := head[0]
	f.Fin, f.RSV1, f.RSV2, f.RSV3 = b&0x80 != 0, b&0x40 != 0, b&0x20 != 0, b&0x10 != 0
	f.Opcode = Opcode(b & 15)
	n := uint64(head[1] & 127)
	var long [8]byte
	switch n {
	case 126:
		_, err = io.ReadFull(c.r, long[6:])
		n = binary.BigEndian.Uint64(long[:])
		if err == nil && n <= 125 {
			err = broken("a length that is not minimal")
		}
	case 127:
		_, err = io.ReadFull(c.r, long[:])
		n = binary.BigEndian.Uint64(long[:])
		if err == nil && n < 1<<16 {
			err = broken("a length that is not minimal")
		}
	}
	control := f.Opcode >= OpClose
	switch {
	case err != nil:
	case head[1]&0x80 != 0:
		err = broken("a masked frame")
	case f.RSV2, f.RSV3, f.RSV1 && (c.deflate == nil || control || f.Opcode == OpContinuation):
		err = broken("a reserved bit in %02x", b)
	case f.Opcode > OpPong, f.Opcode > OpBinary && !control:
		err = broken("the opcode %d", f.Opcode)
	case control && (!f.Fin || n > 125):
		err = broken("a control frame of %d bytes, whole: %t", n, f.Fin)
	case n > maxFrame:
		err = broken("a frame of %d bytes", n)
	}
	if err == nil {
		f.Payload = make([]byte, n)
		_, err = io.ReadFull(c.r, f.Payload)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return f, err
}

// PeekFrame is ReadFrame of a frame that the next ReadFrame or ReadMessage returns again.
func (c *Client) PeekFrame() (Frame, error) {
	f, err := c.ReadFrame()
	if err == nil {
		c.peeked = &f
	}
	return f, err
}
