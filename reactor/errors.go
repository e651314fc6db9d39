package reactor

// The reasons that this package gives. They are few, and errors.Is tells them apart; whatever carries more (an errno,
// a panic's stack) wraps one of them or is a type of its own.

import (
	"errors"
	"fmt"
	"syscall"
)

// Reasons that a connection ends, as ConnectionLost gets them.
var (
	// ErrConnectionDone is an orderly end: LoseConnection, or the peer has closed.
	ErrConnectionDone = errors.New("reactor: connection done")
	// ErrConnectionLost is a failed connection. The reason also wraps the syscall.Errno; or io.ErrUnexpectedEOF, when a file
	// of a FileRange was too short; or io.ErrShortWrite, when the peer has half-closed while a producer had more to send.
	ErrConnectionLost = errors.New("reactor: connection lost")
	// ErrAborted is our own AbortConnection.
	ErrAborted = errors.New("reactor: connection aborted")
	// ErrTimeout is an expired SetTimeout that no TimeoutHandler handled, output of which the peer took nothing for WriteTimeout or,
	// after LoseConnection, LingerTimeout, when it had no credit left, or an attempt to connect that took longer than its Timeout.
	ErrTimeout = errors.New("reactor: timeout")
	// ErrSlowReader is a peer that reads what is written to it more slowly than MinWriteRate.
	ErrSlowReader = errors.New("reactor: the peer reads too slowly")
	// ErrWriteBound is a peer that does not read what is written to it: MaxBuffered was exceeded.
	ErrWriteBound = errors.New("reactor: too much output waits")
	// ErrDetached is our own Detach: the connection lives on, but not here.
	ErrDetached = errors.New("reactor: connection detached")
	// ErrRefused is a connection that its Factory has refused by building no Protocol.
	ErrRefused = errors.New("reactor: connection refused by its factory")
	// ErrConnectFailed is a ConnectTCP or ConnectUnix that has come to nothing; the reason also wraps a *net.OpError with
	// the syscall.Errno for each address that was tried, or the error of the resolver.
	ErrConnectFailed = errors.New("reactor: connect failed")
	// ErrCancelled is our own Connector.Cancel.
	ErrCancelled = errors.New("reactor: connect cancelled")
	// ErrShutdown is the reason for every connection and descriptor that is still there when the reactor stops. A connection whose
	// output has not been sent is reset then.
	ErrShutdown = errors.New("reactor: shut down")
)

// Errors that calls on a reactor return.
var (
	// ErrRunning is returned by Run and Close of a reactor that runs.
	ErrRunning = errors.New("reactor: already running")
	// ErrStopped is returned by what needs a reactor that has not ended.
	ErrStopped = errors.New("reactor: stopped")
	// ErrConnectorBusy is returned by Connect of a Connector that is connecting or connected.
	ErrConnectorBusy = errors.New("reactor: connector is busy")
	// ErrFilesQueued is returned by Detach when files, or bytes of Give, are still to be sent.
	ErrFilesQueued = errors.New("reactor: files are queued")
	// ErrPoolFull is returned by CallInThread when all goroutines are busy and the queue is full.
	ErrPoolFull = errors.New("reactor: thread pool full")
	// ErrAlreadyInstalled is returned by Install when there is a default reactor already.
	ErrAlreadyInstalled = errors.New("reactor: already installed")
	// ErrAlreadyCalled is returned for a DelayedCall that has been called.
	ErrAlreadyCalled = errors.New("reactor: already called")
	// ErrAlreadyCancelled is returned for a DelayedCall that has been cancelled.
	ErrAlreadyCancelled = errors.New("reactor: already cancelled")
)

// PanicError is a panic caught in a callback. ReportError gets it, and the connection whose callback it was is lost
// with it.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the goroutine's stack where it panicked, as runtime/debug.Stack formats it
}

// Error gives the value; the stack is in Stack.
func (e *PanicError) Error() string { return fmt.Sprintf("reactor: panic: %v", e.Value) }

// Unwrap returns the value when it is an error, so that errors.Is sees through the panic.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// lostError is ErrConnectionLost together with what said so: mostly an errno.
type lostError struct{ err error }

func (e *lostError) Error() string   { return ErrConnectionLost.Error() + ": " + e.err.Error() }
func (e *lostError) Unwrap() []error { return []error{ErrConnectionLost, e.err} }

// lost makes the reason of a connection whose read or write failed with errno.
func lost(errno syscall.Errno) error { return &lostError{errno} }

// reasons are the names of ReasonName.
var reasons = [...]struct {
	err  error
	name string
}{
	{ErrConnectionDone, "done"},
	{ErrConnectionLost, "lost"},
	{ErrAborted, "aborted"},
	{ErrTimeout, "timeout"},
	{ErrSlowReader, "slow-reader"},
	{ErrWriteBound, "write-bound"},
	{ErrRefused, "refused"},
	{ErrDetached, "detached"},
	{ErrConnectFailed, "connect-failed"},
	{ErrCancelled, "cancelled"},
	{ErrShutdown, "shutdown"},
}

// ReasonName is a short and fixed name for a reason that ConnectionLost or ConnectionFailed was told, for logs and metrics:
// done, lost, aborted, timeout, write-bound, refused, detached, connect-failed, cancelled, shutdown or panic. A reason that
// is not of this package is "other", and nil is "". It may be called from any goroutine.
func ReasonName(reason error) string {
	if reason == nil {
		return ""
	}
	if _, ok := errors.AsType[*PanicError](reason); ok { // before what was panicked with
		return "panic"
	}
	for _, r := range reasons {
		if errors.Is(reason, r.err) {
			return r.name
		}
	}
	return "other"
}
