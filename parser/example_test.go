package parser_test

import (
	"errors"
	"fmt"

	"microhttp/parser"
)

// A connection's loop: keep what is not consumed, put what arrives behind it, and pull events until there are no more.
func Example() {
	var p parser.Parser
	var h parser.Head
	var kept []byte
	for _, arrived := range []string{
		"POST /notes?draft HTTP/1.1\r\nHost: example.com\r\nContent-Le",
		"ngth: 11\r\n\r\nhello",
		" worldGET / HTTP/1.1\r\nHost: example.com\r\n\r\n",
	} {
		kept = append(kept, arrived...)
		for more := false; !more; {
			ev, n, err := p.Next(kept, &h)
			if err != nil {
				fmt.Println("refused:", err)
				return
			}
			switch ev {
			case parser.EventHead:
				fmt.Printf("head %s %s of %s\n", h.Method.In(kept), h.Target.In(kept), h.Authority.In(kept))
			case parser.EventBody:
				fmt.Printf("body %q\n", h.Body.In(kept))
			case parser.EventEnd:
				fmt.Println("end")
			default:
				more = true
			}
			kept = kept[n:]
		}
	}
	// Output:
	// head POST /notes?draft of example.com
	// body "hello"
	// body " world"
	// end
	// head GET / of example.com
	// end
}

// An error brings the status to answer with. Behind it the connection has no meaning any more.
func ExampleError() {
	var p parser.Parser
	var h parser.Head
	_, _, err := p.Next([]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), &h)
	if refused := (*parser.Error)(nil); errors.As(err, &refused) {
		fmt.Println(refused.Status, refused.Reason)
	}
	// Output: 400 both Content-Length and Transfer-Encoding
}

func ExampleLimits() {
	p := parser.Parser{Limits: &parser.Limits{Target: 16}}
	var h parser.Head
	_, _, err := p.Next([]byte("GET /a/much/longer/path"), &h)
	fmt.Println(err)
	// Output: request target too long
}

func ExampleHead_Values() {
	message := []byte("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\naccept: text/plain, */*\r\n\r\n")
	var p parser.Parser
	var h parser.Head
	if _, _, err := p.Next(message, &h); err != nil {
		panic(err)
	}
	for value := range h.Values(message, "Accept") {
		for media := range parser.Tokens(value) {
			fmt.Printf("%s\n", media)
		}
	}
	// Output:
	// text/html
	// text/plain
	// */*
}

func ExampleCookies() {
	for name, value := range parser.Cookies([]byte(`theme=dark; id="a b"`)) {
		fmt.Printf("%s is %s\n", name, value)
	}
	// Output:
	// theme is dark
	// id is "a b"
}

func ExampleUnescape() {
	fmt.Printf("%s\n", parser.Unescape(nil, []byte("/caf%C3%A9/a%2Fb")))
	// Output: /café/a/b
}
