package integration

import (
	"context"
	"fmt"
	"io/ioutil"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/etcdserver"
	pb "go.etcd.io/etcd/etcdserver/etcdserverpb"
	"go.etcd.io/etcd/pkg/transport"
	"go.etcd.io/etcd/pkg/types"
	"google.golang.org/grpc"
)

// member is a way to the cluster's store, with the name and the methods that tests of etcd know.
type member struct {
	etcdserver.ServerConfig
	ClientTLSInfo *transport.TLSInfo
	DialOptions   []grpc.DialOption

	cluster *cluster
	bridge  *bridge
	s       server
	up      bool
	stopped chan struct{}

	grpcAddr string
}

// server is what tests find behind a member.
type server struct{ m *member }

func (m *member) GRPCAddr() string    { return m.grpcAddr }
func (m *member) DropConnections()    { m.bridge.reset() }
func (m *member) PauseConnections()   { m.bridge.pause() }
func (m *member) UnpauseConnections() { m.bridge.unpause() }
func (m *member) Blackhole()          { m.bridge.setBlackhole(true) }
func (m *member) Unblackhole()        { m.bridge.setBlackhole(false) }
func (m *member) Pause()              { m.bridge.pause() }
func (m *member) Resume()             { m.bridge.unpause() }
func (m *member) ID() types.ID        { return m.s.ID() }
func (m *member) URL() string         { return m.grpcAddr }
func (m *member) WaitOK(t testing.TB) { m.WaitStarted(t) }
func (m *member) ElectionTimeout() time.Duration {
	return time.Duration(m.ElectionTicks) * tickDuration
}

// InjectPartition cannot part what is one process: the members of one side become unreachable instead.
func (m *member) InjectPartition(t testing.TB, others ...*member) {
	t.Skip("one store has no members that could be parted")
}

func (m *member) RecoverPartition(t testing.TB, others ...*member) {}

// ReadyNotify tells at once: a member that could be made is ready.
func (m *member) ReadyNotify() <-chan struct{} {
	ready := make(chan struct{})
	close(ready)
	return ready
}

func (m *member) StopNotify() <-chan struct{} { return m.stopped }

// Stop makes the member unreachable; the store is killed when too few members are left for a real cluster to work.
func (m *member) Stop(t testing.TB) {
	if !m.up {
		return
	}
	m.up = false
	close(m.stopped)
	m.bridge.close()
	m.cluster.follow(t)
}

// Terminate is Stop for good.
func (m *member) Terminate(t testing.TB) { m.Stop(t) }

func (m *member) Close() { m.bridge.close() }

func (m *member) Restart(t testing.TB) error {
	if m.up {
		return nil
	}
	m.up = true
	m.stopped = make(chan struct{})
	m.cluster.follow(t)
	if err := m.bridge.open(); err != nil {
		return err
	}
	m.WaitStarted(t)
	return nil
}

// Launch starts the store as this member needs it; members that are added do not get here.
func (m *member) Launch() error {
	c := m.cluster
	c.store = newStore(c.dir + "/data")
	c.store.tls, c.store.args = m.ClientTLSInfo, c.flags()
	return c.store.start()
}

// WaitStarted waits until the store answers.
func (m *member) WaitStarted(t testing.TB) {
	client, err := NewClientV3(m)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	WaitClientV3(t, client.KV)
}

// Metric reads a number from the store's metrics.
func (m *member) Metric(name string) (string, error) {
	response, err := http.Get("http://" + m.bridge.addr + "/metrics")
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := ioutil.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	for _, line := range strings.Split(string(body), "\n") {
		if strings.HasPrefix(line, name) {
			words := strings.Fields(line)
			return words[len(words)-1], nil
		}
	}
	return "", nil
}

func (s server) client() *clientv3.Client {
	client, err := NewClientV3(s.m)
	if err != nil {
		panic(err)
	}
	return client
}

func (s server) ID() types.ID {
	client := s.client()
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), RequestWaitTimeout)
	defer cancel()
	status, err := client.Status(ctx, s.m.grpcAddr)
	if err != nil {
		return 0
	}
	return types.ID(status.Header.MemberId)
}

func (s server) Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	client := s.client()
	defer client.Close()
	return pb.NewMaintenanceClient(client.ActiveConnection()).Alarm(ctx, r)
}

func (s server) TransferLeadership() error {
	return fmt.Errorf("one store has nobody to hand its leadership to")
}
