package router

// A table is what the scopes of a Router share. It is filled under a lock, and then only read, without one: the first
// request seals it, or another Router that took its routes over.

import (
	"fmt"
	"sync"
	"sync/atomic"
)

type table struct {
	sealed atomic.Bool // nothing changes any more

	mu         sync.Mutex // guards what follows, until it is sealed
	why        string     // it is sealed
	tree       tree
	routes     []*Route // in the order of registration
	names      map[string]*Route
	notFound   tree // of the routes that answer when there is no other; empty in most Routers
	notAllowed tree
	answers    tree // of the middleware around the answers of the Router itself
	fallbacks  []fallback
}

// fallback is a route of notFound, notAllowed or answers.
type fallback struct {
	status int
	route  *Route
}

func (t *table) add(r *Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mustBeOpen("Handle")
	if err := t.tree.insert(r); err != nil {
		panic("router: " + err.Error())
	}
	r.table = t
	t.routes = append(t.routes, r)
	if r.name != "" {
		t.nameRoute(r.name, r) // that of a Router that was mounted
	}
}

func (t *table) addFallback(status int, r *Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	what, tree := "NotFound", &t.notFound
	switch status {
	case statusMethodNotAllowed:
		what, tree = "MethodNotAllowed", &t.notAllowed
	}
	t.mustBeOpen(what)
	if err := tree.insert(r); err != nil {
		panic("router: " + what + ": " + err.Error())
	}
	t.fallbacks = append(t.fallbacks, fallback{status, r})
}

// addAnswers is addFallback for what is around the answers of the Router. The first of a prefix stays.
func (t *table) addAnswers(r *Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.sealed.Load() && t.answers.insert(r) == nil {
		t.fallbacks = append(t.fallbacks, fallback{anyStatus, r})
	}
}

// nameRoute is called with the lock held.
func (t *table) nameRoute(name string, r *Route) {
	if other := t.names[name]; other != nil {
		panic(fmt.Sprintf("router: pattern %q (registered at %s) cannot have the name %q: it is that of pattern %q "+
			"(registered at %s)", r.pattern.text, r.site, name, other.pattern.text, other.site))
	}
	if t.names == nil {
		t.names = make(map[string]*Route)
	}
	t.names[name], r.name = r, name
}

// seal ends registration, once a call that is under way has ended.
func (t *table) seal(why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.sealed.Load() {
		t.why = why
		t.sealed.Store(true)
	}
}

// mustBeOpen is called with the lock held.
func (t *table) mustBeOpen(method string) {
	if t.sealed.Load() {
		panic(fmt.Sprintf("router: %s called after %s: register all routes before", method, t.why))
	}
}

// read calls f while the table cannot change.
func (t *table) read(f func()) {
	if !t.sealed.Load() {
		t.mu.Lock()
		defer t.mu.Unlock()
	}
	f()
}
