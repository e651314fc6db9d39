package main

// Ten thousand connections that each send a byte a second. One goroutine has them all, as plain descriptors, and goes
// round once a second in steps of a byte or two; it is a process of its own, so that the kernel shares the core between
// it and the audience, fairly and at once. An attack that needs much of that core, or takes it in bursts, would be
// measured along. A connection that the server cuts off is opened anew, so that there are always as many.

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// dripStep is the pause between two steps of a round. The shorter, the less do drips come in bursts.
	dripStep = 150 * time.Microsecond
	// dripApart is the time between two that are opened, 6 s for ten thousand. Opened all at once, they would be cut off
	// all at once, and come again all at once, for ever.
	dripApart = 600 * time.Microsecond
	// looksFor is how many turns a connection has between two looks at whether it was cut off: a look costs a system call.
	looksFor = 3
	// dripSources is the number of loopback addresses that they come from, since one has 28,000 ports.
	dripSources = 8
	maxDrips    = 100_000
)

// A dripKind is a way to be slow: what is sent at once, and the byte that then comes again and again.
type dripKind struct {
	name  string
	first string
	drip  byte
}

var dripKinds = []dripKind{
	{"in a head", "GET / HTTP/1.1\r\nHost: bench.example\r\nX: ", 'x'},
	{"in a target", "GET /", 'x'},
	{"in a body", "POST / HTTP/1.1\r\nHost: bench.example\r\nContent-Length: 100000\r\n\r\n", 'x'},
	{"in a chunk", "POST / HTTP/1.1\r\nHost: bench.example\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", 'x'},
	{"in a chunk size", "POST / HTTP/1.1\r\nHost: bench.example\r\nTransfer-Encoding: chunked\r\n\r\n1;", 'x'},
}

// slowReader is the other way round: it asks for much and takes a byte a second.
const slowReader = "GET /bytes/1000000 HTTP/1.1\r\nHost: bench.example\r\n\r\n"

const slowHelp = `
Ten thousand connections send a byte a second, in heads, bodies and chunks that never end, and come again when they are
cut off. The marks: 64 clients that behave lose no request, and their p99 is at most 1.2 times what it was without the
attack, in the same run; the server never has more than 64 MiB resident. If one is missed, the exit status is 1.`

func slow(ctx context.Context, args []string, stdout io.Writer) error {
	p := attackPlan{maxRSS: 64 << 20}
	f := newFlags("slow", slowHelp, "microhttp", &p.options)
	n := f.Int("n", 10_000, "slow connections")
	readers := f.Int("readers", 0, "how many more ask for a megabyte each and read a byte a second")
	f.IntVar(&p.regular, "good", 64, "clients that behave")
	f.DurationVar(&p.every, "every", 20*time.Millisecond, "time between two requests of one of those; 0 is none")
	f.DurationVar(&p.alone, "alone", 10*time.Second, "how long they are measured alone")
	f.DurationVar(&p.lasts, "duration", 20*time.Second, "how long they are measured under attack")
	f.Float64Var(&p.maxRatio, "ratio", 1.2, "the most that p99 may rise; 0 for any")
	if err := p.parse(f, args); err != nil {
		return err
	}
	if *n < 0 || *readers < 0 || *n+*readers < 1 || *n+*readers > maxDrips || p.lasts <= 0 || p.lasts > 10*time.Minute || p.regular < 1 {
		return fmt.Errorf("-n and -readers must be 1 to %d together, -duration at most 10m, -good at least 1", maxDrips)
	}
	if err := raiseDescriptorLimit(*n + *readers + p.regular + spareDescriptors); err != nil {
		return err
	}
	results, from, err := p.measure(ctx, func(ctx context.Context, addr string, risen func()) (map[string]int, error) {
		return runCrew(ctx, p.clientCPU, risen, "-addr", addr, "-n", strconv.Itoa(*n), "-readers", strconv.Itoa(*readers))
	})
	if err != nil {
		return err
	}
	return p.report(stdout, from, fmt.Sprintf("%d connections that send a byte a second, %d that read one", *n, *readers), results)
}

// crew is the command that the tool runs itself with, for the process of the attackers.
const crew = "drip"

// runCrew runs the attackers until ctx is done and returns what they did.
func runCrew(ctx context.Context, cpu int, risen func(), args ...string) (map[string]int, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := spawn(context.WithoutCancel(ctx), "the attackers", cpu, append([]string{self, crew}, args...)...)
	if err != nil {
		return nil, err
	}
	defer p.stop(syscall.SIGKILL)
	if _, err := p.saw(ctx, regexp.MustCompile("risen\n")); err != nil {
		return nil, err
	}
	risen()
	select {
	case <-ctx.Done():
	case <-p.ended:
		return nil, p.failed("they ended too early")
	}
	p.stop(syscall.SIGTERM)
	text, _ := p.output.read()
	var did map[string]int
	if err := json.Unmarshal([]byte(text[strings.LastIndex(text, "\n{")+1:]), &did); err != nil {
		return nil, p.failed(err.Error())
	}
	return did, nil
}

