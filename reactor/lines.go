package reactor

// Protocols of lines: Twisted's LineReceiver. What arrives is cut at a delimiter, and each line is handed over without it. In
// raw mode the bytes are handed over as they come, so that a protocol can mix both, as HTTP and SMTP do.
//
// The law is that the lines do not depend on how the bytes were cut on their way. So a pause, an end or another mode that is
// asked for in the middle of what one read gave holds for the rest of it, too: the rest is kept, and the connection is not
// read from before it was used.

import (
	"bytes"
	"net"
)

const (
	defaultDelimiter     = "\r\n"
	defaultMaxLineLength = 16 << 10 // Twisted's MAX_LENGTH

	// lineKeep is the room that is kept for the beginning of a line whatever its length.
	lineKeep = 1 << 10
)

// A LineReceiver is what a program writes for a connection that speaks in lines; NewLineProtocol makes a Protocol of it. Every
// method is called on the loop and must not block, as those of a Protocol. It may also be a RawDataReceiver, a
// LineLengthHandler, a HalfCloser, a CloseWriteHandler and a TimeoutHandler.
type LineReceiver interface {
	// ConnectionMade is called once, first.
	ConnectionMade(t *LineTransport)

	// LineReceived brings a line, without its delimiter. It may be empty. The bytes are lent: they belong to the loop again
	// when it returns.
	LineReceived(line []byte)

	// ConnectionLost is Protocol's. A line without its delimiter at the end of the bytes is dropped, see Unused.
	ConnectionLost(reason error)
}

// A RawDataReceiver is a LineReceiver that uses SetRawMode.
type RawDataReceiver interface {
	// RawDataReceived brings what has arrived, at least a byte. The bytes are lent. What belongs to lines again is given back
	// by SetLineMode.
	RawDataReceived(p []byte)
}

// A LineLengthHandler is a LineReceiver that decides what a line means that is longer than MaxLength. Without it the
// connection is ended by LoseConnection, as in Twisted.
type LineLengthHandler interface {
	// LineLengthExceeded is called once for the line, with its first MaxLength bytes, which are lent. The rest of it is
	// dropped, and the lines after it are handed over, unless it ends the connection. (Twisted's gets, and drops, what has
	// arrived by chance.)
	LineLengthExceeded(beginning []byte)
}

// LineOptions are the options of NewLineProtocol. Nil and the zero value are the defaults.
type LineOptions struct {
	// Delimiter ends each line. Default "\r\n".
	Delimiter string

	// MaxLength is the longest line, in bytes, without the delimiter. Default 16384.
	MaxLength int
}

// NewLineProtocol makes the Protocol of one connection, whose lines go to r.
func NewLineProtocol(r LineReceiver, o *LineOptions) Protocol {
	var options LineOptions
	if o != nil {
		options = *o
	}
	t := &LineTransport{receiver: r, most: orDefault(options.MaxLength, defaultMaxLineLength)}
	if t.delimiter = []byte(options.Delimiter); len(t.delimiter) == 0 {
		t.delimiter = []byte(defaultDelimiter)
	}
	return lineProtocol{t}.withOptional()
}

// A LineTransport is the Transport of a connection that speaks in lines. Where its methods differ from the Transport's below
// it, they hold for the lines that have arrived already, too.
type LineTransport struct {
	Transport
	receiver  LineReceiver
	delimiter []byte
	most      int    // bytes of a line
	kept      []byte // what has arrived and is not used
	rest      []byte // what is not used of what is being handed over
	scanned   int    // bytes of either, from its beginning, in which no delimiter begins
	skipping  bool   // the rest of a line that was too long is dropped
	raw       bool
	busy      bool // something is being handed over
	held      bool // PauseReading
	posted    bool // goOn is on its way
	over      bool // nothing more is handed over
	lost      bool
}

var _ Transport = (*LineTransport)(nil)

// SendLine writes a line and the delimiter. A delimiter in the line ends it there: what strangers have sent is to be checked
// first.
func (t *LineTransport) SendLine(line []byte) {
	if len(line) >= directSize {
		t.Send(Lent(line), Lent(t.delimiter))
		return
	}
	b := append(t.Room(len(line)+len(t.delimiter)), line...)
	t.Commit(append(b, t.delimiter...))
}

// SendLineString is SendLine of a string.
func (t *LineTransport) SendLineString(line string) {
	b := append(t.Room(len(line)+len(t.delimiter)), line...)
	t.Commit(append(b, t.delimiter...))
}

