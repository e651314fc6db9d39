package server

// A connection is the producer of its transport: it makes no more answers while the peer does not read.

// PauseProducing implements reactor.Producer: the peer does not read as fast as we answer.
func (c *conn) PauseProducing() {
	c.outputFull = true
	if s := c.streaming(); s != nil {
		s.sink.pause()
	}
	c.settle()
}

// StopProducing implements reactor.Producer: ConnectionLost, which follows, says all.
func (c *conn) StopProducing() {}

// ResumeProducing implements reactor.Producer.
func (c *conn) ResumeProducing() {
	if !c.outputFull || c.output == outputEnded {
		return
	}
	c.outputFull = false
	if s := c.streaming(); s != nil {
		s.sink.resume()
	}
	c.resume()
	c.takesOn()
}

// streaming is the stream that is open on the connection, or nil.
func (c *conn) streaming() *Stream {
	if c.output == outputStreaming && c.cur != nil {
		return c.cur.live
	}
	return nil
}
