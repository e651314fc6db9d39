package tlslayer

// Files. They have to come to user space to be encrypted. What memory has of a file is read on the
// loop, and a read that would wait for the disk leaves it. A file without a descriptor is in
// memory, and read on the loop.

import (
	"errors"
	"fmt"
	"io"

	"microhttp/reactor"
)

// filePiece is how much of a file is read at a time.
const filePiece = 64 << 10

// readCached is a variable for the tests, where files are always in memory.
var readCached = reactor.ReadCached

// encryptFile encrypts what memory has of a file, at most that much. It returns 0 when there is no
// more to be done just now.
func (c *Conn) encryptFile(p *piece, most int) int {
	buf := c.loop.takeFile()
	defer c.loop.giveFile(buf)
	b := buf[:min(int64(len(buf)), int64(most), p.left)]
	var n int
	var err error
	if p.f.Fd() == ^uintptr(0) {
		n, err = p.f.ReadAt(b, p.at)
	} else if n, err = readCached(p.f, b, p.at); errors.Is(err, reactor.ErrNotCached) {
		c.readOffLoop(p)
		return 0
	}
	return c.encryptRead(p, b[:n], err)
}

// encryptRead encrypts what was read.
func (c *Conn) encryptRead(p *piece, b []byte, err error) int {
	if len(b) == 0 {
		if err == nil || err == io.EOF {
			err = fmt.Errorf("the file is shorter than its range: %w", io.ErrUnexpectedEOF)
		}
		c.doom(fmt.Errorf("%w: %w", reactor.ErrConnectionLost, err))
		return 0
	}
	c.write(b)
	p.at += int64(len(b))
	p.left -= int64(len(b))
	return len(b)
}

// readOffLoop reads a part of the first piece on the loop's pool. The file is not freed before that
// has come back.
func (c *Conn) readOffLoop(p *piece) {
	c.flags |= fileRead
	c.uncommon().read = nil
	q, freed := c.out, p.file
	c.r.ReadInThread(p.f, int(min(filePiece, p.left)), p.at, func(b []byte, err error) {
		if c.flags&gone != 0 || c.out != q {
			c.free(freed)
			return
		}
		if c.flags&dead != 0 {
			c.flags &^= fileRead // dropOutput frees it
			return
		}
		c.uncommon().read = &readBack{b, err}
		c.touch()
	})
}

// readBack is what a read off the loop has found.
type readBack struct {
	b   []byte
	err error
}

// goOnWithFile encrypts what a read off the loop has found.
func (c *Conn) goOnWithFile() {
	if c.flags&fileRead == 0 || c.rare == nil || c.rare.read == nil {
		return
	}
	r := c.rare.read
	c.rare.read = nil
	c.flags &^= fileRead
	if r.err == reactor.ErrPoolFull {
		return // pump tries again
	}
	p := &c.out.pieces[c.out.at]
	c.chunk(func() { c.encryptRead(p, r.b, r.err) })
	if c.flags&dead == 0 && p.left == 0 {
		c.free(c.pop())
	}
}
