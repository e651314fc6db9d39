package ecosystem

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	r3 "github.com/r3labs/sse/v2"
	tm "github.com/tmaxmax/go-sse"
)

// Three events through r3labs/sse, to a client that joins late and gets the earlier ones again, and the end of the subscription.
func TestR3labsSSE(t *testing.T) {
	both(t, func(t *testing.T) http.Handler {
		gone := make(chan bool, 4)
		s := r3.NewWithCallback(nil, func(string, *r3.Subscriber) { gone <- true })
		s.CreateStream("news")
		t.Cleanup(s.Close)
		mux := http.NewServeMux()
		mux.Handle("/events", s)
		mux.HandleFunc("/publish", func(_ http.ResponseWriter, r *http.Request) {
			s.Publish("news", &r3.Event{Event: []byte("item"), Data: []byte(r.URL.RawQuery)})
		})
		mux.HandleFunc("/gone", func(w http.ResponseWriter, _ *http.Request) {
			select {
			case <-gone:
				fmt.Fprint(w, "a subscriber has gone")
			case <-time.After(patience):
			}
		})
		return mux
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "GET", url+"/publish?1", nil)
		ask(t, s, c, "GET", url+"/publish?2", nil)
		ctx, leave := context.WithTimeout(context.Background(), patience)
		defer leave()
		client := r3.NewClient(url + "/events")
		client.Connection = newClient(t)
		client.Connection.Timeout = 0
		got := make(chan string, 10)
		var wg sync.WaitGroup
		wg.Go(func() {
			_ = client.SubscribeWithContext(ctx, "news", func(e *r3.Event) {
				got <- fmt.Sprintf("event %s %s %s", e.ID, e.Event, e.Data)
			})
		})
		for i := range 3 {
			if i == 2 {
				ask(t, s, c, "GET", url+"/publish?3", nil)
			}
			select {
			case e := <-got:
				s.add("%s", e)
			case <-ctx.Done():
				t.Fatalf("event %d never came", i+1)
			}
		}
		leave()
		wg.Wait()
		ask(t, s, c, "GET", url+"/gone", nil)
		ask(t, s, c, "GET", url+"/events?stream=none", nil)
	}, "event 0 item 1", "event 1 item 2", "event 2 item 3", "a subscriber has gone", "Stream not found")
}

// tmaxmax/go-sse, with a client that was there at the beginning, and a server that ends its sessions.
func TestTmaxmaxSSE(t *testing.T) {
	both(t, func(t *testing.T) http.Handler {
		joined := make(chan bool, 1)
		s := &tm.Server{OnSession: func(w http.ResponseWriter, r *http.Request) ([]string, bool) {
			if r.URL.Query().Get("token") == "" {
				http.Error(w, "who are you?", http.StatusUnauthorized)
				return nil, false
			}
			joined <- true
			return []string{tm.DefaultTopic}, true
		}}
		mux := http.NewServeMux()
		mux.Handle("/events", s)
		mux.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-joined:
			case <-time.After(patience):
			}
			for i := range 3 {
				m := &tm.Message{Type: tm.Type("item"), ID: tm.ID(fmt.Sprint(i))}
				m.AppendData("line 1", fmt.Sprint("line of ", i))
				if err := s.Publish(m); err != nil {
					fmt.Fprint(w, err)
				}
			}
			ctx, cancel := context.WithTimeout(r.Context(), patience)
			defer cancel()
			fmt.Fprint(w, s.Shutdown(ctx))
		})
		return mux
	}, func(t *testing.T, s *seen, url string) {
		c := newClient(t)
		ask(t, s, c, "GET", url+"/events", nil)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", url+"/events?token=x", nil)
		client := tm.Client{HTTPClient: newClient(t), Backoff: tm.Backoff{MaxRetries: -1}}
		connection := client.NewConnection(req)
		got := make(chan string, 10)
		connection.SubscribeToAll(func(e tm.Event) { got <- fmt.Sprintf("event %s %s %q", e.LastEventID, e.Type, e.Data) })
		ended := make(chan error, 1)
		go func() { ended <- connection.Connect() }()
		published := &seen{}
		var wg sync.WaitGroup
		wg.Go(func() { ask(t, published, c, "GET", url+"/publish", nil) })
		for range 3 {
			select {
			case e := <-got:
				s.add("%s", e)
			case <-ctx.Done():
				t.Fatal("an event never came")
			}
		}
		err := <-ended
		wg.Wait()
		s.add("an end: %t, %v", err != nil, published.lines())
	}, "401", "who are you?", `event 2 item "line 1\nline of 2"`, "an end: false, [GET /publish: 200")
}
