package parser

// What a message can do wrong is a closed list, and each entry brings the answer along: the status to send and a
// reason that a log can show. The entries are package variables, so refusing a message costs nothing, and a test can
// name the rule that it expects to be broken.

// Error is why a message was refused. Every error that [Parser.Next] returns is one, reached by errors.As or a plain
// type assertion. The values are shared and must not be changed; they may be read from any goroutine. After one of
// them the bytes that follow on the connection have no meaning: answer, then close.
type Error struct {
	Status int    // the status to answer with: 400, 413, 414, 417, 431, 501 or 505
	Reason string // for people: lower case, no bytes of the peer
	number uint8  // its index in rules
}

// Error gives the reason.
func (e *Error) Error() string { return e.Reason }

// rules holds every error that Next returns. A Parser remembers its error by number, which takes one byte of it.
var rules []*Error

func rule(status int, reason string) *Error {
	e := &Error{status, reason, uint8(len(rules))}
	rules = append(rules, e)
	return e
}

// The request line (RFC 9112 section 3).
var (
	errBlankLines    = rule(400, "too many empty lines before the request line")
	errBlankLine     = rule(400, "CR without LF before the request line")
	errMethod        = rule(400, "method is not a token followed by one space")
	errTLS           = rule(400, "a TLS handshake, and this port speaks plain HTTP")
	errMethodLong    = rule(501, "method is longer than any that is known")
	errTarget        = rule(400, "request target has none of the four forms")
	errTargetByte    = rule(400, "byte that a request target cannot hold")
	errTargetEscape  = rule(400, "percent sign without two hexadecimal digits")
	errTargetControl = rule(400, "escaped NUL, CR or LF in a path")
	errTargetLong    = rule(414, "request target too long")
	errTargetScheme  = rule(400, "scheme of the request target is neither http nor https")
	errTargetHost    = rule(400, "invalid authority in the request target")
	errTargetMethod  = rule(400, "form of the request target does not suit the method")
	errVersion       = rule(400, "malformed HTTP version")
	errVersionMajor  = rule(505, "major version of HTTP is not 1")
	errLineEnd       = rule(400, "line does not end in CR LF")
)

// Field lines (RFC 9112 section 5).
var (
	errHeadLarge     = rule(431, "head too large")
	errFieldLines    = rule(431, "too many field lines")
	errTrailerLarge  = rule(431, "trailer section too large")
	errFieldFold     = rule(400, "line begins with white space")
	errFieldName     = rule(400, "field name is not a token followed by a colon")
	errFieldValue    = rule(400, "control byte in a field value")
	errHostMissing   = rule(400, "no Host field")
	errHostTwice     = rule(400, "more than one Host field")
	errHost          = rule(400, "invalid Host field")
	errConnection    = rule(400, "invalid Connection field")
	errContentType   = rule(400, "Content-Type fields that differ, or more than two")
	errExpectation   = rule(417, "unknown expectation")
	errLength        = rule(400, "invalid Content-Length field")
	errLengthTwice   = rule(400, "more than one Content-Length field")
	errLengthCoding  = rule(400, "both Content-Length and Transfer-Encoding")
	errCoding        = rule(400, "invalid Transfer-Encoding field")
	errCodingVersion = rule(400, "Transfer-Encoding in an HTTP/1.0 request")
	errCodingFinal   = rule(400, "chunked is not the final transfer coding, once")
	errCodingUnknown = rule(501, "transfer coding that is not implemented")
	errContent       = rule(400, "method that takes no content")
)

// Bodies (RFC 9112 sections 6 and 7).
var (
	errBodyLarge       = rule(413, "body too large")
	errChunkSize       = rule(400, "malformed chunk size")
	errChunkOverflow   = rule(400, "chunk size overflows")
	errChunkExtension  = rule(400, "malformed chunk extension")
	errChunkExtensions = rule(431, "too many bytes of chunk extensions")
	errChunkEnd        = rule(400, "chunk data does not end in CR LF")
)
