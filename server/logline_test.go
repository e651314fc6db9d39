package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A line has the same fields, whichever library writes it.
func TestLinesAreTheSameUnderBoth(t *testing.T) {
	var z, s bytes.Buffer
	for out, log := range map[*bytes.Buffer]*Log{
		&z: Zerolog(zerolog.New(&z)), &s: Slog(slog.New(slog.NewJSONHandler(&s, nil))),
	} {
		log.Line(slog.LevelWarn).Str("a", "b\n\x1b").Bytes("c", []byte("d")).Int("e", -1).Int64("f", 1<<40).Uint64("g", 1<<50).
			Err(errors.New("broken")).Err(nil).Dur("h", 1500*time.Millisecond).Msg("it happened")
		log.Line(slog.LevelDebug-1).Str("never", "").Bytes("written", nil)
		if out.Len() == 0 {
			t.Fatal("nothing was written")
		}
	}
	byZerolog, bySlog := lineOf(t, z.String()), lineOf(t, s.String())
	if byZerolog["h"] != 1500. || bySlog["h"] != 1.5e9 {
		t.Errorf("durations are %v and %v", byZerolog["h"], bySlog["h"])
	}
	if byZerolog["level"] != "warn" || bySlog["level"] != "WARN" || byZerolog["message"] != bySlog["msg"] {
		t.Errorf("%v and %v", byZerolog, bySlog)
	}
	for _, own := range []string{"h", "level", "message", "msg", "time"} {
		delete(byZerolog, own)
		delete(bySlog, own)
	}
	if want := map[string]any{"a": "b\n\x1b", "c": "d", "e": -1., "f": float64(1 << 40), "g": float64(1 << 50), "error": "broken"}; !maps.Equal(byZerolog, want) || !maps.Equal(bySlog, want) {
		t.Errorf("%v and %v, want %v", byZerolog, bySlog, want)
	}
}

// The level is the library's, and may change while the server runs.
func TestLevelsOfALog(t *testing.T) {
	var level slog.LevelVar
	var b bytes.Buffer
	dynamic := Slog(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: &level})))
	for _, c := range []struct {
		log  *Log
		from slog.Level
	}{
		{nil, slog.LevelInfo},
		{Zerolog(zerolog.New(&b)), slog.LevelDebug - 4},
		{Zerolog(zerolog.New(&b).Level(zerolog.ErrorLevel)), slog.LevelError},
		{Zerolog(zerolog.Nop()), slog.LevelError + 1},
		{Slog(slog.New(slog.DiscardHandler)), slog.LevelError + 1},
		{dynamic, slog.LevelInfo},
	} {
		for l := slog.LevelDebug - 4; l <= slog.LevelError; l += 4 {
			if got := c.log.Enabled(l); got != (l >= c.from) {
				t.Errorf("%v: %v is written: %v", c.log, l, got)
			}
		}
	}
	dynamic.Line(slog.LevelDebug).Msg("no")
	level.Set(slog.LevelDebug)
	dynamic.Line(slog.LevelDebug).Msg("yes")
	if s := b.String(); !dynamic.Enabled(slog.LevelDebug) || bytes.Contains(b.Bytes(), []byte("no")) || !bytes.Contains(b.Bytes(), []byte("yes")) {
		t.Errorf("the log is %q", s)
	}
}

// A server writes to slog what it writes to zerolog.
func TestServerLogsToSlog(t *testing.T) {
	var log syncBuffer
	_, addr := start(t, hello, func(s *Server) { s.Log = Slog(slog.New(slog.NewJSONHandler(&log, nil))) })
	c := dial(t, addr)
	c.send("GET /a?secret HTTP/1.1\r\nHost: h\r\nBad Name: x\r\n\r\n")
	if res, _ := c.answer("GET"); res.StatusCode != http.StatusBadRequest {
		t.Errorf("answered %d", res.StatusCode)
	}
	await(t, "the line", func() bool { return log.String() != "" })
	var line map[string]any
	if err := json.Unmarshal([]byte(log.String()), &line); err != nil || line["level"] != "INFO" || line["path"] != "/a" || line["status"] != 400. {
		t.Errorf("the line is %s (%v)", log.String(), err)
	}
}

// Lines that are not written cost nothing, and those of zerolog no allocation.
func TestLinesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	value := []byte("value")
	for name, log := range map[string]*Log{
		"zerolog": Zerolog(zerolog.New(writeNothing{}).With().Timestamp().Logger()), "nop": Zerolog(zerolog.Nop()), "discard": Slog(slog.New(slog.DiscardHandler)),
	} {
		if n := testing.AllocsPerRun(100, func() {
			log.Line(slog.LevelInfo).Str("a", "b").Bytes("c", value).Int("d", 1).Dur("e", time.Second).Msg("m")
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

type writeNothing struct{}

func (writeNothing) Write(p []byte) (int, error) { return len(p), nil }
