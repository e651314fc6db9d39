package server

// What a handler may do depends on what was done before. One table says it.

// verb is something that a handler does with its exchange.
type verb uint8

const (
	verbLater        verb = iota
	verbStream            // Response.Stream
	verbLeaf              // next.Serve of a leaf, Blocking, ReadBody
	verbOnBody            // Request.OnBody
	verbBodyReader        // Request.BodyReader
	verbAnswerWithin      // Response.AnswerWithin
	verbUpgrade           // Response.Upgrade
	verbHijack            // Response.Hijack
	verbHold              // Response.Hold
	verbs
)

var verbNames = [verbs]string{"Later", "Stream", "another handler", "OnBody", "BodyReader", "AnswerWithin", "Upgrade", "Hijack", "Hold"}

// situation is what was done before.
type situation uint8

const (
	undecided        situation = iota // nothing
	leafChosen                        // a leaf was chosen, and has not begun
	holdTaken                         // Hold was called
	laterTaken                        // Later was called
	inAnswer                          // the function of Pending.Answer runs, or has run
	streamOnLoop                      // Stream was called on the loop
	inBlocking                        // a Blocking handler runs
	streamInBlocking                  // … and has called Stream
	inOnPanic                         // OnPanic runs
	inOnHead                          // a function of OnHead runs
	upgraded                          // Upgrade or Hijack was called
	situations
)

