package reactor

// A batch is a list that is worked off in turns. What is added during a turn waits for the next one, so that a turn is
// bounded; and a turn that a panic broke off goes on behind the item that panicked.

// batchKeep is how many items' worth of memory a batch keeps between turns. A rare burst should not be paid for for
// ever.
const batchKeep = 4096

type batch[T any] struct {
	next []T // waits for the next turn
	now  []T // this turn's, taken up to at
	at   int
}

func (b *batch[T]) add(x T) { b.next = append(b.next, x) }

// waiting reports whether the next turn has something to do.
func (b *batch[T]) waiting() bool { return len(b.next) > 0 }

// broken reports whether a turn was begun and not ended.
func (b *batch[T]) broken() bool { return len(b.now) > 0 }

// begin begins a turn, or takes up the broken one.
func (b *batch[T]) begin() {
	if !b.broken() {
		b.now, b.next = b.next, b.now
	}
}

// take gives the next item of the turn; false ends the turn.
func (b *batch[T]) take() (item T, ok bool) {
	var none T
	if b.at == len(b.now) {
		b.at = 0
		b.now = b.now[:0]
		if cap(b.now) > batchKeep {
			b.now = nil
		}
		return none, false
	}
	item = b.now[b.at]
	b.now[b.at] = none // what is done is not kept from the collector
	b.at++
	return item, true
}
