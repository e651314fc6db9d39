package tracing_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"

	"microhttp/middleware/tracing"
	"microhttp/router"
	"microhttp/server"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A handler's span is the child of the request's.
func Example() {
	kept := tracetest.NewInMemoryExporter() // a program has one that sends
	provider := sdk.NewTracerProvider(sdk.WithSyncer(kept))
	tracer := provider.Tracer("example")

	routes := router.New()
	routes.HandleFunc("GET /users/{id}", func(w *server.Response, r *server.Request) {
		_, span := tracer.Start(r.Context(), "look up")
		defer span.End()
		w.WriteString("a user")
	})
	s := &server.Server{Addr: "127.0.0.1:0", Loops: 1, Handler: tracing.New(tracing.Config{Provider: provider})(routes)}
	addr, err := s.Listen()
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Run() }()

	res, err := http.Get("http://" + addr.String() + "/users/7")
	if err != nil {
		fmt.Println(err)
		return
	}
	res.Body.Close()
	for len(kept.GetSpans()) < 2 {
		runtime.Gosched()
	}
	spans := kept.GetSpans()
	fmt.Println(spans[0].Name, "in", spans[1].Name)
	fmt.Println(spans[0].Parent.SpanID() == spans[1].SpanContext.SpanID())
	http.DefaultClient.CloseIdleConnections()
	_ = s.Shutdown(context.Background())
	<-ended
	// Output:
	// look up in GET /users/{id}
	// true
}
