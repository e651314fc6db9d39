package reactor

// Work off the loop whose result comes back to it: Twisted's deferToThread.

import (
	"errors"
	"runtime/debug"
)

// ErrNoResult is what DeferToThread has for the result of a function that ended its goroutine, by runtime.Goexit, instead
// of returning.
var ErrNoResult = errors.New("reactor: the call did not return")

// DeferToThread calls f on a goroutine of r's pool, where it may block, and then done on r's loop with what f returned. If f
// panics, that is reported, and done gets a *PanicError; if f ends its goroutine, ErrNoResult. It may be called from any
// goroutine and never blocks itself.
//
// The error is ErrPoolFull, or ErrStopped, and then neither f nor done is called. When it is nil, done is called exactly
// once, also while the reactor is ending: Run does not return before. By then connections have been told ErrShutdown, and
// nothing new can be started on the loop.
func DeferToThread[T any](r *Reactor, f func() (T, error), done func(T, error)) error {
	return r.CallInThread(func() {
		var result T
		err := ErrNoResult
		defer func() {
			if v := recover(); v != nil {
				err = &PanicError{Value: v, Stack: debug.Stack()}
			}
			// It is accepted: the loop takes calls until the pool is at rest.
			r.CallFromThread(func() {
				if p, ok := err.(*PanicError); ok {
					r.report(p)
				}
				done(result, err)
			})
		}()
		result, err = f()
	})
}
