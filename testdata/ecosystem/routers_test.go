package ecosystem

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
	echomiddleware "github.com/labstack/echo/v4/middleware"
)

func TestChi(t *testing.T) {
	both(t, func(*testing.T) http.Handler {
		r := chi.NewRouter()
		r.Use(chimiddleware.Recoverer, chimiddleware.StripSlashes, chimiddleware.Compress(5, "text/plain"), chimiddleware.Timeout(patience))
		r.Get("/users/{id:[0-9]+}", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			fmt.Fprintf(w, "user %s, %s", chi.URLParam(r, "id"), strings.Repeat("text ", 1000))
		})
		r.Mount("/admin", chi.NewRouter().With(chimiddleware.BasicAuth("admin", map[string]string{"ann": "x"})).Group(func(r chi.Router) {
			r.Put("/{name}", func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				fmt.Fprintf(w, "%s is %s", chi.URLParam(r, "name"), b)
			})
		}))
		r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("on purpose") })
		return r
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "GET", url+"/users/7", nil)
		ask(t, s, c, "GET", url+"/users/7/", nil, "Accept-Encoding: gzip")
		ask(t, s, c, "GET", url+"/users/seven", nil)
		ask(t, s, c, "DELETE", url+"/users/7", nil)
		ask(t, s, c, "HEAD", url+"/users/7", nil)
		ask(t, s, c, "PUT", url+"/admin/a%20b", strings.NewReader("body"))
		ask(t, s, c, "PUT", url+"/admin/a%20b", strings.NewReader("body"), "Authorization: Basic YW5uOng=")
		ask(t, s, c, "GET", url+"/panic", nil)
		ask(t, s, c, "GET", url+"/users/8", nil)
	}, "5008 bytes", `Content-Encoding=["gzip"]`, "/users/seven: 404", "DELETE /users/7: 405", `401 Content-Length=["0"]`, "is body", "/panic: 500")
}

func TestGorillaMux(t *testing.T) {
	both(t, func(*testing.T) http.Handler {
		r := mux.NewRouter()
		r.HandleFunc("/articles/{category}/{id:[0-9]+}", func(w http.ResponseWriter, r *http.Request) {
			v := mux.Vars(r)
			u, err := mux.CurrentRoute(r).URL("category", "x", "id", "1")
			fmt.Fprintf(w, "%s %s %s %v", v["category"], v["id"], u, err)
		}).Methods("GET", "POST").Queries("q", "{q}")
		r.Host("{sub}.example.com").Path("/").HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "host ", mux.Vars(r)["sub"])
		})
		sub := r.PathPrefix("/sub").Headers("X-Kind", "sub").Subrouter()
		sub.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Through", "middleware")
				next.ServeHTTP(w, r)
			})
		})
		sub.HandleFunc("/{rest:.*}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, mux.Vars(r)["rest"]) })
		return r
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "GET", url+"/articles/go/7?q=x", nil)
		ask(t, s, c, "PUT", url+"/articles/go/7?q=x", nil)
		ask(t, s, c, "GET", url+"/articles//7?q=x", nil)
		ask(t, s, c, "GET", url+"/sub/a/b", nil, "X-Kind: sub")
		ask(t, s, c, "GET", url+"/sub/a/b", nil)
		req, _ := http.NewRequest("GET", url+"/", nil)
		req.Host = "www.example.com"
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		s.add("%d %s", res.StatusCode, b)
	}, "go 7 ", "PUT /articles/go/7?q=x: 405", "301", `X-Through=["middleware"]`, "a/b", "host www")
}

