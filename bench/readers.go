package main

// Downloads that take long: many readers of one large file, each at a steady rate, that are cut off and come again with a
// Range. What the server holds for them is the measure: the file is sent by the kernel, so it should be next to nothing.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	downloadSize = 10 << 30 // of the file, which is sparse
	resumeAt     = 9 << 30
	// readStep is how often a reader reads: 1 MB/s is then 50 kB at a time.
	readStep = 50 * time.Millisecond
	// resumedFor is how long a reader goes on after it has come again.
	resumedFor = 5 * time.Second
	// readerBuffer is the receive buffer that a reader asks for. The kernel would otherwise take megabytes at once. With less
	// than a few segments of loopback, 64 KiB each, TCP itself waits for a timer whenever the window has been closed.
	readerBuffer = 512 << 10
)

const readersHelp = `
The memory of microhttp while many readers download a file of 10 GiB, each at a steady rate, by /download/{n} of the demo. Then each
leaves and comes again with a Range that begins at 9 GiB. The file is sparse, so it needs no disk. Fails if a reader gets less
than nine tenths of its rate, another answer or another byte than zero, or if the server was ever resident with more than
-most.`

// downloads are the readers of one run.
type downloads struct {
	addr string
	n    int
	rate int
	got  atomic.Int64 // bytes of content
}

func readers(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	f := newFlags("readers", readersHelp, "microhttp", &o)
	c := downloads{}
	f.IntVar(&c.n, "n", 100, "how many readers")
	f.IntVar(&c.rate, "rate", 1_000_000, "what each reads, in bytes a second")
	duration := f.Duration("duration", time.Minute, "how long they read before they leave and come again")
	most := f.Int64("most", 48, "what the server may be resident with, in MiB")
	if err := o.parse(f, args); err != nil {
		return err
	}
	if c.n < 1 || c.rate < 1000 || *duration < time.Second {
		return errors.New("-n must be 1 or more, -rate 1000 or more, -duration a second or more")
	}
	shop, all, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer shop.remove()
	rows := [][]string{{"server", "resident before, MiB", "peak, MiB", "peak once resumed, MiB", "MB/s of content", "core busy", "failed"}}
	var failed error
	for _, who := range all {
		row, err := c.measure(ctx, who, o.serverCPU, *duration, *most<<20)
		if row != nil {
			rows = append(rows, row)
		}
		failed = errors.Join(failed, err)
	}
	fmt.Fprintf(stdout, "%s\n%d readers of %d bytes a second each, for %v, then resumed by Range at 9 GiB of 10:\n\n",
		whence(ctx, shop), c.n, c.rate, *duration)
	table(stdout, rows)
	return failed
}

// measure has one server read from, and returns its row.
func (c *downloads) measure(ctx context.Context, who contestant, cpu int, d time.Duration, most int64) ([]string, error) {
	s, err := who.start(ctx, cpu)
	if err != nil {
		return nil, err
	}
	defer s.end()
	c.addr = s.addr
	before, err := memoryOf(s.pid)
	if err != nil {
		return nil, err
	}
	cpu0, err := cpuTime(s.pid)
	if err != nil {
		return nil, err
	}
	progress("%s: %d readers for %v", who.name, c.n, d)
	c.got.Store(0)
	failed := c.read(ctx, 0, d)
	cpu1, err1 := cpuTime(s.pid)
	peak, err2 := peakRSS(s.pid)
	got := c.got.Load()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	progress("%s: %d readers come again", who.name, c.n)
	failed = append(failed, c.read(ctx, resumeAt, resumedFor)...)
	resumed, err := peakRSS(s.pid)
	if err != nil {
		return nil, err
	}
	row := []string{
		who.name, mebibytes(before.RSS), mebibytes(peak), mebibytes(resumed), fmt.Sprintf("%.1f", float64(got)/d.Seconds()/1e6),
		fmt.Sprintf("%.0f %%", 100*(cpu1-cpu0).Seconds()/d.Seconds()), fmt.Sprint(len(failed)),
	}
	switch {
	case len(failed) > 0:
		return row, fmt.Errorf("%s: %d readers failed, one of them: %w", who.name, len(failed), failed[0])
	case resumed > most:
		return row, fmt.Errorf("%s was resident with %d bytes, more than %d", who.name, resumed, most)
	}
	return row, nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f", float64(n)/(1<<20)) }

// read has all read from an offset on for d, and returns how those failed that did.
func (c *downloads) read(ctx context.Context, from int64, d time.Duration) (failed []error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range c.n {
		wg.Go(func() {
			if err := c.readOne(ctx, from, d); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = append(failed, err)
			}
		})
	}
	wg.Wait()
	return failed
}

// readOne is one reader: it asks for the file, or for the rest of it, and reads at its rate.
func (c *downloads) readOne(ctx context.Context, from int64, d time.Duration) error {
	conn, err := net.DialTimeout("tcp4", c.addr, askTimeout)
	if err != nil {
		return err
	}
	defer reset(conn)
	_ = conn.(*net.TCPConn).SetReadBuffer(readerBuffer) // the kernel decides
	conn.SetDeadline(time.Now().Add(d + startTimeout))
	want, field := http.StatusOK, ""
	if from > 0 {
		want, field = http.StatusPartialContent, fmt.Sprintf("Range: bytes=%d-\r\n", from)
	}
	if _, err := fmt.Fprintf(conn, "GET /download/%d HTTP/1.1\r\nHost: bench.example\r\n%s\r\n", downloadSize, field); err != nil {
		return err
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 4<<10), nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	ranged := fmt.Sprintf("bytes %d-%d/%d", from, downloadSize-1, downloadSize)
	if res.StatusCode != want || res.ContentLength != downloadSize-from || from > 0 && res.Header.Get("Content-Range") != ranged {
		return fmt.Errorf("%s, %d bytes, Content-Range %q", res.Status, res.ContentLength, res.Header.Get("Content-Range"))
	}
	return c.pace(ctx, res.Body, d)
}

// pace reads at the rate for d. What was missed because the server, or this machine, was late is caught up with.
func (c *downloads) pace(ctx context.Context, body io.Reader, d time.Duration) error {
	piece := make([]byte, max(c.rate*int(readStep/time.Millisecond)/1000, 1))
	begun := time.Now()
	read := 0
	for time.Since(begun) < d {
		n, err := io.ReadFull(body, piece)
		read += n
		c.got.Add(int64(n))
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", read, err)
		}
		for _, b := range piece {
			if b != 0 {
				return errors.New("a byte is not zero")
			}
		}
		due := begun.Add(time.Duration(float64(read) / float64(c.rate) * float64(time.Second)))
		if err := pause(ctx, time.Until(due)); err != nil {
			return err
		}
	}
	if least := 0.9 * float64(c.rate) * d.Seconds(); float64(read) < least {
		return fmt.Errorf("%d bytes in %v, less than nine tenths of the rate", read, d)
	}
	return nil
}
