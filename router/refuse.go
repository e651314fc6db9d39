package router

// What a request gets that no route takes. RFC 9110 tells four cases apart: a method that this server does not
// know (501, section 15.6.2), a resource that lacks the method (405 with Allow, 15.5.6), no resource (404,
// 15.5.5), and OPTIONS, which asks for nothing but the methods (9.3.7) and so needs no handler.

import (
	"slices"
	"strings"
)

// The statuses of the answers that the router makes itself.
const (
	statusNoContent        = 204
	statusNotFound         = 404
	statusMethodNotAllowed = 405
	statusNotImplemented   = 501
)

// refuse says how to answer the request that match gave the outcome why, which was not matched. If allow is
// not empty it is the value of the Allow field.
func (t *tree) refuse(why outcome, method string, path []byte) (status int, allow string) {
	if why == noSuchMethod {
		return statusNotImplemented, ""
	}
	var methods []string
	switch {
	case method == "OPTIONS" && string(path) == "*":
		methods = t.methods.served()
	case why == wantsSlash:
		return statusNotFound, ""
	default:
		methods = t.allowed(path)
		if len(methods) == 0 {
			return statusNotFound, ""
		}
	}
	allow = allowField(methods)
	if method == "OPTIONS" {
		return statusNoContent, allow
	}
	return statusMethodNotAllowed, allow
}

// allowField writes methods as an Allow field has them, sorted, with OPTIONS, which this package answers for
// every path.
func allowField(methods []string) string {
	if !slices.Contains(methods, "OPTIONS") {
		methods = append(methods, "OPTIONS")
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// allowed returns the methods that match path.
func (t *tree) allowed(path []byte) []string {
	var m match
	return slices.DeleteFunc(t.methods.known(), func(method string) bool {
		return t.match(method, path, &m) != matched
	})
}
