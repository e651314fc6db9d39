package main

// What other programs print, and what is made of it.

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

const wrkReport = `Running 4s test @ http://127.0.0.1:42991/plaintext
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   104.77us   29.86us   1.14ms   88.94%
    Req/Sec    76.93k     3.78k   82.16k    54.55%
  83854 requests in 4.01s, 10.40MB read
Requests/sec:  20911.22
Transfer/sec:      2.59MB
`

func TestParseWrk(t *testing.T) {
	tests := []struct {
		name, text string
		want       wrkResult
		err        string
	}{
		{"a good run", wrkReport, wrkResult{83854, 4010 * time.Millisecond}, ""},
		{"minutes", "  5 requests in 1.50m, 1KB read\n", wrkResult{5, 90 * time.Second}, ""},
		{
			"lost connections", wrkReport + "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
			wrkResult{},
			"Socket errors: connect 0, read 3, write 0, timeout 0",
		},
		{
			"refused requests", wrkReport + "  Non-2xx or 3xx responses: 17\n",
			wrkResult{},
			"Non-2xx or 3xx responses: 17",
		},
		{"no request", "  0 requests in 4.00s, 0.00B read\n", wrkResult{}, "wrk counted no request"},
		{"something else", "unable to connect", wrkResult{}, "wrk counted nothing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseWrk(tt.text)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if message := errorText(err); message != tt.err {
				t.Errorf("got error %q, want %q", message, tt.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestParseStatCountsFromTheLastParenthesis(t *testing.T) {
	const text = "42 (a ) 1 (b) S 1 42 42 0 -1 4194560 100 0 0 0 123 456 0 0 20 0 5 0 1000 1 1\n"
	user, all, err := parseStat(text)
	if err != nil || user != 123 || all != 579 {
		t.Errorf("got %d, %d, %v; want 123, 579", user, all, err)
	}
	if _, _, err := parseStat("42 (x) S 1"); err == nil {
		t.Error("a short line was accepted")
	}
}

func TestParseField(t *testing.T) {
	const status = "Name:\tserver\nVmRSS:\t   1552 kB\nThreads:\t5\nvoluntary_ctxt_switches:\t77\nnonvoluntary_ctxt_switches:\t3\n"
	for name, want := range map[string]int64{"VmRSS": 1552, "Threads": 5, "voluntary_ctxt_switches": 77} {
		if got, err := parseField(status, name); err != nil || got != want {
			t.Errorf("%s: got %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"Pss", "Name", "Vm"} {
		if got, err := parseField(status, name); err == nil {
			t.Errorf("%s: got %d, want an error", name, got)
		}
	}
}

func TestParseStrace(t *testing.T) {
	const text = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.120000           1      2000           write
 39.00    0.080000           1      2100       100 read
  1.00    0.002000          15        12           epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.202000           1      4112       100 total
`
	want := map[string]uint64{"write": 2000, "read": 2100, "epoll_wait": 12}
	got, err := parseStrace(text)
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := parseStrace(""); err != nil || len(got) != 0 {
		t.Errorf("no calls: got %v, %v", got, err)
	}
	if _, err := parseStrace("strace: attach: ptrace: Operation not permitted\n"); err == nil {
		t.Error("a complaint was taken for a table")
	}
}

func TestSlopeForgetsWhatBothLoadsPaid(t *testing.T) {
	short := map[string]uint64{"accept4": 64, "read": 164, "futex": 9}
	long := map[string]uint64{"accept4": 64, "read": 464, "futex": 3, "write": 300}
	got, total := slope(short, long, 300)
	if want := map[string]float64{"read": 1, "write": 1}; !maps.Equal(got, want) || total != 2 {
		t.Errorf("got %v, %v in all; want %v, 2 in all", got, total, want)
	}
}

func TestAddressIsFoundWhereverItIsPrinted(t *testing.T) {
	tests := map[string]string{
		"listening on 127.0.0.1:4711\n":                                            "127.0.0.1:4711",
		`{"level":"info","addr":"127.0.0.1:0"}` + "\n" + `{"addr":"127.0.0.1:80"}`: "127.0.0.1:80",
		"listening on http://127.0.0.1:35507/":                                     "127.0.0.1:35507",
		"version 1.2.3, port 0":                                                    "",
	}
	for text, want := range tests {
		if got := addrPattern.FindString(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestSpread(t *testing.T) {
	tests := []struct {
		samples []float64
		want    spread
	}{
		{[]float64{7}, spread{7, 7, 7}},
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
	}
	for _, tt := range tests {
		before := slices.Clone(tt.samples)
		if got := spreadOf(tt.samples); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.samples, got, tt.want)
		}
		if !slices.Equal(before, tt.samples) {
			t.Errorf("the samples %v were reordered", before)
		}
	}
}

func TestTableIsPaddedMarkdown(t *testing.T) {
	var b strings.Builder
	table(&b, [][]string{{"server", "µs"}, {"c", "12.5"}})
	const want = "" +
		"| server |   µs |\n" +
		"|:-------|-----:|\n" +
		"| c      | 12.5 |\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// Over as many rounds as there are servers, each server stands once in each place.
func TestRotationIsFair(t *testing.T) {
	list := []contestant{{name: "a"}, {name: "b"}, {name: "c"}}
	for place := range list {
		seen := make(map[string]bool)
		for round := range list {
			seen[rotate(list, round)[place].name] = true
		}
		if len(seen) != len(list) {
			t.Errorf("in place %d only %v were seen", place, seen)
		}
	}
	if rotate(nil, 3) != nil {
		t.Error("nobody, rotated, is somebody")
	}
}
