package proxyproto_test

import (
	"fmt"

	"microhttp/reactor/proxyproto"
)

func ExampleParse() {
	received := []byte("PROXY TCP4 192.0.2.7 198.51.100.1 51000 443\r\nGET / HTTP/1.1\r\n")
	h, n, err := proxyproto.Parse(received)
	fmt.Println(h.Source, err)
	fmt.Printf("%q\n", received[n:])
	// Output:
	// 192.0.2.7:51000 <nil>
	// "GET / HTTP/1.1\r\n"
}
