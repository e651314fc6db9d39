package sim_test

// The laws of the reactor, checked together: each seed makes a world with its own faults, in which protocols and peers
// do whatever they like, and everything that one of them sees must be allowed by what the others did. actor_test.go is
// the protocol, peer_test.go who talks to it.

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
)

// seeds is how many worlds a test of laws makes. .ci/run makes ten times as many.
func seeds() int {
	switch {
	case testing.Short():
		return sim.Seeds(100)
	case raceEnabled:
		return sim.Seeds(250)
	}
	return sim.Seeds(400)
}

// spread checks the seeds 1 to n, on all processors.
func spread(t *testing.T, n int, c sim.Config, f func(w *sim.World)) {
	workers := runtime.GOMAXPROCS(0)
	for i := range workers {
		first, last := i*n/workers, (i+1)*n/workers
		t.Run(fmt.Sprintf("%d-%d", first+1, last), func(t *testing.T) {
			t.Parallel()
			sim.Check(t, uint64(first+1), last-first, c, f)
		})
	}
}

func TestLaws(t *testing.T) { spread(t, seeds(), sim.Config{}, playLaws) }

// The same with kernels that take more than the peer has room for.
func TestLawsWithSendBuffers(t *testing.T) {
	spread(t, seeds()/4, sim.Config{SendBuffer: 64 << 10}, playLaws)
}

// On a network where nothing goes wrong there is no excuse for anything.
func TestLawsWhenAllIsWell(t *testing.T) { spread(t, seeds()/10, sim.Calm(), playCalmLaws) }

func playLaws(w *sim.World)     { newStage(w, true).play() }
func playCalmLaws(w *sim.World) { newStage(w, false).play() }

// A stage is one world with what the actors and the peers in it know of each other.
type stage struct {
	w        *sim.World
	loops    []*loop
	far      *sim.Listener // a script's, whom the actors call
	chaos    bool          // actors may do what spoils a connection: abort, panic
	faulty   bool          // the network may reset connections
	links    map[netip.AddrPort]*link
	actors   []*actor
	attempts []*attempt
	files    int // that are open
	opts     reactor.TCPOptions
	peers    int  // that are still at it
	closed   bool // a port
	over     bool // the actors are to behave
}

// A loop is one of the reactors.
type loop struct {
	*reactor.Reactor
	port   *reactor.Port
	timers []*timer
	posted int // calls that were not made yet
}

// post is CallFromThread. On a calm day the call is made soon.
func (s *stage) post(l *loop, f func()) {
	l.posted++
	at := s.w.Now()
	if !l.CallFromThread(func() {
		if d := s.w.Now().Sub(at); d > 100*time.Millisecond && !s.faulty {
			s.w.Errorf("a posted call was made after %v", d)
		}
		l.posted--
		f()
	}) {
		l.posted--
	}
}

func newStage(w *sim.World, faulty bool) *stage {
	s := &stage{w: w, faulty: faulty, links: map[netip.AddrPort]*link{}}
	s.chaos = w.Rand().IntN(2) == 0
	s.opts.Backlog = 1 + w.Rand().IntN(8)
	s.opts.HighWater = 1 << (8 + w.Rand().IntN(9))
	s.opts.LowWater = s.opts.HighWater / (1 + w.Rand().IntN(4))
	s.opts.Shared = true
	if w.Rand().IntN(2) == 0 {
		s.opts.WriteTimeout = time.Duration(1+w.Rand().IntN(5000)) * time.Millisecond
		if w.Rand().IntN(2) == 0 {
			s.opts.MinWriteRate = 1 << w.Rand().IntN(20)
		}
	}
	return s
}

