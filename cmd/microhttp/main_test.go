package main

import (
	"bytes"
	"flag"
	"io/fs"
	"net"
	"os"
	mirror "reflect" // the demo has a handler of that name
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"microhttp/reactor"
	"microhttp/server"
)

// asProgram in the environment has the test binary be the program, so that tests can send
// it signals.
const asProgram = "MICROHTTP_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) { // the default
		_ = f.Value.Set(strconv.Itoa(besideEachOther))
	}
	os.Exit(m.Run())
}

// besideEachOther is how many tests run at the same time, of those that may: they mostly wait for a program or the clock.
const besideEachOther = 6

func TestRunSaysWhatIsWrongInOneLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"server"}, `microhttp: unknown command "server"; see microhttp -h`},
		{[]string{"-x"}, `microhttp: unknown command "-x"; see microhttp -h`},
		{[]string{""}, `microhttp: unknown command ""; see microhttp -h`},
		{[]string{"help", "me"}, `microhttp: no help on "me"; see microhttp -h`},
		{[]string{"help", "demo", "me"}, `microhttp: no help on "demo me"; see microhttp -h`},
		{[]string{"demo", "now"}, `unexpected argument "now"`},
		{[]string{"demo", "-loops", "1", "now"}, `unexpected argument "now"`},
		{[]string{"demo", "-port", "80"}, "flag provided but not defined: -port"},
		{[]string{"demo", "-loops"}, "flag needs an argument: -loops"},
		{[]string{"demo", "-loops", "-1"}, "-loops: want a whole number from 0 to 1024"},
		{[]string{"demo", "-loops", "many"}, "-loops: want a whole number"},
		{[]string{"demo", "-max-body-bytes", "0"}, "-max-body-bytes: want a whole number from 1"},
		{[]string{"demo", "-max-header-bytes", "99999999999999999999"}, "-max-header-bytes: want a whole number"},
		{[]string{"demo", "-max-header-bytes", "16777217"}, "-max-header-bytes: want a whole number from 1 to 16777216"},
		{[]string{"demo", "-max-target-bytes", "16777217"}, "-max-target-bytes: want a whole number from 1 to 16777216"},
		{[]string{"demo", "-max-trailer-bytes", "16777217"}, "-max-trailer-bytes: want a whole number from 1 to 16777216"},
		{[]string{"demo", "-idle-timeout", "5"}, "-idle-timeout: want a duration such as"},
		{[]string{"demo", "-idle-timeout", "0s"}, "-idle-timeout: want a duration from 1ms to 24h"},
		{[]string{"demo", "-shutdown-timeout", "-1s"}, "-shutdown-timeout: want a duration from 0s to 24h"},
		{[]string{"demo", "-reactor", "libuv"}, "-reactor: want one of " + strings.Join(reactor.Pollers(), ", ")},
		{[]string{"demo", "-log-level", "loud"}, "-log-level: want one of debug, info, warn, error, disabled"},
		{[]string{"demo", "-log-level", ""}, "-log-level: want one of"},
		{[]string{"demo", "-access-log", "perhaps"}, "-access-log: want one of off, json, combined, text"},
		{[]string{"demo", "-addr", "localhost"}, "-addr: want host:port"},
		{[]string{"demo", "-addr", ""}, "-addr: want host:port"},
		{[]string{"demo", "-addr", "127.0.0.1:"}, "-addr: want a port from 0 to 65535"},
		{[]string{"demo", "-addr", "127.0.0.1:65536"}, "-addr: want a port from 0 to 65535"},
		{[]string{"demo", "-addr", "1:2:3"}, "-addr: want host:port"},
		{[]string{"demo", "-addr", "unix:"}, "-addr: want unix: and the path of a socket"},
		{[]string{"demo", "-addr", "/tmp/x.sock"}, "-addr: want host:port, unix:/path or systemd"},
		{[]string{"demo", "-socket-mode", "rw"}, "-socket-mode: want permissions in octal, such as 0660"},
		{[]string{"demo", "-socket-mode", "1777"}, "-socket-mode: want permissions in octal, such as 0660"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(test.args, &stdout, &stderr); code != exitUsage {
			t.Errorf("%q: exit %d", test.args, code)
		}
		if got := stderr.String(); !strings.Contains(got, test.want) || !isLine(got) {
			t.Errorf("%q: said %q, want a line with %q", test.args, got, test.want)
		}
		if stdout.Len() > 0 {
			t.Errorf("%q: stdout got %q", test.args, stdout.String())
		}
	}
}

