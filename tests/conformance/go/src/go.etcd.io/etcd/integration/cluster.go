package integration

import (
	"context"
	"fmt"
	"io/ioutil"
	"math/rand"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/etcdserver"
	"go.etcd.io/etcd/etcdserver/api/v3election/v3electionpb"
	"go.etcd.io/etcd/etcdserver/api/v3lock/v3lockpb"
	pb "go.etcd.io/etcd/etcdserver/etcdserverpb"
	"go.etcd.io/etcd/pkg/transport"
	"google.golang.org/grpc"
)

const (
	// RequestWaitTimeout is how long tests give a request.
	RequestWaitTimeout = 4 * time.Second
	// ThroughProxy tells that no proxy of etcd's is between.
	ThroughProxy = false

	tickDuration   = 10 * time.Millisecond
	requestTimeout = 20 * time.Second
	electionTicks  = 10

	fixtures = "/usr/share/gocode/src/go.etcd.io/etcd/integration/fixtures"
)

var (
	testTLSInfo          = tlsInfo(fixtures, "server")
	testTLSInfoIP        = tlsInfo(fixtures, "server-ip")
	testTLSInfoExpired   = tlsInfo(fixtures+"-expired", "server")
	testTLSInfoExpiredIP = tlsInfo(fixtures+"-expired", "server-ip")

	defaultTokenJWT = "jwt,pub-key=" + fixtures + "/server.crt,priv-key=" + fixtures +
		"/server.key.insecure,sign-method=RS256,ttl=1s"
)

func tlsInfo(dir, name string) transport.TLSInfo {
	return transport.TLSInfo{
		KeyFile: dir + "/" + name + ".key.insecure", CertFile: dir + "/" + name + ".crt",
		TrustedCAFile: dir + "/ca.crt", ClientCertAuth: true,
	}
}

// ClusterConfig has the fields that tests of etcd set; those of a cluster's inner life have no meaning for one store.
type ClusterConfig struct {
	Size      int
	PeerTLS   *transport.TLSInfo
	ClientTLS *transport.TLSInfo

	DiscoveryURL string
	AuthToken    string
	AuthTokenTTL uint
	UseGRPC      bool
	UseIP        bool

	QuotaBackendBytes int64
	MaxTxnOps         uint
	MaxRequestBytes   uint

	SnapshotCount          uint64
	SnapshotCatchUpEntries uint64

	GRPCKeepAliveMinTime  time.Duration
	GRPCKeepAliveInterval time.Duration
	GRPCKeepAliveTimeout  time.Duration

	SkipCreatingClient       bool
	ClientMaxCallSendMsgSize int
	ClientMaxCallRecvMsgSize int

	EnableLeaseCheckpoint   bool
	LeaseCheckpointInterval time.Duration
	LeaseCheckpointPersist  bool

	WatchProgressNotifyInterval time.Duration
	CorruptCheckTime            time.Duration
}

// cluster is a store and the members that lead to it.
type cluster struct {
	Members []*member

	cfg   *ClusterConfig
	dir   string
	store *store
}

// ClusterV3 has a client for each member.
type ClusterV3 struct {
	*cluster
	clients []*clientv3.Client
}

// NewClusterByConfig makes the members; their store is not started.
func NewClusterByConfig(t testing.TB, cfg *ClusterConfig) *cluster {
	dir, err := ioutil.TempDir("", "store")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{cfg: cfg, dir: dir}
	for i := 0; i < cfg.Size; i++ {
		c.Members = append(c.Members, c.newMember(t))
	}
	return c
}

// NewClusterV3 starts a store and makes its members.
func NewClusterV3(t testing.TB, cfg *ClusterConfig) *ClusterV3 {
	c := &ClusterV3{cluster: NewClusterByConfig(t, cfg)}
	c.follow(t)
	for _, m := range c.Members {
		if cfg.SkipCreatingClient {
			break
		}
		client, err := NewClientV3(m)
		if err != nil {
			t.Fatal(err)
		}
		WaitClientV3(t, client.KV)
		c.clients = append(c.clients, client)
	}
	return c
}

