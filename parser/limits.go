package parser

// Every dimension in which a message can grow has a bound. The zero value of each is a default that suits a server on
// the open internet; Limits is read through small methods, so that neither a nil pointer nor a zero needs a set-up
// step.

// Defaults and fixed bounds.
const (
	// DefaultHead bounds the head. Cookies and tokens of large sites reach 16 KiB; twice that is generous.
	DefaultHead = 32 << 10
	// DefaultFieldLines bounds the number of field lines. Browsers send about 20, a chain of proxies adds some.
	DefaultFieldLines = 128
	// DefaultTarget bounds the request target. RFC 9112 section 3 asks for request lines of 8000 bytes at least.
	DefaultTarget = 8 << 10
	// DefaultBody bounds a body. What an API takes in one piece is smaller; uploads ask for more by name.
	DefaultBody = 8 << 20
	// DefaultChunkExtensions bounds the extensions of all chunks of a body. Nobody uses them but attackers.
	DefaultChunkExtensions = 4 << 10
	// DefaultTrailer bounds the trailer section. It holds a checksum or a status, not a second head.
	DefaultTrailer = 8 << 10
	// DefaultBlankLines bounds the empty lines before a request line. RFC 9112 section 2.2 asks for one.
	DefaultBlankLines = 4

	// MaxSection is the most that Limits.Head, Limits.Target and Limits.Trailer can ask for: the caller buffers a
	// section whole, and a Span counts in 32 bits.
	MaxSection = 16 << 20
	// MaxMethod is the length of the longest method that is read, in bytes; the longest in the IANA registry is 17.
	MaxMethod = 32
)

// Limits bounds what a [Parser] accepts. A nil *Limits, and a field that is zero, mean the defaults. It is only read:
// all connections of a server share one, from any goroutine, as long as it is not changed.
type Limits struct {
	Head            int   // bytes of request line, field lines and the empty line; beyond: 431
	FieldLines      int   // field lines of a head and its trailer section together; beyond: 431
	Target          int   // bytes of the request target; beyond: 414
	Body            int64 // bytes of the body, framing not counted; beyond: 413; negative: no bound
	ChunkExtensions int   // bytes of chunk extensions over a whole body; beyond: 431
	Trailer         int   // bytes of the trailer section with its empty line; beyond: 431
	BlankLines      int   // empty lines before a request line; beyond: 400; negative: none is skipped
}

func (l *Limits) head() int {
	if l == nil || l.Head <= 0 {
		return DefaultHead
	}
	return min(l.Head, MaxSection)
}

func (l *Limits) fieldLines() int {
	if l == nil || l.FieldLines <= 0 {
		return DefaultFieldLines
	}
	return l.FieldLines
}

func (l *Limits) target() int {
	if l == nil || l.Target <= 0 {
		return DefaultTarget
	}
	return min(l.Target, MaxSection)
}

func (l *Limits) body() uint64 {
	switch {
	case l == nil || l.Body == 0:
		return DefaultBody
	case l.Body < 0:
		return maxBody
	}
	return uint64(l.Body)
}

func (l *Limits) chunkExtensions() int {
	if l == nil || l.ChunkExtensions <= 0 {
		return DefaultChunkExtensions
	}
	return l.ChunkExtensions
}

func (l *Limits) trailer() int {
	if l == nil || l.Trailer <= 0 {
		return DefaultTrailer
	}
	return min(l.Trailer, MaxSection)
}

func (l *Limits) blankLines() int {
	switch {
	case l == nil || l.BlankLines == 0:
		return DefaultBlankLines
	case l.BlankLines < 0:
		return 0
	}
	return l.BlankLines
}
