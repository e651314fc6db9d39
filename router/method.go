package router

// Methods are numbers while a request is matched. The numbers run from the specific to the general: HEAD
// before GET, which answers HEAD too, and every method last. So routes that share a path stand in the order of
// their numbers, and the first one that accepts the request is the most specific that does.

import (
	"maps"
	"slices"
)

// methodID is the number of a method in one tree.
type methodID uint8

const (
	unknownMethod methodID = iota // neither standard nor registered
	methodHEAD
	methodGET
	methodCONNECT
	methodDELETE
	methodOPTIONS
	methodPATCH
	methodPOST
	methodPUT
	methodTRACE
	firstExtension                // methods that routes brought along
	everyMethod    methodID = 255 // a route whose pattern names none
)

// maxExtensions bounds the methods that routes may add to the standard nine; each costs a look-up whenever an
// Allow field is made. IANA's registry lists about forty methods in all.
const maxExtensions = 64

// standardMethods are the methods of RFC 9110, section 9, and RFC 5789, which every tree knows.
var standardMethods = [...]string{
	methodHEAD: "HEAD", methodGET: "GET", methodCONNECT: "CONNECT", methodDELETE: "DELETE", methodOPTIONS: "OPTIONS",
	methodPATCH: "PATCH", methodPOST: "POST", methodPUT: "PUT", methodTRACE: "TRACE",
}

// standardID returns the number of a standard method, or unknownMethod. The compiler makes comparisons of whole words
// of the switch.
func standardID(name string) methodID {
	switch name {
	case "GET":
		return methodGET
	case "HEAD":
		return methodHEAD
	case "POST":
		return methodPOST
	case "PUT":
		return methodPUT
	case "DELETE":
		return methodDELETE
	case "PATCH":
		return methodPATCH
	case "OPTIONS":
		return methodOPTIONS
	case "CONNECT":
		return methodCONNECT
	case "TRACE":
		return methodTRACE
	}
	return unknownMethod
}

// methods numbers the methods that a tree knows. The zero value knows the standard ones.
type methods struct {
	extensions map[string]methodID
	registered []string // what routes named; the empty one for a route that takes all
}

// id returns the number of a request's method, or unknownMethod.
func (m *methods) id(name string) methodID {
	if id := standardID(name); id != unknownMethod {
		return id
	}
	return m.extension(name)
}

//go:noinline
func (m *methods) extension(name string) methodID { return m.extensions[name] }

// register numbers the method of a pattern, and reports whether there was room for it.
func (m *methods) register(name string) (id methodID, ok bool) {
	if !slices.Contains(m.registered, name) {
		m.registered = append(m.registered, name)
	}
	if name == "" {
		return everyMethod, true
	}
	if id := m.id(name); id != unknownMethod {
		return id, true
	}
	if len(m.extensions) == maxExtensions {
		return unknownMethod, false
	}
	if m.extensions == nil {
		m.extensions = make(map[string]methodID)
	}
	id = firstExtension + methodID(len(m.extensions))
	m.extensions[name] = id
	return id, true
}

// known returns every method that a request can be matched with.
func (m *methods) known() []string {
	return slices.AppendSeq(slices.Clone(standardMethods[methodHEAD:]), maps.Keys(m.extensions))
}

// served returns the methods that some route takes. CONNECT is among them only if a route names it: its target
// is an authority (RFC 9112, section 3.2.3) and has no path that a route for every method could match.
func (m *methods) served() []string {
	all := m.known()
	return slices.DeleteFunc(all, func(name string) bool {
		return !slices.Contains(m.registered, name) &&
			!(name == "HEAD" && slices.Contains(m.registered, "GET")) &&
			!(name != "CONNECT" && slices.Contains(m.registered, ""))
	})
}

// accepts reports whether a route registered for method id takes a request of method m.
func (id methodID) accepts(m methodID) bool {
	return id == m || id == everyMethod || id == methodGET && m == methodHEAD
}