func (c *cluster) newMember(t testing.TB) *member {
	m := &member{cluster: c, up: true, ClientTLSInfo: c.cfg.ClientTLS, stopped: make(chan struct{})}
	m.s.m = m
	m.ServerConfig = etcdserver.ServerConfig{
		Name: fmt.Sprint(rand.Int()), DataDir: c.dir + "/data", TickMs: 10, ElectionTicks: electionTicks,
		QuotaBackendBytes: c.cfg.QuotaBackendBytes, MaxTxnOps: c.cfg.MaxTxnOps, MaxRequestBytes: c.cfg.MaxRequestBytes,
	}
	bridge, err := newBridge(func() string { return c.store.addr })
	if err != nil {
		t.Fatal(err)
	}
	m.bridge = bridge
	peer, _ := url.Parse("http://" + bridge.addr)
	m.PeerURLs = []url.URL{*peer}
	m.setAddr()
	return m
}

func (m *member) setAddr() {
	_, port := "", m.bridge.addr[len("127.0.0.1"):]
	switch {
	case m.ClientTLSInfo == nil:
		m.grpcAddr = "localhost" + port
	case m.cluster.cfg.UseIP:
		m.grpcAddr = "https://127.0.0.1" + port
	default:
		m.grpcAddr = "https://localhost" + port
	}
}

// follow starts the store when enough members are up for a cluster to work, and kills it when they are not.
func (c *cluster) follow(t testing.TB) {
	up := 0
	for _, m := range c.Members {
		if m.up {
			up++
		}
	}
	wanted := up > len(c.Members)/2
	if c.store == nil {
		c.store = newStore(c.dir + "/data")
	}
	if wanted && !c.store.running() {
		c.store.tls, c.store.args = c.Members[0].ClientTLSInfo, c.flags()
		if err := c.store.start(); err != nil {
			t.Fatal(err)
		}
	} else if !wanted {
		c.store.kill()
	}
}

// flags are read at each start: tests change them on the first member between.
func (c *cluster) flags() []string {
	var flags []string
	add := func(wanted bool, flag string, value interface{}) {
		if wanted {
			flags = append(flags, flag, fmt.Sprint(value))
		}
	}
	first := c.Members[0]
	add(first.QuotaBackendBytes != 0, "--quota-backend-bytes", first.QuotaBackendBytes)
	add(first.MaxTxnOps != 0, "--max-txn-ops", first.MaxTxnOps)
	add(first.MaxRequestBytes != 0, "--max-request-bytes", first.MaxRequestBytes)
	add(c.cfg.AuthToken != "", "--auth-token", c.cfg.AuthToken)
	add(c.cfg.AuthTokenTTL != 0, "--auth-token-ttl", c.cfg.AuthTokenTTL)
	add(c.cfg.GRPCKeepAliveMinTime != 0, "--grpc-keepalive-min-time", c.cfg.GRPCKeepAliveMinTime)
	add(c.cfg.GRPCKeepAliveInterval != 0, "--grpc-keepalive-interval", c.cfg.GRPCKeepAliveInterval)
	add(c.cfg.GRPCKeepAliveTimeout != 0, "--grpc-keepalive-timeout", c.cfg.GRPCKeepAliveTimeout)
	add(true, "--bcrypt-cost", 4)
	return flags
}

// Terminate ends everything.
func (c *ClusterV3) Terminate(t testing.TB) {
	for _, client := range c.clients {
		if client != nil {
			if err := client.Close(); err != nil && err != context.Canceled {
				t.Error(err)
			}
		}
	}
	c.cluster.Terminate(t)
}

func (c *cluster) Terminate(t testing.TB) {
	if c.store != nil {
		c.store.kill()
	}
	for _, m := range c.Members {
		m.bridge.close()
	}
	os.RemoveAll(c.dir)
}

// TakeClient leaves a client to the test, which closes it.
func (c *ClusterV3) TakeClient(i int) { c.clients[i] = nil }

func (c *ClusterV3) Client(i int) *clientv3.Client { return c.clients[i] }

func (c *ClusterV3) RandClient() *clientv3.Client { return c.clients[rand.Intn(len(c.clients))] }

