package reactor

// What the kernel takes of a connection's output beyond what the peer has room for.
//
// Left to itself it takes megabytes, which no bound of ours counts, and a write of that much holds the loop up: two thousand
// peers that do not read what they asked for had 2.2 GB of the kernel, and ticks of half a second. So it takes kernelUnsent.
//
// For a file of 1 MiB that bound is dear: the loop sends it in pieces, and waits for the socket between them. It takes 1.7
// times the CPU time that it takes without. So the bound of a few connections that send large files is filePiece. What the
// kernel holds then is pages of its cache, which are bounded by the number of these connections. A connection gives its place
// to another when its peer has everything.

const (
	// kernelUnsent is what the kernel takes of most connections.
	kernelUnsent = 64 << 10

	// wideMost is how many connections of a loop are wide at a time, so the kernel holds 64 MiB for them at most.
	wideMost = 64
)

// wideSet has the descriptors of the wide connections. A number may be that of a connection that is not wide, because the
// one that was has ended.
type wideSet struct {
	fds  [wideMost]int32
	next int
}

// widen makes t wide if the place that was given away the longest ago is free.
func (s *wideSet) widen(t *transport) {
	r, place := t.r, &s.fds[s.next]
	s.next = (s.next + 1) % wideMost
	if slot := r.fds.lookup(int(*place)); slot != nil && slot.conn != nil && slot.conn.flags&wide != 0 {
		old := slot.conn
		if old.out != nil || r.sys.Unacknowledged(int(old.fd)) > 0 || boundUnsent(int(old.fd), kernelUnsent) != nil {
			return
		}
		old.flags &^= wide
	}
	*place = t.fd
	t.flags |= wide                       // also a socket that is not of TCP: it is not asked again
	_ = boundUnsent(int(t.fd), filePiece) // without it the bound is what it was
}
