package reactor

// What the tests share: a reactor that runs beside the test and is checked for leaks when it ends, a protocol that
// records what it is told, and a System whose calls can be made to fail.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen. It only ever runs out when the test fails.
const patience = 10 * time.Second

func TestMain(m *testing.M) {
	// Go's own poller opens descriptors on first use, and package signal starts a goroutine; they are no leak of ours.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1)
	signal.Reset(syscall.SIGUSR1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	l.Close()
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // the default
		_ = f.Value.Set(strconv.Itoa(besideEachOther))
	}
	os.Exit(m.Run())
}

// besideEachOther is how many tests run at the same time, of those that may: they mostly wait.
const besideEachOther = 6

// eachPoller is the one suite for every poller.
func eachPoller(t *testing.T, f func(t *testing.T, c Config)) {
	for _, name := range (kernel{}).Pollers() {
		t.Run(name, func(t *testing.T) { f(t, Config{Poller: name}) })
	}
}

// eachPollerBeside is eachPoller for a test that mostly waits, or moves bytes, and does not care for the numbers of descriptors:
// all pollers are tested at the same time. What is left is looked for when all have ended.
func eachPollerBeside(t *testing.T, f func(t *testing.T, c Config)) {
	checkLeaks(t)
	beside.Store(true)
	defer beside.Store(false)
	t.Run("beside", func(t *testing.T) { // it returns when all have ended
		for _, name := range (kernel{}).Pollers() {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f(t, Config{Poller: name})
			})
		}
	})
}

// beside is set while the tests that run cannot tell what they leave from what the others have.
var beside atomic.Bool

// A loop is a reactor that runs on a goroutine of its own until the test ends.
type loop struct {
	*Reactor
	t    testing.TB
	done chan struct{}
	err  error

	mu      sync.Mutex
	reports []error
}

// prepare makes a reactor; start runs it.
func prepare(t testing.TB, c Config) *loop {
	t.Helper()
	checkLeaks(t)
	l := &loop{t: t, done: make(chan struct{})}
	if c.ReportError == nil {
		c.ReportError = func(err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.reports = append(l.reports, err)
		}
	}
	if c.ReportStall == nil {
		c.ReportStall = func(Stall) {} // a busy machine is no news; the tests of the watch ask for it
	}
	r, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l.Reactor = r
	return l
}

func (l *loop) start() *loop {
	go func() {
		defer close(l.done)
		l.err = l.Run()
	}()
	l.t.Cleanup(l.stop)
	return l
}

func start(t testing.TB, c Config) *loop {
	t.Helper()
	return prepare(t, c).start()
}

// stop stops the reactor and waits for it.
func (l *loop) stop() {
	l.Stop()
	receive(l.t, l.done, "the reactor to end")
	if l.err != nil {
		l.t.Errorf("Run: %v", l.err)
	}
	var fault runtime.Error // no panic of a test's
	for _, err := range l.reported() {
		if errors.As(err, &fault) {
			l.t.Errorf("reported %v", err)
		}
	}
}

// do runs f on the loop and waits for it.
func (l *loop) do(f func()) {
	l.t.Helper()
	done := make(chan struct{})
	if !l.CallFromThread(func() { defer close(done); f() }) {
		l.t.Fatal("the reactor has ended")
	}
	receive(l.t, done, "a call on the loop")
}

func (l *loop) reported() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]error(nil), l.reports...)
}

// listen listens on a port of loopback and returns it.
func (l *loop) listen(f FactoryFunc, o *TCPOptions) *Port {
	l.t.Helper()
	var p *Port
	var err error
	l.do(func() { p, err = l.ListenTCP("127.0.0.1:0", f, o) })
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// dial connects to a port; the connection is closed when the test ends.
func dial(t testing.TB, p *Port) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(p.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// connect connects to a port of one connection and returns both ends.
func (l *loop) connect(o *TCPOptions, set func(*recorder)) (*net.TCPConn, *recorder) {
	l.t.Helper()
	rec := newRecorder()
	if set != nil {
		set(rec)
	}
	p := l.listen(rec.factory, o)
	c := dial(l.t, p)
	receive(l.t, rec.made, "ConnectionMade")
	return c, rec
}

func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case x := <-c:
		return x
	case <-time.After(patience):
		buf := make([]byte, 1<<16)
		t.Fatalf("waited in vain for %s\n%s", what, buf[:runtime.Stack(buf, true)])
		panic("unreachable")
	}
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); !f(); <-again.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func readAll(t testing.TB, r io.Reader) string {
	t.Helper()
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(p)
}

