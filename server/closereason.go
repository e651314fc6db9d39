package server

import (
	"errors"
	"io"
	"iter"
	"log/slog"
	"syscall"

	"microhttp/parser"
	"microhttp/reactor"
	"microhttp/reactor/tlslayer"
)

// Why a connection ended. The first thing that decides the end of a connection notes its reason in conn.why, and the
// reason then arrives everywhere by the same name: in Response.Err, in the error of a Stream or a Pending, in the log,
// in the access log and in the counters. The table closeReasons below is all that is known about a reason.

// CloseReason is why a connection ended. It is an error: Response.Err, Stream.Write and Pending.Answer return one when
// the connection ended before the answer was whole. Compare with errors.Is, or get the value with errors.As:
//
//	var why server.CloseReason
//	if errors.As(w.Err(), &why) {
//		failures.WithLabelValues(why.Name()).Inc()
//	}
//
// errors.Is(err, ErrPeerGone) holds for the reasons that are the peer's or the network's doing, and for no other.
type CloseReason uint8

// The reasons.
const (
	// CloseDone is an orderly end: all answers were handed over and one side closed the connection. It is counted but
	// never returned as an error.
	CloseDone CloseReason = iota
	// ErrPeerClosed means that the peer closed its side in the middle of a request, or left before its answer.
	ErrPeerClosed
	// ErrPeerReset means that the peer reset the connection.
	ErrPeerReset
	// ErrNetwork means that the system reported another error of the connection, such as ETIMEDOUT from keep-alive
	// probes.
	ErrNetwork
	// ErrSendTimeout means that the peer took nothing of the waiting output for Server.SendTimeout, after its credit was
	// used up, or that a handler's write deadline passed.
	ErrSendTimeout
	// ErrSlowReader means that the peer read its answer more slowly than Server.MinDataRate allows, until its credit and
	// Server.SendTimeout were used up.
	ErrSlowReader
	// ErrIdleTimeout means that no request came within Server.IdleTimeout, or, on a new connection, within
	// Server.ReadHeaderTimeout.
	ErrIdleTimeout
	// ErrRequestTimeout means that a request was not whole within Server.ReadHeaderTimeout or Server.BodyTimeout. The
	// peer got 408.
	ErrRequestTimeout
	// ErrSlowRequest means that a request arrived more slowly than Server.MinDataRate allows. The peer got 408.
	ErrSlowRequest
	// ErrRefused means that the server refused a request: it was malformed, or beyond a limit. The peer got the status
	// that says so, and the line "request refused" in the log has the details.
	ErrRefused
	// ErrOverloaded means that the server held more than Server.MaxBufferedBytes and this connection was one of those
	// that paid for it. The peer got 503 or a reset.
	ErrOverloaded
	// ErrStalled means that the peer kept a Blocking handler waiting, longer than others did, when more than
	// Server.MaxBlockingWaiting waited and requests needed the places of those beyond.
	ErrStalled
	// ErrTooManyConns means that the connection was one more than Server.MaxConns or Server.MaxConnsPerAddr allows.
	ErrTooManyConns
	// ErrUnwatchable means that the poller could not watch the descriptor of the connection: select stops at 1,024.
	ErrUnwatchable
	// ErrLinger means that the peer did not close its side after the last answer, within Server.LingerTimeout and
	// Server.MaxLingerBytes.
	ErrLinger
	// ErrServerClosed means that the server was closed: by Close, or by Shutdown when its context ended. Listen, Run,
	// Serve and ListenAndServe return it too, and so does Pending.Answer after the end of the server.
	ErrServerClosed
	// ErrPanic means that the handler panicked and nothing else answered for it.
	ErrPanic
	// ErrAbortHandler is for a handler that wants to break its connection off without an answer, or within one:
	// panic(server.ErrAbortHandler) does so and logs nothing, as in net/http.
	ErrAbortHandler
	// ErrContentLength means that a Stream was given more or fewer bytes than the Content-Length that the handler
	// declared. Stream.Write returns it for bytes that would be too many; the connection ends only if the Stream is
	// closed with too few. Or a file that was given to SendFile is shorter than the range that was named.
	ErrContentLength
	// ErrUnsentBound means that a Stream on the loop was written to although it had as much unsent output as the server
	// holds for one peer. Stream.Write returns it and has written nothing; the connection ends only if the Stream is
	// closed without those bytes.
	ErrUnsentBound
	// ErrFilter means that a filter of the answer returned an error. The peer got 500, or a reset if the head had been
	// sent. Response.Err and Stream.Write return it wrapped, together with that error.
	ErrFilter
	// ErrHandshake means that the TLS handshake failed or took longer than Server.HandshakeTimeout, or that the connection was
	// ended to make room for others, beyond Server.MaxHandshakes.
	ErrHandshake
	// ErrTruncated means that the peer ended a TLS connection without close_notify (RFC 8446, section 6.1), so that somebody
	// on the way may have cut it off. A body that has no other end is never taken for whole then.
	ErrTruncated
	// ErrProxyHeader means that the connection did not begin with a header of the PROXY protocol from a trusted address.
	ErrProxyHeader

	closeReasonCount = iota
)

