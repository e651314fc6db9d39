package middleware

import (
	"net/netip"

	"microhttp/server"
)

// DefaultConfig is what [Default] needs to know. The zero value is ready.
type DefaultConfig struct {
	// Log gets the access log and the panics. nil is the default log: see server.Log.
	Log *server.Log
	// AccessLog is what the access log writes, and where. Its Log, if nil, is Log.
	AccessLog AccessLogConfig
	// Trusted are the networks of the proxies in front: see ClientAddress. Without one no proxy is believed.
	Trusted []netip.Prefix
	// Headers is what SecureHeaders sets.
	Headers SecureHeadersConfig
}

// Default is the stack that most servers want around all of their handlers, from the outside in: [Recover], [RequestID],
// [AccessLog], [ClientAddress] and [SecureHeaders]. It costs no allocation for a request whose handler makes none, unless a
// trusted proxy has something to say of the client.
func Default(config DefaultConfig) server.Middleware {
	if config.AccessLog.Log == nil {
		config.AccessLog.Log = config.Log
	}
	return server.Chain(
		Recover(config.Log),
		RequestID,
		AccessLog(config.AccessLog),
		ClientAddress(ClientAddressConfig{Trusted: config.Trusted}),
		SecureHeaders(config.Headers),
	)
}