// forbidden says why a verb is not allowed. What is empty is allowed.
var forbidden = [situations][verbs]string{
	leafChosen: {
		verbLater:        "behind a handler that was chosen and will answer: take the Pending in that",
		verbStream:       "behind a handler that was chosen and will answer: take the Stream in that",
		verbLeaf:         "for one request: call both in one",
		verbOnBody:       "behind a handler that was chosen, whose body it is",
		verbBodyReader:   "on the loop: it is for Blocking handlers",
		verbAnswerWithin: "behind a handler that was chosen: it comes before next.Serve",
		verbUpgrade:      "behind a handler that was chosen and will answer: call it in that",
		verbHijack:       "behind a handler that was chosen: it is for Blocking handlers",
		verbHold:         "behind a handler that was chosen: it comes in place of next.Serve",
	},
	holdTaken: {
		verbLater:        "after Hold: take the Pending in the handler that serves",
		verbStream:       "after Hold: take the Stream in the handler that serves",
		verbLeaf:         "after Hold: Held.Serve calls it",
		verbOnBody:       "after Hold: call it in the handler that serves",
		verbBodyReader:   "after Hold: it is for Blocking handlers",
		verbAnswerWithin: "after Hold: it comes before",
		verbUpgrade:      "after Hold: call it in the handler that serves",
		verbHijack:       "on the loop: it is for Blocking handlers",
		verbHold:         "a second time",
	},
	undecided: {
		verbBodyReader: "on the loop: it is for Blocking handlers, use OnBody",
		verbHijack:     "on the loop: it is for Blocking handlers, use Upgrade",
	},
	laterTaken: {
		verbStream:       "after Later: take the Stream in the handler",
		verbLeaf:         "after Later, which is the answer",
		verbBodyReader:   "after Later: it is for Blocking handlers, use OnBody",
		verbAnswerWithin: "after Later: it comes before",
		verbUpgrade:      "after Later, which is the answer",
		verbHijack:       "on the loop: it is for Blocking handlers",
		verbHold:         "after Later, which is the answer",
	},
	inAnswer: {
		verbLater:        "in the function that answers",
		verbStream:       "after Later: take the Stream in the handler",
		verbLeaf:         "in the function that answers",
		verbOnBody:       "in the function that answers",
		verbBodyReader:   "in the function that answers",
		verbAnswerWithin: "in the function that answers",
		verbUpgrade:      "in the function that answers",
		verbHijack:       "in the function that answers",
		verbHold:         "in the function that answers",
	},
	streamOnLoop: {
		verbLater:        "after Stream, which is the answer",
		verbLeaf:         "after Stream, which is the answer",
		verbBodyReader:   "on the loop: it is for Blocking handlers, use OnBody",
		verbAnswerWithin: "after Stream, which is the answer",
		verbUpgrade:      "after Stream, which is the answer",
		verbHijack:       "on the loop: it is for Blocking handlers",
		verbHold:         "after Stream, which is the answer",
	},
	inBlocking: {
		verbLater:        "in a Blocking handler, which may simply take its time",
		verbLeaf:         "in a Blocking handler: call it",
		verbOnBody:       "in a Blocking handler: use BodyReader",
		verbAnswerWithin: "in a Blocking handler: put it, or middleware.Timeout, around Blocking",
		verbHold:         "in a Blocking handler, which may simply wait",
	},
	streamInBlocking: {
		verbLater:        "in a Blocking handler, after Stream, which is the answer",
		verbLeaf:         "after Stream, which is the answer",
		verbOnBody:       "in a Blocking handler: use BodyReader",
		verbAnswerWithin: "after Stream, which is the answer",
		verbUpgrade:      "after Stream, which is the answer",
		verbHold:         "after Stream, which is the answer",
	},
	inOnPanic: {
		verbLater:        "in OnPanic, which must answer at once",
		verbStream:       "in OnPanic, which must answer at once",
		verbLeaf:         "in OnPanic, which must answer at once",
		verbOnBody:       "in OnPanic, which must answer at once",
		verbBodyReader:   "in OnPanic, which must answer at once",
		verbAnswerWithin: "in OnPanic, which must answer at once",
		verbUpgrade:      "in OnPanic, which must answer at once",
		verbHijack:       "in OnPanic, which must answer at once",
		verbHold:         "in OnPanic, which must answer at once",
	},
	inOnHead: {
		verbLater:        "in OnHead, where the answer is made",
		verbStream:       "in OnHead, where the answer is made",
		verbLeaf:         "in OnHead, where the answer is made",
		verbOnBody:       "in OnHead, where the answer is made",
		verbBodyReader:   "in OnHead, where the answer is made",
		verbAnswerWithin: "in OnHead, where the answer is made",
		verbUpgrade:      "in OnHead, where the answer is made",
		verbHijack:       "in OnHead, where the answer is made",
		verbHold:         "in OnHead, where the answer is made",
	},
	upgraded: {
		verbLater:        "after Upgrade or Hijack, which is the answer",
		verbStream:       "after Upgrade or Hijack, which is the answer",
		verbLeaf:         "after Upgrade or Hijack, which is the answer",
		verbOnBody:       "after Upgrade or Hijack, which is the answer",
		verbBodyReader:   "after Upgrade or Hijack, which is the answer",
		verbAnswerWithin: "after Upgrade or Hijack, which is the answer",
		verbUpgrade:      "after Upgrade or Hijack, which is the answer",
		verbHijack:       "after Upgrade or Hijack, which is the answer",
		verbHold:         "after Upgrade or Hijack, which is the answer",
	},
}

// situation is what was done with x before.
func (x *exchange) situation() situation {
	streams := x.res.stream != nil
	switch {
	case x.mending:
		return inOnPanic
	case x.heading:
		return inOnHead
	case x.leaf != nil:
		return leafChosen
	case x.mode == modeHeld:
		return holdTaken
	case x.mode == modeUpgraded:
		return upgraded
	case x.mode == modeBlocking && streams:
		return streamInBlocking
	case x.mode == modeBlocking:
		return inBlocking
	case streams:
		return streamOnLoop
	case x.mode == modePending && x.fate.Load() != fateOpen:
		return inAnswer
	case x.mode == modePending:
		return laterTaken
	}
	return undecided
}

// must panics if v is not allowed now.
func (x *exchange) must(v verb) {
	if why := forbidden[x.situation()][v]; why != "" {
		panic("server: " + verbNames[v] + " " + why)
	}
}
