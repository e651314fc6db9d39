package main

// What the kernel knows of a process. CPU time comes from the process's own clock (clock_getcpuclockid(3)): it counts
// in nanoseconds and includes threads that have ended, where /proc/PID/stat counts in hundredths of a second and
// /proc/PID/schedstat knows the first thread alone.

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the user and system time that a process has used so far, all its threads together.
func cpuTime(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED, the lowest three bits of a clock id; the process id is above, inverted
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(ts.Nano()), nil
}

// cpuTicks returns the ticks spent in user mode and in all, from /proc/PID/stat: coarse, good for a share only.
func cpuTicks(pid int) (user, all uint64, err error) {
	text, err := procFile(pid, "stat")
	if err != nil {
		return 0, 0, err
	}
	return parseStat(text)
}

// parseStat takes utime and stime, the fields 14 and 15. The second field is the program's name in parentheses and
// may hold anything, so fields are counted from its last parenthesis.
func parseStat(text string) (user, all uint64, err error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 13 {
		return 0, 0, fmt.Errorf("/proc/PID/stat is too short: %q", text)
	}
	user, err = strconv.ParseUint(fields[11], 10, 64)
	if err != nil {
		return 0, 0, err
	}
	system, err := strconv.ParseUint(fields[12], 10, 64)
	return user, user + system, err
}

// memory is what a process holds, in bytes.
type memory struct {
	RSS       int64 `json:"rss"`       // resident, as the page tables have it
	PSS       int64 `json:"pss"`       // the same, pages shared with others divided among them
	Anonymous int64 `json:"anonymous"` // heap, stacks and tables: what is not backed by a file
	VmRSS     int64 `json:"vm_rss"`    // resident, as /proc/PID/status has it: cheap counters, off by some hundred KiB
}

func memoryOf(pid int) (memory, error) {
	rollup, err := procFile(pid, "smaps_rollup")
	if err != nil {
		return memory{}, err
	}
	status, err := procFile(pid, "status")
	if err != nil {
		return memory{}, err
	}
	m := memory{}
	for _, f := range []struct {
		to         *int64
		text, name string
	}{
		{&m.RSS, rollup, "Rss"},
		{&m.PSS, rollup, "Pss"},
		{&m.Anonymous, rollup, "Anonymous"},
		{&m.VmRSS, status, "VmRSS"},
	} {
		kib, err := parseField(f.text, f.name)
		if err != nil {
			return memory{}, err
		}
		*f.to = kib << 10
	}
	return m, nil
}

// parseField returns the number of a line "Name:  123 kB" or "name: 123".
func parseField(text, name string) (int64, error) {
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		if fields := strings.Fields(rest); len(fields) > 0 {
			return strconv.ParseInt(fields[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in %q", name, text)
}

// descriptors returns how many descriptors a process has open.
func descriptors(pid int) (int, error) {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries), err
}

// wakeups returns how often the threads of a process have gone to sleep of their own accord, hence been woken.
func wakeups(pid int) (int64, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue // the thread ended meanwhile
		}
		if err != nil {
			return 0, err
		}
		n, err := parseField(string(text), "voluntary_ctxt_switches")
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func procFile(pid int, name string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	return string(text), err
}
