package server

import (
	"cmp"
	"math"
	"runtime"
	"time"

	"microhttp/parser"
)

// Each bound is a field of Server. Here the zeros become the defaults, once, so that
// nobody else has to know what a zero means.

// settings are the fields of a Server with the defaults filled in.
type settings struct {
	timeouts    [phases]time.Duration // 0 is none
	grace       time.Duration
	rate        int // bytes a second; 0 is none
	sendTimeout time.Duration
	idleGrace   time.Duration // never 0, which the transport takes for no time-out

	pipelined int
	unsent    int
	linger    uint32 // bytes
	mostHeld  int64  // MaxBufferedBytes; math.MaxInt64 is no bound
	share     int    // an equal part of it for each loop
	maxBody   int64  // of bodies that are buffered; -1 is MaxBufferedBytes
	maxHeld   int64  // MaxBufferedBytes; -1 is none

	form formLimits

	loops int

	handshakes    int
	handshakeTime time.Duration

	detectLate bool
}

const (
	// blockingQueue is how many requests may wait for each handler of MaxBlocking:
	// enough to ride out a burst, and a bound on what the waiting requests hold.
	blockingQueue = 16
	// unsentFactor is how many times MaxUnsentBytes a Stream on the loop may hold.
	unsentFactor = 256
	// forever is what a longer duration becomes: the sums and products of such do not overflow.
	forever = 40 * 365 * 24 * time.Hour
)

func (s *Server) init() {
	s.setup.Do(func() {
		s.conf = settings{
			timeouts: [phases]time.Duration{
				phaseNew:     period(s.ReadHeaderTimeout, 10*time.Second),
				phaseIdle:    period(s.IdleTimeout, 75*time.Second),
				phaseHead:    period(s.ReadHeaderTimeout, 10*time.Second),
				phaseBody:    period(s.BodyTimeout, 10*time.Minute),
				phasePending: period(s.PendingTimeout, 5*time.Minute),
				phaseDiscard: period(s.LingerTimeout, 5*time.Second),
				phaseDrain:   period(s.LingerTimeout, 5*time.Second),
			},
			grace:       period(s.DataRateGrace, 5*time.Second),
			rate:        orDefault(s.MinDataRate, 240),
			sendTimeout: period(s.SendTimeout, 30*time.Second),
			idleGrace:   max(period(s.ShutdownIdleGrace, shutdownGrace), 1),
			pipelined:   orDefault(s.MaxPipelinedBytes, 64<<10),
			// Without any nothing could be sent.
			unsent:     min(orDefault(max(s.MaxUnsentBytes, 0), 16<<10), math.MaxInt/unsentFactor),
			linger:     uint32(min(orDefault(s.MaxLingerBytes, 64<<20), math.MaxInt32)),
			detectLate: s.DetectLateUse,
			form: formLimits{
				memory: orDefault(s.MaxFormMemory, 32<<20),
				parts:  orDefault(s.MaxFormParts, 1000),
				fields: orDefault(s.MaxFormFields, 10_000),
				disk:   orDefault(s.MaxFormDisk, 1<<30),
				all:    orDefault(s.MaxFormDiskAll, 4<<30),
			},
			loops:         s.Loops,
			handshakes:    cmp.Or(max(s.MaxHandshakes, 0), 4096),
			handshakeTime: cmp.Or(max(s.HandshakeTimeout, 0), 10*time.Second),
		}
		if s.conf.loops <= 0 {
			s.conf.loops = runtime.GOMAXPROCS(0)
		}
		s.conf.share, s.conf.mostHeld = math.MaxInt, math.MaxInt64
		s.counted.Store(&[]*worker{})
		s.conf.maxHeld = -1
		if n := orDefault(s.MaxBufferedBytes, 256<<20); n > 0 {
			s.conf.share, s.conf.maxHeld, s.conf.mostHeld = int(min(n, math.MaxInt))/s.conf.loops, n, n
		}
		if s.conf.maxBody = -1; s.MaxBodyBytes >= 0 {
			s.conf.maxBody = orDefault(s.MaxBodyBytes, 8<<20)
		}
		s.limits = parser.Limits{
			Head:            s.MaxHeaderBytes,
			FieldLines:      s.MaxHeaderFields,
			Target:          s.MaxTargetBytes,
			Body:            -1, // the handler's bound counts: see exchange.bound
			ChunkExtensions: s.MaxChunkExtensionBytes,
			Trailer:         s.MaxTrailerBytes,
			BlankLines:      s.MaxBlankLines,
		}
		s.places.init(s)
		s.doors = doors{most: int64(orDefault(s.MaxConns, 1<<16)), mostOfOne: s.MaxConnsPerAddr}
		s.handler = &wrapped{f: notFound}
		if f, ok := s.Handler.(HandlerFunc); s.Handler != nil && (!ok || f != nil) { // Listen refuses that one
			s.handler = AtHead(s.Handler)
		}
		s.log = s.Log.orDefault()
		s.over = make(chan struct{})
	})
}

// check returns a LimitError if one of the limits that were set allows what another forbids.
func (s *Server) check() error {
	held := s.conf.maxHeld
	for _, l := range []LimitError{
		{"MaxBodyBytes", s.MaxBodyBytes, "MaxBufferedBytes", held},
		{"MaxHeaderBytes", int64(s.MaxHeaderBytes), "MaxBufferedBytes", held},
		{"MaxPipelinedBytes", int64(s.MaxPipelinedBytes), "MaxBufferedBytes", held},
		{"MaxUnsentBytes", int64(s.MaxUnsentBytes), "MaxBufferedBytes", held},
		{"MaxTargetBytes", int64(s.MaxTargetBytes), "MaxHeaderBytes", int64(s.MaxHeaderBytes)},
		{"MaxConnsPerAddr", int64(s.MaxConnsPerAddr), "MaxConns", int64(s.MaxConns)},
	} {
		if l.Most > 0 && l.Value > l.Most {
			return &l
		}
	}
	return checkBounds(s.handler, -1, held)
}

// period is orDefault for a duration.
func period(v, def time.Duration) time.Duration { return min(orDefault(v, def), forever) }

// orDefault is v, or def when v is zero, or nothing (0) when v is negative.
func orDefault[T int | int64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 0
	}
	return v
}
