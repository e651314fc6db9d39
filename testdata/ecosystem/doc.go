// Package ecosystem asks handlers and middleware that others wrote for net/http twice: served by net/http's own server, and served
// by microhttp through nethttp.From. The same client code asks both, and what it saw must be the same, and be right.
//
// It is a module of its own, so that none of these libraries is in the go.sum of a program that uses microhttp. .ci/full runs it.
// docs/ecosystem.md lists what ran in which version; a test holds the list.
package ecosystem