// WaitLeader gives the first member that is up: all lead to the one that leads itself.
func (c *cluster) WaitLeader(t testing.TB) int {
	for i, m := range c.Members {
		if m.up {
			return i
		}
	}
	t.Fatal("no member is up")
	return -1
}

func (c *cluster) waitLeader(t testing.TB, members []*member) int { return c.WaitLeader(t) }

const oneMember = "one store takes no further members"

func (c *cluster) Launch(t testing.TB)                      { c.follow(t) }
func (c *cluster) AddMember(t testing.TB)                   { t.Skip(oneMember) }
func (c *cluster) RemoveMember(t testing.TB, id uint64)     { t.Skip(oneMember) }
func (c *ClusterV3) AddAndLaunchLearnerMember(t testing.TB) { t.Skip(oneMember) }

func (c *ClusterV3) GetLearnerMembers() ([]*pb.Member, error) { return nil, fmt.Errorf(oneMember) }

func (c *ClusterV3) MustNewMember(t testing.TB, resp *clientv3.MemberAddResponse) *member {
	t.Skip(oneMember)
	return nil
}

// NewClientV3 makes a client of a member.
func NewClientV3(m *member) (*clientv3.Client, error) {
	m.setAddr()
	cfg := clientv3.Config{
		Endpoints: []string{m.grpcAddr}, DialTimeout: 5 * time.Second,
		DialOptions:        append([]grpc.DialOption{grpc.WithBlock()}, m.DialOptions...),
		MaxCallSendMsgSize: m.cluster.cfg.ClientMaxCallSendMsgSize, MaxCallRecvMsgSize: m.cluster.cfg.ClientMaxCallRecvMsgSize,
	}
	if m.ClientTLSInfo != nil {
		tls, err := m.ClientTLSInfo.ClientConfig()
		if err != nil {
			return nil, err
		}
		cfg.TLS = tls
	}
	return newClientV3(cfg)
}

func newClientV3(cfg clientv3.Config) (*clientv3.Client, error) { return clientv3.New(cfg) }

// WaitClientV3 waits until a client gets an answer, and be it that it must say who it is.
func WaitClientV3(t testing.TB, kv clientv3.KV) {
	for deadline := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		_, err := kv.Get(ctx, "/")
		cancel()
		if err == nil || strings.Contains(err.Error(), "etcdserver: user name is empty") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no answer: %v", err)
		}
	}
}

// grpcAPI is a client of each service, without the Go client's own layer.
type grpcAPI struct {
	Cluster     pb.ClusterClient
	KV          pb.KVClient
	Lease       pb.LeaseClient
	Watch       pb.WatchClient
	Maintenance pb.MaintenanceClient
	Auth        pb.AuthClient
	Lock        v3lockpb.LockClient
	Election    v3electionpb.ElectionClient
}

func toGRPC(c *clientv3.Client) grpcAPI {
	conn := c.ActiveConnection()
	return grpcAPI{
		pb.NewClusterClient(conn), pb.NewKVClient(conn), pb.NewLeaseClient(conn), pb.NewWatchClient(conn),
		pb.NewMaintenanceClient(conn), pb.NewAuthClient(conn), v3lockpb.NewLockClient(conn),
		v3electionpb.NewElectionClient(conn),
	}
}

// copyTLSFiles copies a certificate with its key and authority, for tests that replace them while the store runs.
func copyTLSFiles(from transport.TLSInfo, dir string) (transport.TLSInfo, error) {
	to := transport.TLSInfo{
		KeyFile: dir + "/key.pem", CertFile: dir + "/cert.pem", TrustedCAFile: dir + "/ca.pem",
		ClientCertAuth: from.ClientCertAuth,
	}
	pairs := map[string]string{
		from.KeyFile: to.KeyFile, from.CertFile: to.CertFile, from.TrustedCAFile: to.TrustedCAFile,
	}
	for source, target := range pairs {
		bytes, err := ioutil.ReadFile(source)
		if err != nil {
			return to, err
		}
		if err := ioutil.WriteFile(target, bytes, 0600); err != nil {
			return to, err
		}
	}
	return to, nil
}

// checkLeaderTransition waits for another leader, which one store never has.
func checkLeaderTransition(m *member, old uint64) uint64 { return old }