// closeReasons says of each reason its name, its text, whether the peer or the network is the cause, and the level of
// the line that the end of such a connection leaves in the log. Disabled means no line, because there is nothing to say
// or because another line has said it.
var closeReasons = [closeReasonCount]struct {
	name  string
	peers bool
	level slog.Level
	text  string
}{
	CloseDone:         {"done", false, noLine, "done"},
	ErrPeerClosed:     {"peer-closed", true, noLine, "the peer closed the connection before its answer"},
	ErrPeerReset:      {"peer-reset", true, slog.LevelDebug, "the peer reset the connection"},
	ErrNetwork:        {"network", true, slog.LevelDebug, "the network failed"},
	ErrSendTimeout:    {"send-timeout", false, slog.LevelInfo, "the peer took none of its answer within SendTimeout"},
	ErrSlowReader:     {"slow-reader", false, slog.LevelInfo, "the peer read its answer more slowly than MinDataRate"},
	ErrIdleTimeout:    {"idle-timeout", false, slog.LevelDebug, "no request came in time"},
	ErrRequestTimeout: {"request-timeout", false, noLine, "the request took too long to arrive"},
	ErrSlowRequest:    {"slow-request", false, noLine, "the request arrived more slowly than MinDataRate"},
	ErrRefused:        {"refused", false, noLine, "the request was refused"},
	ErrOverloaded:     {"overloaded", false, slog.LevelInfo, "the server held more than MaxBufferedBytes"},
	ErrStalled:        {"stalled", false, slog.LevelInfo, "more than MaxBlockingWaiting handlers waited for their peers, and this one the longest"},
	ErrTooManyConns:   {"too-many-connections", false, noLine, "too many connections"},
	ErrUnwatchable:    {"unwatchable", false, slog.LevelWarn, "the poller cannot watch so high a descriptor"},
	ErrLinger:         {"linger", false, slog.LevelDebug, "the peer did not close after the last answer"},
	ErrServerClosed:   {"server-closed", false, slog.LevelInfo, "closed"},
	ErrPanic:          {"panic", false, noLine, "the handler panicked"},
	ErrAbortHandler:   {"abort-handler", false, noLine, "the handler aborted its answer"},
	ErrContentLength:  {"content-length", false, slog.LevelWarn, "body does not agree with Content-Length"},
	ErrUnsentBound:    {"unsent-bound", false, slog.LevelWarn, "too much unsent output"},
	ErrFilter:         {"filter", false, noLine, "a filter of the answer failed"},
	ErrHandshake:      {"tls-handshake", false, noLine, "the TLS handshake failed"},
	ErrTruncated:      {"tls-truncated", true, slog.LevelDebug, "the peer ended TLS without close_notify"},
	ErrProxyHeader:    {"proxy-header", false, noLine, "no header of the PROXY protocol from a trusted address"},
}

// ErrPeerGone matches, with errors.Is, every CloseReason that is the doing of the peer or of the network: ErrPeerClosed,
// ErrPeerReset and ErrNetwork. It is never returned itself.
var ErrPeerGone = errors.New("server: the peer is gone")

// Name returns the short, fixed name of the reason, such as "send-timeout", for logs and metrics. It is "" for a value
// that is none of the constants.
func (why CloseReason) Name() string {
	if int(why) >= len(closeReasons) {
		return ""
	}
	return closeReasons[why].name
}

