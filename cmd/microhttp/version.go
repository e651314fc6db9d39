package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// runVersion says in one line what this program was built from.
func runVersion(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		return misuse(stderr, "microhttp version", fmt.Errorf("unexpected argument %q", args[0]))
	}
	version, revision := "(devel)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = cmp.Or(info.Main.Version, version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = " " + s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	fmt.Fprintf(stdout, "microhttp %s%s %s %s/%s\n", version, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return exitOK
}
