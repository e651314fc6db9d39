package tlslayer

// A client that sends what crypto/tls would not: records of any type and content, encrypted with
// the keys of the connection.

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
)

// sealer encrypts records of a client.
type sealer struct {
	secret []byte // of TLS 1.3; nil in TLS 1.2
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

// sealable returns a client's configuration whose connections a sealer can join, and the log of
// their keys.
func sealable(version uint16) (*tls.Config, *bytes.Buffer) {
	cc, log := clientConfig(), &bytes.Buffer{}
	cc.MaxVersion, cc.KeyLogWriter = version, log
	cc.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
	return cc, log
}

// newSealer makes a sealer of a connection whose handshake is complete. serverHello is what the
// server sent first.
func newSealer(t testing.TB, log *bytes.Buffer, serverHello []byte) *sealer {
	for line := range strings.Lines(log.String()) {
		f := strings.Fields(line)
		secret, _ := hex.DecodeString(f[2])
		switch f[0] {
		case "CLIENT_TRAFFIC_SECRET_0":
			s := &sealer{}
			s.use(t, secret)
			return s
		case "CLIENT_RANDOM":
			client, _ := hex.DecodeString(f[1])
			server := serverHello[11:43]
			block := prf(secret, append(append([]byte("key expansion"), server...), client...), 40)
			s := &sealer{aead: gcm(t, block[:16]), iv: block[32:36], seq: 1}
			return s
		}
	}
	t.Fatalf("no secret in %q", log)
	return nil
}

// use takes the keys of a secret of TLS 1.3 (RFC 8446, section 7.3).
func (s *sealer) use(t testing.TB, secret []byte) {
	s.secret, s.seq = secret, 0
	s.aead = gcm(t, expand(t, secret, "key", 16))
	s.iv = expand(t, secret, "iv", 12)
}

// update takes the next keys, as after a KeyUpdate.
func (s *sealer) update(t testing.TB) { s.use(t, expand(t, s.secret, "traffic upd", 32)) }

func expand(t testing.TB, secret []byte, label string, n int) []byte {
	info := append([]byte{0, byte(n), byte(6 + len(label))}, "tls13 "+label+"\x00"...)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func prf(secret, seed []byte, n int) (out []byte) {
	sum := func(parts ...[]byte) []byte {
		h := hmac.New(sha256.New, secret)
		for _, p := range parts {
			h.Write(p)
		}
		return h.Sum(nil)
	}
	for a := sum(seed); len(out) < n; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:n]
}

func gcm(t testing.TB, key []byte) cipher.AEAD {
	b, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	g, err := cipher.NewGCM(b)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// seal returns one record.
func (s *sealer) seal(typ byte, content []byte) []byte {
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], s.seq)
	s.seq++
	if s.secret != nil {
		nonce := bytes.Clone(s.iv)
		for i, b := range seq {
			nonce[4+i] ^= b
		}
		inner := append(bytes.Clone(content), typ)
		n := len(inner) + 16
		head := []byte{23, 3, 3, byte(n >> 8), byte(n)}
		return s.aead.Seal(bytes.Clone(head), nonce, inner, head)
	}
	n := len(content)
	extra := append(bytes.Clone(seq[:]), typ, 3, 3, byte(n>>8), byte(n))
	n += 8 + 16
	head := append([]byte{typ, 3, 3, byte(n >> 8), byte(n)}, seq[:]...)
	return s.aead.Seal(head, append(bytes.Clone(s.iv), seq[:]...), content, extra)
}
