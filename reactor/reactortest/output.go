package reactortest

import (
	"bytes"
	"math/rand/v2"
	"strings"

	"microhttp/reactor"
)

var output = []promise{
	scripted("BytesLeaveInTheOrderOfWriting", func(s *script) {
		const seed = 1
		rnd := rand.New(rand.NewPCG(seed, seed))
		server, client := s.connect(setting{})
		want := pattern(4 << 20)
		rest := want
		piece := func(most int) []byte {
			n := min(len(rest), 1+rnd.IntN(most))
			p := rest[:n]
			rest = rest[n:]
			return p
		}
		write := func() {
			switch rnd.IntN(7) {
			case 0: // which may be outgrown
				server.Commit(append(server.Room(rnd.IntN(6<<10)), piece(12<<10)...))
			case 1:
				server.Send(reactor.Lent(piece(100)), reactor.Lent(piece(100)), reactor.Lent(piece(100)))
			case 2:
				server.Send(reactor.Lent(piece(20<<10)), reactor.Lent(piece(10)), reactor.Lent(piece(20<<10)))
			case 3:
				server.Write(piece(100 << 10))
			case 4:
				server.Send(reactor.Given(piece(64<<10)), reactor.Lent(piece(100)), reactor.Given(piece(100)))
			case 5:
				server.Room(100) // not used
				head := piece(100)
				f := &file{content: piece(40 << 10)}
				server.Send(reactor.Lent(head), reactor.FileRange(f, 0, int64(len(f.content))))
			default:
				server.Write(piece(100))
			}
		}
		server.onData = func([]byte) { // in its own callback
			for range rnd.IntN(20) {
				write()
			}
		}
		for len(rest) > 0 { // and outside of it
			client.Write([]byte("go on"))
			for range rnd.IntN(5) {
				write()
			}
			s.pass(0)
			if rnd.IntN(20) == 0 { // the peer keeps up only now and then
				s.until("the output to be sent", func() bool { return server.Buffered() == 0 })
			}
		}
		client.receives(want)
	}),
	scripted("WhatIsWrittenIsCopied", func(s *script) {
		server, client := s.connect(setting{})
		p := []byte("hello")
		server.Write(p)
		copy(p, "XXXXX")
		big := pattern(1 << 20)
		want := append([]byte("hello"), big...)
		server.Write(big)
		clear(big)
		client.receives(want)
	}),
	scripted("FilesGoInTheirPlace", func(s *script) {
		server, client := s.connect(setting{})
		var want []byte
		var files []*file
		for _, n := range []int{0, 1, 1000, 700 << 10} {
			f := &file{content: pattern(n + 10)}
			files = append(files, f)
			server.Write([]byte("<"))
			server.Send(reactor.FileRange(f, 5, int64(n)))
			server.Write([]byte(">"))
			want = append(append(append(want, '<'), f.content[5:5+n]...), '>')
		}
		client.receives(want)
		s.tick()
		for i, f := range files {
			if f.closed != 1 {
				s.Errorf("file %d was closed %d times", i, f.closed)
			}
		}
	}),
	scripted("AFileThatIsBorrowedIsGivenBackAndNotClosed", func(s *script) {
		f := &file{content: pattern(100_000)}
		for _, end := range []func(e *end){
			func(e *end) { e.LoseConnection() },
			func(e *end) { e.AbortConnection() },
		} {
			server, client := s.connect(setting{})
			free := 0
			piece := func() reactor.Piece { return reactor.FileRange(f, 0, 100_000).OnFree(func(bool) { free++ }) }
			server.Send(piece(), reactor.Lent([]byte("and ")), piece())
			if free > 0 {
				s.Error("free before it was sent")
			}
			end(server)
			client.lost()
			server.lost()
			if server.Send(piece()); free != 3 || f.closed > 0 {
				s.Errorf("given back %d times of 3, closed %d times", free, f.closed)
			}
		}
	}),
	scripted("AFileOfALostConnectionIsClosed", func(s *script) {
		server, client := s.connect(setting{})
		client.PauseReading()
		f := &file{content: pattern(1000)}
		server.Write(pattern(16 << 20))
		server.Send(reactor.FileRange(f, 0, 1000))
		server.AbortConnection()
		wantReason(server, reactor.ErrAborted)
		if f.closed != 1 {
			s.Errorf("closed %d times", f.closed)
		}
	}),
	scripted("WaterMarksBoundWhatAProducerQueues", func(s *script) {
		const piece, pieces, high, low = 8 << 10, 2000, 100 << 10, 10 << 10
		server, client := s.connect(setting{listen: reactor.TransportOptions{HighWater: high, LowWater: low}})
		client.PauseReading()
		p := &producer{s: s, e: server, left: pieces, piece: pattern(piece), high: high, low: low}
		server.RegisterProducer(p)
		p.produce()
		s.until("a pause", func() bool { return p.paused })
		client.ResumeReading()
		s.until("all of it", func() bool { return len(client.data) == piece*pieces })
		if !bytes.Equal(client.data, bytes.Repeat(p.piece, pieces)) {
			s.Error("the bytes differ")
		}
		if p.pauses == 0 || p.most > high+2*piece {
			s.Errorf("%d pauses; %d bytes were queued", p.pauses, p.most)
		}
		if n := server.Buffered(); n != 0 {
			s.Errorf("%d bytes are left", n)
		}
	}),
	scripted("WhoWritesWithoutMeasureIsLost", func(s *script) {
		server, client := s.connect(setting{listen: reactor.TransportOptions{MaxBuffered: 1 << 20}})
		client.PauseReading()
		for range 64 {
			server.Write(pattern(1 << 20))
			if server.Buffered() > 4<<20 {
				s.Fatalf("%d bytes are queued", server.Buffered())
			}
			s.pass(0)
			if server.losses > 0 {
				break
			}
		}
		wantReason(server, reactor.ErrWriteBound)
		client.ResumeReading()
		wantReason(client, reactor.ErrConnectionLost)
	}),
	scripted("AnIdleConnectionHoldsNothing", func(s *script) {
		server, client := s.connect(setting{})
		server.Room(0) // not used
		server.Write(nil)
		s.tick()
		if server.Buffered() != 0 || len(client.data) > 0 {
			s.Errorf("%d bytes are held, %d sent", server.Buffered(), len(client.data))
		}
	}),
}

