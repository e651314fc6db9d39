package ecosystem

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
)

// rig are the modules that only the tests themselves need.
var rig = []string{
	"github.com/rs/zerolog", "go.opentelemetry.io/otel/sdk", "golang.org/x/exp", "google.golang.org/protobuf", "microhttp",
}

// TestVersions holds that the table of docs/ecosystem.md has each library, in the version that ran.
func TestVersions(t *testing.T) {
	page, err := os.ReadFile("../../docs/ecosystem.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` +\\| (v\\S+)").FindAllStringSubmatch(string(page), -1) {
		listed[row[1]] = row[2]
	}
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Require []struct {
			Path, Version string
			Indirect      bool
		}
	}
	if err := json.Unmarshal(out, &file); err != nil {
		t.Fatal(err)
	}
	for _, r := range file.Require {
		if r.Indirect || slices.Contains(rig, r.Path) {
			continue
		}
		if listed[r.Path] != r.Version {
			t.Errorf("docs/ecosystem.md has %s in version %q, and %s ran", r.Path, listed[r.Path], r.Version)
		}
		delete(listed, r.Path)
	}
	for path, version := range listed {
		t.Errorf("docs/ecosystem.md has %s %s, which did not run", path, version)
	}
}
