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
	serverTakes  bool  // our context is kept from message to message; only with a window of 15 bits
	clientTakes  bool  // the peer's is
	serverWindow uint8 // bits
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
			a.serverWindow = uint8(bits)
		case p.name == "client_max_window_bits" && (!p.valued || bits > 0): // any window can be inflated
		default:
			return a, "", false
		}
	}
	a.serverTakes = a.serverTakes && a.serverWindow == 15
	answer = "permessage-deflate"
	if !a.serverTakes {
		answer += "; server_no_context_takeover"
	}
	if !a.clientTakes {
		answer += "; client_no_context_takeover"
	}
	if seen["server_max_window_bits"] {
		answer += "; server_max_window_bits=" + strconv.Itoa(int(a.serverWindow))
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
		next = keepWindow(bytes.Clone(window), dst[begin:], maxWindow) // behind a block that was marked as the last there may be others
	}
}

// keepWindow is the window behind p, of most bytes.
func keepWindow(window, p []byte, most int) []byte {
	if len(p) >= most {
		return append(window[:0:0], p[len(p)-most:]...)
	}
	if over := len(window) + len(p) - most; over > 0 {
		window = window[:copy(window, window[over:])]
	}
	return append(window, p...)
}

// Our messages are compressed in one of two ways. A compressor of the library has tables of 0.8 MiB, so it comes from a pool, and
// keeps no context. The stateless one has no memory, takes a context as an argument, and is faster for what is small; it cannot
// be held to a smaller window.

const (
	// sentWindow is how much of what was sent is kept as the context; the stateless compressor takes no more.
	sentWindow = 8 << 10
	// smallMessage is up to where the stateless compressor is faster.
	smallMessage = 1 << 10
)

// deflater compresses messages without a context.
type deflater struct {
	w   *flate.Writer
	out appender
}

// appender is a Writer that appends.
type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

func newDeflater(bits uint8) *deflater {
	d := &deflater{}
	if bits < 15 {
		d.w, _ = flate.NewWriterWindow(&d.out, 1<<bits) // the size is valid
	} else {
		d.w, _ = flate.NewWriter(&d.out, flate.BestSpeed) // the level is valid
	}
	return d
}

// deflate compresses p for a window, after a context of what was sent, and appends it to dst.
func deflate(dst, p []byte, bits uint8, context []byte) []byte {
	if bits == 15 && (len(context) > 0 || len(p) <= smallMessage) {
		out := &appender{dst}
		_ = flate.StatelessDeflate(out, p, false, context) // to memory
		return bytes.TrimSuffix(out.b, []byte(tail))
	}
	d, _ := writers[bits].Get().(*deflater)
	if d == nil {
		d = newDeflater(bits)
	}
	d.out.b = dst
	d.w.Reset(&d.out)
	_, _ = d.w.Write(p) // to memory
	_ = d.w.Flush()
	dst, d.out.b = d.out.b, nil
	writers[bits].Put(d)
	return bytes.TrimSuffix(dst, []byte(tail))
}