// crewMain is the attackers' process. It says when it is complete, and what it did when it is told to end.
func crewMain(ctx context.Context, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet(crew, flag.ContinueOnError)
	addr, n, readers := f.String("addr", "", ""), f.Int("n", 0, ""), f.Int("readers", 0, "")
	if err := f.Parse(args); err != nil {
		return err
	}
	if err := raiseDescriptorLimit(*n + *readers + spareDescriptors); err != nil {
		return err
	}
	if err := standAside(); err != nil {
		return err
	}
	did, err := drip(ctx, *addr, *n, *readers, func() { fmt.Fprintln(stdout, "risen") })
	if err != nil && ctx.Err() == nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(did)
}

// standAside lets every other process of the core go first, at once: all threads of this one run when nobody else would.
func standAside() error {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetAttr(tid, &unix.SchedAttr{Policy: unix.SCHED_IDLE}, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("SCHED_IDLE: %w", err)
		}
	}
	return nil
}

// A dripper is one slow connection.
type dripper struct {
	fd    int // -1 while it is closed
	kind  int // index of dripKinds; beyond them a reader
	turns int // since it was opened
}

// drips is the whole crew.
type drips struct {
	to    *unix.SockaddrInet4
	all   []dripper
	count map[string]int
	open  int
	most  int
}

func drip(ctx context.Context, addr string, n, readers int, risen func()) (map[string]int, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	d := drips{to: &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}, count: make(map[string]int)}
	for i := range n + readers {
		kind := i % len(dripKinds)
		if i >= n {
			kind = len(dripKinds)
		}
		d.all = append(d.all, dripper{fd: -1, kind: kind})
	}
	defer d.close()
	begin, opened := time.Now(), 0
	for turn := 0; ctx.Err() == nil; doze() { // each is due once a second
		since := time.Since(begin)
		for ; opened < len(d.all) && time.Duration(opened)*dripApart <= since; opened++ {
			if err := d.dial(opened); err != nil {
				return d.count, err
			}
			if opened == len(d.all)-1 {
				risen()
			}
		}
		for due := int(since.Seconds() * float64(len(d.all))); turn < due; turn++ {
			if i := turn % len(d.all); i < opened {
				if err := d.step(i); err != nil {
					return d.count, err
				}
			}
		}
	}
	d.count["open at most"] = d.most
	d.count["open at the end"] = d.open
	return d.count, nil
}

// step is the turn of one connection: it looks whether it was cut off, and sends its byte, or is opened.
func (d *drips) step(i int) error {
	c := &d.all[i]
	if c.fd < 0 {
		return d.dial(i)
	}
	c.turns++
	reader := c.kind == len(dripKinds)
	if reader || c.turns%looksFor == 0 {
		if cut := d.look(c, reader); cut {
			return d.dial(i)
		}
	}
	if reader {
		return nil
	}
	text := []byte{dripKinds[c.kind].drip}
	if c.turns == 1 {
		text = []byte(dripKinds[c.kind].first)
	}
	if err := unix.Sendto(c.fd, text, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil); err != nil && !errors.Is(err, unix.EAGAIN) {
		d.cut(c, "reset")
		return d.dial(i)
	}
	d.count["bytes dripped"]++
	return nil
}

// look reads what is there, a byte of it if c is a slow reader, and reports whether c was cut off.
func (d *drips) look(c *dripper, reader bool) (cut bool) {
	var p [512]byte
	want := p[:]
	if reader {
		want = p[:1]
	}
	n, _, err := unix.Recvfrom(c.fd, want, unix.MSG_DONTWAIT)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return false
	case err != nil:
		d.cut(c, "reset")
	case n == 0:
		d.cut(c, "closed without an answer")
	case reader:
		d.count["bytes taken by slow readers"]++
		return false
	default:
		d.cut(c, fmt.Sprintf("answered %.3s and closed", p[min(n, len("HTTP/1.1 ")):n]))
	}
	return true
}

// doze sleeps for a step, by the kernel's own clock: the runtime's is coarser.
func doze() { unix.Nanosleep(&unix.Timespec{Nsec: int64(dripStep)}, nil) }

// dial begins to connect; by its next turn it is connected, or an error is there to be read.
func (d *drips) dial(i int) error {
	c := &d.all[i]
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.fd, c.turns = fd, 0
	d.open++
	d.most = max(d.most, d.open)
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // a reset leaves no TIME_WAIT
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i%dripSources)}}); err != nil {
		return err
	}
	if c.kind == len(dripKinds) {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	}
	if err := unix.Connect(fd, d.to); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		d.cut(c, "refused")
		return nil
	}
	d.count["connections"]++
	if c.kind == len(dripKinds) {
		unix.Sendto(fd, []byte(slowReader), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
	}
	return nil
}

func (d *drips) cut(c *dripper, how string) {
	d.count[how]++
	d.open--
	unix.Close(c.fd)
	c.fd = -1
}

func (d *drips) close() {
	for i := range d.all {
		if d.all[i].fd >= 0 {
			unix.Close(d.all[i].fd)
		}
	}
}
