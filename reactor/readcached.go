package reactor

import "errors"

// ErrNotCached says that a read would have to wait for the disk.
var ErrNotCached = errors.New("reactor: the pages are not in memory")

// ReadCached reads into p what memory holds of f from offset on, and never waits for a disk. It is for
// a loop that needs the bytes of a file; bytes that only go to a socket are a FileRange, or SendFile.
//
// It may read less than len(p). The error is io.EOF at the end of f, an errno, or ErrNotCached when the
// first byte is not in memory, or when the system or the file system cannot tell: read then by ReadAt
// off the loop, for example with CallInThread. It is known on Linux only, by preadv2(2) with RWF_NOWAIT.
func ReadCached(f File, p []byte, offset int64) (int, error) { return readCached(f, p, offset) }
