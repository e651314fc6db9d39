// Command chromium looks at microhttp with a browser: the chat and the echo of the demo, and what serve shows of a directory.
// It drives a headless Chromium by its DevTools protocol, over the WebSocket client of websockettest, and leaves pictures to be
// looked at. It ends with status 1 when anything is not as it should be. .ci/browser runs it.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"microhttp/server/websocket"
	"microhttp/server/websocket/websockettest"
)

// patience bounds the start of the browser, and each wait for something on a page.
const patience = 20 * time.Second

func main() {
	demo := flag.String("demo", "", "where microhttp demo listens, as http://127.0.0.1:8080")
	listing := flag.String("listing", "", "where microhttp serve lists a directory")
	spa := flag.String("spa", "", "where microhttp serve -spa serves an application")
	out := flag.String("out", ".", "the directory for the pictures")
	program := flag.String("chromium", "chromium", "the browser")
	flag.Parse()
	if err := run(*program, *demo, *listing, *spa, *out); err != nil {
		fmt.Fprintln(os.Stderr, "chromium:", err)
		os.Exit(1)
	}
}

func run(program, demo, listing, spa, out string) error {
	b, err := launch(program)
	if err != nil {
		return err
	}
	defer b.end()
	for _, look := range []struct {
		name string
		f    func() error
	}{
		{"echo", func() error { return echo(b, demo) }},
		{"chat", func() error { return chat(b, demo, out) }},
		{"listing", func() error { return list(b, listing, out) }},
		{"application", func() error { return application(b, spa, out) }},
	} {
		if err := look.f(); err != nil {
			return fmt.Errorf("%s: %w", look.name, err)
		}
		fmt.Println("ok  ", look.name)
	}
	return nil
}

// echo has the page send text and binary messages to /ws/echo, small ones and one of 1 MiB.
func echo(b *browser, demo string) error {
	p, err := b.open(demo+"/plaintext", desktop)
	if err != nil {
		return err
	}
	const script = `new Promise((ok, no) => {
		const ws = new WebSocket(location.origin.replace("http", "ws") + "/ws/echo")
		const bytes = new Uint8Array(1 << 20).map((_, i) => i * 7)
		const messages = ["", "hello \u{1F600}", "x".repeat(1 << 20), new Uint8Array([0, 255, 128]), bytes]
		const same = (a, b) => typeof a === "string" ? a === b : b instanceof ArrayBuffer && a.length === b.byteLength && new Uint8Array(b).every((x, i) => x === a[i])
		let at = 0
		ws.binaryType = "arraybuffer"
		ws.onopen = () => messages.forEach(m => ws.send(m))
		ws.onmessage = e => {
			if (!same(messages[at], e.data)) no("message " + at + " came back changed")
			if (++at === messages.length) ws.close(3000, "bye")
		}
		ws.onclose = e => ok([at, e.code, e.wasClean, ws.extensions.split(";")[0]].join(" "))
	})`
	return p.want(script, "5 3000 true permessage-deflate")
}

// chat says something on one page, and sees it on another.
func chat(b *browser, demo, out string) error {
	first, err := b.open(demo+"/chat", desktop)
	if err != nil {
		return err
	}
	second, err := b.open(demo+"/chat", phone)
	if err != nil {
		return err
	}
	for _, p := range []*page{first, second} {
		if err := p.await(`document.getElementById("state").textContent`, "connected"); err != nil {
			return err
		}
	}
	for i, text := range []string{"Hello, is this the chat?", "It is. <b>Nothing</b> of this is markup."} {
		p := []*page{first, second}[i]
		if err := p.say(text); err != nil {
			return err
		}
		for _, q := range []*page{first, second} {
			if err := q.await(`document.querySelector("#said li:nth-child(`+fmt.Sprint(i+1)+`)")?.textContent`, text); err != nil {
				return err
			}
		}
	}
	if err := first.picture(filepath.Join(out, "chat.png")); err != nil {
		return err
	}
	if err := second.picture(filepath.Join(out, "chat-phone.png")); err != nil {
		return err
	}
	return second.fits()
}

// list looks at a directory on a phone, follows a link, and comes back.
func list(b *browser, listing, out string) error {
	p, err := b.open(listing+"/", phone)
	if err != nil {
		return err
	}
	if err := p.want(`[...document.querySelectorAll("a")].map(a => a.textContent.trim()).join(" ").includes("long-name")`, "true"); err != nil {
		return err
	}
	if err := p.picture(filepath.Join(out, "listing-phone.png")); err != nil {
		return err
	}
	if err := p.fits(); err != nil {
		return err
	}
	if err := p.want(`[...document.querySelectorAll("a")].find(a => a.textContent.includes("sub")).click()`, ""); err != nil {
		return err
	}
	return p.await("location.pathname", "/sub/")
}

// application opens a path that only the application knows.
func application(b *browser, spa, out string) error {
	p, err := b.open(spa+"/orders/17?all#last", phone)
	if err != nil {
		return err
	}
	if err := p.await(`document.getElementById("route")?.textContent`, "/orders/17"); err != nil {
		return err
	}
	return p.picture(filepath.Join(out, "application-phone.png"))
}

// browser is a Chromium.
type browser struct {
	cmd *exec.Cmd
	dir string
	ws  *websockettest.Client
	id  int
}

