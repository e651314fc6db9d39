package figures

import (
	"errors"
	"iter"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"microhttp/server"
)

// What requests are counted by.
var (
	Duration = Metric{"http_server_request_duration_seconds", "Duration of HTTP server requests.", Histogram, requestLabels}
	Received = Metric{"http_server_request_body_size_bytes", "Size of HTTP server request bodies.", Histogram, requestLabels}
	Sent     = Metric{"http_server_response_body_size_bytes", "Size of HTTP server response bodies.", Histogram, requestLabels}
	Active   = Metric{
		"http_server_active_requests", "Number of active HTTP server requests.", Gauge, []string{"http_request_method", "url_scheme"},
	}

	requestLabels = []string{"error_type", "http_request_method", "http_response_status_code", "http_route", "url_scheme"}
)

// The bounds of buckets that hold unless others are asked for, and the label sets.
var (
	// DurationBounds are OpenTelemetry's, in seconds.
	DurationBounds = []float64{.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10}
	// SizeBounds are 0 and the powers of four from 256 B to 64 MiB.
	SizeBounds = []float64{
		0, 1 << 8, 1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26,
	}
)

// MaxSeries is how many label sets there are at most, unless another number is asked for.
const MaxSeries = 2000

// Form is what a request has in common with others before it is answered: its method and its scheme.
type Form struct{ method, scheme uint8 }

// methods are those that a request may be counted under; any other is the last of Methods.
var methods = [...]string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY", other}

var schemes = [...]string{"http", "https"}

// other is what OpenTelemetry has for a method that it does not know.
const other = "_OTHER"

// Forms is how many there are.
const Forms = len(methods) * len(schemes)

// AllForms iterates over the forms and their numbers, from 0 to Forms-1.
func AllForms() iter.Seq2[int, Form] {
	return func(yield func(int, Form) bool) {
		for i := range Forms {
			if !yield(i, Form{uint8(i / len(schemes)), uint8(i % len(schemes))}) {
				return
			}
		}
	}
}

// Values are the values of the labels of Active.
func (f Form) Values() []string { return []string{methods[f.method], schemes[f.scheme]} }

func (f Form) number() int { return int(f.method)*len(schemes) + int(f.scheme) }

func formOf(r *server.Request) Form {
	f := Form{method: uint8(len(methods) - 1)}
	method := r.Method()
	for i, known := range methods {
		if method == known {
			f.method = uint8(i)
			break
		}
	}
	if r.Scheme() == "https" {
		f.scheme = 1
	}
	return f
}

// Tally counts requests. Both of its methods are called on the loop.
type Tally interface {
	// Began is called when the head of a request has come, with the number of its form.
	Began(form int)
	// Ended is called when the answer is done. form is what Began had: middleware may have changed the scheme.
	Ended(form int, w *server.Response, r *server.Request)
}

// Middleware has t count requests. It allocates nothing for a request.
func Middleware(t Tally) server.Middleware {
	var ended [Forms]func(w *server.Response, r *server.Request)
	for i := range ended {
		ended[i] = func(w *server.Response, r *server.Request) { t.Ended(i, w, r) }
	}
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		i := formOf(r).number()
		t.Began(i)
		w.OnDone(ended[i])
		next.Serve(w, r)
	})
}

// Labels tell the series of one request from those of another.
type Labels struct {
	pattern, failure string
	form             Form
	status           int16
}

// overflow is the key of the set that counts what is beyond the bound of a Table. No request has it.
var overflow = Labels{status: -1}

// LabelsOf returns the labels of a request whose answer is done.
func LabelsOf(w *server.Response, r *server.Request) Labels {
	return Labels{r.Pattern(), failure(w), formOf(r), int16(w.Status())}
}

// values are the values of the labels of Duration, Received and Sent.
func (l *Labels) values() []string {
	if *l == overflow {
		return []string{other, other, other, other, other}
	}
	return []string{l.failure, methods[l.form.method], strconv.Itoa(int(l.status)), route(l.pattern), schemes[l.form.scheme]}
}

// failure is why an answer counts as failed.
func failure(w *server.Response) string {
	if err := w.Err(); err != nil {
		if why, ok := errors.AsType[server.CloseReason](err); ok {
			return why.Name()
		}
		return other
	}
	if w.Status() >= 500 {
		return serverErrors(w.Status())
	}
	return ""
}

// serverErrors names the statuses that handlers use, without an allocation.
func serverErrors(status int) string {
	switch status {
	case 500:
		return "500"
	case 502:
		return "502"
	case 503:
		return "503"
	case 504:
		return "504"
	}
	return strconv.Itoa(status)
}

// route is the path of a pattern, without method and host.
func route(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return pattern
}

// Table finds what requests of one label set add to. It is one map, which is never changed: a new set makes a new map. So
// the loops look up without a lock, and a set that was seen before costs no allocation.
type Table[S any] struct {
	most  int
	make  func(values []string) *S
	found atomic.Pointer[map[Labels]*S]
	mu    sync.Mutex // of those who replace found
}

// NewTable returns a table of at most so many sets, and one for all others. Its series are made by f from the values of the
// labels of Duration.
func NewTable[S any](most int, f func(values []string) *S) *Table[S] {
	t := &Table[S]{most: most, make: f}
	t.found.Store(&map[Labels]*S{})
	return t
}

// Of returns the series of a label set.
func (t *Table[S]) Of(l Labels) *S {
	if s := t.look(&l); s != nil {
		return s
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.look(&l); s != nil {
		return s
	}
	s := t.make(l.values())
	more := maps.Clone(*t.found.Load())
	more[l] = s
	t.found.Store(&more)
	return s
}

// look finds the series of a label set among those that were made. When the table is full, l becomes the overflow.
func (t *Table[S]) look(l *Labels) *S {
	found := *t.found.Load()
	s := found[*l]
	if s == nil && len(found) >= t.most {
		*l = overflow
		s = found[overflow]
	}
	return s
}

// All iterates over the series that were made, in no order.
func (t *Table[S]) All() iter.Seq[*S] { return maps.Values(*t.found.Load()) }