// Error describes the reason in words.
func (why CloseReason) Error() string {
	if int(why) >= len(closeReasons) {
		return "server: unknown reason"
	}
	return "server: " + closeReasons[why].text
}

// Is makes errors.Is(why, ErrPeerGone) hold where the peer or the network is the cause.
func (why CloseReason) Is(target error) bool {
	return target == ErrPeerGone && int(why) < len(closeReasons) && closeReasons[why].peers
}

// CloseCounts iterates over all reasons and how many connections have ended for each of them since the server began.
// A connection counts once, when it has ended. It may be called from any goroutine.
func (s *Server) CloseCounts() iter.Seq2[CloseReason, uint64] {
	return func(yield func(CloseReason, uint64) bool) {
		for why := range s.ended {
			if !yield(CloseReason(why), s.ended[why].Load()) {
				return
			}
		}
	}
}

// blame notes why the connection ends. The first reason stands: what follows from it is no other.
func (c *conn) blame(why CloseReason) {
	if c.why == CloseDone {
		c.why = why
	}
}

// abortFor resets the connection.
func (c *conn) abortFor(why CloseReason) {
	c.blame(why)
	c.abort()
}

// leaveFor closes the connection behind what is queued.
func (c *conn) leaveFor(why CloseReason) {
	c.blame(why)
	c.leave()
}

// over is the error for whoever writes to a connection that has ended or is about to.
func (c *conn) over() CloseReason {
	if c.why == CloseDone {
		return ErrPeerClosed
	}
	return c.why
}

// judge completes the reason of a connection that is lost, from what the reactor says. An answer that was still owed
// makes an orderly end the peer's: only the peer can have left then.
func (c *conn) judge(reason error) {
	if c.why == CloseDone && reason != reactor.ErrConnectionDone {
		c.why = lostBy(reason)
	}
	if c.why == CloseDone && c.cur != nil && (c.cur.detached || c.cur.file != nil) {
		c.why = ErrPeerClosed
	}
}

// losses says what the reasons of a reactor mean here, the first that fits first. What is missing is an orderly end.
var losses = [...]struct {
	reason error
	why    CloseReason
}{
	{tlslayer.ErrTruncated, ErrTruncated},
	{io.ErrUnexpectedEOF, ErrContentLength}, // a file that is shorter than its range
	{syscall.ECONNRESET, ErrPeerReset},
	{syscall.EPIPE, ErrPeerReset},
	{reactor.ErrFDRange, ErrUnwatchable},
	{reactor.ErrConnectionLost, ErrNetwork},
	{reactor.ErrTimeout, ErrSendTimeout}, // all other time-outs are conn's
	{reactor.ErrSlowReader, ErrSlowReader},
	{reactor.ErrWriteBound, ErrUnsentBound},
	{reactor.ErrShutdown, ErrServerClosed},
}

// lostBy names the reason that a reactor gives.
func lostBy(reason error) CloseReason {
	if _, ok := errors.AsType[*reactor.PanicError](reason); ok { // before what was panicked with
		return ErrPanic
	}
	for _, l := range losses {
		if errors.Is(reason, l.reason) {
			return l.why
		}
	}
	return CloseDone
}

// silence names the reason of a connection that is closed because nothing comes from its peer.
func (c *conn) silence() CloseReason {
	switch {
	case c.w.closing:
		return CloseDone
	case c.phase == phaseDrain || c.phase == phaseDiscard:
		return ErrLinger
	}
	return ErrIdleTimeout
}

// refusedFor names the reason of a refusal.
func refusedFor(err *parser.Error) CloseReason {
	switch err {
	case errTimeout:
		return ErrRequestTimeout
	case errTooSlow:
		return ErrSlowRequest
	case errCutShort:
		return ErrPeerClosed
	case errOverloaded, errCrowded:
		return ErrOverloaded
	}
	return ErrRefused
}

// failedFor names the reason of an answer that its handler has failed to give.
func failedFor(err error) CloseReason {
	if why, ok := errors.AsType[CloseReason](err); ok {
		return why
	}
	return ErrPanic
}
