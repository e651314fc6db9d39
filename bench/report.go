package main

// From samples to what is printed: a median and a spread, a Markdown table that reads well as plain text, and the
// header that an entry of the ledger begins with.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A spread is the median of some samples and the range that they lie in.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

// spreadOf panics without a sample: a measurement that measured nothing has failed before.
func spreadOf(samples []float64) spread {
	s := slices.Sorted(slices.Values(samples))
	mid := len(s) / 2
	median := s[mid]
	if len(s)%2 == 0 {
		median = (s[mid-1] + s[mid]) / 2
	}
	return spread{median, s[0], s[len(s)-1]}
}

// table writes rows as Markdown, columns padded, the first to the left and the others to the right.
func table(w io.Writer, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprintf(w, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(w, "| %s%s ", pad, cell)
			}
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			rule(w, width)
		}
	}
}

func rule(w io.Writer, width []int) {
	for i, n := range width {
		if i == 0 {
			fmt.Fprintf(w, "|:%s-", strings.Repeat("-", n))
		} else {
			fmt.Fprintf(w, "|-%s:", strings.Repeat("-", n))
		}
	}
	fmt.Fprintln(w, "|")
}

// provenance says where figures come from; without it they mean nothing.
type provenance struct {
	Date    string `json:"date"`
	Commit  string `json:"commit"`
	Machine string `json:"machine"`
	Command string `json:"command"`
}

func whence(ctx context.Context, w *workshop) provenance {
	return provenance{
		Date:    time.Now().UTC().Format(time.DateOnly),
		Commit:  commit(ctx, w.bench),
		Machine: machine(),
		Command: "go run . " + strings.Join(os.Args[1:], " "),
	}
}

func (p provenance) String() string {
	return fmt.Sprintf("%s, commit %s, %s\n`%s`\n", p.Date, p.Commit, p.Machine, p.Command)
}

func commit(ctx context.Context, dir string) string {
	out, err := exec.CommandContext(ctx, "git", "-C", dir, "describe", "--always", "--dirty", "--abbrev=12").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machine describes the hardware as the ledger wants it: "2-core VM, Linux 6.18.44, go1.26.8".
func machine() string {
	kind := "machine"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil && strings.Contains(string(info), " hypervisor") {
		kind = "VM"
	}
	kernel := "unknown"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel, _, _ = strings.Cut(unix.ByteSliceToString(u.Release[:]), "-")
	}
	return fmt.Sprintf("%d-core %s, Linux %s, %s", runtime.NumCPU(), kind, kernel, runtime.Version())
}

// writeJSON writes where figures come from, and the figures, to the file that -json names; without one, nothing.
func writeJSON(file string, p provenance, results any) error {
	if file == "" {
		return nil
	}
	text, err := json.MarshalIndent(struct {
		provenance
		Results any `json:"results"`
	}{p, results}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