// A file is a File in memory. It has no descriptor, and so it is read and not sent by the kernel.
type file struct {
	content []byte
	closed  int
}

func (f *file) ReadAt(p []byte, offset int64) (int, error) {
	return strings.NewReader(string(f.content)).ReadAt(p, offset)
}

func (f *file) Fd() uintptr  { return ^uintptr(0) }
func (f *file) Close() error { f.closed++; return nil }

// A producer writes until it is told to pause.
type producer struct {
	s         *script
	e         *end
	piece     []byte
	left      int
	high, low int
	paused    bool
	writing   bool
	pauses    int
	stops     int
	most      int
}

func (p *producer) produce() {
	if p.paused || p.left == 0 {
		return
	}
	p.left--
	p.writing = true
	p.e.Write(p.piece)
	p.writing = false
	p.most = max(p.most, p.e.Buffered())
	p.s.r.CallFromThread(p.produce) // the loop flushes in between
}

func (p *producer) PauseProducing() {
	if p.writing || p.e.Buffered() <= p.high {
		p.s.Errorf("paused at %d bytes, in a write: %v", p.e.Buffered(), p.writing)
	}
	p.paused = true
	p.pauses++
}

func (p *producer) StopProducing() { p.stops++ }

func (p *producer) ResumeProducing() {
	if p.writing || p.e.Buffered() > p.low {
		p.s.Errorf("resumed at %d bytes, in a write: %v", p.e.Buffered(), p.writing)
	}
	p.paused = false
	p.produce()
}
