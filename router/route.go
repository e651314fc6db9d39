package router

type span struct{ Off, Len uint32 }

type route struct {
	pattern *pattern
	site    string
}