var devTools = regexp.MustCompile(`DevTools listening on ws://([^/]+)(/\S+)`)

func launch(program string) (*browser, error) {
	dir, err := os.MkdirTemp("", "chromium-")
	if err != nil {
		return nil, err
	}
	b := &browser{dir: dir}
	b.cmd = exec.Command(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--remote-debugging-port=0", "--user-data-dir="+dir, "about:blank")
	stderr, err := b.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	late := time.AfterFunc(patience, func() { _ = b.cmd.Process.Kill() })
	r := bufio.NewScanner(stderr)
	for r.Scan() {
		if m := devTools.FindStringSubmatch(r.Text()); m != nil {
			late.Stop()
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			b.ws, err = websockettest.Dial(m[1], &websockettest.Options{Target: m[2], Host: m[1], Timeout: patience})
			if err != nil {
				b.end()
				return nil, err
			}
			return b, nil
		}
	}
	b.end()
	return nil, fmt.Errorf("%s did not say where it listens", program)
}

func (b *browser) end() {
	if b.ws != nil {
		_ = b.call("", "Browser.close", nil, nil)
		b.ws.Conn().Close()
	}
	late := time.AfterFunc(5*time.Second, func() { _ = b.cmd.Process.Kill() })
	_ = b.cmd.Wait()
	late.Stop()
	os.RemoveAll(b.dir)
}

// call makes one call of the DevTools protocol, and drops the events that come before its answer.
func (b *browser) call(session, method string, params, result any) error {
	b.id++
	if params == nil {
		params = struct{}{}
	}
	p, err := json.Marshal(map[string]any{"id": b.id, "method": method, "params": params})
	if session != "" {
		p, err = json.Marshal(map[string]any{"id": b.id, "method": method, "params": params, "sessionId": session})
	}
	if err != nil {
		return err
	}
	if err := b.ws.WriteMessage(websocket.Text, p); err != nil {
		return err
	}
	for {
		_, p, err := b.ws.ReadMessage()
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		var answer struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  *struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		switch err := json.Unmarshal(p, &answer); {
		case err != nil:
			return err
		case answer.ID != b.id:
			continue
		case answer.Error != nil:
			return fmt.Errorf("%s: %s", method, answer.Error.Message)
		case result != nil:
			return json.Unmarshal(answer.Result, result)
		}
		return nil
	}
}

// size is a window.
type size struct {
	width, height int
	mobile        bool
}

var (
	desktop = size{900, 600, false}
	phone   = size{390, 844, true}
)

// page is a tab.
type page struct {
	b       *browser
	session string
	size    size
}

// open opens a page, and waits until it has loaded. The server must have answered with 200.
func (b *browser) open(url string, s size) (*page, error) {
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", url, res.Status)
	}
	var target struct {
		TargetID string `json:"targetId"`
	}
	if err := b.call("", "Target.createTarget", map[string]any{"url": url}, &target); err != nil {
		return nil, err
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	err = b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	if err != nil {
		return nil, err
	}
	p := &page{b, attached.SessionID, s}
	metrics := map[string]any{"width": s.width, "height": s.height, "deviceScaleFactor": 1, "mobile": s.mobile}
	if err := p.call("Emulation.setDeviceMetricsOverride", metrics, nil); err != nil {
		return nil, err
	}
	return p, p.await("document.readyState + location.protocol", "completehttp:")
}

func (p *page) call(method string, params, result any) error {
	return p.b.call(p.session, method, params, result)
}

// eval returns the value of an expression as a string.
func (p *page) eval(expression string) (string, error) {
	var answer struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
				Value       any    `json:"value"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	params := map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}
	if err := p.call("Runtime.evaluate", params, &answer); err != nil {
		return "", err
	}
	if e := answer.Exception; e != nil {
		return "", fmt.Errorf("%s: %s%v", e.Text, e.Exception.Description, e.Exception.Value)
	}
	if answer.Result.Value == nil {
		return "", nil
	}
	return fmt.Sprint(answer.Result.Value), nil
}

func (p *page) want(expression, want string) error {
	got, err := p.eval(expression)
	if err == nil && got != want {
		err = fmt.Errorf("%.60s… is %q, want %q", strings.TrimSpace(expression), got, want)
	}
	return err
}

// await waits until an expression has a value.
func (p *page) await(expression, want string) error {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := p.want(expression, want)
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}

// say types a text, as a user does, and presses Enter.
func (p *page) say(text string) error {
	if err := p.want(`document.getElementById("text").focus()`, ""); err != nil {
		return err
	}
	if err := p.call("Input.insertText", map[string]any{"text": text}, nil); err != nil {
		return err
	}
	for _, kind := range []string{"keyDown", "keyUp"} {
		key := map[string]any{"type": kind, "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
		if kind == "keyUp" {
			delete(key, "text")
		}
		if err := p.call("Input.dispatchKeyEvent", key, nil); err != nil {
			return err
		}
	}
	return nil
}

// fits reports an error if the page is wider than its window.
func (p *page) fits() error {
	return p.want("document.documentElement.scrollWidth", fmt.Sprint(p.size.width))
}

// picture writes what the page looks like.
func (p *page) picture(file string) error {
	var shot struct {
		Data string `json:"data"`
	}
	if err := p.call("Page.captureScreenshot", map[string]any{"format": "png"}, &shot); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(shot.Data)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o644)
}
