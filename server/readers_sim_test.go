package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/reactor/sim"
	"microhttp/server"
)

// The law of slow readers, with the server's defaults: see the README's table of bounds. Each world draws how much the
// kernels at both ends buffer, and so how large the lumps are in which a window opens; how the answer is made is one of
// readerAnswers.

const (
	sendTimeout = 30 * time.Second // the default
	leastRate   = 240              // the default of MinDataRate
	mostSaved   = reactor.WriteCredit
	lookEvery   = 10 * time.Second // what is saved may be that much less
	slack       = time.Second      // of the sweep, of the network and of a wait that oversleeps
)

var readerPage = make([]byte, 64<<20) // more than anybody reads

// readerAnswers are the ways in which an answer is made that is longer than its peer ever reads.
var readerAnswers = map[string]server.HandlerFunc{
	"a page": func(w *server.Response, _ *server.Request) { w.GiveBody(readerPage) },
	"a stream that is refilled": func(w *server.Response, _ *server.Request) {
		s := w.Stream()
		more := func() {
			for !s.Full() {
				if _, err := s.Write(readerPage[:5000]); err != nil {
					return
				}
			}
		}
		s.OnDrain(more)
		more()
	},
}

// A slowReader is a peer of the server that reads as a test says.
type slowReader struct {
	w     *sim.World
	conn  *sim.Conn
	began time.Time
	read  int
}

// playReader runs act as the one peer of a server that makes one of the readerAnswers, in so many worlds of each.
func playReader(t *testing.T, seeds int, act func(p *slowReader)) {
	for name, answer := range readerAnswers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			playReaderOf(t, seeds, 256<<10, answer, act)
		})
	}
}

// playReaderOf does so for one answer, and peers that have room for no more than that.
func playReaderOf(t *testing.T, seeds, room int, answer server.HandlerFunc, act func(p *slowReader)) {
	c := restless()
	c.MaxBuffer, c.SendBuffer = room, 256<<10
	c.Steps = 10_000_000
	sim.Check(t, 1, seeds, c, func(w *sim.World) {
		port := host(w, func(*reactor.Reactor) server.HandlerFunc { return answer })
		w.Go("reader", func() {
			conn, err := w.Dial(port.Addr())
			if err != nil {
				w.Errorf("dial: %v", err)
				return
			}
			defer conn.Close()
			p := &slowReader{w: w, conn: conn, began: w.Now()}
			p.ask("keep-alive")
			act(p)
		})
	})
}

func (p *slowReader) ask(connection string) {
	_, _ = fmt.Fprintf(p.conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: %s\r\n\r\n", connection)
}

func (p *slowReader) passed() time.Duration { return p.w.Now().Sub(p.began) }

// readAt reads at so many bytes a second, in pieces of half a second's, until the time is over or the connection is.
func (p *slowReader) readAt(rate int, until time.Duration) error {
	return p.readPieces(rate, func() int { return max(rate/2, 1) * int(min(max(until-p.passed(), 0), 1)) })
}

// readWhole reads at so many bytes a second until so many bytes of content were read in all.
func (p *slowReader) readWhole(rate, all int) error {
	return p.readPieces(rate, func() int { return min(max(rate/2, 1), all-p.read) })
}

// readPieces reads pieces of at most the length that next says, until that is 0. It counts the bytes of the content, which
// are zeros; no head has any.
func (p *slowReader) readPieces(rate int, next func() int) error {
	from, begun := p.read, p.passed()
	piece := make([]byte, max(rate/2, 1))
	for k := next(); k > 0; k = next() {
		p.w.Sleep(begun + time.Duration(float64(p.read-from)/float64(rate)*float64(time.Second)) - p.passed())
		n, err := p.conn.Read(piece[:k])
		p.read += bytes.Count(piece[:n], []byte{0})
		if err != nil {
			return err
		}
	}
	return nil
}

// isServed reports whether the server still has the connection. What has arrived may be read after a reset too.
func (p *slowReader) isServed() bool {
	return strings.Contains(fmt.Sprint(p.w.Descriptors()), "stream")
}

// No reader at 300 B/s or more is cut off.
func TestReadersThatKeepUp(t *testing.T) {
	t.Parallel()
	seeds := sim.Seeds(2)
	for _, rate := range []int{300, 320, 1000, 20_000, 200_000} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			playReader(t, seeds, func(p *slowReader) {
				until := min(40*time.Minute, max(2*time.Minute, time.Duration(4<<20/rate)*time.Second))
				if err := p.readAt(rate, until); err != nil {
					p.w.Errorf("at %d B/s: %v after %v and %d bytes", rate, err, p.passed(), p.read)
				}
			})
		})
	}
}

