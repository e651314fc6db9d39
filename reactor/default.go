package reactor

// The singleton, a convenience on top: a program with one loop need not hand it around. Importing the package makes
// nothing.

import "sync"

// Pollers returns the names that Config.Poller may have on this system, the best first: epoll, poll and select on Linux,
// kqueue, poll and select on macOS and the BSDs. It may be called from any goroutine.
func Pollers() []string { return kernel{}.Pollers() }

var installed struct {
	mu sync.Mutex
	r  *Reactor
}

// Default returns the installed reactor, and on first use makes and installs one of the platform's best kind. It panics
// if that fails, which means that the process is out of descriptors. A reactor that has ended is no longer installed.
// It may be called from any goroutine.
func Default() *Reactor {
	installed.mu.Lock()
	defer installed.mu.Unlock()
	if r := installed.r; r != nil && r.stage.Load() != stageEnded {
		return r
	}
	r, err := New(Config{})
	if err != nil {
		panic(err)
	}
	installed.r = r
	return r
}

// Install makes r what Default returns. It must come before the first use of Default: ErrAlreadyInstalled says that
// there is another one that has not ended, and ErrStopped that r itself has. It may be called from any goroutine.
func Install(r *Reactor) error {
	installed.mu.Lock()
	defer installed.mu.Unlock()
	if old := installed.r; old != nil && old != r && old.stage.Load() != stageEnded {
		return ErrAlreadyInstalled
	}
	if r.stage.Load() == stageEnded {
		return ErrStopped
	}
	installed.r = r
	return nil
}
