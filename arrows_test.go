// Package microhttp_test holds the arrows of the design: which package of this module
// may reach which other, and which packages from outside each may reach.
package microhttp_test

import (
	"bytes"
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// arrows says, for each package that others build on, what of this module and what of
// other modules it may depend on, however indirectly. zerolog brings two modules of
// its own along.
var arrows = map[string][]string{
	"microhttp/parser":      {},
	"microhttp/reactor":     {"golang.org/x/sys/unix", "github.com/valyala/bytebufferpool"},
	"microhttp/reactor/sim": {"microhttp/reactor", "golang.org/x/sys/unix", "github.com/valyala/bytebufferpool"},
	"microhttp/reactor/reactortest": {
		"microhttp/reactor", "golang.org/x/sys/unix", "github.com/valyala/bytebufferpool",
	},
	"microhttp/reactor/proxyproto": {},
	"microhttp/reactor/tlslayer":   {"microhttp/reactor", "golang.org/x/sys/unix", "github.com/valyala/bytebufferpool"},
	"microhttp/server": {
		"microhttp/parser", "microhttp/reactor", "microhttp/server/internal",
		"golang.org/x/sys/unix", "github.com/valyala/bytebufferpool", "github.com/rs/zerolog",
		"github.com/mattn/go-colorable", "github.com/mattn/go-isatty",
	},
	"microhttp/server/nethttp": {
		"microhttp/server", "microhttp/parser", "microhttp/reactor",
		"golang.org/x/sys/unix", "github.com/valyala/bytebufferpool", "github.com/rs/zerolog",
		"github.com/mattn/go-colorable", "github.com/mattn/go-isatty",
	},
	"microhttp/server/websocket": {
		"microhttp/server", "microhttp/parser", "microhttp/reactor",
		"golang.org/x/sys/unix", "github.com/valyala/bytebufferpool", "github.com/rs/zerolog",
		"github.com/mattn/go-colorable", "github.com/mattn/go-isatty", "github.com/klauspost/compress",
	},
	"microhttp/router": {
		"microhttp/server", "microhttp/parser", "microhttp/reactor",
		"golang.org/x/sys/unix", "github.com/valyala/bytebufferpool", "github.com/rs/zerolog",
		"github.com/mattn/go-colorable", "github.com/mattn/go-isatty",
	},
	"microhttp/middleware/compress": {
		"microhttp/server", "microhttp/parser", "microhttp/reactor",
		"golang.org/x/sys/unix", "github.com/valyala/bytebufferpool", "github.com/rs/zerolog",
		"github.com/mattn/go-colorable", "github.com/mattn/go-isatty", "github.com/klauspost/compress", "github.com/andybalholm/brotli",
	},
	"microhttp/middleware/figures": {
		"microhttp/server", "microhttp/parser", "microhttp/reactor",
		"golang.org/x/sys/unix", "github.com/valyala/bytebufferpool", "github.com/rs/zerolog",
		"github.com/mattn/go-colorable", "github.com/mattn/go-isatty",
	},
	"microhttp/middleware": {
		"microhttp/server", "microhttp/parser", "microhttp/reactor",
		"golang.org/x/sys/unix", "github.com/valyala/bytebufferpool", "github.com/rs/zerolog",
		"github.com/mattn/go-colorable", "github.com/mattn/go-isatty",
	},
}

// direct says who may name a module's package in an import of its own.
var direct = map[string][]string{
	"github.com/rs/zerolog": {
		"microhttp/server", "microhttp/server/servertest", "microhttp/middleware", "microhttp/cmd/microhttp",
	},
	"github.com/klauspost/compress/flate": {"microhttp/server/websocket"},
	"github.com/klauspost/compress/gzip":  {"microhttp/middleware/compress"},
	"github.com/klauspost/compress/zstd":  {"microhttp/middleware/compress"},
	"github.com/andybalholm/brotli":       {"microhttp/middleware/compress"},
	"github.com/valyala/bytebufferpool":   {"microhttp/reactor", "microhttp/server"},
	"golang.org/x/crypto/acme":            {"microhttp/cmd/microhttp"},
	"golang.org/x/crypto/acme/autocert":   {"microhttp/cmd/microhttp"},
	"golang.org/x/sys/unix":               {"microhttp/reactor"},
	"microhttp/parser":                    {"microhttp/server", "microhttp/server/nethttp", "microhttp/server/websocket"},
	"microhttp/server/nethttp":            {"microhttp/cmd/microhttp"}, // only programs that use net/http link it

	"microhttp/server/servertest": {}, // only tests link it
	"testing": {
		"microhttp/server/servertest", "microhttp/server/servertest/golden", "microhttp/reactor/reactortest",
	},
}

// parserMayImport is all that package parser imports: bytes in, events out, and no way
// to a socket, a clock or another goroutine.
var parserMayImport = []string{"bytes", "encoding/binary", "errors", "iter", "math", "math/bits", "strconv", "unicode/utf8"}

func TestArrows(t *testing.T) {
	for pkg, allowed := range arrows {
		for _, dep := range packages(t)[pkg].Deps {
			if root, _, _ := strings.Cut(dep, "/"); !strings.Contains(root, ".") && root != "microhttp" {
				continue // the standard library
			}
			ok := slices.ContainsFunc(allowed, func(a string) bool { return dep == a || strings.HasPrefix(dep, a+"/") })
			if !ok {
				t.Errorf("%s reaches %s", pkg, dep)
			}
		}
	}
}

// TestNetHTTPIsNotLinked holds that a server does not bring net/http along: only the bridge to it does, and compression, since
// package brotli has a helper for it.
func TestNetHTTPIsNotLinked(t *testing.T) {
	for pkg := range arrows {
		links := slices.Contains(packages(t)[pkg].Deps, "net/http")
		if links != (pkg == "microhttp/server/nethttp" || pkg == "microhttp/middleware/compress") {
			t.Errorf("%s links net/http: %t", pkg, links)
		}
	}
}

// TestTLSIsNotLinked holds that a reactor alone does not bring crypto/tls along.
func TestTLSIsNotLinked(t *testing.T) {
	for _, pkg := range []string{"microhttp/parser", "microhttp/reactor", "microhttp/reactor/sim"} {
		if slices.Contains(packages(t)[pkg].Deps, "crypto/tls") {
			t.Errorf("%s links crypto/tls", pkg)
		}
	}
}

func TestDirectImports(t *testing.T) {
	for pkg, p := range packages(t) {
		for _, imported := range p.Imports {
			if who, ok := direct[imported]; ok && !slices.Contains(who, pkg) {
				t.Errorf("%s imports %s, which is for %v", pkg, imported, who)
			}
			if pkg == "microhttp/parser" && !slices.Contains(parserMayImport, imported) {
				t.Errorf("parser imports %s, which is not in its list", imported)
			}
		}
	}
}

// A goPackage is what go list says of a package.
type goPackage struct {
	ImportPath    string
	Imports, Deps []string
}

// packages returns the packages of this module by path. Those of the table of arrows are among them.
func packages(t *testing.T) map[string]goPackage {
	t.Helper()
	all, err := listPackages()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for pkg := range arrows {
		if len(all[pkg].Imports) == 0 {
			t.Fatalf("there is no package %s that imports something", pkg)
		}
	}
	return all
}

// listPackages runs go list once.
var listPackages = sync.OnceValues(func() (map[string]goPackage, error) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...").Output()
	if err != nil {
		return nil, err
	}
	all := map[string]goPackage{}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := in.Decode(&p); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all[p.ImportPath] = p
	}
})
