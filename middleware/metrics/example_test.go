package metrics_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"microhttp/middleware/metrics"
	"microhttp/router"
	"microhttp/server"
)

// The metrics of a server are served by another one, which only the operator reaches.
func ExampleMetrics() {
	routes := router.New()
	routes.HandleFunc("GET /users/{id}", func(w *server.Response, r *server.Request) {
		w.WriteString("user " + r.PathValue("id"))
	})
	m := metrics.New(metrics.Config{})
	s := &server.Server{Addr: "127.0.0.1:0", Handler: m.Middleware(routes)}
	m.Watch(s)
	admin := &server.Server{Addr: "127.0.0.1:0", Handler: m.Handler()}

	ended := make(chan error)
	var urls []string
	for _, each := range []*server.Server{s, admin} {
		addr, err := each.Listen()
		if err != nil {
			fmt.Println(err)
			return
		}
		urls = append(urls, "http://"+addr.String())
		go func() { ended <- each.Run() }()
	}
	get := func(url string) string {
		res, err := http.Get(url)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		return string(b)
	}
	fmt.Println(get(urls[0] + "/users/7"))
	for line := range strings.Lines(get(urls[1] + "/metrics")) {
		if strings.HasPrefix(line, "http_server_request_duration_seconds_count") || strings.HasPrefix(line, "microhttp_connections_acc") {
			fmt.Print(line)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	for _, each := range []*server.Server{s, admin} {
		_ = each.Shutdown(context.Background())
		<-ended
	}
	// Output:
	// user 7
	// http_server_request_duration_seconds_count{error_type="",http_request_method="GET",http_response_status_code="200",http_route="/users/{id}",url_scheme="http"} 1
	// microhttp_connections_accepted_total 1
}
