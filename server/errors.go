package server

import (
	"errors"

	"microhttp/parser"
)

// The errors of this package, besides those of CloseReason. Each is returned as it is or wrapped:
// errors.Is tells them apart.
var (
	// ErrAddr says that an Addr names nothing to listen on, or that a listener given to
	// Serve has no socket to accept from. (What the system refuses wraps its errno.)
	ErrAddr = errors.New("server: no address to listen on")
	// ErrAnswered says that somebody else has answered the request already.
	ErrAnswered = errors.New("server: the request is answered already")
	// ErrTimeout says that the server has answered in the handler's place: see Response.AnswerWithin.
	ErrTimeout = errors.New("server: the time for the answer is over")
	// ErrBodyClosed says that the reader of a body was closed before.
	ErrBodyClosed = errors.New("server: the body was closed")
	// ErrCookie says that a Cookie cannot be sent, or that user agents would drop or
	// change it (RFC 6265bis, 4.1 and 5.7): see Cookie.Valid.
	ErrCookie = errors.New("server: invalid cookie")
	// ErrCommitted says that the status and the fields of a response cannot change
	// any more: a Stream was taken, or the response is done and in OnDone.
	ErrCommitted = errors.New("server: the head of the response is committed")
	// ErrHijacked says that the connection of a request was taken from the server by Upgrade or Hijack in a Blocking handler.
	ErrHijacked = errors.New("server: the connection was hijacked")
	// ErrStreamClosed says that a Stream was written to after its Close.
	ErrStreamClosed = errors.New("server: stream closed")
	// ErrBusy says, in the log, that Server.MaxBlocking handlers run, and that the request has
	// waited for one of them to end for too long, or that too many wait already. It was
	// answered with 503.
	ErrBusy = errors.New("server: no place for a Blocking handler")
)

// Why a body is not whole. OnBody and BodyReader give these, other values of *parser.Error for what is malformed, and a
// CloseReason when the connection is lost. The Status of each is that of the answer.
var (
	// ErrBodyTooLarge means that the body is longer than MaxBody, MaxBodyBytes or the argument of ReadBody.
	ErrBodyTooLarge = &parser.Error{Status: 413, Reason: "body too large"}
	// ErrBodyTimeout means that the body was not whole within Server.BodyTimeout, or that a body that was paused on the
	// loop was not resumed within Server.PendingTimeout.
	ErrBodyTimeout = errTimeout
	// ErrBodySlow means that the body came more slowly than Server.MinDataRate.
	ErrBodySlow = errTooSlow
	// ErrBodyCut means that the peer half-closed in the middle of the body.
	ErrBodyCut = errCutShort
)
