package reactor_test

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"microhttp/reactor"
)

// A tail is a descriptor of our own: the read end of a pipe. The same five lines of method do for a timerfd, an inotify, a
// serial line, or a socket of another library.
type tail struct {
	r    *reactor.Reactor
	pipe *os.File
	fd   int
}

func (t *tail) FD() int { return t.fd }

// DoRead must not block: it is called because there is something to read, and reads once.
func (t *tail) DoRead() error {
	p := make([]byte, 100)
	switch n, err := syscall.Read(t.fd, p); {
	case err == syscall.EAGAIN:
		return nil
	case err != nil:
		return err
	case n == 0:
		return io.EOF // an error ends the descriptor
	default:
		fmt.Printf("read %q\n", p[:n])
		return nil
	}
}

// ConnectionLost is the place to close: the reactor has let go of the descriptor.
func (t *tail) ConnectionLost(reason error) {
	fmt.Println("lost:", reason)
	t.pipe.Close()
	t.r.Stop()
}

func ExampleReactor_AddReader() {
	r, err := reactor.New(reactor.Config{})
	if err != nil {
		panic(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	t := &tail{r, read, int(read.Fd())}
	if err := syscall.SetNonblock(t.fd, true); err != nil { // Fd has made it blocking
		panic(err)
	}
	if err := r.AddReader(t); err != nil {
		panic(err)
	}
	r.CallLater(0, func() {
		fmt.Fprint(write, "hello")
		write.Close()
	})
	if err := r.Run(); err != nil {
		panic(err)
	}
	// Output:
	// read "hello"
	// lost: EOF
}
