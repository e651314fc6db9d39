package reactor_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"microhttp/reactor"
)

func ExampleReactor_CallEvery() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	n := 0
	var tidying *reactor.LoopingCall
	tidying = r.CallEvery(10*time.Millisecond, func() {
		n += 1 + tidying.Skipped() // this may come late; the next will not
		if n >= 3 {
			tidying.Stop()
			fmt.Println("tidied", tidying.Running())
			r.Stop()
		}
	})
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output: tidied false
}

func ExampleReactor_InLoop() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	// ask has f called on the loop, and waits for it wherever that is possible.
	ask := func(f func()) {
		if r.InLoop() {
			f()
			return
		}
		done := make(chan struct{})
		if r.CallFromThread(func() { f(); close(done) }) {
			<-done
		}
	}
	r.CallWhenRunning(func() { ask(func() { fmt.Println("from the loop") }) })
	go func() {
		ask(func() { fmt.Println("from elsewhere") })
		r.Stop()
	}()
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// from the loop
	// from elsewhere
}

// shouter sends back what it receives in capitals, until its peer has no more.
type shouter struct{ t reactor.Transport }

func (s *shouter) ConnectionMade(t reactor.Transport) { s.t = t }
func (s *shouter) DataReceived(p []byte)              { s.t.Write(bytes.ToUpper(p)) }
func (s *shouter) ConnectionLost(error)               { s.t.Reactor().Stop() }

// A connection of net/http is upgraded, and goes on as one of the loop's.
func ExampleReactor_AdoptConn() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
		early, _ := buffered.Peek(buffered.Reader.Buffered()) // what was read already
		r.CallFromThread(func() {
			s := &shouter{}
			if err := r.AdoptConn(conn, reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return s }), nil); err != nil {
				conn.Close()
				return
			}
			if len(early) > 0 {
				s.DataReceived(early)
			}
		})
	}))
	defer site.Close()
	go func() {
		conn, err := net.Dial("tcp", site.Listener.Addr().String())
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\nearly and ")
		answer := bufio.NewReader(conn)
		for line := ""; line != "\r\n"; {
			if line, err = answer.ReadString('\n'); err != nil {
				panic(err)
			}
		}
		fmt.Fprint(conn, "late")
		p := make([]byte, 14)
		io.ReadFull(answer, p)
		fmt.Printf("%s\n", p)
	}()
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output: EARLY AND LATE
}

// greeted prints what it receives, and hangs up.
type greeted struct{ t reactor.Transport }

func (g *greeted) ConnectionMade(t reactor.Transport) { g.t = t }
func (g *greeted) DataReceived(p []byte)              { fmt.Printf("received %s", p); g.t.LoseConnection() }
func (g *greeted) ConnectionLost(error)               {}

func ExampleReconnectingClientFactory() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return hello{} }), nil)
	if err != nil {
		panic(err)
	}
	var f *reactor.ReconnectingClientFactory
	f = &reactor.ReconnectingClientFactory{
		Factory:      reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol { return &greeted{} }),
		InitialDelay: 10 * time.Millisecond, // the default is a second
		Retrying: func(c *reactor.Connector, reason error, delay time.Duration) {
			fmt.Println(reactor.ReasonName(reason), delay < 100*time.Millisecond)
			if f.Retries() == 2 {
				f.StopTrying()
				r.Stop()
			}
		},
	}
	if _, err := r.ConnectTCP(port.Addr().String(), f, nil); err != nil {
		panic(err)
	}
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// received hello from one of the loops
	// done true
	// received hello from one of the loops
	// done true
}

// An adder speaks a protocol of lines: ADD and numbers, SUM, QUIT.
type adder struct {
	*reactor.LineTransport
	sum int
}

func (a *adder) ConnectionMade(t *reactor.LineTransport) {
	a.LineTransport = t
	a.SetTimeout(time.Minute)
	a.SendLineString("READY")
}

func (a *adder) LineReceived(line []byte) {
	a.SetTimeout(time.Minute)
	words := strings.Fields(string(line))
	switch {
	case len(words) > 1 && words[0] == "ADD":
		for _, word := range words[1:] {
			n, err := strconv.Atoi(word)
			if err != nil {
				a.SendLineString("NO NUMBER " + word)
				return
			}
			a.sum += n
		}
		a.SendLineString("OK")
	case len(words) == 1 && words[0] == "SUM":
		a.SendLineString(strconv.Itoa(a.sum))
	case len(words) == 1 && words[0] == "QUIT":
		a.SendLineString("BYE")
		a.LoseConnection()
	default:
		a.SendLineString("WHAT?")
	}
}

func (a *adder) ConnectionLost(error) {}

func ExampleNewLineProtocol() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	port, err := r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
		return reactor.NewLineProtocol(&adder{}, &reactor.LineOptions{MaxLength: 512})
	}), nil)
	if err != nil {
		panic(err)
	}
	go func() {
		conn, err := net.Dial("tcp", port.Addr().String())
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "ADD 20 17\r\nADD 5\r\nSUM\r\nQUIT\r\n")
		answers, _ := io.ReadAll(conn)
		fmt.Print(strings.ReplaceAll(string(answers), "\r", ""))
		r.Stop()
	}()
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// READY
	// OK
	// OK
	// 42
	// BYE
}
