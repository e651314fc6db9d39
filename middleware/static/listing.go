package static

import (
	"cmp"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"microhttp/server"
)

// maxListed bounds the entries of a list.
const maxListed = 10_000

type listed struct {
	Name, Href, Size, Time string
	Dir                    bool

	bytes   int64
	modTime time.Time
}

// list answers with what is in a directory, sorted as the query says: sort=name, size or time, and order=desc.
func (f *Files) list(w *server.Response, r *server.Request, name string) {
	found, err := f.src.readDir(cmp.Or(name, "."))
	if err != nil {
		f.fail(w, r, err)
		return
	}
	var all []listed
	for _, d := range found {
		info, err := d.Info()
		if err != nil || !f.config.DotFiles && strings.HasPrefix(d.Name(), ".") {
			continue
		}
		l := listed{Name: d.Name(), Href: escaped(d.Name()), Dir: d.IsDir(), bytes: info.Size(), modTime: info.ModTime()}
		switch {
		case l.Dir:
			l.Name += "/"
			l.Href += "/"
		case info.Mode().IsRegular():
			l.Size = showSize(l.bytes)
		case info.Mode()&fs.ModeSymlink == 0:
			continue // nothing that is served
		}
		if !l.modTime.IsZero() {
			l.Time = l.modTime.UTC().Format("2006-01-02 15:04")
		}
		all = append(all, l)
	}
	by, desc := r.QueryValue("sort"), r.QueryValue("order") == "desc"
	slices.SortStableFunc(all, func(a, b listed) int {
		if a.Dir != b.Dir { // directories first
			if a.Dir {
				return -1
			}
			return 1
		}
		order := 0
		switch by {
		case "size":
			order = cmp.Compare(a.bytes, b.bytes)
		case "time":
			order = a.modTime.Compare(b.modTime)
		}
		if order = cmp.Or(order, strings.Compare(a.Name, b.Name)); desc {
			return -order
		}
		return order
	})
	w.SetHeader("Content-Type", "text/html; charset=utf-8")
	w.SetHeader("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	if r.Method() == "HEAD" {
		return
	}
	page := map[string]any{
		"Path": path.Join("/", name), "All": all, "Up": name != "", "More": len(found) == maxListed, "Max": maxListed,
		"Name": link("name", by == "" || by == "name", desc), "Size": link("size", by == "size", desc), "Time": link("time", by == "time", desc),
	}
	if err := listPage.Execute(w, page); err != nil {
		w.Reset()
		f.fail(w, r, err)
	}
}

// link is the query that sorts by a column: the other way round if it is sorted by that already.
func link(by string, now, desc bool) string {
	if now && !desc {
		return "?sort=" + by + "&order=desc"
	}
	return "?sort=" + by
}

func showSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n)/1024, 0
	for f >= 1024 && unit < 4 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTP"[unit])
}

var listPage = template.Must(template.New("list").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Path}}</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.2rem; overflow-wrap: anywhere }
table { width: 100%; border-collapse: collapse }
th { text-align: left; font-weight: normal }
td, th { padding: .4rem .5rem; border-bottom: 1px solid #8884 }
td:first-child { overflow-wrap: anywhere }
td:nth-child(n+2) { white-space: nowrap; opacity: .75; font-variant-numeric: tabular-nums }
td:nth-child(2), th:nth-child(2) { text-align: right }
a { text-decoration: none } a:hover { text-decoration: underline }
@media (max-width: 30rem) { td:nth-child(3), th:nth-child(3) { display: none } }
</style>
<h1>{{.Path}}</h1>
<table>
<tr><th><a href="{{.Name}}">Name</a><th><a href="{{.Size}}">Size</a><th><a href="{{.Time}}">Changed (UTC)</a></tr>
{{- if .Up}}
<tr><td><a href="../">../</a><td><td></tr>{{end}}
{{- range .All}}
<tr><td><a href="{{.Href}}">{{.Name}}</a><td>{{.Size}}<td>{{.Time}}</tr>{{end}}
</table>
{{- if .More}}
<p>Only the first {{.Max}} entries were looked at.</p>{{end}}
</html>
`))
