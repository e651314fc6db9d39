package tracing

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"

	"microhttp/server"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Config is what [New] makes spans by. The zero value is ready.
type Config struct {
	// Provider makes the tracer. Default: OpenTelemetry's global one, as it is when a request comes.
	Provider trace.TracerProvider
	// Propagator reads the parent of a span from the fields of the request. Default: W3C Trace Context and Baggage,
	// whatever the global one is.
	Propagator propagation.TextMapPropagator
	// Public is for a server that strangers reach: their traceparent, which might have everything sampled, is no parent but
	// a link, and their baggage is dropped.
	Public bool
	// Query keeps the query of the target as url.query. It is off by default, since queries hold secrets.
	Query bool
	// Skip reports for which requests there is no span, such as those of health checks. nil skips none. It is called on
	// the loop and must not block.
	Skip func(r *server.Request) bool
}

// scope is the name of this package as the instrumentation scope of its spans.
const scope = "microhttp/middleware/tracing"

// maxText bounds what a peer can put into an attribute, in bytes.
const maxText = 1 << 10

// New returns a middleware that makes a span of each request: see the description of the package. Put it outside of what may
// refuse a request, so that refusals are seen. Requests that the server itself refuses, since they are malformed, have no span.
func New(c Config) server.Middleware {
	if c.Propagator == nil {
		c.Propagator = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})
	}
	start := func(w *server.Response, r *server.Request) {
		ctx, options := c.parent(r)
		ctx, span := c.tracer().Start(ctx, name(r), options...)
		r.SetContext(ctx)
		w.OnDone(func(w *server.Response, r *server.Request) { end(span, w, r) })
		if span.IsRecording() {
			span.SetAttributes(c.describe(r)...)
		}
	}
	return server.Wrap(func(w *server.Response, r *server.Request, next server.Handler) {
		if c.Skip == nil || !c.Skip(r) {
			start(w, r)
		}
		next.Serve(w, r)
	})
}

func (c *Config) tracer() trace.Tracer {
	provider := c.Provider
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	return provider.Tracer(scope)
}

// parent is the context that the span is started with, and how.
func (c *Config) parent(r *server.Request) (context.Context, []trace.SpanStartOption) {
	options := []trace.SpanStartOption{
		trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(r.Received()), trace.WithAttributes(method(r)...),
	}
	ctx := c.Propagator.Extract(r.Context(), fields{r})
	if !c.Public {
		return ctx, options
	}
	if remote := trace.SpanContextFromContext(ctx); remote.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: remote}))
	}
	return r.Context(), append(options, trace.WithNewRoot())
}

// name is the name of the span, as far as it is known.
func name(r *server.Request) string {
	method := r.Method()
	if !known(method) {
		method = "HTTP"
	}
	if route := route(r.Pattern()); route != "" {
		return method + " " + route
	}
	return method
}

// known reports whether the conventions know a method.
func known(method string) bool {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE", "QUERY":
		return true
	}
	return false
}

// route is the path of a pattern, without method and host.
func route(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i >= 0 {
		return pattern[i:]
	}
	return pattern
}

// method is what a sampler sees.
func method(r *server.Request) []attribute.KeyValue {
	if m := r.Method(); known(m) {
		return []attribute.KeyValue{semconv.HTTPRequestMethodKey.String(m)}
	}
	return []attribute.KeyValue{semconv.HTTPRequestMethodOther, semconv.HTTPRequestMethodOriginal(clip(r.Method()))}
}

// describe says what is known of a request at its head.
func (c *Config) describe(r *server.Request) []attribute.KeyValue {
	all := append(make([]attribute.KeyValue, 0, 12),
		semconv.URLScheme(r.Scheme()),
		semconv.URLPath(clip(string(r.PeekEscapedPath()))),
		semconv.NetworkProtocolVersion("1."+strconv.Itoa(r.ProtoMinor())),
	)
	if query := r.RawQuery(); c.Query && query != "" {
		all = append(all, semconv.URLQuery(clip(query)))
	}
	if agent := r.Header("User-Agent"); agent != "" {
		all = append(all, semconv.UserAgentOriginal(clip(agent)))
	}
	if peer := r.RemoteAddr(); peer.IsValid() { // a Unix socket has none
		all = append(all, semconv.NetworkPeerAddress(peer.Addr().String()), semconv.NetworkPeerPort(int(peer.Port())))
	}
	if client := r.ClientAddr(); client.IsValid() {
		all = append(all, semconv.ClientAddress(client.String()))
	}
	return append(all, host(r.Host())...)
}

// host splits a Host into name and port.
func host(of string) []attribute.KeyValue {
	if of == "" {
		return nil
	}
	name, text, err := net.SplitHostPort(of)
	if err != nil {
		return []attribute.KeyValue{semconv.ServerAddress(clip(strings.Trim(of, "[]")))}
	}
	all := []attribute.KeyValue{semconv.ServerAddress(clip(name))}
	if port, err := strconv.Atoi(text); err == nil {
		all = append(all, semconv.ServerPort(port))
	}
	return all
}

// end says how the request was answered, and ends its span. It runs on the loop.
func end(span trace.Span, w *server.Response, r *server.Request) {
	if span.IsRecording() {
		span.SetName(name(r))
		if route := route(r.Pattern()); route != "" {
			span.SetAttributes(semconv.HTTPRoute(route))
		}
		span.SetAttributes(
			semconv.HTTPResponseStatusCode(w.Status()),
			semconv.HTTPRequestBodySizeKey.Int64(r.BytesReceived()),
			semconv.HTTPResponseBodySizeKey.Int64(w.BytesSent()),
		)
		fail(span, w)
	}
	span.End()
}

// fail marks the span of an answer that did not go out whole, or that says that the server has failed.
func fail(span trace.Span, w *server.Response) {
	switch err := w.Err(); {
	case err != nil:
		kind := "_OTHER"
		if why, ok := errors.AsType[server.CloseReason](err); ok {
			kind = why.Name()
		}
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, err.Error())
	case w.Status() >= 500:
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(w.Status())))
		span.SetStatus(codes.Error, "")
	}
}

func clip(s string) string { return s[:min(len(s), maxText)] }

// fields are those of a request, for a propagator that reads.
type fields struct{ r *server.Request }

// Get implements propagation.TextMapCarrier. Several lines of one name are one list (RFC 9110, 5.3).
func (f fields) Get(key string) string {
	value, found := "", false
	for name, v := range f.r.Headers() {
		switch {
		case !strings.EqualFold(name, key):
		case found:
			value += "," + v
		default:
			value, found = v, true
		}
	}
	return value
}

// Set implements propagation.TextMapCarrier. The fields of a request stay as they came.
func (fields) Set(string, string) {}

// Keys implements propagation.TextMapCarrier.
func (f fields) Keys() []string {
	var keys []string
	for name := range f.r.Headers() {
		keys = append(keys, name)
	}
	return keys
}
