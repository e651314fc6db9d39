// Package metrics counts what a server does, for Prometheus. It is a module of its own, so that a program that does not
// import it has none of its dependencies; client_golang does the exposition.
//
//	m := metrics.New(metrics.Config{})
//	s := &server.Server{Handler: m.Middleware(routes)}
//	m.Watch(s)
//	admin := &server.Server{Addr: "localhost:9100", Handler: m.Handler()}
//
// # Requests
//
// [Metrics.Middleware] counts the requests that it wraps, by OpenTelemetry's semantic conventions for HTTP servers, in the
// form that Prometheus has for them:
//
//	http_server_request_duration_seconds   histogram: from the end of the head to the end of the answer
//	http_server_request_body_size_bytes    histogram: the body as it came, decoded from chunks
//	http_server_response_body_size_bytes   histogram: the content that was handed to the connection
//	http_server_active_requests            gauge: requests whose head has come and whose answer is not done
//
// Their labels:
//
//	http_request_method          a method of RFC 9110, PATCH or QUERY; "_OTHER" is any other
//	url_scheme                   "http" or "https", as Request.Scheme says
//	http_route                   the path of the pattern that the router matched, never the path of the request; "" is none
//	http_response_status_code    the status
//	error_type                   why an answer did not go out whole, by the name of its CloseReason; the status of one from
//	                             500 on; "" otherwise
//
// The gauge has the first two only. A stranger cannot make the number of label sets grow: see [Config].MaxSeries.
//
// # The server
//
// [Metrics.Watch] adds what the server itself knows, read when it is asked for and so at no cost to requests:
//
//	microhttp_connections                      gauge: open connections
//	microhttp_connections_accepted_total       counter
//	microhttp_connections_closed_total         counter, by reason: the name of a server.CloseReason
//	microhttp_requests_refused_total           counter, by http_response_status_code: malformed, or beyond a limit
//	microhttp_buffered_bytes                   gauge: what MaxBufferedBytes bounds
//	microhttp_blocking_places                  gauge: MaxBlocking
//	microhttp_blocking_places_used             gauge
//	microhttp_blocking_requests_queued         gauge: requests that wait for a place
//	microhttp_blocking_handlers_waiting        gauge: handlers that wait for their peers, without a place
//	microhttp_loop_lag_seconds                 histogram, by loop: how long ticks lasted
//	microhttp_route_loop_seconds_total         counter, by pattern and loop: what the handlers of a route took of a loop's
//	                                           time, see server.Server.RouteShares
//	microhttp_route_loop_calls_total           counter, by pattern and loop
//
// A refused request has reached no handler, so only the server's figures have it.
package metrics
