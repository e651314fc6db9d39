package middleware

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func key(text string) limitKey { return limitKey{text: text} }

func TestLimiterAllowsBurstThenRate(t *testing.T) {
	l := newLimiter(RateLimitConfig{Requests: 10, Per: time.Second, Burst: 3})
	at := l.start
	for i := range 3 {
		if wait := l.take(key("a"), at); wait != 0 {
			t.Fatalf("request %d of the burst waits %v", i, wait)
		}
	}
	for range 2 { // what is refused uses nothing up
		if wait := l.take(key("a"), at); wait != 100*time.Millisecond {
			t.Fatalf("beyond the burst: %v", wait)
		}
	}
	if wait := l.take(key("b"), at); wait != 0 {
		t.Fatalf("another key waits %v", wait)
	}
	if wait := l.take(key("a"), at.Add(99*time.Millisecond)); wait != time.Millisecond {
		t.Fatalf("1 ms too early: %v", wait)
	}
	if wait := l.take(key("a"), at.Add(100*time.Millisecond)); wait != 0 {
		t.Fatalf("in time: %v", wait)
	}
	at = at.Add(time.Hour) // a pause gives the burst back, and no more
	allowed := 0
	for l.take(key("a"), at) == 0 {
		allowed++
	}
	if allowed != 3 {
		t.Fatalf("%d after a pause", allowed)
	}
}

// The clock of the requests is that of the server, which in a test may be years before that of the program.
func TestLimiterBeforeItsStart(t *testing.T) {
	l := newLimiter(RateLimitConfig{Requests: 1, Per: time.Second, MaxKeys: 1})
	at := l.start.AddDate(-3, 0, 0)
	for _, k := range []string{"a", "shared"} { // there is no room for the second
		if wait := l.take(key(k), at); wait != 0 {
			t.Errorf("the first of %s waits %v", k, wait)
		}
		if wait := l.take(key(k), at); wait != time.Second {
			t.Errorf("the second of %s waits %v", k, wait)
		}
	}
}

// Over any time a key gets at most the burst and what the rate gives, whatever other keys do, as long as there is room.
func TestLimiterLaw(t *testing.T) {
	l := newLimiter(RateLimitConfig{Requests: 100, Per: time.Second, Burst: 5, MaxKeys: 8})
	rng := rand.New(rand.NewPCG(1, 2))
	allowed := map[limitKey]int{}
	at := l.start
	for range 20000 {
		at = at.Add(time.Duration(rng.IntN(3)) * time.Millisecond)
		if k := key(fmt.Sprint(rng.IntN(8))); l.take(k, at) == 0 {
			allowed[k]++
		}
	}
	most := 5 + int(at.Sub(l.start)/(10*time.Millisecond))
	for k, n := range allowed {
		if n > most || n < most*9/10 {
			t.Errorf("key %s was allowed %d times in %v, want about %d", k.text, n, at.Sub(l.start), most)
		}
	}
}

// However many keys come, the memory is bounded, and a key that is limited stays so.
func TestLimiterNeverForgetsWhoIsLimited(t *testing.T) {
	l := newLimiter(RateLimitConfig{Requests: 1, Per: time.Minute, MaxKeys: 100})
	for i := range 50 {
		l.take(key(fmt.Sprint("limited", i)), l.start)
	}
	for i := range 10000 {
		l.take(key(fmt.Sprint("flood", i)), l.start)
	}
	if len(l.keys) > 100 || len(l.at) > 100 {
		t.Errorf("%d keys and %d in the map", len(l.keys), len(l.at))
	}
	for i := range 50 {
		if l.take(key(fmt.Sprint("limited", i)), l.start) == 0 {
			t.Errorf("key %d was forgotten", i)
		}
	}
	later := l.start.Add(2 * time.Minute) // all is paid for, and so a new key finds room
	for i := range 100 {
		if wait := l.take(key(fmt.Sprint("new", i)), later); wait != 0 {
			t.Fatalf("new key %d waits %v", i, wait)
		}
	}
}

// A key that has used little of its allowance makes room before one that is limited.
func TestLimiterForgetsWhoUsedLeast(t *testing.T) {
	l := newLimiter(RateLimitConfig{Requests: 10, Per: time.Minute, Burst: 10, MaxKeys: 2})
	for range 11 {
		l.take(key("limited"), l.start)
	}
	l.take(key("light"), l.start)
	if l.take(key("new"), l.start) != 0 {
		t.Error("there was room for a new key")
	}
	if l.take(key("limited"), l.start) == 0 {
		t.Error("the limited key was forgotten")
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1",
		"2001:db8:1:2:3::4": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := network(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s counts for %v, want %s", addr, got, want)
		}
	}
}

func TestRateLimitPanics(t *testing.T) {
	for _, c := range []RateLimitConfig{{Requests: -1}, {Per: -1}, {Burst: -1}, {MaxKeys: -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", c)
				}
			}()
			RateLimit(c)
		}()
	}
}
