package server

import (
	"runtime"
	"strings"
	"syscall"
	"testing"

	"microhttp/reactor"
)

// A subscriber of a Hub that is idle, and one to which an event is on its way, take less than 4 KiB of heap.
func TestMemoryOfSubscribers(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has memory of its own")
	}
	const n, most, mostBusy = 500, 2600, 4096
	var hub Hub
	var loop *reactor.Reactor
	_, addr := start(t, func(w *Response, r *Request) {
		loop = r.conn.w.loop
		hub.Subscribe(w.Events())
	}, func(s *Server) { s.MaxConns = 2 * n })
	before := liveHeap()
	to := &syscall.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	request := []byte("GET /clock HTTP/1.1\r\nHost: www.example.com\r\nAccept: text/event-stream\r\nCache-Control: no-cache\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept-Language: en\r\nCookie: a=b\r\n\r\n")
	for range n { // sockets that have no memory in this heap
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		ok(t, err)
		defer syscall.Close(fd)
		ok(t, syscall.Connect(fd, to))
		_, err = syscall.Write(fd, request)
		ok(t, err)
	}
	await(t, "subscribers", func() bool { return hub.Subscribers() == n })
	idle := (liveHeap() - before) / n
	measured := make(chan int)
	loop.CallFromThread(func() {
		ok(t, hub.Publish(Event{Data: strings.Repeat("x", 1000)}))
		loop.CallFromThread(func() { measured <- (liveHeap() - before) / n }) // after the event, and before the flush of its tick
	})
	busy := <-measured
	t.Logf("%d bytes of heap for an idle subscriber, %d with an event of 1000 bytes on its way", idle, busy)
	if idle > most || busy > mostBusy {
		t.Errorf("%d bytes and %d, want at most %d and %d", idle, busy, most, mostBusy)
	}
}

func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
