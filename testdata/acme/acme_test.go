// Package acme_test has microhttp get a certificate from letsencrypt/pebble, on loopback. It is a module of its own, so that
// nothing else depends on pebble.
package acme_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const host = "notes.example.com"

// TestCertificate asks for a page over TLS until the certificate is one that pebble has issued, and again from the cache.
func TestCertificate(t *testing.T) {
	dir := t.TempDir()
	bin := func(name string, args ...string) string {
		out := filepath.Join(dir, name)
		cmd := exec.Command("go", append([]string{"build", "-o", out}, args...)...)
		if name == "microhttp" {
			cmd.Dir = "../.."
		}
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, b)
		}
		return out
	}
	authority, key := selfSigned(t, filepath.Join(dir, "api.pem"), filepath.Join(dir, "api.key"))
	dns, api, management, challenges, site := freePort(t), freePort(t), freePort(t), freePort(t), freePort(t)

	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": local(api), "managementListenAddress": local(management),
		"certificate": authority, "privateKey": key, "httpPort": 1, "tlsPort": site,
		"retryAfter":   map[string]int{"authz": 1, "order": 1},
		"keyAlgorithm": "ecdsa",
		"profiles":     map[string]any{"default": map[string]any{"description": "for tests", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	configFile := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(configFile, config, 0o600); err != nil {
		t.Fatal(err)
	}
	begin(t, nil, bin("pebble-challtestsrv", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"),
		"-dnsserver", local(dns), "-management", local(challenges), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
		"-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
	begin(t, []string{"PEBBLE_VA_NOSLEEP=1"}, bin("pebble", "github.com/letsencrypt/pebble/v2/cmd/pebble"),
		"-config", configFile, "-dnsserver", local(dns))

	pages := filepath.Join(dir, "pages")
	if err := os.Mkdir(pages, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pages, "index.html"), []byte("the page"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := bin("microhttp", "./cmd/microhttp")
	serve := func() (stop func()) {
		return begin(t, []string{"SSL_CERT_FILE=" + authority}, program, "serve", "-addr", local(site), "-domain", host,
			"-acme-directory", fmt.Sprintf("https://localhost:%d/dir", api), "-acme-cache", filepath.Join(dir, "cache"), pages)
	}
	stop := serve()
	first := ask(t, site)
	if !strings.HasPrefix(first.Issuer.CommonName, "Pebble Intermediate CA") {
		t.Errorf("the certificate was issued by %v", first.Issuer)
	}
	stop()
	serve()
	if again := ask(t, site); again.SerialNumber.Cmp(first.SerialNumber) != 0 {
		t.Error("the certificate did not come from the cache")
	}
}

// ask gets the page, within half a minute, and returns the certificate.
func ask(t *testing.T, port int) *x509.Certificate {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, ServerName: host}, // pebble's root is made anew each time
	}}
	var last error
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		res, err := client.Get("https://" + local(port) + "/")
		if err != nil {
			last = err
			continue
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || string(body) != "the page" || res.TLS.PeerCertificates[0].VerifyHostname(host) != nil {
			t.Fatalf("%q, %v, %v", body, err, res.TLS.PeerCertificates[0].DNSNames)
		}
		return res.TLS.PeerCertificates[0]
	}
	t.Fatal("no page:", last)
	return nil
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// begin runs a program until stop is called or the test ends. What it writes is shown if the test has failed.
func begin(t *testing.T, env []string, program string, args ...string) (stop func()) {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if !ended {
			ended = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(program), out.String())
		}
	})
	return stop
}

// selfSigned writes a certificate for localhost and its key.
func selfSigned(t *testing.T, certFile, keyFile string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: der},
		keyFile:  {Type: "PRIVATE KEY", Bytes: pkcs8},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}