func (s *stage) play() {
	w := s.w
	for i := range 1 + w.Rand().IntN(2) {
		l := &loop{Reactor: w.Reactor(fmt.Sprint("loop", i), reactor.Config{ReportError: s.reported})}
		f := reactor.FactoryFunc(func(remote netip.AddrPort) reactor.Protocol { return s.build(l, remote) })
		var err error
		if i == 0 {
			l.port, err = l.ListenTCP("127.0.0.1:0", f, &s.opts)
		} else {
			l.port, err = s.loops[0].port.Share(l.Reactor, f)
		}
		if err != nil {
			w.Errorf("listen: %v", err)
			return
		}
		s.loops = append(s.loops, l)
		for range w.Rand().IntN(3) {
			s.timer(l, time.Duration(w.Rand().Int64N(int64(200*time.Millisecond))), func() { s.connect(l) })
		}
	}
	s.far, _ = w.Listen(netip.MustParseAddrPort("10.0.0.2:80")) // nobody else is there
	w.Go("far", s.answer)
	peers := 1 + w.Rand().IntN(8)
	s.peers += peers
	for i := range peers {
		w.Go(fmt.Sprint("peer", i), func() {
			defer func() { s.peers-- }()
			s.peer(uint32(i))
		})
	}
	w.Go("judge", s.judge)
}

// reported expects the panics that the actors have made, and what accept may say in this world.
func (s *stage) reported(err error) {
	var p *reactor.PanicError
	if errors.As(err, &p) {
		if p.Value != chaos {
			s.w.Errorf("%v\n%s", p, p.Stack)
		}
		return
	}
	for _, errno := range []syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM,
		syscall.EACCES, syscall.EHOSTUNREACH, syscall.ETIMEDOUT,
	} {
		if s.faulty && errors.Is(err, errno) {
			return
		}
	}
	s.w.Errorf("reported: %v", err)
}

// judge waits until the peers are gone, ends what is left, and looks at what should not be.
func (s *stage) judge() {
	w := s.w
	defer s.far.Close()
	w.Wait("the peers to leave", func() bool { return s.peers == 0 })
	w.Sleep(time.Duration(w.Rand().IntN(100)) * time.Millisecond)
	if w.Rand().IntN(4) == 0 {
		return // let Stop find everything as it is
	}
	s.over = true
	s.far.Close()
	for _, l := range s.loops {
		s.post(l, func() {
			for _, a := range s.actors {
				if a.l == l && a.made && !a.lost {
					a.pause(false)
					a.t.AbortConnection()
				}
			}
		})
	}
	w.Wait("all to be lost", func() bool {
		for _, a := range s.actors {
			if a.made && !a.lost {
				return false
			}
		}
		for _, a := range s.attempts {
			if a.outcomes == 0 {
				return false
			}
		}
		return true
	})
	w.Sleep(300 * time.Millisecond) // a port may be having a rest
	for _, l := range s.loops {
		if n := len(l.DelayedCalls()) - l.pending(); n != 0 {
			w.Errorf("at rest the loop has %d timers of its own", n)
		}
	}
	w.Sleep(time.Minute) // for the timers
	for _, l := range s.loops {
		if n := l.Unsent(); n != 0 {
			w.Errorf("at rest a loop counts %d unsent bytes", n)
		}
		if n := l.Held(); n != 0 {
			w.Errorf("at rest a loop counts %d bytes of buffers", n)
		}
		if l.posted != 0 {
			w.Errorf("%d posted calls were not made", l.posted)
		}
		for _, c := range l.timers {
			if !c.done && !c.cancelled && c.due.Add(30*time.Second).Before(w.Now()) {
				w.Errorf("a timer due at %v was not called until %v", c.due, w.Now())
			}
		}
	}
	for _, a := range s.attempts {
		if a.outcomes != 1 {
			w.Errorf("%d outcomes of an attempt to connect", a.outcomes)
		}
	}
	if s.files != 0 {
		w.Errorf("%d files are open", s.files)
	}
	for _, d := range w.Descriptors() {
		if strings.HasSuffix(d, "stream") {
			w.Errorf("at rest descriptor %s is open", d)
		}
	}
}

