package ecosystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type text = wrapperspb.StringValue

const procedure = "/test.v1.Test/"

// Each kind of call that HTTP/1.1 has, by Connect's protocol and by gRPC-Web, in protobuf and in JSON. Both ways at once need HTTP/2;
// what is said about that is compared, too.
func TestConnect(t *testing.T) {
	both(t, func(*testing.T) http.Handler {
		mux := http.NewServeMux()
		mux.Handle(procedure+"Unary", connect.NewUnaryHandler(procedure+"Unary", func(ctx context.Context, r *connect.Request[text]) (*connect.Response[text], error) {
			if r.Msg.Value == "fail" {
				err := connect.NewError(connect.CodeNotFound, errors.New("nothing of that name"))
				err.Meta().Set("X-Why", "on purpose")
				return nil, err
			}
			_, limited := ctx.Deadline()
			res := connect.NewResponse(wrapperspb.String(fmt.Sprintf("%s %d %s %t", r.Header().Get("X-Own"), len(r.Msg.Value), r.HTTPMethod(), limited)))
			res.Trailer().Set("X-End", "reached")
			return res, nil
		}, connect.WithIdempotency(connect.IdempotencyNoSideEffects)))
		mux.Handle(procedure+"Down", connect.NewServerStreamHandler(procedure+"Down", func(_ context.Context, r *connect.Request[text], s *connect.ServerStream[text]) error {
			for i := range 5 {
				if err := s.Send(wrapperspb.String(fmt.Sprint(r.Msg.Value, i))); err != nil {
					return err
				}
			}
			return connect.NewError(connect.CodeDataLoss, errors.New("after five"))
		}))
		mux.Handle(procedure+"Up", connect.NewClientStreamHandler(procedure+"Up", func(_ context.Context, s *connect.ClientStream[text]) (*connect.Response[text], error) {
			n := 0
			for s.Receive() {
				n += len(s.Msg().Value)
			}
			return connect.NewResponse(wrapperspb.String(fmt.Sprint(n))), s.Err()
		}))
		mux.Handle(procedure+"Both", connect.NewBidiStreamHandler(procedure+"Both", func(_ context.Context, s *connect.BidiStream[text, text]) error {
			for {
				m, err := s.Receive()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err == nil {
					err = s.Send(m)
				}
				if err != nil {
					return err
				}
			}
		}))
		return mux
	}, func(t *testing.T, s *seen, url string) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for name, options := range map[string][]connect.ClientOption{
			"a: Connect, protobuf": {
				// Beyond the URL that Server.MaxTargetBytes allows a client is to use POST: here, and behind most proxies.
				connect.WithHTTPGet(), connect.WithHTTPGetMaxURLSize(8000, true), connect.WithIdempotency(connect.IdempotencyNoSideEffects),
			},
			"b: Connect, JSON": {connect.WithProtoJSON(), connect.WithSendGzip()},
			"c: gRPC-Web":      {connect.WithGRPCWeb()},
		} {
			part := &seen{}
			call(t, part, ctx, newClient(t), url, options)
			for _, line := range part.lines() {
				s.add("%s: %s", name, line)
			}
		}
		// The order of a map is random.
		sortLines(s)
	}, "own 4 GET true", "own 4 POST true", "X-End [reached]", "not_found: nothing of that name [on purpose]", "x0 x1 x2 x3 x4", "data_loss: after five", "up 300000")
}

func call(t *testing.T, s *seen, ctx context.Context, c *http.Client, url string, options []connect.ClientOption) {
	t.Helper()
	client := func(name string) *connect.Client[text, text] {
		return connect.NewClient[text, text](c, url+procedure+name, options...)
	}
	for _, value := range []string{"text", strings.Repeat("long ", 10_000), "fail"} {
		r := connect.NewRequest(wrapperspb.String(value))
		r.Header().Set("X-Own", "own")
		res, err := client("Unary").CallUnary(ctx, r)
		var failed *connect.Error
		switch {
		case errors.As(err, &failed):
			s.add("%v %v", err, failed.Meta().Values("X-Why"))
		case err != nil:
			t.Fatal(err)
		default:
			s.add("%s, X-End %v", res.Msg.Value, res.Trailer().Values("X-End"))
		}
	}
	down, err := client("Down").CallServerStream(ctx, connect.NewRequest(wrapperspb.String("x")))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for down.Receive() {
		got = append(got, down.Msg().Value)
	}
	s.add("down %s %v", strings.Join(got, " "), down.Err())
	_ = down.Close()
	up := client("Up").CallClientStream(ctx)
	for range 3 {
		_ = up.Send(wrapperspb.String(strings.Repeat("x", 100_000)))
	}
	if res, err := up.CloseAndReceive(); err != nil {
		s.add("up %v", err)
	} else {
		s.add("up %s", res.Msg.Value)
	}
	bidi := client("Both").CallBidiStream(ctx)
	_ = bidi.Send(wrapperspb.String("x"))
	_ = bidi.CloseRequest()
	_, err = bidi.Receive()
	s.add("both ways: %v", err)
	_ = bidi.CloseResponse()
}
