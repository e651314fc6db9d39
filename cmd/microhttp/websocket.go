package main

import (
	_ "embed"

	"microhttp/server"
	"microhttp/server/websocket"
)

// wsEcho sends messages back as they came.
var wsEcho = &websocket.Handler{
	OnMessage: func(c *websocket.Conn, kind websocket.Kind, p []byte) { c.Write(kind, p) },
}

//go:embed chat.html
var chatPage string

// serveChat is the page of the chat.
func serveChat(w *server.Response, _ *server.Request) {
	w.SetHeader("Content-Type", "text/html; charset=utf-8")
	w.WriteString(chatPage)
}

// newChat sends what anyone says to all.
func newChat() *websocket.Handler {
	var hub websocket.Hub
	return &websocket.Handler{
		MaxMessage: 4 << 10,
		OnOpen:     func(c *websocket.Conn) { hub.Join(c) },
		OnClose:    func(c *websocket.Conn, _ websocket.CloseError) { hub.Leave(c) },
		OnMessage: func(c *websocket.Conn, kind websocket.Kind, p []byte) {
			if kind != websocket.Text {
				c.Close(websocket.CloseUnsupported, "a chat is text")
				return
			}
			hub.Broadcast(websocket.Prepare(kind, p))
		},
	}
}
