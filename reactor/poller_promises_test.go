package reactor

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A looker is a poller and what it is asked for one descriptor.
type looker struct {
	t    *testing.T
	p    Poller
	name string
}

func (w *looker) watch(fd int, gen uint32, old, now Interest) {
	w.t.Helper()
	if err := w.p.Update(fd, gen, old, now); err != nil {
		w.t.Fatal(err)
	}
}

// ready looks once, and returns what fd is ready for: 0 is nothing.
func (w *looker) ready(fd int) (ready Interest, gen uint32) {
	w.t.Helper()
	events := make([]Event, 8)
	n, err := w.p.Poll(events)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, ev := range events[:n] {
		if int(ev.FD) != fd {
			w.t.Errorf("an event of descriptor %d", ev.FD)
			continue
		}
		ready, gen = ready|ev.Ready, ev.Gen
	}
	return ready, gen
}

// is looks twice: an event that is not used does not go away. all must be among what is found, and none of no.
func (w *looker) is(what string, fd int, all, no Interest) {
	w.t.Helper()
	for range 2 {
		if got, _ := w.ready(fd); got&all != all || got&no != 0 {
			w.t.Errorf("%s: ready for %b, want %b and nothing of %b", what, got, all, no)
		}
	}
}

// pair is two ends of a connection of TCP, which can be reset.
func pair(t *testing.T) (ours, theirs int) {
	t.Helper()
	listener, err := kernel{}.Listen(Address{IP: netip.MustParseAddrPort("127.0.0.1:0")}, ListenOptions{Backlog: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listener)
	theirs, errno := kernel{}.Connect(Address{IP: kernel{}.LocalAddr(listener)}, netip.AddrPort{})
	if errno != 0 && errno != syscall.EINPROGRESS {
		t.Fatal(errno)
	}
	eventually(t, "the connection", func() bool {
		ours, _, errno = kernel{}.Accept(listener)
		return errno == 0
	})
	t.Cleanup(func() { unix.Close(ours); unix.Close(theirs) })
	return ours, theirs
}

// reset has the peer of ours reset the connection.
func reset(t *testing.T, theirs int) {
	t.Helper()
	kernel{}.Reset(theirs)
	if err := unix.Shutdown(theirs, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	null, err := unix.Open(os.DevNull, unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup2(null, theirs); err != nil { // closes it, and the number stays ours
		t.Fatal(err)
	}
	unix.Close(null)
}

const all = Readable | Writable | Invalid | Fault

var pollerPromises = map[string]func(w *looker){
	"level": func(w *looker) {
		ours, theirs := pair(w.t)
		w.watch(ours, 1, 0, Readable)
		w.is("nothing has come", ours, 0, all)
		unix.Write(theirs, []byte("xy"))
		eventually(w.t, "a byte", func() bool { got, _ := w.ready(ours); return got != 0 })
		w.is("bytes are there", ours, Readable, Fault|Invalid)
		unix.Read(ours, make([]byte, 1))
		w.is("a byte is left", ours, Readable, Fault|Invalid)
		unix.Read(ours, make([]byte, 1))
		w.is("all is read", ours, 0, all)
		unix.Shutdown(theirs, unix.SHUT_WR)
		eventually(w.t, "the end", func() bool { got, _ := w.ready(ours); return got != 0 })
		unix.Read(ours, make([]byte, 1))
		w.is("the end was read", ours, Readable, Fault|Invalid)
	},
	"interest": func(w *looker) {
		ours, theirs := pair(w.t)
		unix.Write(theirs, []byte("x"))
		w.watch(ours, 1, 0, Writable)
		w.is("writable", ours, Writable, Fault|Invalid)
		w.watch(ours, 1, Writable, Readable|Writable)
		eventually(w.t, "the byte", func() bool { got, _ := w.ready(ours); return got&Readable != 0 })
		w.is("both", ours, Readable|Writable, Fault|Invalid)
		w.watch(ours, 1, Readable|Writable, Readable)
		w.is("readable", ours, Readable, Fault|Invalid)
		unix.Read(ours, make([]byte, 1))
		w.is("watched for reading, and writable", ours, 0, all)
	},
	"nothing": func(w *looker) {
		ours, theirs := pair(w.t)
		w.watch(ours, 1, 0, Readable|Writable)
		w.watch(ours, 1, Readable|Writable, 0)
		unix.Write(theirs, []byte("x"))
		reset(w.t, theirs)
		w.is("interest 0", ours, 0, all)
	},
	"fault": func(w *looker) {
		for _, interest := range []Interest{Readable, Writable, Readable | Writable} {
			ours, theirs := pair(w.t)
			w.watch(ours, 1, 0, interest)
			reset(w.t, theirs)
			eventually(w.t, "the reset", func() bool { got, _ := w.ready(ours); return got&interest == interest })
			w.is("reset", ours, interest, Invalid)
			w.p.Forget(ours, interest)
			unix.Close(ours)
		}
	},
	"fault-alone": func(w *looker) {
		ours, theirs := pair(w.t)
		w.watch(ours, 1, 0, Readable)
		unix.Write(theirs, []byte("x"))
		eventually(w.t, "a byte", func() bool { got, _ := w.ready(ours); return got != 0 })
		w.watch(ours, 1, Readable, Fault)
		w.is("bytes", ours, 0, all)
		w.watch(ours, 1, Fault, Readable)
		unix.Read(ours, make([]byte, 1))
		unix.Shutdown(theirs, unix.SHUT_WR)
		eventually(w.t, "the end", func() bool { got, _ := w.ready(ours); return got != 0 })
		w.watch(ours, 1, Readable, Fault)
		w.is("a half-close", ours, 0, all)
		reset(w.t, theirs)
		if w.name == "select" {
			w.is("select cannot", ours, 0, all)
			return
		}
		eventually(w.t, "the fault", func() bool { got, _ := w.ready(ours); return got&Fault != 0 })
		w.is("reset", ours, Fault, Invalid)
	},
	"regular-file": func(w *looker) {
		f := temporary(w.t, "x")
		switch err := w.p.Update(int(f.Fd()), 1, 0, Readable); {
		case err == nil:
			w.is("a file", int(f.Fd()), Readable, Invalid)
		case !errors.Is(err, syscall.EPERM):
			w.t.Error(err)
		}
	},
	"not-open": func(w *looker) {
		r, _ := newPipe(w.t)
		fd, err := unix.Dup(r.fd)
		if err != nil {
			w.t.Fatal(err)
		}
		unix.Close(fd)
		switch err := w.p.Update(fd, 1, 0, Readable); {
		case err == nil:
			w.is("what is not open", fd, Invalid, 0)
		case !errors.Is(err, syscall.EBADF):
			w.t.Error(err)
		}
	},
	"generation": func(w *looker) {
		ours, _ := pair(w.t)
		for gen := range uint32(3) {
			w.watch(ours, gen, 0, Writable)
			if _, got := w.ready(ours); got != gen {
				w.t.Errorf("an event of generation %d in generation %d", got, gen)
			}
			w.watch(ours, gen, Writable, 0)
		}
	},
	"forget": func(w *looker) {
		ours, theirs := pair(w.t)
		unix.Write(theirs, []byte("x"))
		w.watch(ours, 1, 0, Readable|Writable)
		w.p.Forget(ours, Readable|Writable)
		unix.Close(ours)
		w.is("a descriptor that was closed", ours, 0, all)
		again, other := pair(w.t)
		if again != ours {
			w.t.Skip("the number is not used again")
		}
		w.is("the number of another descriptor", again, 0, all)
		w.watch(again, 2, 0, Readable)
		w.is("nothing has come", again, 0, all)
		unix.Write(other, []byte("x"))
		eventually(w.t, "a byte", func() bool { got, gen := w.ready(again); return got == Readable && gen == 2 })
	},
	"wake": func(w *looker) {
		for range 3 {
			w.p.Wake() // before the wait
		}
		w.waits()
		var all sync.WaitGroup
		defer all.Wait()
		for range 4 {
			all.Go(w.p.Wake)
		}
		w.waits()
	},
}

// waits waits without an end, and finds nothing but a Wake.
func (w *looker) waits() {
	w.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if n, err := w.p.Wait(make([]Event, 1), time.Time{}); n != 0 || err != nil {
			w.t.Errorf("%d found, %v", n, err)
		}
	}()
	receive(w.t, done, "the end of a wait")
}

func TestPollerPromises(t *testing.T) {
	for name, check := range pollerPromises {
		t.Run(name, func(t *testing.T) {
			eachPoller(t, func(t *testing.T, c Config) {
				p, err := kernel{}.NewPoller(c.Poller)
				if err != nil {
					t.Fatal(err)
				}
				defer p.Close()
				check(&looker{t, p, c.Poller})
			})
		})
	}
}

// Each promise in the documentation names a test that exists, and each row of the test is in the documentation.
func TestPollerTable(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("poller.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//\t.*\s(Test\w+)(?:/([\w-]+))?$`).FindAllStringSubmatch(string(source), -1) {
		rows[m[2]] = true
		if m[1] == "TestPollerPromises" && pollerPromises[m[2]] == nil {
			t.Errorf("no promise %q", m[2])
		}
		if !declares(t, files, m[1]) {
			t.Errorf("no test %s", m[1])
		}
	}
	for name := range pollerPromises {
		if !rows[name] {
			t.Errorf("the promise %q is not in the table", name)
		}
	}
}

// declares reports whether one of the files declares a test.
func declares(t *testing.T, files []string, test string) bool {
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "\nfunc "+test+"(t *testing.T)") {
			return true
		}
	}
	return false
}
