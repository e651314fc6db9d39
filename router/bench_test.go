package router

// Every figure here stands beside that of http.ServeMux for the same patterns and the same request.

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
)

// manyRoutes are two hundred patterns such as a service has.
func manyRoutes() []string {
	patterns := []string{"GET /plaintext", "GET /users/{user}/posts/{post}"}
	for i := range 66 {
		patterns = append(patterns,
			fmt.Sprintf("GET /static%d", i),
			fmt.Sprintf("GET /things%d/{id}", i),
			fmt.Sprintf("POST /things%d/{id}/comments/{comment}", i))
	}
	return append(patterns, "GET /files/{path...}", "GET /{$}")
}

func BenchmarkMatch(b *testing.B) {
	for _, set := range []struct {
		name     string
		patterns []string
		paths    []string
	}{
		{"1", []string{"GET /plaintext"}, []string{"/plaintext"}},
		{"200", manyRoutes(), []string{
			"/plaintext", "/users/123/posts/456", "/users/1%323/posts/%34", "/files/css/site/main.css",
		}},
	} {
		tree := grow(b, set.patterns...)
		mux := http.NewServeMux()
		for _, p := range set.patterns {
			mux.HandleFunc(p, func(http.ResponseWriter, *http.Request) {}) // does as little as match
		}
		for _, path := range set.paths {
			b.Run(set.name+path+"/router", func(b *testing.B) {
				p := []byte(path)
				b.ReportAllocs()
				for b.Loop() {
					var m match
					tree.match("GET", nil, p, &m)
				}
			})
			b.Run(set.name+path+"/ServeMux", func(b *testing.B) {
				u, err := url.ParseRequestURI(path)
				if err != nil {
					b.Fatal(err)
				}
				r := &http.Request{Method: "GET", URL: u, Proto: "HTTP/1.1"}
				w := new(recorder)
				b.ReportAllocs()
				for b.Loop() {
					mux.ServeHTTP(w, r)
				}
			})
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	var patterns []*pattern
	for i := range 10000 {
		p, err := parsePattern(fmt.Sprintf("GET /a%d/{x}/b%d/{y...}", i%100, i/100))
		if err != nil {
			b.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	for b.Loop() {
		var t tree
		for _, p := range patterns {
			if err := t.insert(&Route{pattern: p}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(patterns)), "ns/route")
}
