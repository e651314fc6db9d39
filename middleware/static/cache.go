package static

import (
	"path"
	"sync"
	"time"

	"microhttp/server"
)

// cache keeps files open. An entry is held while answers use it. One that is in the cache and not held stands in a ring, the
// longest unused first, and is closed when there are too many. One that was dropped is closed when it is let go.
type cache struct {
	most int

	mu     sync.Mutex
	at     map[string]*entry
	ring   entry // of those that are not held; its own next is the longest unused
	closed bool
}

// get returns the entry of a name that was checked within validate, and holds it, or nil. Of the callers that find it too old,
// one gets nil and is to check it; the others get it as it is meanwhile. A zero now asks for it however old it is.
func (c *cache) get(name string, now time.Time, validate time.Duration) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fresh(c.at[name], now, validate)
}

// getDirect is get of a file that a request may ask for by that name.
func (c *cache) getDirect(name []byte, now time.Time, validate time.Duration) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.at[string(name)]
	if e == nil || !e.direct {
		return nil
	}
	return c.fresh(e, now, validate)
}

// fresh is get of an entry, or of nil.
func (c *cache) fresh(e *entry, now time.Time, validate time.Duration) *entry {
	if e == nil {
		return nil
	}
	if !now.IsZero() && now.Sub(e.checked) >= validate {
		e.checked = now
		return nil
	}
	c.hold(e)
	return e
}

// getOr returns the entry of a name, or what open makes, and holds it.
func (c *cache) getOr(name string, open func() (*entry, error)) (*entry, error) {
	if e := c.get(name, time.Time{}, 0); e != nil {
		return e, nil
	}
	e, err := open()
	if err != nil {
		return nil, err
	}
	e.name, e.held, e.checked, e.kind = name, 1, time.Now(), typeOf(path.Ext(name))
	e.letGo = func(*server.Response, *server.Request) { c.put(e) }
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.dir || !e.shared() || c.closed || c.at[name] != nil || !c.room() {
		return e, nil // it is closed when it is let go
	}
	if c.at == nil {
		c.at = make(map[string]*entry)
	}
	c.at[name], e.cached = e, true
	return e, nil
}

// room makes room for an entry, if it can.
func (c *cache) room() bool {
	if len(c.at) < c.most {
		return true
	}
	oldest := c.ring.next
	if oldest == nil || oldest == &c.ring || c.most <= 0 {
		return false
	}
	c.remove(oldest)
	oldest.close()
	return true
}

// put lets go of an entry.
func (c *cache) put(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.held--; e.held > 0 {
		return
	}
	if !e.cached {
		e.close()
		return
	}
	if c.ring.next == nil {
		c.ring.next, c.ring.prev = &c.ring, &c.ring
	}
	e.prev, e.next = c.ring.prev, &c.ring
	e.prev.next, e.next.prev = e, e
}

// drop takes an entry out, which the caller holds.
func (c *cache) drop(name string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at[name] == e {
		c.remove(e)
	}
}

// close takes all entries out, and has none in any more.
func (c *cache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, e := range c.at {
		free := e.held == 0
		c.remove(e)
		if free {
			e.close()
		}
	}
}

func (c *cache) hold(e *entry) {
	if e.held++; e.held == 1 && e.next != nil {
		e.prev.next, e.next.prev = e.next, e.prev
		e.prev, e.next = nil, nil
	}
}

func (c *cache) remove(e *entry) {
	delete(c.at, e.name)
	e.cached = false
	if e.next != nil {
		e.prev.next, e.next.prev = e.next, e.prev
		e.prev, e.next = nil, nil
	}
}