func TestEcho(t *testing.T) {
	type user struct {
		Name string `json:"name" form:"name"`
		Age  int    `json:"age" query:"age"`
	}
	both(t, func(*testing.T) http.Handler {
		e := echo.New()
		e.Use(echomiddleware.Gzip(), echomiddleware.BodyLimit("1K"), echomiddleware.RequestIDWithConfig(echomiddleware.RequestIDConfig{
			Generator: func() string { return "an-id" },
		}))
		e.POST("/users/:id", func(c echo.Context) error {
			var u user
			if err := c.Bind(&u); err != nil {
				return err
			}
			return c.JSON(201, map[string]any{"id": c.Param("id"), "user": u})
		})
		e.GET("/stream", func(c echo.Context) error {
			c.Response().Header().Set("Content-Type", "text/plain")
			c.Response().WriteHeader(200)
			for i := range 3 {
				fmt.Fprintf(c.Response(), "part %d\n", i)
				c.Response().Flush()
			}
			return nil
		})
		e.GET("/fail", func(echo.Context) error { return echo.NewHTTPError(418, "a teapot") })
		return e
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "POST", url+"/users/7", strings.NewReader(`{"name":"ann","age":3}`), "Content-Type: application/json")
		ask(t, s, c, "POST", url+"/users/7", strings.NewReader("name=bob"), "Content-Type: application/x-www-form-urlencoded")
		ask(t, s, c, "POST", url+"/users/7", strings.NewReader(`{"name":`), "Content-Type: application/json")
		ask(t, s, c, "POST", url+"/users/7", strings.NewReader(strings.Repeat("x", 5000)), "Content-Type: application/json")
		ask(t, s, c, "GET", url+"/stream", nil)
		ask(t, s, c, "GET", url+"/stream", nil, "Accept-Encoding: gzip")
		ask(t, s, c, "GET", url+"/fail", nil)
		ask(t, s, c, "GET", url+"/nothing", nil)
	}, "ann", "bob", ": 400", ": 413", "part 0\\npart 1\\npart 2", `Content-Encoding=["gzip"]`, "a teapot", `X-Request-Id=["an-id"]`)
}

func TestGin(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	both(t, func(t *testing.T) http.Handler {
		r := gin.New()
		r.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, _ any) { c.AbortWithStatus(500) }))
		r.GET("/users/:id", func(c *gin.Context) { c.JSON(200, gin.H{"id": c.Param("id"), "q": c.Query("q")}) })
		r.POST("/upload", func(c *gin.Context) {
			f, err := c.FormFile("file")
			if err != nil {
				c.String(400, err.Error())
				return
			}
			c.String(200, "%s of %d", f.Filename, f.Size)
		})
		r.GET("/stream", func(c *gin.Context) { // c.Stream asks for CloseNotify
			n := 0
			c.Stream(func(w io.Writer) bool {
				fmt.Fprintf(w, "part %d\n", n)
				n++
				return n < 5
			})
		})
		gone := make(chan bool, 1)
		r.GET("/endless", func(c *gin.Context) {
			gone <- c.Stream(func(w io.Writer) bool {
				fmt.Fprint(w, "and on\n")
				time.Sleep(time.Millisecond)
				return true
			})
		})
		r.GET("/gone", func(c *gin.Context) {
			select {
			case was := <-gone:
				c.String(200, "the client was gone: %t", was)
			case <-time.After(patience):
				c.String(504, "the client was never gone")
			}
		})
		r.GET("/events", func(c *gin.Context) {
			c.SSEvent("tick", gin.H{"n": 1})
			c.SSEvent("tick", "two")
		})
		r.GET("/panic", func(*gin.Context) { panic("on purpose") })
		return r
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "GET", url+"/users/7?q=a+b", nil)
		form := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n\r\ncontent\r\n--b--\r\n"
		ask(t, s, c, "POST", url+"/upload", strings.NewReader(form), "Content-Type: multipart/form-data; boundary=b")
		ask(t, s, c, "POST", url+"/upload", strings.NewReader("x"), "Content-Type: text/plain")
		ask(t, s, c, "GET", url+"/stream", nil)
		ask(t, s, c, "GET", url+"/events", nil)
		ask(t, s, c, "GET", url+"/panic", nil)
		ask(t, s, c, "GET", url+"/nothing", nil)

		leaving := newClient(t)
		res, err := leaving.Get(url + "/endless")
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 7)
		if _, err := io.ReadFull(res.Body, first); err != nil {
			t.Fatal(err)
		}
		s.add("%q", first)
		res.Body.Close()
		ask(t, s, c, "GET", url+"/gone", nil)
	}, `\"id\":\"7\"`, "f.txt of 7", "part 0\\npart 1\\n", "event:tick\\ndata:two", "/panic: 500", "the client was gone: true")
}
