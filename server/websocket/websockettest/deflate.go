package websockettest

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
)

// deflate is permessage-deflate as the client has it.
type deflate struct {
	sends, receives bool // with context takeover
	w               *flate.Writer
	out             bytes.Buffer
	window          []byte
}

const window = 32 << 10

// agree reads the server's answer to an offer.
func agree(answer string) (*deflate, error) {
	d := &deflate{sends: true, receives: true}
	for i, part := range strings.Split(answer, ";") {
		name, _, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case i == 0 && name == "permessage-deflate", name == "server_max_window_bits":
		case name == "client_no_context_takeover":
			d.sends = false
		case name == "server_no_context_takeover":
			d.receives = false
		default: // client_max_window_bits would bind our writer, which cannot be bound
			return nil, broken("the extension %q", answer)
		}
	}
	d.w, _ = flate.NewWriter(&d.out, flate.DefaultCompression)
	return d, nil
}

func (d *deflate) compress(p []byte) []byte {
	d.out.Reset()
	if !d.sends {
		d.w.Reset(&d.out)
	}
	_, _ = d.w.Write(p) // to memory
	_ = d.w.Flush()
	return bytes.TrimSuffix(bytes.Clone(d.out.Bytes()), []byte("\x00\x00\xff\xff"))
}

func (d *deflate) inflate(p []byte) ([]byte, error) {
	r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(p), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")), d.window)
	out, err := io.ReadAll(io.LimitReader(r, maxFrame))
	if err != nil {
		return nil, broken("compressed data: %v", err)
	}
	if d.receives {
		d.window = append(d.window, out...)
		d.window = bytes.Clone(d.window[max(0, len(d.window)-window):])
	}
	return out, nil
}