func readN(t testing.TB, r io.Reader, n int) string {
	t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(r, p); err != nil {
		t.Fatalf("read: %v", err)
	}
	return string(p)
}

func send(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatalf("write: %v", err)
	}
}

// checkLeaks has the test fail if it leaves a descriptor or a goroutine behind.
func checkLeaks(t testing.TB) {
	if beside.Load() {
		return
	}
	fds, goroutines := countFDs(t), runtime.NumGoroutine()
	t.Cleanup(func() {
		eventually(t, fmt.Sprintf("%d descriptors and %d goroutines; there are %d and %d",
			fds, goroutines, countFDs(t), runtime.NumGoroutine()), func() bool {
			return countFDs(t) <= fds && runtime.NumGoroutine() <= goroutines
		})
	})
}

func countFDs(t testing.TB) int {
	dir, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(dir)
}

// A recorder is a protocol that keeps account of what it is told. What the test wants done goes into the functions.
type recorder struct {
	Transport
	made chan struct{}
	lost chan error // capacity for more than one, so that a second is seen

	onMade func()
	onData func(p []byte)
	onLost func(error)

	mu   sync.Mutex
	data []byte
}

func newRecorder() *recorder {
	return &recorder{made: make(chan struct{}, 4), lost: make(chan error, 4)}
}

func (p *recorder) factory(netip.AddrPort) Protocol { return p }

func (p *recorder) ConnectionMade(t Transport) {
	p.Transport = t
	p.made <- struct{}{}
	if p.onMade != nil {
		p.onMade()
	}
}

func (p *recorder) DataReceived(b []byte) {
	p.mu.Lock()
	p.data = append(p.data, b...)
	p.mu.Unlock()
	if p.onData != nil {
		p.onData(b)
	}
}

func (p *recorder) ConnectionLost(reason error) {
	p.lost <- reason
	if p.onLost != nil {
		p.onLost(reason)
	}
}

func (p *recorder) received() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return string(p.data)
}

// reason waits for ConnectionLost and checks, with the loop, that it stays the only one.
func (p *recorder) reason(l *loop) error {
	l.t.Helper()
	err := receive(l.t, p.lost, "ConnectionLost")
	l.do(func() {})
	l.do(func() {})
	select {
	case again := <-p.lost:
		l.t.Errorf("ConnectionLost twice: %v, then %v", err, again)
	default:
	}
	return err
}

// A halfCloser is a recorder that outlives the end of its peer's bytes.
type halfCloser struct {
	*recorder
	onEOF func()
}

func (p *halfCloser) ReadConnectionLost() { p.onEOF() }

// A faultySystem is the kernel with calls that can be replaced, and a count of the waits.
type faultySystem struct {
	kernel
	accept func(fd int) (int, netip.AddrPort, syscall.Errno)
	read   func(fd int, p []byte) (int, syscall.Errno)
	write  func(fd int, p []byte) (int, syscall.Errno)
	now    func() time.Time
	wait   func(p Poller, events []Event, until time.Time) (int, error)
	poll   func(p Poller, events []Event) (int, error)
	update func(fd int, old, now Interest) error // asked first

	connect      func(to Address, from netip.AddrPort) (int, syscall.Errno)
	connectError func(fd int) syscall.Errno
	localAddr    func(fd int) netip.AddrPort
	writev       func(fd int, pieces [][]byte) (int, syscall.Errno)
	sendFile     func(fd int, f File, offset int64, n int) (int, syscall.Errno)
	send         func(fd int, batch []Datagram) (int, syscall.Errno)

	polls, waits, wakes, updates, writes, reserves atomic.Int64
}