func isLine(s string) bool { return strings.Count(s, "\n") == 1 && strings.HasSuffix(s, "\n") }

func TestRunWithoutArgumentsShowsTheUsage(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(nil, &stdout, &stderr); code != exitUsage || stderr.String() != usage || stdout.Len() > 0 {
		t.Errorf("exit %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

func TestHelp(t *testing.T) {
	var o options
	all := []string{demoUsage}
	for _, g := range o.groups() {
		all = append(all, g.title)
		for _, f := range g.options {
			all = append(all, "-"+f.name)
		}
	}
	all = append(all, "(default 0)", "(default 127.0.0.1:8080)", "(default 8388608)", "(default 1m15s)", "(default info)")
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"help"}, []string{usage}},
		{[]string{"-h"}, []string{usage}},
		{[]string{"--help"}, []string{usage}},
		{[]string{"help", "demo"}, all},
		{[]string{"demo", "-h"}, all},
		{[]string{"demo", "-loops", "2", "--help"}, all},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(test.args, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
			t.Errorf("%q: exit %d, stderr %q", test.args, code, stderr.String())
		}
		for _, want := range test.want {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("%q: does not show %q", test.args, want)
			}
		}
		if long := slices.MaxFunc(strings.Split(stdout.String(), "\n"), byLength); len(long) > 110 {
			t.Errorf("%q: a line too long to read: %q", test.args, long)
		}
	}
}

// TestRoutesAreListed holds that the table has a line for each route that demo serves, and that nothing is bound.
func TestRoutesAreListed(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"demo", "-routes", "-addr", "192.0.2.1:80"}, &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
		t.Errorf("exit %d, stderr %q", code, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")[1:]
	routes := slices.Collect(newRoutes().Walk())
	if len(lines) != len(routes) {
		t.Fatalf("%d lines for %d routes:\n%s", len(lines), len(routes), stdout.String())
	}
	for i, r := range routes {
		f := strings.Fields(lines[i])
		if len(f) != 4 || f[0]+" "+f[1] != r.Pattern() || !strings.HasPrefix(f[3], "routes.go:") {
			t.Errorf("%s has the line %q", r.Pattern(), lines[i])
		}
	}
}

func byLength(a, b string) int { return len(a) - len(b) }

