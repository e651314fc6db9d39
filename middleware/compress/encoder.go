package compress

import (
	"io"
	"sync"
	"sync/atomic"

	"microhttp/server"

	"github.com/andybalholm/brotli"
	"github.com/andybalholm/brotli/matchfinder"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// An encoder is large and takes long to make, so encoders are pooled. One belongs to an answer from when its head is decided
// until OnDone, the one moment after which no code calls its filter. Both functions are made once, with the encoder.

// codec is what the encoders of all libraries have in common.
type codec interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encoder is a codec, and where it writes to.
type encoder struct {
	codec  codec
	home   *pool
	out    []byte // what a call of filter has appended
	filter func(dst, p []byte, last bool) ([]byte, error)
	done   func(*server.Response, *server.Request)
}

// Write implements io.Writer for the codec.
func (e *encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// maxPiece bounds what a codec gets at once, since some of them keep a copy, and the room for it.
const maxPiece = 64 << 10

// attach makes e the encoder of an answer.
func (e *encoder) attach(w *server.Response) {
	w.Filter(e.filter)
	w.OnDone(e.done)
}

// encode is the filter.
func (e *encoder) encode(dst, p []byte, last bool) (_ []byte, err error) {
	e.out = dst
	flush := len(p) == 0 && !last
	for len(p) > 0 && err == nil {
		n := min(len(p), maxPiece)
		_, err = e.codec.Write(p[:n])
		p = p[n:]
	}
	switch {
	case err != nil:
	case last:
		err = e.codec.Close()
	case flush:
		err = e.codec.Flush()
	}
	dst, e.out = e.out, nil
	return dst, err
}

// release gives the encoder back.
func (e *encoder) release(*server.Response, *server.Request) {
	e.codec.Reset(nil)
	e.home.active.Add(-1)
	e.home.encoders.Put(e)
}

// pool has the encoders of one coding.
type pool struct {
	make     func() codec
	encoders sync.Pool
	active   *atomic.Int64
}

func (p *pool) get() *encoder {
	e, _ := p.encoders.Get().(*encoder)
	if e == nil {
		e = &encoder{codec: p.make(), home: p}
		e.filter, e.done = e.encode, e.release
	}
	e.codec.Reset(e)
	return e
}

// The default level of each coding, and its own level for each from 1 to 9. Brotli has two encoders.
var (
	gzipLevels    = [10]int{5, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	brotliLevels  = [10]int{1, 0, 1, 2, 3, 4, 5, 6, 7, 8}
	brotliStreams = [10]int{2, 0, 1, 2, 3, 4, 5, 6, 7, 9}
	zstdLevels    = [10]zstd.EncoderLevel{1, 1, 1, 2, 2, 2, 3, 3, 4, 4}
)

// How far back encoders look, and so how much each of them holds. Clients must take 8 MiB of zstd (RFC 9659) and 16 MiB of
// Brotli.
const (
	zstdWindow       = 512 << 10
	brotliWindowBits = 17
)

// newPools makes the pools of a coding: for content that is there as a whole, and for Streams and files.
func newPools(name Coding, level int, active *atomic.Int64) (whole, stream *pool) {
	p := &pool{active: active}
	switch name {
	case Gzip:
		p.make = func() codec {
			z, err := gzip.NewWriterLevel(nil, gzipLevels[level])
			must(err)
			return z
		}
	case Brotli:
		p.make = func() codec { return wholeBrotli{brotli.NewWriterV2(nil, brotliLevels[level])} }
		return p, &pool{active: active, make: func() codec {
			return brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: brotliStreams[level], LGWin: brotliWindowBits})
		}}
	case Zstd:
		p.make = func() codec {
			z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstdLevels[level]), zstd.WithEncoderConcurrency(1),
				zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(zstdWindow), zstd.WithEncoderCRC(false),
				zstd.WithAllLitEntropyCompression(true)) // text without repetition is worth it
			must(err)
			return z
		}
	default:
		panic("compress: unknown coding " + string(name))
	}
	return p, p
}

// wholeBrotli is an encoder that is two to three times as fast as the other one, but cannot flush.
type wholeBrotli struct{ *matchfinder.Writer }

// Flush implements codec. It is not called: content that is there as a whole is not flushed.
func (wholeBrotli) Flush() error { return nil }

// must panics if a library refuses what is written here as a constant.
func must(err error) {
	if err != nil {
		panic("compress: " + err.Error())
	}
}
