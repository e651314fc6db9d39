package websocket_test

import (
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"microhttp/server/websocket"
)

// An idle WebSocket that has echoed a message takes at most 1 KiB of heap, and no goroutine.
func TestMemoryOfIdleWebSockets(t *testing.T) {
	const n, most = 500, 1024
	var echoed atomic.Int32
	_, addr := startEcho(t, &websocket.Handler{OnMessage: func(c *websocket.Conn, kind websocket.Kind, p []byte) {
		c.Write(kind, p)
		echoed.Add(1)
	}})
	at := netip.MustParseAddrPort(addr)
	to := &syscall.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	request := []byte(handshake + "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
		"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n" + string(sent(masked(0xc1, hello))))
	before, goroutines := liveHeap(), runtime.NumGoroutine()
	for range n { // sockets that have no memory in this heap
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer syscall.Close(fd)
		if err := syscall.Connect(fd, to); err != nil {
			t.Fatal(err)
		}
		if _, err := syscall.Write(fd, request); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(patience); echoed.Load() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d echoed", echoed.Load(), n)
		}
	}
	each := (liveHeap() - before) / n
	t.Logf("%d bytes of heap for an idle WebSocket", each)
	if each > most || runtime.NumGoroutine() > goroutines+1 {
		t.Errorf("%d bytes and %d goroutines more, want at most %d and none", each, runtime.NumGoroutine()-goroutines, most)
	}
}

func liveHeap() int {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
