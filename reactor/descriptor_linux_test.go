package reactor

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the kernel makes descriptors of can be watched like any socket.
func TestKernelDescriptors(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		name    string
		open    func() (int, error)
		provoke func(fd int) error // makes it readable
		check   func(p []byte) bool
	}{
		{
			"timerfd",
			func() (int, error) {
				return unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
			},
			func(fd int) error {
				soon := unix.NsecToTimespec(int64(time.Millisecond))
				return unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: soon}, nil)
			},
			func(p []byte) bool { return binary.NativeEndian.Uint64(p) == 1 },
		},
		{
			"eventfd",
			func() (int, error) { return unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC) },
			func(fd int) error {
				_, err := unix.Write(fd, binary.NativeEndian.AppendUint64(nil, 7))
				return err
			},
			func(p []byte) bool { return binary.NativeEndian.Uint64(p) == 7 },
		},
		{
			"inotify",
			func() (int, error) {
				fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
				if err == nil {
					_, err = unix.InotifyAddWatch(fd, dir, unix.IN_CREATE)
				}
				return fd, err
			},
			func(int) error {
				f, err := os.CreateTemp(dir, "new")
				if err != nil {
					return err
				}
				return f.Close()
			},
			func(p []byte) bool {
				name := unix.ByteSliceToString(p[unsafe.Sizeof(unix.InotifyEvent{}):])
				_, err := os.Stat(filepath.Join(dir, name))
				return err == nil && name != ""
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			eachPoller(t, func(t *testing.T, c Config) {
				l := start(t, c)
				fd, err := tc.open()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { unix.Close(fd) })
				got := make(chan []byte, 10)
				d := &pipeEnd{fd: fd, lost: make(chan error, 1)}
				d.read = func() error {
					p := make([]byte, 4096)
					n, err := unix.Read(fd, p)
					got <- p[:max(n, 0)]
					return err
				}
				l.do(func() {
					if err := l.AddReader(d); err != nil {
						t.Error(err)
					}
				})
				for range 2 {
					if err := tc.provoke(fd); err != nil {
						t.Fatal(err)
					}
					if p := receive(t, got, "the descriptor"); !tc.check(p) {
						t.Errorf("read %q", p)
					}
				}
				l.do(func() { l.RemoveReader(d) })
				if err := tc.provoke(fd); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					l.do(func() {})
				}
				if len(got) != 0 || len(d.lost) != 0 {
					t.Error("told something after it was removed")
				}
			})
		})
	}
}
