package reactor

import (
	"errors"
	"time"
)

// ErrNotCached says that a read would have to wait for the disk.
var ErrNotCached = errors.New("reactor: the pages are not in memory")

// ReadCached reads into p what memory holds of f from offset on, and never waits for a disk. It is for
// a loop that needs the bytes of a file; bytes that only go to a socket are a FileRange, or SendFile.
//
// It may read less than len(p). The error is io.EOF at the end of f, an errno, or ErrNotCached when the
// first byte is not in memory, or when the system or the file system cannot tell: read then by ReadAt
// off the loop, for example with ReadInThread. It is known on Linux only, by preadv2(2) with RWF_NOWAIT.
func ReadCached(f File, p []byte, offset int64) (int, error) { return readCached(f, p, offset) }

// poolRest is how long a read waits when the loop's pool takes no more calls.
const poolRest = 5 * time.Millisecond

// ReadInThread reads at most n bytes of f from offset on where that may wait for a disk, on the reactor's pool. Then it calls done
// on the loop, with the bytes, which are done's to keep, and the error of ReadAt. When the pool takes no more calls, done is called
// a few milliseconds later with ErrPoolFull, and may try again. ReadInThread is for the loop, after ErrNotCached.
//
// f must stay open until done is called. When the reactor ends first, done is not called.
func (r *Reactor) ReadInThread(f File, n int, offset int64, done func(p []byte, err error)) {
	err := r.CallInThread(func() {
		p := make([]byte, n)
		got, err := f.ReadAt(p, offset)
		r.CallFromThread(func() { done(p[:got], err) })
	})
	if err != nil {
		r.CallLater(poolRest, func() { done(nil, ErrPoolFull) })
	}
}