func (s *faultySystem) NewPoller(name string) (Poller, error) {
	p, err := s.kernel.NewPoller(name)
	return &faultyPoller{p, s}, err
}

func (s *faultySystem) Now() time.Time {
	if s.now != nil {
		return s.now()
	}
	return s.kernel.Now()
}

func (s *faultySystem) Accept(fd int) (int, netip.AddrPort, syscall.Errno) {
	if s.accept != nil {
		return s.accept(fd)
	}
	return s.kernel.Accept(fd)
}

func (s *faultySystem) Read(fd int, p []byte) (int, syscall.Errno) {
	if s.read != nil {
		return s.read(fd, p)
	}
	return s.kernel.Read(fd, p)
}

func (s *faultySystem) Write(fd int, p []byte) (int, syscall.Errno) {
	s.writes.Add(1)
	if s.write != nil {
		return s.write(fd, p)
	}
	return s.kernel.Write(fd, p)
}

func (s *faultySystem) Connect(to Address, from netip.AddrPort) (int, syscall.Errno) {
	if s.connect != nil {
		return s.connect(to, from)
	}
	return s.kernel.Connect(to, from)
}

func (s *faultySystem) SocketError(fd int) syscall.Errno { return s.kernel.SocketError(fd) }

func (s *faultySystem) ConnectError(fd int) syscall.Errno {
	if s.connectError != nil {
		return s.connectError(fd)
	}
	return s.kernel.ConnectError(fd)
}

func (s *faultySystem) LocalAddr(fd int) netip.AddrPort {
	if s.localAddr != nil {
		return s.localAddr(fd)
	}
	return s.kernel.LocalAddr(fd)
}

func (s *faultySystem) Writev(fd int, pieces [][]byte) (int, syscall.Errno) {
	s.writes.Add(1)
	if s.writev != nil {
		return s.writev(fd, pieces)
	}
	return s.kernel.Writev(fd, pieces)
}

func (s *faultySystem) SendFile(fd int, f File, offset int64, n int) (int, syscall.Errno) {
	if s.sendFile != nil {
		return s.sendFile(fd, f, offset, n)
	}
	return s.kernel.SendFile(fd, f, offset, n)
}

func (s *faultySystem) Send(fd int, batch []Datagram) (int, syscall.Errno) {
	if s.send != nil {
		return s.send(fd, batch)
	}
	return s.kernel.Send(fd, batch)
}

func (s *faultySystem) Reserve() (int, syscall.Errno) {
	s.reserves.Add(1)
	return s.kernel.Reserve()
}

type faultyPoller struct {
	Poller
	s *faultySystem
}

func (p *faultyPoller) Poll(events []Event) (int, error) {
	p.s.polls.Add(1)
	if p.s.poll != nil {
		return p.s.poll(p.Poller, events)
	}
	return p.Poller.Poll(events)
}

func (p *faultyPoller) Wait(events []Event, until time.Time) (int, error) {
	p.s.waits.Add(1)
	if p.s.wait != nil {
		return p.s.wait(p.Poller, events, until)
	}
	return p.Poller.Wait(events, until)
}

func (p *faultyPoller) Wake() {
	p.s.wakes.Add(1)
	p.Poller.Wake()
}

func (p *faultyPoller) Update(fd int, gen uint32, old, now Interest) error {
	p.s.updates.Add(1)
	if p.s.update != nil {
		if err := p.s.update(fd, old, now); err != nil {
			return err
		}
	}
	return p.Poller.Update(fd, gen, old, now)
}

// lent makes a Lent piece of each.
func lent(pieces [][]byte) (all []Piece) {
	for _, p := range pieces {
		all = append(all, Lent(p))
	}
	return all
}

// room is how much memory the buffers of the connection's own have.
func (t *transport) room() (n int) {
	if t.out != nil {
		for _, p := range t.out.pieces {
			if p.own != nil {
				n += cap(p.own.B)
			}
		}
	}
	return n
}
