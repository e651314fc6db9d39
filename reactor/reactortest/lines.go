package reactortest

import (
	"fmt"
	"net/netip"
	"slices"

	"microhttp/reactor"
)

var lines = []promise{
	scripted("WholeAndInOrderWhateverTheCuts", func(s *script) {
		var want, got []string
		server := &liner{}
		server.onLine = func(line string) {
			got = append(got, line)
			if len(got)%7 == 0 { // every now and then it needs a while
				server.PauseReading()
				s.r.CallLater(0, server.ResumeReading)
			}
			server.SendLineString(line)
		}
		p := must(s.r.ListenTCP("127.0.0.1:0", reactor.FactoryFunc(func(netip.AddrPort) reactor.Protocol {
			return reactor.NewLineProtocol(server, nil)
		}), nil))(s)
		client := s.newEnd("client")
		s.dial(p, client, nil)
		s.until("the connection", func() bool { return client.made })
		sent := []byte{}
		for i := range 500 {
			line := fmt.Sprintf("%d %s", i, pattern(i))
			want = append(want, line)
			sent = append(append(sent, line...), "\r\n"...)
		}
		client.Write(sent)
		client.receives(sent)
		client.CloseWrite()
		s.until("the end", func() bool { return server.lost != nil })
		if !slices.Equal(got, want) || server.lost != reactor.ErrConnectionDone {
			s.Errorf("%d lines, lost with %v", len(got), server.lost)
		}
	}),
}

// A liner is a LineReceiver.
type liner struct {
	*reactor.LineTransport
	onLine func(line string)
	lost   error
}

func (l *liner) ConnectionMade(t *reactor.LineTransport) { l.LineTransport = t }
func (l *liner) LineReceived(line []byte)                { l.onLine(string(line)) }
func (l *liner) ConnectionLost(reason error)             { l.lost = reason }