// SetRawMode has all that is not used yet handed to RawDataReceived, from when the callback returns on. It panics if the
// LineReceiver is no RawDataReceiver.
func (t *LineTransport) SetRawMode() {
	if _, ok := t.receiver.(RawDataReceiver); !ok {
		panic("reactor: SetRawMode without RawDataReceived")
	}
	t.raw = true
	t.soon()
}

// SetLineMode ends the raw mode. extra is what was handed to RawDataReceived and belongs to lines; it comes before all that
// is not used yet. It may be a part of what RawDataReceived is lent.
func (t *LineTransport) SetLineMode(extra []byte) {
	t.raw, t.scanned = false, 0
	switch {
	case len(extra) == 0:
	case t.busy && len(t.rest) == 0:
		t.rest = extra
	case t.busy:
		t.rest = append(bytes.Clone(extra), t.rest...)
	default:
		t.kept = append(bytes.Clone(extra), t.kept...)
	}
	t.soon()
}

// Unused returns what has arrived and was not handed over: the rest of what one read gave, and the beginning of a line. The
// bytes are lent.
func (t *LineTransport) Unused() []byte {
	if t.busy {
		return t.rest
	}
	return t.kept
}

// PauseReading is the Transport's, and holds for what has arrived already, too.
func (t *LineTransport) PauseReading() {
	t.held = true
	t.Transport.PauseReading()
}

// ResumeReading undoes PauseReading. What has arrived already comes first, in a callback of its own.
func (t *LineTransport) ResumeReading() {
	t.held = false
	if t.busy || len(t.kept) == 0 {
		t.Transport.ResumeReading()
		return
	}
	t.soon()
}

// PauseProducing, ResumeProducing and StopProducing are PauseReading, ResumeReading and LoseConnection.
func (t *LineTransport) PauseProducing() { t.PauseReading() }

// ResumeProducing is ResumeReading.
func (t *LineTransport) ResumeProducing() { t.ResumeReading() }

// StopProducing is LoseConnection.
func (t *LineTransport) StopProducing() { t.LoseConnection() }

// LoseConnection is the Transport's. What has arrived already is dropped.
func (t *LineTransport) LoseConnection() {
	t.drop()
	t.Transport.LoseConnection()
}

// AbortConnection is the Transport's. What has arrived already is dropped.
func (t *LineTransport) AbortConnection() {
	t.drop()
	t.Transport.AbortConnection()
}

// drop hands nothing more over.
func (t *LineTransport) drop() {
	t.over = true
	t.rest, t.kept, t.scanned = nil, nil, 0
}

// SetProtocol is the Transport's. What was not handed over follows rest: p gets both in one DataReceived.
func (t *LineTransport) SetProtocol(p Protocol, rest []byte) {
	if source, ok := sourceOf(t); t.lost || ok && source.flags&gone != 0 {
		return
	}
	if unused := t.Unused(); len(rest) == 0 {
		rest = unused
	} else {
		rest = append(bytes.Clone(rest), unused...)
	}
	t.drop()
	if t.posted && !t.held {
		t.Transport.ResumeReading() // it was waiting for goOn
	}
	t.Transport.SetProtocol(p, rest)
}

// Detach is the Transport's. What was not handed over is Received.
func (t *LineTransport) Detach() (Detached, error) {
	if t.lost {
		return Detached{FD: -1}, net.ErrClosed
	}
	d, err := t.Transport.Detach()
	if err == nil {
		if unused := t.Unused(); len(unused) > 0 {
			d.Received = append(bytes.Clone(unused), d.Received...)
		}
		t.over = true
	}
	return d, err
}

// received is DataReceived.
func (t *LineTransport) received(p []byte) {
	if t.over {
		return
	}
	if len(t.kept) > 0 {
		t.kept = append(t.kept, p...)
		p = t.kept
	}
	t.handOver(p)
}

// handOver hands over what p begins with, and keeps the rest. p is what is kept, if that is anything.
func (t *LineTransport) handOver(p []byte) {
	t.busy, t.rest = true, p
	defer t.keep()
	for len(t.rest) > 0 && !t.held && !t.over {
		switch {
		case t.skipping:
			if !t.skip() {
				return
			}
		case t.raw:
			p := t.rest
			t.rest = nil
			t.receiver.(RawDataReceiver).RawDataReceived(p)
		case !t.nextLine():
			return
		}
	}
}

// skip drops the rest of a line that was too long, as far as it has arrived.
func (t *LineTransport) skip() (whole bool) {
	if end := bytes.Index(t.rest, t.delimiter); end >= 0 {
		t.rest, t.skipping = t.rest[end+len(t.delimiter):], false
		return true
	}
	t.rest = t.rest[max(0, len(t.rest)-len(t.delimiter)+1):] // with which a delimiter may begin
	return false
}

