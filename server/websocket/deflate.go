package websocket

import (
	"bytes"
	"io"
	"strconv"
	"sync"

	"microhttp/parser"

	"github.com/klauspost/compress/flate"
)

// permessage-deflate (RFC 7692).

// agreement is what was negotiated.
type agreement struct {
	on           bool
	serverTakes  bool // our context is kept from message to message
	clientTakes  bool // the peer's is
	serverWindow int  // bits
}

// negotiate takes the first offer that can be met, and returns the field value that says so; "" is none.
func negotiate(offers []offer, takeover bool) (agreement, string) {
	for _, o := range offers {
		if a, answer, ok := o.consider(takeover); ok {
			return a, answer
		}
	}
	return agreement{}, ""
}

// consider declines an offer whose parameters are unknown, doubled or badly valued (7.1).
func (o offer) consider(takeover bool) (a agreement, answer string, ok bool) {
	if !parser.EqualFold(o.name, "permessage-deflate") {
		return a, "", false
	}
	a = agreement{on: true, serverTakes: takeover, clientTakes: takeover, serverWindow: 15}
	seen := map[string]bool{}
	for _, p := range o.params {
		if seen[p.name] {
			return a, "", false
		}
		seen[p.name] = true
		bits := windowBits(p.value)
		switch {
		case p.name == "server_no_context_takeover" && !p.valued:
			a.serverTakes = false
		case p.name == "client_no_context_takeover" && !p.valued:
			a.clientTakes = false
		case p.name == "server_max_window_bits" && bits > 0:
			a.serverWindow = bits
		case p.name == "client_max_window_bits" && (!p.valued || bits > 0): // any window can be inflated
		default:
			return a, "", false
		}
	}
	answer = "permessage-deflate"
	if !a.serverTakes {
		answer += "; server_no_context_takeover"
	}
	if !a.clientTakes {
		answer += "; client_no_context_takeover"
	}
	if seen["server_max_window_bits"] {
		answer += "; server_max_window_bits=" + strconv.Itoa(a.serverWindow)
	}
	return a, answer, true
}

// windowBits is the value of a parameter, or 0 if it is none.
func windowBits(s string) int {
	if n, err := strconv.Atoi(s); err == nil && n >= 8 && n <= 15 && strconv.Itoa(n) == s {
		return n
	}
	return 0
}

// maxWindow is the largest window of DEFLATE.
const maxWindow = 32 << 10

// The tail that a sender leaves out (7.2.1), and a last block, so that the reader ends.
const (
	tail   = "\x00\x00\xff\xff"
	ending = tail + "\x01\x00\x00\xff\xff"
)

// maxLastBlocks bounds the blocks of a message that are marked as the last. No sender makes more than one, and each costs
// a window: a message of them alone would hold its loop for seconds.
const maxLastBlocks = 64

var (
	readers = sync.Pool{New: func() any { return flate.NewReader(nil) }}
	writers [16]sync.Pool // by the bits of the window
)

// inflate appends what p is, inflated, to dst. window is what came before, or nil. It takes at most most bytes.
func inflate(dst, p, window []byte, most int) ([]byte, *CloseError) {
	r := readers.Get().(io.ReadCloser)
	defer readers.Put(r)
	in := bytes.NewReader(append(append(make([]byte, 0, len(p)+len(ending)), p...), ending...))
	begin, next := len(dst), window
	for pass := 0; ; pass++ {
		if pass == maxLastBlocks {
			return dst, &CloseError{CloseInvalid, "bad compressed data"}
		}
		if r.(flate.Resetter).Reset(in, next) != nil {
			return dst, &CloseError{CloseInternal, ""}
		}
		for {
			if len(dst) == cap(dst) {
				dst = append(dst, 0)[:len(dst)]
			}
			n, err := r.Read(dst[len(dst):cap(dst)])
			dst = dst[:len(dst)+n]
			if len(dst)-begin > most {
				return dst, &CloseError{CloseTooLarge, "message too large"}
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return dst, &CloseError{CloseInvalid, "bad compressed data"}
			}
		}
		if left := in.Len(); left == 0 || left == len(ending) { // the latter if its last block was marked as such
			return dst, nil
		}
		next = keepWindow(bytes.Clone(window), dst[begin:]) // behind a block that was marked as the last there may be others
	}
}

// keepWindow is the window behind p.
func keepWindow(window, p []byte) []byte {
	if len(p) >= maxWindow {
		return append(window[:0:0], p[len(p)-maxWindow:]...)
	}
	window = append(window, p...)
	if over := len(window) - maxWindow; over > 0 {
		window = window[:copy(window, window[over:])]
	}
	return window
}

// deflater compresses messages.
type deflater struct {
	w   *flate.Writer
	out bytes.Buffer
}

func newDeflater(bits int) *deflater {
	d := &deflater{}
	if bits < 15 {
		d.w, _ = flate.NewWriterWindow(&d.out, 1<<bits) // the size is valid
	} else {
		d.w, _ = flate.NewWriter(&d.out, flate.BestSpeed) // the level is valid
	}
	return d
}

// message compresses p. What it returns is valid until the next call.
func (d *deflater) message(p []byte) []byte {
	d.out.Reset()
	_, _ = d.w.Write(p) // to memory
	_ = d.w.Flush()
	return bytes.TrimSuffix(d.out.Bytes(), []byte(tail))
}

// deflate compresses p without a context, and appends it to dst.
func deflate(dst, p []byte, bits int) []byte {
	d, _ := writers[bits].Get().(*deflater)
	if d == nil {
		d = newDeflater(bits)
	}
	d.w.Reset(&d.out)
	dst = append(dst, d.message(p)...)
	if d.out.Cap() <= 1<<20 {
		writers[bits].Put(d)
	}
	return dst
}
