package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/pkg/transport"
)

const startLimit = 20 * time.Second

// store is the process under test; $STORE has the words that start it.
type store struct {
	dir  string
	addr string
	peer string
	args []string
	tls  *transport.TLSInfo
	cmd  *exec.Cmd
}

func newStore(dir string) *store {
	return &store{dir: dir, addr: freeAddr(), peer: freeAddr()}
}

func (s *store) running() bool { return s.cmd != nil }

// start runs it on its data and waits until it listens.
func (s *store) start() error {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	client, peer := scheme+"://"+s.addr, "http://"+s.peer
	words := strings.Fields(os.Getenv("STORE"))
	words = append(words, "--name", "one", "--data-dir", s.dir,
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "one="+peer,
		// As short as etcd's own package has it: the shortest lease and many timeouts follow from it.
		"--heartbeat-interval", "10", "--election-timeout", "100")
	words = append(words, s.args...)
	if s.tls != nil {
		words = append(words, "--cert-file", s.tls.CertFile, "--key-file", s.tls.KeyFile,
			"--trusted-ca-file", s.tls.TrustedCAFile)
		if s.tls.ClientCertAuth {
			words = append(words, "--client-cert-auth")
		}
	}
	s.cmd = exec.Command(words[0], words[1:]...)
	s.cmd.Stdout, s.cmd.Stderr = os.Stderr, os.Stderr
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if conn, err := net.Dial("tcp", s.addr); err == nil {
			conn.Close()
			return nil
		}
	}
	return fmt.Errorf("the store does not listen on %s", s.addr)
}

// kill ends it as a crash would.
func (s *store) kill() {
	if s.cmd != nil {
		s.cmd.Process.Kill()
		s.cmd.Wait()
		s.cmd = nil
	}
}

func freeAddr() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer listener.Close()
	return "127.0.0.1:" + strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}
