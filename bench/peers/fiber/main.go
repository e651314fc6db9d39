// Command fiber is the plaintext answer of github.com/gofiber/fiber/v3. It listens on a free loopback port, prints
// the address, and serves until it is killed.
package main

import (
	"fmt"
	"log"
	"net"

	"github.com/gofiber/fiber/v3"
)

func main() {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", l.Addr())

	app := fiber.New()
	app.Get("/plaintext", func(c fiber.Ctx) error {
		c.Set(fiber.HeaderContentType, fiber.MIMETextPlain)
		return c.SendString("Hello, World!")
	})
	log.Fatal(app.Listener(l, fiber.ListenConfig{DisableStartupMessage: true}))
}
