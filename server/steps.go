package server

import "fmt"

// A connection is two machines, one for each direction, and one table that says what follows from both.
//
// The intake takes requests in. It is about one request at a time: the next one is not looked at before the exchange of
// this one is over. The output gives answers out. Handlers run when the intake has a head, so both are alive at once:
// a body may still arrive while its answer is already streaming.
//
// Whether a connection persists is decided in framing.go, when the head of an answer is made. The result is outputLast.

// intake is where a connection stands with what its peer sends.
type intake uint8

const (
	intakeIdle     intake = iota // between requests: nothing of the next one has come but empty lines
	intakeHead                   // a part of a head has come
	intakeBody                   // the head is complete, the body is not
	intakeComplete               // the request is complete, and its exchange is not over
	intakeRefused                // what the peer sends has no meaning any more
	intakeClosed                 // the peer has half-closed, and all that it sent was used
	intakeSwitched               // what the peer sends is another protocol's
	intakes
)

// output is where a connection stands with what it sends.
type output uint8

const (
	outputIdle      output = iota // no answer is owed
	outputOwed                    // a handler was called, and the head of its answer has not been made
	outputStreaming               // the head has been sent, the end of the content has not
	outputSwitched                // 101 is the answer, and what is sent after it is another protocol's
	outputLast                    // the last answer has been given
	outputEnded                   // the connection was told to end, or is lost: nothing is written any more
	outputs
)

// step is what a connection does next.
type step uint8

const (
	stepNever    step = iota // a pair that does not occur
	stepParse                // read the next request
	stepBody                 // pass the body on as far as it was asked for, and wait for the answer
	stepWait                 // wait for the answer
	stepDiscard              // throw the rest of a body away, whose answer has been given
	stepSwitched             // leave the connection to the protocol that it has switched to
	stepEnd                  // end the connection: nothing more is to be said
	stepGone                 // nothing
)

// steps derives the step. What is not in it does not occur.
var steps = flat([intakes][outputs]step{
	intakeIdle:     {outputIdle: stepParse, outputLast: stepEnd, outputEnded: stepGone},
	intakeHead:     {outputIdle: stepParse, outputLast: stepEnd, outputEnded: stepGone},
	intakeBody:     {outputIdle: stepDiscard, outputOwed: stepBody, outputStreaming: stepBody, outputLast: stepEnd, outputEnded: stepGone},
	intakeComplete: {outputOwed: stepWait, outputStreaming: stepWait, outputLast: stepEnd, outputEnded: stepGone},
	intakeRefused:  {outputOwed: stepWait, outputStreaming: stepWait, outputLast: stepEnd, outputEnded: stepGone},
	intakeClosed:   {outputOwed: stepWait, outputStreaming: stepWait, outputLast: stepEnd, outputEnded: stepGone},
	intakeSwitched: {outputSwitched: stepSwitched, outputEnded: stepGone},
})

// flat makes a table of pairs one that is read by both at once: it is read several times for a request.
func flat(pairs [intakes][outputs]step) (t [64]step) {
	for i := range intakes {
		for o := range outputs {
			t[pair(i, o)] = pairs[i][o]
		}
	}
	return t
}

const _, _ = 8 - intakes, 8 - outputs // there are at most eight of each

// pair is the place of a pair of states in a flat table.
func pair(i intake, o output) uint8 { return (uint8(i)<<3 | uint8(o)) & 63 }

// never is called when a connection stands where it cannot, which is a bug of this package. The panic costs the connection
// alone. It is a variable for the tests, where it ends the program.
var never = func(c *conn) { panic(fmt.Sprintf("server: intake %d with output %d", c.intake, c.output)) }

// step is what c does next.
func (c *conn) step() step { return steps[pair(c.intake, c.output)] }
