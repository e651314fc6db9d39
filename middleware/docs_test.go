package middleware_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// docs/middleware.md has a row for each middleware and each handler of the package.
func TestTheGuideIsWhole(t *testing.T) {
	guide, err := os.ReadFile("../docs/middleware.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !fn.Name.IsExported() || fn.Type.Results == nil || !makesHandlers(fn.Type.Results.List[0].Type) {
				continue
			}
			found++
			if !strings.Contains(string(guide), "`"+fn.Name.Name+"`") && fn.Name.Name != "Default" {
				t.Errorf("docs/middleware.md lacks %s", fn.Name.Name)
			}
		}
	}
	if found < 17 {
		t.Errorf("only %d were found", found)
	}
}

// makesHandlers reports whether a type is server.Middleware or server.Handler.
func makesHandlers(t ast.Expr) bool {
	s, ok := t.(*ast.SelectorExpr)
	return ok && (s.Sel.Name == "Middleware" || s.Sel.Name == "Handler")
}
