package server

import (
	"fmt"

	"microhttp/parser"
)

// What setters of fields make of a field that cannot be sent. They return nothing, so that a program which sets fields does not
// look at errors that it could do nothing about. A name is written by the programmer: one that is no token panics. A value
// often depends on data: one that no field may hold is dropped, and a line in the log says so. So are fields that are the
// server's own.

// ValidFieldName reports whether SetHeader takes a name: a token (RFC 9110, 5.6.2). It is for names that are data.
func ValidFieldName(name string) bool { return parser.ValidFieldName(name) }

// ValidFieldValue reports whether SetHeader takes a value (RFC 9110, 5.5): no controls but tabs, so no CR, LF and NUL, and no white
// space around it. It is for values that a peer has chosen, where a handler wants to refuse what it cannot set.
func ValidFieldValue(value string) bool { return parser.ValidFieldValue(value) }

// mustBeFieldName panics for a name that no field has.
func mustBeFieldName(name string) {
	if !parser.ValidFieldName(name) {
		panic(fmt.Sprintf("server: invalid field name %.40q: it must be a token", name))
	}
}

// Why a field is dropped.
const (
	badValue  = "its value holds what none may: controls, or white space around it"
	badLength = "its value is no length"
	ownField  = "it is the server's own"
	misplaced = "it may not stand there"
)

// dropField logs a field that is not set. The value may be a secret.
func (w *Response) dropField(name, why string) {
	w.logMisuse("invalid response field dropped: "+why, name)
}
