// Package integration stands in for etcd's package of the same path: a "cluster" is one store in a process of its own, and its members
// are bridges to it. Tests written for etcd's package run against any store that takes etcd's flags.
package integration

import (
	"io"
	"net"
	"sync"
)

// bridge passes connections on to the store, and breaks them as tests like it.
type bridge struct {
	addr   string
	target func() string

	mu        sync.Mutex
	listener  net.Listener
	conns     map[net.Conn]struct{}
	paused    chan struct{} // closed when connections may be made
	blackhole bool
}

func newBridge(target func() string) (*bridge, error) {
	open := make(chan struct{})
	close(open)
	b := &bridge{target: target, conns: map[net.Conn]struct{}{}, paused: open, addr: "127.0.0.1:0"}
	return b, b.open()
}

// open listens; after a close, on the same port again.
func (b *bridge) open() error {
	listener, err := net.Listen("tcp", b.addr)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.listener, b.addr = listener, listener.Addr().String()
	b.mu.Unlock()
	go b.accept(listener)
	return nil
}

func (b *bridge) close() {
	b.mu.Lock()
	b.listener.Close()
	b.mu.Unlock()
	b.reset()
}

func (b *bridge) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go b.serve(conn)
	}
}

func (b *bridge) serve(in net.Conn) {
	b.mu.Lock()
	b.conns[in] = struct{}{}
	paused := b.paused
	b.mu.Unlock()
	<-paused
	out, err := net.Dial("tcp", b.target())
	if err != nil {
		b.forget(in)
		return
	}
	b.mu.Lock()
	b.conns[out] = struct{}{}
	b.mu.Unlock()
	var both sync.WaitGroup
	for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
		both.Add(1)
		go func(to, from net.Conn) {
			defer both.Done()
			b.copy(to, from)
			to.Close()
		}(pair[0], pair[1])
	}
	both.Wait()
	b.forget(in)
	b.forget(out)
}

func (b *bridge) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		b.mu.Lock()
		swallow := b.blackhole
		b.mu.Unlock()
		if n > 0 && !swallow {
			if _, werr := to.Write(buffer[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (b *bridge) forget(conn net.Conn) {
	conn.Close()
	b.mu.Lock()
	delete(b.conns, conn)
	b.mu.Unlock()
}

// reset breaks all connections; new ones are welcome.
func (b *bridge) reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for conn := range b.conns {
		conn.Close()
	}
}

// pause keeps new connections waiting.
func (b *bridge) pause() {
	b.mu.Lock()
	b.paused = make(chan struct{})
	b.mu.Unlock()
}

func (b *bridge) unpause() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.paused:
	default:
		close(b.paused)
	}
}

// setBlackhole decides whether all that is sent is swallowed.
func (b *bridge) setBlackhole(on bool) {
	b.mu.Lock()
	b.blackhole = on
	b.mu.Unlock()
	if !on {
		// What was swallowed is missing: a connection that lost some of its bytes is of no use.
		b.reset()
	}
}
