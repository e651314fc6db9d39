package static

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"microhttp/server"
)

// Where files come from. A name is a path of package io/fs: without a slash at its ends, "." for the root.

// source is a directory or an fs.FS. Its methods may block.
type source interface {
	open(name string) (*entry, error)
	same(name string, e *entry) bool // name still leads to what e is
	isFile(name string) bool
	readDir(name string) ([]fs.DirEntry, error)
	read(name string, most int64) ([]byte, error)
	close() error
}

// errNotFound is wrapped by the errors of names that lead to nothing that is served.
var errNotFound = errors.New("static: not found")

// entry is a file that is open, or a directory.
type entry struct {
	dir     bool
	info    fs.FileInfo
	file    fs.File // nil for a directory
	size    int64
	modTime time.Time
	etag    string
	codings []*coding // of its siblings

	direct  bool                                    // a request may ask for it by its name
	kind    string                                  // the media type, by its name
	section *io.SectionReader                       // of a file of the system, for ServeContent
	letGo   func(*server.Response, *server.Request) // for OnDone

	// Guarded by the cache.
	name    string
	held    int
	cached  bool
	checked time.Time
	prev    *entry
	next    *entry
}

// content is the file for ServeContent. One that the kernel sends needs no further look at its size: many answers have one section
// of it, which ServeContent does not read.
func (e *entry) content() io.ReadSeeker {
	if e.section != nil {
		return e.section
	}
	return e.file.(io.ReadSeeker)
}

// shared reports whether many answers may use e at once: those of a file of the system do not move its offset.
func (e *entry) shared() bool { return e.section != nil }

func (e *entry) close() {
	if e.file != nil {
		e.file.Close()
	}
}

// notServed says of the errors of open what leads to nothing.
func notServed(err error) error {
	for _, none := range [...]error{fs.ErrNotExist, fs.ErrInvalid, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.EINVAL, syscall.ENXIO, os.ErrClosed} {
		if errors.Is(err, none) {
			return fmt.Errorf("%w: %w", errNotFound, err)
		}
	}
	if strings.Contains(err.Error(), "path escapes from parent") { // package os exports no error for it
		return fmt.Errorf("%w: %w", errNotFound, err)
	}
	return err
}

// entryOf makes an entry of an open file, which it closes unless that is a regular one.
func entryOf(f fs.File) (*entry, error) {
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	switch {
	case info.IsDir():
		f.Close()
		return &entry{dir: true, info: info}, nil
	case !info.Mode().IsRegular():
		f.Close()
		return nil, fmt.Errorf("%w: no regular file", errNotFound)
	}
	e := &entry{info: info, file: f, size: info.Size(), modTime: info.ModTime()}
	e.etag = `"` + strconv.FormatInt(info.ModTime().UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36) + `"`
	if system, ok := f.(*os.File); ok {
		e.section = io.NewSectionReader(system, 0, e.size)
	}
	return e, nil
}

// dirSource is a directory of the system.
type dirSource struct{ root *os.Root }

// open opens without waiting for a FIFO's other end, or for a device.
func (d dirSource) open(name string) (*entry, error) {
	f, err := d.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, notServed(err)
	}
	return entryOf(f)
}

func (d dirSource) same(name string, e *entry) bool {
	info, err := d.root.Stat(name)
	return err == nil && os.SameFile(info, e.info) && info.Size() == e.info.Size() && info.ModTime().Equal(e.info.ModTime())
}

func (d dirSource) isFile(name string) bool {
	info, err := d.root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func (d dirSource) readDir(name string) ([]fs.DirEntry, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, notServed(err)
	}
	defer f.Close()
	return readSome(f)
}

func (d dirSource) read(name string, most int64) ([]byte, error) {
	e, err := d.open(name)
	if err != nil || e.dir {
		return nil, errors.Join(err, errNotFound)
	}
	defer e.close()
	return io.ReadAll(io.LimitReader(e.file, most))
}

func (d dirSource) close() error { return d.root.Close() }

// readSome reads the first of the names in a directory.
func readSome(d fs.ReadDirFile) ([]fs.DirEntry, error) {
	all, err := d.ReadDir(maxListed)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return all, err
}

// fsSource is an fs.FS.
type fsSource struct{ fsys fs.FS }

func (s fsSource) open(name string) (*entry, error) {
	if !fs.ValidPath(name) {
		return nil, errNotFound
	}
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, notServed(err)
	}
	e, err := entryOf(f)
	if err != nil || e.dir {
		return e, err
	}
	if _, ok := f.(io.ReadSeeker); !ok || e.modTime.IsZero() {
		all, err := io.ReadAll(f)
		f.Close()
		if err != nil {
			return nil, err
		}
		e.file = memory{bytes.NewReader(all), f}
		e.size = int64(len(all))
		if e.modTime.IsZero() {
			sum := sha256.Sum256(all)
			e.etag = `"` + hex.EncodeToString(sum[:12]) + `"`
		}
	}
	return e, nil
}

// memory is a file that was read whole, and closed.
type memory struct {
	*bytes.Reader
	fs.File
}

func (m memory) Read(p []byte) (int, error) { return m.Reader.Read(p) }
func (memory) Close() error                 { return nil }

func (fsSource) same(string, *entry) bool { return false }

func (s fsSource) isFile(name string) bool {
	info, err := fs.Stat(s.fsys, name)
	return err == nil && info.Mode().IsRegular()
}

func (s fsSource) readDir(name string) ([]fs.DirEntry, error) {
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, notServed(err)
	}
	defer f.Close()
	d, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, fmt.Errorf("%w: a directory that cannot be read", errNotFound)
	}
	return readSome(d)
}

func (s fsSource) read(name string, most int64) ([]byte, error) {
	f, err := s.fsys.Open(name)
	if err != nil {
		return nil, notServed(err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

func (fsSource) close() error { return nil }