// One that reads 100 B/s is reset within 15 minutes.
func TestReadersThatDoNotKeepUp(t *testing.T) {
	playReader(t, 10, func(p *slowReader) {
		for p.isServed() {
			if err := p.readAt(100, p.passed()+time.Second); err != nil {
				break
			}
		}
		if p.passed() > 15*time.Minute || p.passed() < sendTimeout {
			p.w.Errorf("served for %v, in which it read %d bytes", p.passed(), p.read)
		}
	})
}

// One that takes a byte now and then is reset when one that takes nothing would be.
func TestReadersOfAByteNowAndThen(t *testing.T) {
	playReader(t, 10, func(p *slowReader) {
		for b := make([]byte, 1); p.isServed(); p.w.Sleep(20 * time.Second) {
			if _, err := p.conn.Read(b); err != nil {
				break
			}
		}
		if p.passed() > sendTimeout+mostSaved+21*time.Second {
			p.w.Errorf("served for %v", p.passed())
		}
	})
}

// One that reads nothing is reset within SendTimeout and the credit of what its buffer took, and not before.
func TestReadersThatReadNothing(t *testing.T) {
	playReader(t, 30, func(p *slowReader) {
		p.w.Wait("the reset", func() bool { return !p.isServed() })
		credit := time.Duration(float64(p.conn.Buffered()) / leastRate * float64(time.Second))
		least, most := sendTimeout+min(credit, mostSaved-lookEvery), sendTimeout+min(credit, mostSaved)
		if took := p.passed(); took < least-slack || took > most+slack {
			p.w.Errorf("reset after %v, its buffer took %d bytes; want %v to %v", took, p.conn.Buffered(), least, most)
		}
	})
}

// One that stalls, but not for longer than its credit and SendTimeout, goes on where it was.
func TestReadersThatStall(t *testing.T) {
	t.Parallel()
	playReader(t, sim.Seeds(4), func(p *slowReader) {
		for range 3 {
			p.w.Sleep(time.Second) // its buffer is full
			credit := time.Duration(float64(p.conn.Buffered()) / leastRate * float64(time.Second))
			p.w.Sleep(min(credit, mostSaved-lookEvery) + sendTimeout*9/10)
			if err := p.readAt(50_000, p.passed()+time.Minute); err != nil {
				p.w.Errorf("%v after %v", err, p.passed())
				return
			}
		}
	})
}

const mediumAnswer = 300_000

func answerMedium(w *server.Response, _ *server.Request) { w.GiveBody(readerPage[:mediumAnswer]) }

// What the kernel still delivers is not idle, and not lost: a reader at 2 kB/s asks again when it has read each answer,
// although the server gave the last byte of it to the kernel long before. (It empties its own buffer within IdleTimeout.)
func TestReadersThatAskAgain(t *testing.T) {
	t.Parallel()
	playReaderOf(t, sim.Seeds(5), 16<<10, answerMedium, func(p *slowReader) {
		for i := range 5 {
			if i > 0 {
				p.ask("keep-alive")
			}
			if err := p.readWhole(2000, (i+1)*mediumAnswer); err != nil {
				p.w.Errorf("answer %d: %v after %v and %d bytes", i+1, err, p.passed(), p.read)
				return
			}
		}
	})
}

// One that goes on sending after it asked for the end has its answers whole all the same.
func TestReadersThatSendOn(t *testing.T) {
	t.Parallel()
	playReaderOf(t, sim.Seeds(5), 16<<10, answerMedium, func(p *slowReader) {
		p.ask("close")
		for p.read < 2*mediumAnswer {
			if err := p.readWhole(2000, min(p.read+2000, 2*mediumAnswer)); err != nil {
				p.w.Errorf("%v after %v and %d bytes", err, p.passed(), p.read)
				return
			}
			_, _ = p.conn.Write([]byte("x")) // in vain, but it must not cost an answer
		}
	})
}

// One that takes nothing of what the kernel has is let go of after a while.
func TestReadersThatLeaveItToTheKernel(t *testing.T) {
	playReaderOf(t, 20, 16<<10, answerMedium, func(p *slowReader) {
		p.w.Wait("the end", func() bool { return !p.isServed() })
		if most := mostSaved + sendTimeout + 2*75*time.Second; p.passed() > most+slack {
			p.w.Errorf("served for %v, want %v", p.passed(), most)
		}
	})
}