// nextLine hands over a line, if there is one.
func (t *LineTransport) nextLine() bool {
	from := min(t.scanned, len(t.rest))
	end := bytes.Index(t.rest[from:], t.delimiter)
	if end < 0 {
		if len(t.rest) >= t.most+len(t.delimiter) {
			t.tooLong()
			return true
		}
		t.scanned = max(0, len(t.rest)-len(t.delimiter)+1)
		return false
	}
	t.scanned = 0
	if end += from; end > t.most {
		t.tooLong()
		return true
	}
	line := t.rest[:end]
	t.rest = t.rest[end+len(t.delimiter):]
	t.receiver.LineReceived(line)
	return true
}

// tooLong is when the line is.
func (t *LineTransport) tooLong() {
	beginning := t.rest[:t.most]
	t.rest, t.scanned, t.skipping = t.rest[t.most:], 0, true
	if h, ok := t.receiver.(LineLengthHandler); ok {
		h.LineLengthExceeded(beginning)
		return
	}
	t.LoseConnection()
}

// keep keeps what was not used. An idle connection keeps nothing, and the beginning of a line little more than it needs.
func (t *LineTransport) keep() {
	t.busy = false
	rest := t.rest
	t.rest = nil
	switch {
	case len(rest) == 0:
		t.kept = nil
	case cap(t.kept) >= len(rest) && cap(t.kept) <= max(lineKeep, 4*len(rest)):
		t.kept = append(t.kept[:0], rest...) // which may lie in it
	default:
		t.kept = append([]byte(nil), rest...)
	}
}

// soon has what is kept handed over by a callback of its own; until then nothing is read, or the end of the peer's bytes could
// be told before them.
func (t *LineTransport) soon() {
	if t.busy || t.posted || t.held || t.over || t.lost || len(t.kept) == 0 {
		return
	}
	t.posted = true
	t.Transport.PauseReading()
	t.Reactor().CallFromThread(t.goOn)
}

// goOn hands over what is kept.
func (t *LineTransport) goOn() {
	t.posted = false
	if t.held || t.over || t.lost {
		return
	}
	source, ok := sourceOf(t)
	if r := t.Reactor(); ok {
		r.current = source // it pays for a panic
		r.watch.begin(servingDescriptor, source, source.FD(), nil)
		t.handOver(t.kept)
		r.current = nil
	} else {
		t.handOver(t.kept)
	}
	if !t.held && !t.over {
		t.Transport.ResumeReading()
	}
}

// A lineProtocol is the Protocol of a LineTransport.
type lineProtocol struct{ t *LineTransport }

func (p lineProtocol) ConnectionMade(t Transport) {
	p.t.Transport = t
	p.t.receiver.ConnectionMade(p.t)
}

func (p lineProtocol) DataReceived(b []byte) { p.t.received(b) }

func (p lineProtocol) ConnectionLost(reason error) {
	p.t.over, p.t.lost = true, true
	p.t.receiver.ConnectionLost(reason)
}

// withOptional is p with those optional methods that the LineReceiver has: a Protocol without them is treated otherwise.
func (p lineProtocol) withOptional() Protocol {
	half, isHalf := p.t.receiver.(HalfCloser)
	write, isWrite := p.t.receiver.(CloseWriteHandler)
	timeout, isTimeout := p.t.receiver.(TimeoutHandler)
	switch [3]bool{isHalf, isWrite, isTimeout} {
	case [3]bool{true, false, false}:
		return struct {
			lineProtocol
			HalfCloser
		}{p, half}
	case [3]bool{false, true, false}:
		return struct {
			lineProtocol
			CloseWriteHandler
		}{p, write}
	case [3]bool{false, false, true}:
		return struct {
			lineProtocol
			TimeoutHandler
		}{p, timeout}
	case [3]bool{true, true, false}:
		return struct {
			lineProtocol
			HalfCloser
			CloseWriteHandler
		}{p, half, write}
	case [3]bool{true, false, true}:
		return struct {
			lineProtocol
			HalfCloser
			TimeoutHandler
		}{p, half, timeout}
	case [3]bool{false, true, true}:
		return struct {
			lineProtocol
			CloseWriteHandler
			TimeoutHandler
		}{p, write, timeout}
	case [3]bool{true, true, true}:
		return struct {
			lineProtocol
			HalfCloser
			CloseWriteHandler
			TimeoutHandler
		}{p, half, write, timeout}
	}
	return p
}
