package server

// Values go with a request, from middleware to the handlers inside. They are gone when the response is done, and go
// along when the answer is put off.

// Key is the key of a value of type T. Make one with [NewKey], once, as a package variable. Two keys are never the
// same, whatever they are called.
type Key[T any] struct{ id *keyID }

// keyID tells keys apart.
type keyID struct{ name string }

// NewKey makes a Key. The name is for people who debug.
func NewKey[T any](name string) Key[T] { return Key[T]{&keyID{name}} }

// String returns the name.
func (k Key[T]) String() string { return k.id.name }

// keyed is a value that was set.
type keyed struct {
	key   *keyID
	value any
}

// Set sets the value of k for r, in place of an earlier one. The value is dropped when the response is done. Set costs
// no allocation for a pointer, a map, a channel or a function, and one for other types. It is for the goroutine that r
// belongs to.
func (k Key[T]) Set(r *Request, v T) {
	r.lent()
	for i := range r.keyed {
		if r.keyed[i].key == k.id {
			r.keyed[i].value = v
			return
		}
	}
	r.keyed = append(r.keyed, keyed{k.id, v})
}

// Get returns the value of k for r, or the zero value of T if none was set. See [Key.Lookup] to tell these apart.
func (k Key[T]) Get(r *Request) T {
	v, _ := k.Lookup(r)
	return v
}

// Lookup returns the value of k for r, and whether one was set.
func (k Key[T]) Lookup(r *Request) (v T, ok bool) {
	r.lent()
	for i := range r.keyed {
		if r.keyed[i].key == k.id {
			v, _ = r.keyed[i].value.(T) // which a nil interface is not
			return v, true
		}
	}
	return v, false
}

// ConnKey is the key of a value of type T that goes with a connection, from one request to the next. Make one with
// [NewConnKey], once, as a package variable.
type ConnKey[T any] struct{ id *keyID }

// NewConnKey makes a ConnKey. The name is for people who debug.
func NewConnKey[T any](name string) ConnKey[T] { return ConnKey[T]{&keyID{name}} }

// String returns the name.
func (k ConnKey[T]) String() string { return k.id.name }

// Set sets the value of k for the connection of r, in place of an earlier one. The value is dropped when the connection
// ends, and counts for no bound. It is for the loop: Set panics in a Blocking handler and after Later.
func (k ConnKey[T]) Set(r *Request, v T) {
	w := r.onLoop("ConnKey.Set")
	all := w.connValues[r.conn]
	for i := range all {
		if all[i].key == k.id {
			all[i].value = v
			return
		}
	}
	if w.connValues == nil {
		w.connValues = make(map[*conn][]keyed)
	}
	w.connValues[r.conn] = append(all, keyed{k.id, v})
}

// Get returns the value of k for the connection of r, or the zero value of T if none was set. It is for the loop, as Set is.
func (k ConnKey[T]) Get(r *Request) (v T) {
	for _, e := range r.onLoop("ConnKey.Get").connValues[r.conn] {
		if e.key == k.id {
			v, _ = e.value.(T) // which a nil interface is not
			break
		}
	}
	return v
}

// onLoop returns the worker of r, whose state is for the loop.
func (r *Request) onLoop(what string) *worker {
	r.lent()
	if r.x.mode != modeInline {
		panic("server: " + what + " off the loop")
	}
	return r.conn.w
}
