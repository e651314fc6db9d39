// Package tracing makes a span of each request, by OpenTelemetry's API. It is a module of its own, so that a program that
// does not import it has none of its dependencies. Which spans are kept, and where they go, is the business of the SDK or of
// any other trace.TracerProvider that the program sets up.
//
//	s := &server.Server{Handler: tracing.New(tracing.Config{})(routes)}
//
// The span begins when the head of a request is complete and ends with the answer, whatever kind of answer that is: inline,
// late, streamed, from a file or from a goroutine. That of an upgraded connection ends with the connection; when a peer leaves
// while a Blocking handler works for it, the span ends when the handler returns. The context of the request carries the span, so
// what a handler starts with r.Context() is its child:
//
//	ctx, span := tracer.Start(r.Context(), "query")
//
// A peer's traceparent, tracestate and baggage are taken up (W3C Trace Context, W3C Baggage). To pass them on, inject
// r.Context() into the requests that the handler makes, as otelhttp.NewTransport does.
//
// # What a span says
//
// Its name is the method and the route, "GET /users/{id}"; the method alone when no router has matched, and "HTTP" for a
// method that is not of RFC 9110, PATCH or QUERY. Its attributes are those of the semantic conventions for HTTP servers:
//
//	http.request.method, http.request.method_original, url.scheme, url.path, url.query (see Config.Query)
//	server.address, server.port             of Host
//	client.address                          Request.ClientAddr: see middleware.ClientAddress
//	network.peer.address, network.peer.port of the connection
//	network.protocol.version                "1.1" or "1.0"
//	user_agent.original
//	http.route                              the path of the pattern; when the answer is done, if no router came before
//	http.response.status_code, http.request.body.size, http.response.body.size
//	error.type                              the name of the server.CloseReason if the answer did not go out whole; else the
//	                                        status, from 500 on
//
// With error.type the status of the span is Error. Texts of the peer are cut off after 1 KiB.
package tracing
