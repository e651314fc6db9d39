package websocket

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// The codes of RFC 6455, 7.4.1, and of the IANA registry.
const (
	CloseNormal      = 1000
	CloseGoingAway   = 1001
	CloseProtocol    = 1002
	CloseUnsupported = 1003
	CloseNoCode      = 1005 // the peer's close frame had no code; never sent
	CloseAbnormal    = 1006 // the connection ended without a close frame; never sent
	CloseInvalid     = 1007 // text that is not UTF-8, or bad compressed data
	ClosePolicy      = 1008
	CloseTooLarge    = 1009
	CloseInternal    = 1011
	CloseTryLater    = 1013
)

// CloseError is how a connection was closed: by the peer's close frame, or by ours.
type CloseError struct {
	Code   int
	Reason string
}

// Error implements error.
func (e *CloseError) Error() string {
	return fmt.Sprintf("websocket: closed with %d %s", e.Code, e.Reason)
}

func violation(reason string) *CloseError { return &CloseError{CloseProtocol, reason} }

// validCode reports whether a close frame may have the code.
func validCode(code int) bool {
	return code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
}

func mustBeCode(code int) {
	if !validCode(code) {
		panic("websocket: Close with a code that no close frame has")
	}
}

// parseClose reads the payload of a close frame.
func parseClose(p []byte) (got CloseError, err *CloseError) {
	if len(p) == 0 {
		return CloseError{Code: CloseNoCode}, nil
	}
	if len(p) == 1 {
		return got, violation("close code of one byte")
	}
	code := int(binary.BigEndian.Uint16(p))
	switch {
	case !validCode(code):
		return got, violation("invalid close code")
	case !utf8.Valid(p[2:]):
		return got, &CloseError{CloseInvalid, "close reason is not UTF-8"}
	}
	return CloseError{code, string(p[2:])}, nil
}

// closePayload is the payload of a close frame of ours.
func closePayload(code int, reason string) []byte {
	if code == CloseNoCode {
		return nil
	}
	if most := maxControl - 2; len(reason) > most {
		for most > 0 && !utf8.RuneStart(reason[most]) {
			most--
		}
		reason = reason[:most]
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}
