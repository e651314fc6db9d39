// Package figures says what a server is measured by, for Prometheus: names, help texts, labels, and the values. It writes
// nothing. Package middleware/metrics hands the figures to client_golang, and cmd/microhttp writes them itself, so both say
// the same. A program that reports to something else takes them from here: [Collect] for what the server knows of itself, and
// [Middleware] for requests.
package figures

import (
	"strconv"
	"time"

	"microhttp/reactor"
	"microhttp/server"
)

// Kind is a type of metric, by the name that Prometheus has for it.
type Kind string

const (
	Gauge     Kind = "gauge"
	Counter   Kind = "counter"
	Histogram Kind = "histogram"
)

// Metric describes a metric. Labels are in the order of the alphabet.
type Metric struct {
	Name, Help string
	Kind       Kind
	Labels     []string
}

// Server lists what a server knows of itself, in the order in which Collect emits it.
var Server = []*Metric{
	&conns, &accepted, &closed, &refused, &buffered, &places, &used, &queued, &waiting, &lag, &shareSeconds, &shareCalls,
}

var (
	conns    = Metric{"microhttp_connections", "Open connections.", Gauge, nil}
	accepted = Metric{"microhttp_connections_accepted_total", "Connections that were let in.", Counter, nil}
	closed   = Metric{"microhttp_connections_closed_total", "Connections that have ended, by reason.", Counter, []string{"reason"}}
	refused  = Metric{
		"microhttp_requests_refused_total", "Requests that the server refused by itself: they were malformed, or beyond a limit.",
		Counter,
		[]string{"http_response_status_code"},
	}
	buffered = Metric{"microhttp_buffered_bytes", "Bytes that the server holds for its connections, of MaxBufferedBytes.", Gauge, nil}
	places   = Metric{"microhttp_blocking_places", "Places for Blocking handlers.", Gauge, nil}
	used     = Metric{"microhttp_blocking_places_used", "Places for Blocking handlers that are taken.", Gauge, nil}
	queued   = Metric{
		"microhttp_blocking_requests_queued", "Requests that wait for a place for a Blocking handler.", Gauge, nil,
	}
	waiting = Metric{
		"microhttp_blocking_handlers_waiting", "Blocking handlers that wait for their peers, without a place.", Gauge, nil,
	}
	lag = Metric{
		"microhttp_loop_lag_seconds",
		"How long the ticks of a loop lasted. The sum is an estimate, by three quarters of each bucket's bound.",
		Histogram,
		[]string{"loop"},
	}
	shareSeconds = Metric{
		"microhttp_route_loop_seconds_total", "Time that the handlers of a route took of a loop. An estimate, by sampling.",
		Counter,
		[]string{"loop", "pattern"},
	}
	shareCalls = Metric{
		"microhttp_route_loop_calls_total", "Requests that those seconds went to, about.", Counter, []string{"loop", "pattern"},
	}
)

// Sink takes the samples of a server. The samples of one metric come one after the other.
type Sink interface {
	// Value takes a sample of a gauge or a counter. The labels are the values of m.Labels.
	Value(m *Metric, value float64, labels ...string)
	// Histogram takes what was counted up to each bound, what was counted in all, and the sum.
	Histogram(m *Metric, bounds []float64, upTo []uint64, count uint64, sum float64, labels ...string)
}

// Collect emits the figures of s. It may be called from any goroutine, at any time.
func Collect(s *server.Server, to Sink) {
	stats := s.Stats()
	to.Value(&conns, float64(stats.Conns))
	to.Value(&accepted, float64(stats.Accepted))
	for why, n := range s.CloseCounts() {
		to.Value(&closed, float64(n), why.Name())
	}
	for status, n := range s.RefusalCounts() {
		to.Value(&refused, float64(n), strconv.Itoa(status))
	}
	to.Value(&buffered, float64(stats.BufferedBytes))
	to.Value(&places, float64(stats.MaxBlocking))
	to.Value(&used, float64(stats.Blocking))
	to.Value(&queued, float64(stats.BlockingQueued))
	to.Value(&waiting, float64(stats.BlockingWaiting))
	for i, lags := range s.LoopLags() {
		upTo, count, sum := buckets(lags)
		to.Histogram(&lag, lagBounds, upTo, count, sum, strconv.Itoa(i))
	}
	shares := s.RouteShares()
	for _, share := range shares {
		to.Value(&shareSeconds, share.Total.Seconds(), strconv.Itoa(share.Loop), share.Route)
	}
	for _, share := range shares {
		to.Value(&shareCalls, float64(share.Calls), strconv.Itoa(share.Loop), share.Route)
	}
}

// lagBounds are the bounds of the buckets of a lag: every second power of two, from 16 µs to 17 s. A loop that is within the
// first is idle, and one that is beyond the last does not come back.
var lagBounds = func() (bounds []float64) {
	for bound := time.Duration(1 << 14); bound <= 1<<34; bound *= 4 {
		bounds = append(bounds, bound.Seconds())
	}
	return bounds
}()

// buckets returns what lags has up to each of lagBounds, in all, and the sum.
func buckets(lags reactor.Histogram) (upTo []uint64, count uint64, sum float64) {
	for bound, n := range lags.Buckets() {
		for len(upTo) < len(lagBounds) && bound.Seconds() > lagBounds[len(upTo)] {
			upTo = append(upTo, count)
		}
		count += n
		sum += 0.75 * bound.Seconds() * float64(n)
	}
	for len(upTo) < len(lagBounds) {
		upTo = append(upTo, count)
	}
	return upTo, count, sum
}