func TestFlagsReachTheServer(t *testing.T) {
	var o options
	err := o.parse([]string{
		"-addr", ":0", "-loops=3", "-reactor", "poll", "-max-header-bytes", "1001", "-max-header-fields", "1002",
		"-max-target-bytes", "1003", "-max-body-bytes", "1004", "-max-blocking", "1005",
		"-read-header-timeout", "1s", "-body-timeout", "2s", "-send-timeout", "3s", "-idle-timeout", "4s",
		"-shutdown-timeout", "0s", "-log-level", "warn", "-access-log", "text", "-access-log-sample", "9", "-access-log-slow", "9s", "-routes", "-compress", "-debug-addr", ":1",
		"-max-blank-lines", "0", "-max-chunk-extension-bytes", "1006", "-max-trailer-bytes", "1007",
		"-min-data-rate", "1008", "-max-conns", "1009", "-max-conns-per-addr", "1010", "-max-pipelined-bytes", "1011",
		"-max-unsent-bytes", "1012", "-max-buffered-bytes", "1013", "-max-linger-bytes", "0",
		"-data-rate-grace", "5s", "-pending-timeout", "6s", "-linger-timeout", "7s", "-stall-limit", "0s",
		"-socket-mode", "0660", "-max-blocking-waiting", "1014", "-blocking-queue-timeout", "8s",
		"-max-handshakes", "1015", "-handshake-timeout", "9s",
		"-max-form-fields", "0", "-shutdown-idle-grace", "0s",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &o.server
	for _, test := range []struct {
		name      string
		got, want any
	}{
		{"addr", s.Addr, ":0"},
		{"loops", s.Loops, 3},
		{"socket-mode", s.SocketMode, fs.FileMode(0o660)},
		{"reactor", s.Poller, "poll"},
		{"max-header-bytes", s.MaxHeaderBytes, 1001},
		{"max-header-fields", s.MaxHeaderFields, 1002},
		{"max-target-bytes", s.MaxTargetBytes, 1003},
		{"max-body-bytes", s.MaxBodyBytes, int64(1004)},
		{"max-blocking", s.MaxBlocking, 1005},
		{"max-blocking-waiting", s.MaxBlockingWaiting, 1014},
		{"blocking-queue-timeout", s.BlockingQueueTimeout.String(), "8s"},
		{"read-header-timeout", s.ReadHeaderTimeout.String(), "1s"},
		{"body-timeout", s.BodyTimeout.String(), "2s"},
		{"send-timeout", s.SendTimeout.String(), "3s"},
		{"idle-timeout", s.IdleTimeout.String(), "4s"},
		{"shutdown-timeout", o.grace.String(), "0s"},
		{"max-blank-lines", s.MaxBlankLines, -1},
		{"max-chunk-extension-bytes", s.MaxChunkExtensionBytes, 1006},
		{"max-trailer-bytes", s.MaxTrailerBytes, 1007},
		{"min-data-rate", s.MinDataRate, 1008},
		{"max-conns", s.MaxConns, 1009},
		{"max-conns-per-addr", s.MaxConnsPerAddr, 1010},
		{"max-handshakes", s.MaxHandshakes, 1015},
		{"handshake-timeout", s.HandshakeTimeout.String(), "9s"},
		{"max-pipelined-bytes", s.MaxPipelinedBytes, 1011},
		{"max-unsent-bytes", s.MaxUnsentBytes, 1012},
		{"max-buffered-bytes", s.MaxBufferedBytes, int64(1013)},
		{"max-linger-bytes", s.MaxLingerBytes, -1},
		{"data-rate-grace", s.DataRateGrace.String(), "5s"},
		{"pending-timeout", s.PendingTimeout.String(), "6s"},
		{"linger-timeout", s.LingerTimeout.String(), "7s"},
		{"stall-limit", s.StallLimit.String(), "-1ns"},
		{"max-form-fields", s.MaxFormFields, -1},
		{"shutdown-idle-grace", s.ShutdownIdleGrace.String(), "-1ns"},
		{"log-level", o.level.String(), "warn"},
		{"access-log", o.accessLog, accessOptions{"text", 9, 9 * time.Second}},
		{"compress", o.compress, true},
		{"debug-addr", o.debugAddr, ":1"},
		{"routes", o.routes, true},
	} {
		if test.got != test.want {
			t.Errorf("-%s: %v, want %v", test.name, test.got, test.want)
		}
	}
}

// Every number and every duration of a Server is a flag of demo, by the same name, but for the bounds of forms that are kept.
func TestEveryLimitIsAFlag(t *testing.T) {
	var o options
	if err := o.parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	set := newFlagSet("demo", o.groups())
	upper := regexp.MustCompile(`[A-Z]`)
	for _, field := range mirror.VisibleFields(mirror.TypeFor[server.Server]()) {
		if field.Name != "MaxFormFields" && strings.HasPrefix(field.Name, "MaxForm") {
			continue // POST /form keeps none
		}
		if kind := field.Type.Kind(); !field.IsExported() || kind != mirror.Int && kind != mirror.Int64 {
			continue
		}
		name := strings.TrimPrefix(strings.ToLower(upper.ReplaceAllString(field.Name, "-$0")), "-")
		if set.Lookup(name) == nil {
			t.Errorf("%s has no flag -%s", field.Name, name)
		}
	}
}

// The environment names the reactor too; the flag has the last word.
func TestReactorFromTheEnvironment(t *testing.T) {
	best := reactor.Pollers()[0]
	for _, test := range []struct {
		variable string
		args     []string
		want     string
	}{
		{"", nil, best},
		{"select", nil, "select"},
		{"select", []string{"-loops", "1"}, "select"},
		{"select", []string{"-reactor", "poll"}, "poll"},
		{"select", []string{"-reactor", best}, best},
		{"libuv", []string{"-reactor", "poll"}, "poll"},
	} {
		t.Setenv(reactorVariable, test.variable)
		var o options
		if err := o.parse(test.args, nil); err != nil || o.server.Poller != test.want {
			t.Errorf("%s=%s %q: %q, %v; want %q", reactorVariable, test.variable, test.args, o.server.Poller, err, test.want)
		}
	}
	t.Setenv(reactorVariable, "libuv")
	var stdout, stderr bytes.Buffer
	code := run([]string{"demo"}, &stdout, &stderr)
	want := `microhttp demo: invalid value "libuv" for MICROHTTP_REACTOR: want one of ` + strings.Join(reactor.Pollers(), ", ")
	if got := stderr.String(); code != exitUsage || !strings.HasPrefix(got, want) || !isLine(got) {
		t.Errorf("exit %d, said %q", code, got)
	}
}

func TestAnAddressThatCannotBeBoundIsALine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, test := range []struct{ addr, want string }{
		{taken.Addr().String(), "address already in use"},
		{"192.0.2.1:0", "cannot assign requested address"}, // RFC 5737: nobody's
	} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{"demo", "-addr", test.addr}, &stdout, &stderr); code != exitFailed {
			t.Errorf("%s: exit %d", test.addr, code)
		}
		got := stderr.String()
		if !strings.HasPrefix(got, "microhttp demo: ") || !strings.Contains(got, test.want) || !isLine(got) {
			t.Errorf("%s: said %q", test.addr, got)
		}
	}
}

