package main

// TLS: what a request, a handshake and a large answer cost, and what connections hold in memory. The certificate is ECDSA
// P-256, the version 1.3, on all servers.

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// tlsServers answer GET /plaintext and /bytes/{n} over TLS.
var tlsServers = []server{
	{name: "microhttp", about: "this repository's program, one loop", ask: askTLS, prepare: secured(buildMicrohttp, "-tls-cert", "-tls-key")},
	{name: "net/http", about: "the standard library", ask: askTLS, prepare: secured(buildPeer("nethttp"), "", "")},
	{name: "fasthttp", about: "github.com/valyala/fasthttp", ask: askTLS, prepare: secured(buildPeer("fasthttp"), "", "")},
	{name: "nginx", about: "the nginx that is installed, with OpenSSL", ask: askTLS, prepare: buildNginxTLS},
}

var tlsCases = []loadCase{
	{"64", "64 connections", load{Connections: 64, Pipeline: 1, Path: target}},
	{"pipelined", "64 connections, pipelined 16 deep", load{Connections: 64, Pipeline: 16, Path: target}},
	{"1m", "16 connections, answers of 1 MiB", load{Connections: 16, Pipeline: 1, Path: "/bytes/1048576"}},
	{"full", "a full handshake for each request", load{Connections: 16, Handshake: "full"}},
	{"resumed", "a resumed handshake for each request", load{Connections: 16, Handshake: "resumed"}},
}

const tlsHelp = `
CPU time (user and system) per request over TLS of each server, as a ratio to net/http, which runs before and after the
others in the same round. One core serves, another runs wrk, or for handshakes a client of crypto/tls.`

func tlsRequests(ctx context.Context, args []string, stdout io.Writer) error {
	run := contest{
		unit: "request", yardstick: "net/http", all: tlsCases, needs: []string{"wrk"},
		press: func(ctx context.Context, c *contest, l load, addr string, d time.Duration) (wrkResult, error) {
			if l.Handshake == "" {
				return runWrk(ctx, c.shop, l, "https://"+addr+l.Path, c.clientCPU, d)
			}
			return runHandshakes(ctx, c.shop, l, addr, c.clientCPU, d)
		},
	}
	run.servers = tlsServers
	f := newFlags("tls", tlsHelp, "microhttp,fasthttp,nginx", &run.options)
	return run.run(ctx, f, args, stdout)
}

// runHandshakes presses an address with connections, each for one request.
func runHandshakes(ctx context.Context, w *workshop, l load, addr string, cpu int, d time.Duration) (wrkResult, error) {
	program := filepath.Join(w.dir, "handshakes")
	if _, err := os.Stat(program); err != nil {
		if err := w.build(ctx, w.bench, "go", "build", "-o", program, "./peers/handshakes"); err != nil {
			return wrkResult{}, err
		}
	}
	cmd := exec.CommandContext(ctx, "taskset", "-c", strconv.Itoa(cpu), program, "-c", strconv.Itoa(l.Connections),
		"-d", d.String(), fmt.Sprintf("-resume=%t", l.Handshake == "resumed"), addr)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return wrkResult{}, fmt.Errorf("handshakes: %w\n%s", err, out)
	}
	return parseWrk(string(out))
}

// secured has a server speak TLS: flags name those of the certificate and its key, "" gives them as arguments.
func secured(prepare func(context.Context, *workshop) (launcher, error), certFlag, keyFlag string) func(context.Context, *workshop) (launcher, error) {
	return func(ctx context.Context, w *workshop) (launcher, error) {
		launch, err := prepare(ctx, w)
		if err != nil {
			return nil, err
		}
		cert, key, err := w.certificate()
		if err != nil {
			return nil, err
		}
		return func() (command, error) {
			c, err := launch()
			for _, f := range [][2]string{{certFlag, cert}, {keyFlag, key}} {
				if f[0] != "" {
					c.argv = append(c.argv, f[0])
				}
				c.argv = append(c.argv, f[1])
			}
			return c, err
		}, nil
	}
}

func buildNginxTLS(_ context.Context, w *workshop) (launcher, error) {
	if err := need("nginx"); err != nil {
		return nil, err
	}
	cert, key, err := w.certificate()
	if err != nil {
		return nil, err
	}
	prefix := filepath.Join(w.dir, "nginx-tls")
	if err := os.MkdirAll(filepath.Join(prefix, "bytes"), 0o755); err != nil {
		return nil, err
	}
	for _, n := range []int{1 << 20, 10 << 20} {
		if err := os.WriteFile(filepath.Join(prefix, "bytes", strconv.Itoa(n)), make([]byte, n), 0o644); err != nil {
			return nil, err
		}
	}
	return func() (command, error) {
		addr, err := freeAddr()
		if err != nil {
			return command{}, err
		}
		conf := filepath.Join(prefix, "nginx.conf")
		if err := os.WriteFile(conf, nginxTLSConf(addr, cert, key, prefix), 0o644); err != nil {
			return command{}, err
		}
		return command{argv: []string{"nginx", "-p", prefix, "-c", conf, "-e", "stderr"}, addr: addr}, nil
	}, nil
}

func nginxTLSConf(addr, cert, key, root string) []byte {
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the directory is ours alone
	}
	return fmt.Appendf(nil, `%s
daemon off;
master_process off;
worker_processes 1;
error_log stderr error;
pid nginx.pid;
events { worker_connections %d; }
http {
	access_log off;
	server_tokens off;
	keepalive_requests 1000000000;
	client_max_body_size 10m;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
	open_file_cache max=10;
	server {
		listen %s ssl backlog=%d;
		ssl_certificate %s;
		ssl_certificate_key %s;
		ssl_protocols TLSv1.3;
		ssl_session_tickets on;
		ssl_session_cache shared:s:1m;
		location = %s {
			default_type text/plain;
			return 200 "Hello, World!";
		}
		location /bytes/ { root %s; }
	}
}
`, user, nginxConnections, addr, listenBacklog, cert, key, target, root)
}

// certificate makes a certificate for localhost, once, and returns the files of it and its key.
func (w *workshop) certificate() (cert, key string, err error) {
	cert, key = filepath.Join(w.dir, "cert.pem"), filepath.Join(w.dir, "key.pem")
	if _, err := os.Stat(key); err == nil {
		return cert, key, nil
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return "", "", err
	}
	return cert, key, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
}

func tlsClient(conn net.Conn) *tls.Conn {
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
}

// askTLS is ask over TLS.
func askTLS(addr string) (int, error) {
	conn, err := net.DialTimeout("tcp4", addr, askTimeout)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	secure := tlsClient(conn)
	counted := &countingReader{r: secure}
	err = exchange(secure, bufio.NewReader(counted))
	return counted.n, err
}
