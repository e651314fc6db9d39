package reactor

// What the loop asks of a way to wait, and what it may rely on. Four pollers of kernels keep these promises, and that of
// the simulation. Each line of the table on Poller names the test that holds it.

import "time"

// Interest is what a descriptor is watched for, and what it is found ready for.
type Interest uint8

// The interests combine.
const (
	// Readable is bytes, their end, or a connection to accept.
	Readable Interest = 1 << iota
	// Writable is room for output, or the outcome of a connect.
	Writable
	// Invalid is found and never watched for: the descriptor is not open.
	Invalid
	// Fault is an error, or a hang-up of both directions. It is watched for alone, by a connection that neither reads nor
	// writes just now.
	Fault
)

// An Event is one ready descriptor.
type Event struct {
	FD    int32
	Gen   uint32 // the generation that it was watched under
	Ready Interest
}

// A Poller says which descriptors are ready. All methods but Wake are called on the loop's goroutine.
//
// It promises, and the loop relies on no more:
//
//	what                                                                                  held by
//	------------------------------------------------------------------------------------  -------------------------------
//	Level-triggered: what is ready is reported by each look until it is so no more.       TestPollerPromises/level
//	A descriptor is reported for what it is watched for, and for faults.                   TestPollerPromises/interest
//	Ready may say too much: a read or a write then says EAGAIN. It never says too little.  TestPollerPromises/interest
//	Interest 0 is not reported at all, not even when there is a fault.                     TestPollerPromises/nothing
//	A fault is reported to each who watches, as Readable and as Writable.                  TestPollerPromises/fault
//	Fault alone is reported for a reset and a hang-up, not for bytes or a half-close.      TestPollerPromises/fault-alone
//	A poller that cannot watch for Fault alone, as select(2), reports nothing then.        TestPollerPromises/fault-alone
//	What is never blocked, as a regular file, is refused with EPERM, or always ready.      TestPollerPromises/regular-file
//	The loop takes what was refused with EPERM for always ready.                           TestRegularFile
//	What is not open is refused with EBADF, or reported as Invalid.                        TestPollerPromises/not-open
//	A descriptor that the poller has no room for is refused with another error.            TestSelectRange
//	One that is refused costs that connection and no other.                                TestPollerRefusesConnection
//	An event carries the generation of the descriptor's last Update.                       TestPollerPromises/generation
//	After Forget and close(2) a number is as new: nothing is reported of its last owner.   TestPollerPromises/forget
//	A report that was made before the number changed hands is dropped by the loop.         TestStaleEventsAreDropped
//	A descriptor closed without Forget, and held open elsewhere, may haunt, but not stay.  TestClosedButDuplicated
//	Fair: when more is ready than a report holds, each is in one of the next few.          TestPollersAreFair
//	A wait may end early with nothing. It ends at its time, and not much later.            TestPollersWaitUntil
//	Wake ends the Wait that is under way, or the next. Many before that are one.           TestPollerPromises/wake
//	Wake may be called from any goroutine until Close begins.                              TestPollerPromises/wake
//	A Wait without events and without a time costs no wake-up.                             TestIdleLoopIsQuiet
type Poller interface {
	// Update tells the interest that there was and the interest that there is now. The poller derives add, modify or delete.
	Update(fd int, gen uint32, old, now Interest) error
	// Forget says that fd, last watched for old, is closed next. A poller that learns it from close(2) does nothing.
	Forget(fd int, old Interest)
	// Poll reports what is ready without waiting.
	Poll(events []Event) (int, error)
	// Wait reports what is ready, and sleeps until something is, or Wake, or until is reached; the zero time is never.
	Wait(events []Event, until time.Time) (int, error)
	// Wake ends a Wait.
	Wake()
	// Close frees what the poller holds.
	Close() error
}