// The README's table names each bound by its flag, and no other.
func TestReadmeNamesEachBound(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var o options
	flags := map[string]bool{}
	for _, g := range o.groups() {
		for _, f := range g.options {
			flags[f.name] = true
			bounds := strings.HasPrefix(g.title, "Limits") || g.title == "Timeouts" || f.name == "max-blocking"
			row := regexp.MustCompile("(?m)^\\|[^|]*\\| ([^|]*) \\|[^|]*\\| `([A-Za-z]+)` \\| `-" + f.name + "` \\|$").FindSubmatch(readme)
			switch {
			case row == nil && bounds:
				t.Errorf("the table of the README lacks -%s", f.name)
			case row == nil:
			case !strings.EqualFold(string(row[2]), strings.ReplaceAll(f.name, "-", "")):
				t.Errorf("the README names the field %s beside -%s", row[2], f.name)
			default:
				if got, want := inFlagUnits(string(row[1])), f.value.String(); got != want {
					t.Errorf("the default of -%s is %s, and the README says %s", f.name, want, row[1])
				}
			}
		}
	}
	for _, m := range regexp.MustCompile("`-([a-z-]+)` \\|").FindAllSubmatch(readme, -1) {
		if !flags[string(m[1])] {
			t.Errorf("the README names a flag %q", m[1])
		}
	}
}

// inFlagUnits writes a default of the README's table, such as 32 KiB or 10 min, as the flag has it.
func inFlagUnits(text string) string {
	number, unit, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	switch {
	case text == "off":
		return "0"
	case err != nil:
		return text
	}
	switch unit {
	case "KiB":
		return strconv.Itoa(n << 10)
	case "MiB":
		return strconv.Itoa(n << 20)
	case "s":
		return (time.Duration(n) * time.Second).String()
	case "min":
		return (time.Duration(n) * time.Minute).String()
	}
	return number
}
