package server

import (
	"fmt"
	"strconv"
)

// Values of the path and the query that are not just text. Their errors are for a function of Try to return: 400, with a
// detail that names the parameter.

// PathInt returns the value of the wildcard of that name as a number in decimal. Its error is a *[StatusError] of 400, which
// a function of [Try] returns as it is: the value is no number, or beyond an int.
//
// It panics if the pattern that was matched has no such wildcard.
func (r *Request) PathInt(name string) (int, error) {
	r.lent()
	for i, n := range r.names {
		if n == name {
			return parseInt("path", name, r.pathValue(r.values[i]))
		}
	}
	panic(fmt.Sprintf("server: PathInt(%q): the pattern %q has no wildcard {%s}", name, r.pattern, name))
}

// QueryInt returns the first parameter of the query with that name as a number in decimal, or otherwise if there is none or
// it is empty. Its error is a *[StatusError] of 400, which a function of [Try] returns as it is: the value is no number, or
// beyond an int. Bounds are for the handler:
//
//	limit, err := r.QueryInt("limit", 20)
//	if err != nil {
//		return err
//	}
//	limit = min(max(limit, 1), 100)
func (r *Request) QueryInt(name string, otherwise int) (int, error) {
	value := r.QueryValue(name)
	if value == "" {
		return otherwise, nil
	}
	return parseInt("query", name, value)
}

// QueryBool returns the first parameter of the query with that name as strconv.ParseBool reads it, or otherwise if there is
// none. A parameter without a value, as in "?all", is true. Its error is a *[StatusError] of 400.
func (r *Request) QueryBool(name string, otherwise bool) (bool, error) {
	for n, value := range r.Query() {
		switch {
		case n != name:
			continue
		case value == "":
			return true, nil
		}
		b, err := strconv.ParseBool(value)
		if err != nil {
			return false, badParameter("query", name, "is neither true nor false", err)
		}
		return b, nil
	}
	return otherwise, nil
}

func parseInt(where, name, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil {
		return 0, badParameter(where, name, "is no number", err)
	}
	return n, nil
}

// badParameter does not show the value: the client knows it, and the log need not.
func badParameter(where, name, what string, err error) error {
	if e, ok := err.(*strconv.NumError); ok {
		err = e.Err
	}
	return &StatusError{Status: 400, Detail: fmt.Sprintf("the %s parameter %q %s", where, name, what), Err: err}
}
