package middleware

// Requests of one client in a time. The rule is GCRA: for each key one instant is kept, at which all that the key has used
// is paid for. A key whose instant has passed is as good as one that was never seen, so it can be forgotten at no loss.

import (
	"math"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"microhttp/server"
)

// RateLimitConfig says how much [RateLimit] allows.
type RateLimitConfig struct {
	// Requests and Per say how much is allowed: so many requests in such a time, for each key. Default 100 a second.
	Requests int
	Per      time.Duration
	// Burst is how many requests may come at once after a pause. Default Requests.
	Burst int
	// Key says what a request counts for. Requests with the key "" are not limited. nil is the client's address, see
	// server.Request.ClientAddr; an IPv6 /64 is one client, and peers of Unix sockets are not limited.
	Key func(r *server.Request) string
	// MaxKeys bounds the keys that are remembered, at some 100 bytes each. Default 65536. Beyond it a key is forgotten
	// that has nothing to pay, or else one that is not limited just now. A key that is limited is never forgotten. While all
	// are limited, new keys share one allowance.
	MaxKeys int
	// Deny answers what is refused. The status is 429 already, and Retry-After is set. nil answers with 429 alone.
	Deny server.Handler
}

// RateLimit refuses requests beyond an allowance for each client, with 429 and Retry-After in whole seconds (RFC 6585, 4;
// RFC 9110, 10.2.3). A request that is refused uses nothing up.
//
// Each call of RateLimit makes one allowance, which all the handlers that it is put around share, on all loops. It costs
// no allocation for a client that is known, by address.
//
// RateLimit panics for a negative number.
func RateLimit(config RateLimitConfig) server.Middleware {
	l := newLimiter(config)
	key, deny := config.Key, orElse(config.Deny, func(w *server.Response, _ *server.Request) { w.Error(429) })
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		var k limitKey
		if key != nil {
			k.text = key(r)
		} else {
			k.addr = network(r.ClientAddr())
		}
		if k == (limitKey{}) {
			next.Serve(w, r)
			return
		}
		wait := l.take(k, r.Received())
		if wait == 0 {
			next.Serve(w, r)
			return
		}
		w.SetStatus(429)
		deny.Serve(w, r)
		w.SetHeader("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	})
}

// network is what an address counts for: one that has an IPv6 address has the /64 around it (RFC 6177).
func network(addr netip.Addr) netip.Addr {
	if addr = addr.Unmap(); addr.Is6() {
		return netip.PrefixFrom(addr.WithZone(""), 64).Masked().Addr()
	}
	return addr
}

type limitKey struct {
	addr netip.Addr
	text string
}

// limiter remembers keys in a slice, so that a hand can go round it to find one that can be forgotten.
type limiter struct {
	every int64 // nanoseconds that one request costs
	slack int64 // how far ahead a key may be when it asks
	most  int
	start time.Time

	mu     sync.Mutex
	at     map[limitKey]int32
	keys   []limitEntry
	hand   int
	shared int64 // the instant of all keys for which there is no room
}

type limitEntry struct {
	key  limitKey
	paid int64 // when all is paid for, in nanoseconds since start
}

// handLooks is how many entries are looked at to find one to forget.
const handLooks = 32

func newLimiter(c RateLimitConfig) *limiter {
	if c.Requests < 0 || c.Per < 0 || c.Burst < 0 || c.MaxKeys < 0 {
		panic("middleware: a negative number in RateLimitConfig")
	}
	if c.Requests == 0 {
		c.Requests = 100
	}
	if c.Per == 0 {
		c.Per = time.Second
	}
	if c.Burst == 0 {
		c.Burst = c.Requests
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = 1 << 16
	}
	every := max(int64(c.Per)/int64(c.Requests), 1)
	return &limiter{
		every: every,
		slack: min(int64(c.Burst-1), math.MaxInt64/4/every) * every,
		most:  min(c.MaxKeys, math.MaxInt32),
		start: time.Now(),
		at:    make(map[limitKey]int32),

		shared: math.MinInt64 / 2, // the clock of a test may be years before start
	}
}

// take uses one request of the allowance of k up and returns 0, or returns how long k must wait.
func (l *limiter) take(k limitKey, at time.Time) time.Duration {
	now := int64(at.Sub(l.start))
	l.mu.Lock()
	defer l.mu.Unlock()
	i, known := l.at[k]
	if !known {
		i = l.room(now)
		if i < 0 {
			return l.pay(&l.shared, now)
		}
		l.at[k] = i
		l.keys[i] = limitEntry{key: k, paid: now}
	}
	return l.pay(&l.keys[i].paid, now)
}

func (l *limiter) pay(paid *int64, now int64) time.Duration {
	if ahead := *paid - now; ahead > l.slack {
		return time.Duration(ahead - l.slack)
	}
	*paid = max(*paid, now) + l.every
	return 0
}

// room returns the index of an entry that is free, or -1.
func (l *limiter) room(now int64) int32 {
	if len(l.keys) < l.most {
		l.keys = append(l.keys, limitEntry{})
		return int32(len(l.keys) - 1)
	}
	best, least := -1, l.slack+1
	for range min(handLooks, len(l.keys)) {
		l.hand = (l.hand + 1) % len(l.keys)
		ahead := l.keys[l.hand].paid - now
		if ahead < least {
			best, least = l.hand, ahead
		}
		if ahead <= 0 {
			break // it has nothing to pay: there is no better one
		}
	}
	if best >= 0 {
		delete(l.at, l.keys[best].key)
	}
	return int32(best)
}