// pending counts the timers that are still to be called.
func (l *loop) pending() (n int) {
	for _, c := range l.timers {
		if !c.done && !c.cancelled {
			n++
		}
	}
	return n
}

// A link is one connection, as both of its ends know it.
type link struct {
	key      uint32
	a        *actor // the protocol's end; nil until it is made
	called   bool   // by the actor
	sent     int    // by the peer
	received int    // by the peer
	shut     bool   // the peer has half-closed, or closed with nothing unread
	harsh    bool   // the peer has aborted, or closed with something unread
}

// pattern is byte i of what one end of a link sends.
func pattern(key uint32, i int) byte {
	return byte(uint32(i)*7 + uint32(i>>8)*31 + key*97 + 13)
}

// fill appends n bytes of the pattern from i on.
func fill(b []byte, key uint32, i, n int) []byte {
	for j := range n {
		b = append(b, pattern(key, i+j))
	}
	return b
}

// matches reports where p differs from the pattern from i on; -1 is nowhere.
func matches(p []byte, key uint32, i int) int {
	for j, c := range p {
		if c != pattern(key, i+j) {
			return j
		}
	}
	return -1
}

// fromPeer and fromActor tell the two directions of a link apart.
const (
	fromPeer  = 1 << 16
	fromActor = 1 << 17
)

// An attempt is one of an actor's to connect.
type attempt struct {
	s        *stage
	l        *loop
	outcomes int
}

// connect has a loop connect to the far script, or to where nobody is.
func (s *stage) connect(l *loop) {
	if s.over {
		return
	}
	rnd := s.w.Rand()
	to := s.far.AddrPort().String()
	if rnd.IntN(4) == 0 {
		to = "10.0.0.3:81"
	}
	a := &attempt{s: s, l: l}
	s.attempts = append(s.attempts, a)
	o := &reactor.ConnectOptions{
		TransportOptions: s.opts.TransportOptions,
		Timeout:          time.Duration(1 + rnd.Int64N(int64(10*time.Second))),
	}
	c, err := l.ConnectTCP(to, a, o)
	if err != nil {
		s.w.Errorf("connect: %v", err)
	}
	if rnd.IntN(4) == 0 {
		s.timer(l, time.Duration(rnd.Int64N(int64(100*time.Millisecond))), c.Cancel)
	}
}

func (a *attempt) BuildProtocol(netip.AddrPort) reactor.Protocol {
	if a.outcomes > 0 {
		a.s.w.Errorf("an attempt is made twice")
	}
	return a.s.cast(&actor{s: a.s, l: a.l, attempt: a, promised: -1})
}

// ConnectionFailed needs a reason.
func (a *attempt) ConnectionFailed(_ *reactor.Connector, reason error) {
	if a.outcomes++; a.outcomes > 1 {
		a.s.w.Errorf("an attempt has failed after it had an outcome: %v", reason)
	}
	var p *reactor.PanicError
	for _, err := range []error{
		reactor.ErrConnectFailed, reactor.ErrTimeout, reactor.ErrCancelled, reactor.ErrRefused, reactor.ErrShutdown,
	} {
		if errors.Is(reason, err) {
			return
		}
	}
	if !errors.As(reason, &p) {
		a.s.w.Errorf("failed for no reason with %v", reason)
	}
}

// A file is one whose bytes are the pattern. When it is closed, its actor may do something.
type file struct {
	a   *actor
	key uint32
}

func (f *file) Fd() uintptr { return ^uintptr(0) }

func (f *file) ReadAt(p []byte, at int64) (int, error) {
	return len(fill(p[:0], f.key, int(at), len(p))), nil
}

func (f *file) Close() error {
	f.a.s.files--
	if sending := f.a.field("fd").Int() >= 0; sending && !f.a.writing {
		f.a.act()
	}
	return nil
}
