// Package tlslayer puts TLS between a reactor's connection and its protocol. It uses crypto/tls as
// it is: everything that a tls.Config can say holds, in both roles.
//
// A reactor runs callbacks on one goroutine, which must not block. crypto/tls wants a goroutine for
// each connection, which blocks. This package runs crypto/tls on a connection in memory, and joins
// it to the reactor as a layer: a [reactor.Protocol] towards the transport below, which carries
// ciphertext, and a [reactor.Transport] towards the protocol above, which sees plaintext. A
// protocol that works on TCP works on TLS without a change:
//
//	handshakes := tlslayer.NewHandshakes(tlslayer.HandshakeOptions{})
//	factory := reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
//		return tlslayer.Server(config, handshakes, tlslayer.Factory{Factory: echo})
//	})
//	port, err := r.ListenTCP(":443", factory, nil)
//
// [Server] and [Client] make the layer of one connection. The [Acceptor] makes the protocol above,
// when the handshake is complete, or learns why it has failed. STARTTLS is
// t.SetProtocol(tlslayer.Server(...), unread), with a nil unread to read nothing that was sent in
// plaintext.
//
// # Handshakes
//
// A handshake costs a quarter of a millisecond of computing or more, and a function of the
// tls.Config, such as GetCertificate, may block. So the steps of handshakes run off the loop, on
// goroutines of a [Handshakes], at most GOMAXPROCS at a time and in turn. One Handshakes serves all
// loops of a program. The last step of TLS 1.3 is the exception: it takes some microseconds, and runs
// on the loop unless client certificates, GetConfigForClient or WrapSession are set.
//
// While a handshake waits for its peer it holds no goroutine of a pool. How many wait is bounded, and
// beyond the bound the one that has waited longest is closed. A handshake that takes longer than 10 s
// ends, too. When a few hundred more wait than at the last garbage collection, another one runs, so that
// each takes less than 32 KiB. It does not when the heap is large because of other things.
//
// A panic in a function of the tls.Config is reported to the reactor and ends that connection only. The
// peer gets the alert internal_error, if the server has sent nothing yet. Later, when alerts are
// encrypted, the connection is reset.
//
// When a handshake fails, the alert of crypto/tls is sent, the connection is half-closed, and what
// the peer still sends is read and dropped for half a second. A reset would overtake the alert.
//
// # Data
//
// After the handshake the loop itself decrypts and encrypts, in buffers that all connections of the
// loop share. An idle connection has none. What is written within one callback is encrypted
// together, so many small answers cost one record and one system call. A large piece that was
// Given, and a file, is encrypted as the peer reads it, 256 KiB at a time. The pages of a file that
// are not in memory are read off the loop.
//
// # Ends
//
// TLS has an end of its own, the alert close_notify (RFC 8446, section 6.1). LoseConnection and
// CloseWrite send it after all that is queued. A peer's close_notify is the half-close that
// ReadConnectionLost tells. When the bytes of a peer end without it, an attacker may have cut them
// off: ReadConnectionLost is not called, and the protocol is lost with [ErrTruncated]. That is so
// also when the bytes end where a record ends.
//
// After Reactor.Stop connections end without close_notify. End them before, as server.Shutdown does.
//
// # What differs from a connection without TLS
//
//   - Detach returns errors.ErrUnsupported, since the peer expects ciphertext.
//   - The handshake uses the timeout of the transport below. A timeout that was set before a
//     SetProtocol is replaced.
//   - A producer that is registered with the transport below is unregistered: its plaintext is not
//     for this peer.
//   - Renegotiation (of TLS 1.2) is refused.
package tlslayer
