package reactor

// Factories that want to know when they are in use: Twisted's doStart and doStop. A port and a connector that is connecting
// or connected each count for one.

// A FactoryStarter is a Factory that is called when the first of its ports and connectors on a reactor is opened, before
// anything else. Its dynamic type must be comparable; a pointer is. It may be called from inside ListenTCP, ConnectTCP and
// their like. A panic in it comes out of that call and leaves nothing listening or connecting; StopFactory is not called then.
type FactoryStarter interface {
	StartFactory()
}

// A FactoryStopper is a Factory that is called when the last of its ports on a reactor is closed and none of its connectors is
// connecting or connected. Connections that its ports have accepted may live on. Its dynamic type must be comparable. It may
// be called from inside StopListening; a panic in it is reported and ends nothing.
type FactoryStopper interface {
	StopFactory()
}

// countsUse reports whether f wants to be told.
func countsUse(f Factory) bool {
	_, starts := f.(FactoryStarter)
	_, stops := f.(FactoryStopper)
	return starts || stops
}

// startFactory counts one more use of f, unless StartFactory panics or ends the goroutine.
func (r *Reactor) startFactory(f Factory) {
	if !countsUse(f) {
		return
	}
	r.factories[f]++
	s, ok := f.(FactoryStarter)
	if !ok || r.factories[f] > 1 {
		return
	}
	started := false
	defer func() {
		if started {
			return
		}
		if r.factories[f]--; r.factories[f] == 0 {
			delete(r.factories, f)
		}
	}()
	s.StartFactory()
	started = true
}

// stopFactory counts one less.
func (r *Reactor) stopFactory(f Factory) {
	if !countsUse(f) {
		return
	}
	if r.factories[f]--; r.factories[f] > 0 {
		return
	}
	delete(r.factories, f)
	if s, ok := f.(FactoryStopper); ok {
		r.contained(s.StopFactory)
	}
}
