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
}

// Error gives the reason.
func (e *Error) Error() string { return e.Reason }

// The request line (RFC 9112 section 3).
var (
	errBlankLines    = &Error{400, "too many empty lines before the request line"}
	errBlankLine     = &Error{400, "CR without LF before the request line"}
	errMethod        = &Error{400, "method is not a token followed by one space"}
	errMethodLong    = &Error{501, "method is longer than any that is known"}
	errTarget        = &Error{400, "request target has none of the four forms"}
	errTargetByte    = &Error{400, "byte that a request target cannot hold"}
	errTargetEscape  = &Error{400, "percent sign without two hexadecimal digits"}
	errTargetControl = &Error{400, "escaped NUL, CR or LF in a path"}
	errTargetLong    = &Error{414, "request target too long"}
	errTargetScheme  = &Error{400, "scheme of the request target is neither http nor https"}
	errTargetHost    = &Error{400, "invalid authority in the request target"}
	errTargetMethod  = &Error{400, "form of the request target does not suit the method"}
	errVersion       = &Error{400, "malformed HTTP version"}
	errVersionMajor  = &Error{505, "major version of HTTP is not 1"}
	errLineEnd       = &Error{400, "line does not end in CR LF"}
)

// Field lines (RFC 9112 section 5).
var (
	errHeadLarge     = &Error{431, "head too large"}
	errFieldLines    = &Error{431, "too many field lines"}
	errTrailerLarge  = &Error{431, "trailer section too large"}
	errFieldFold     = &Error{400, "line begins with white space"}
	errFieldName     = &Error{400, "field name is not a token followed by a colon"}
	errFieldValue    = &Error{400, "control byte in a field value"}
	errHostMissing   = &Error{400, "no Host field"}
	errHostTwice     = &Error{400, "more than one Host field"}
	errHost          = &Error{400, "invalid Host field"}
	errConnection    = &Error{400, "invalid Connection field"}
	errContentType   = &Error{400, "Content-Type fields that differ, or more than two"}
	errExpectation   = &Error{417, "unknown expectation"}
	errLength        = &Error{400, "invalid Content-Length field"}
	errLengthTwice   = &Error{400, "more than one Content-Length field"}
	errLengthCoding  = &Error{400, "both Content-Length and Transfer-Encoding"}
	errCoding        = &Error{400, "invalid Transfer-Encoding field"}
	errCodingVersion = &Error{400, "Transfer-Encoding in an HTTP/1.0 request"}
	errCodingFinal   = &Error{400, "chunked is not the final transfer coding, once"}
	errCodingUnknown = &Error{501, "transfer coding that is not implemented"}
	errContent       = &Error{400, "method that takes no content"}
)

// Bodies (RFC 9112 sections 6 and 7).
var (
	errBodyLarge       = &Error{413, "body too large"}
	errChunkSize       = &Error{400, "malformed chunk size"}
	errChunkOverflow   = &Error{400, "chunk size overflows"}
	errChunkExtension  = &Error{400, "malformed chunk extension"}
	errChunkExtensions = &Error{431, "too many bytes of chunk extensions"}
	errChunkEnd        = &Error{400, "chunk data does not end in CR LF"}
)
