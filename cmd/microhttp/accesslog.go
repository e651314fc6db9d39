package main

import (
	"io"
	"time"

	"microhttp/middleware"
	"microhttp/server"
)

// accessOptions is what the access log writes.
type accessOptions struct {
	format string
	sample int
	slow   time.Duration
}

// accessFormats are the names that -access-log takes.
var accessFormats = []string{"off", "json", "combined", "text"}

// middleware returns the access log and what belongs to it, or nothing if it is off.
func (o *accessOptions) middleware(log *server.Log, out io.Writer) []server.Middleware {
	config := middleware.AccessLogConfig{Log: log, Output: out, SampleEvery: o.sample, SlowerThan: o.slow}
	switch o.format {
	case "json":
		config.Format = middleware.AccessFields
	case "combined":
		config.Format = middleware.AccessCombined
	case "text":
		config.Format = middleware.AccessText
	default:
		return nil
	}
	return []server.Middleware{middleware.RequestID, middleware.AccessLog(config)}
}
