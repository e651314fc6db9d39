// Package tlslayer is TLS on an event loop, with an unmodified crypto/tls.
package tlslayer
