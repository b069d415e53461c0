//! The living cluster moves from the embedded store to a real etcd, and back.

use std::fmt::Write as _;

use flota_e2e::{Cluster, Node, Witness, cluster, eventually, texts};

/// Where the members of etcd answer; the embedded store of the first machine has etcd's own port.
const CLIENT_PORT: u16 = 12379;
const PEER_PORT: u16 = 12380;
const TLS: &str = "--ca /etc/flota/pki/ca.pem --cert /etc/flota/pki/machine.pem --key /etc/flota/pki/machine-key.pem";

fn url(node: &Node<'_>, port: u16) -> String {
    format!("https://{}:{port}", node.address)
}

/// Debian's etcd on every machine, with the lab's certificates to clients and to each other.
fn start_etcd(cluster: &Cluster) -> String {
    let nodes = cluster.nodes();
    let members: Vec<String> = nodes.iter().map(|node| format!("{}={}", node.name, url(node, PEER_PORT))).collect();
    for node in &nodes {
        let (clients, peers) = (url(node, CLIENT_PORT), url(node, PEER_PORT));
        let mut line = format!(
            "systemd-run --quiet --unit elsewhere etcd --name {} --data-dir /var/lib/etcd/elsewhere \
             --listen-client-urls {clients} --advertise-client-urls {clients} --listen-peer-urls {peers} \
             --initial-advertise-peer-urls {peers} --initial-cluster {}",
            node.name,
            members.join(",")
        );
        for side in ["", "peer-"] {
            let _ = write!(
                line,
                " --{side}client-cert-auth --{side}trusted-ca-file /etc/flota/pki/ca.pem \
                 --{side}cert-file /etc/flota/pki/machine.pem --{side}key-file /etc/flota/pki/machine-key.pem"
            );
        }
        node.run(&line).ok();
    }
    let endpoints: Vec<String> = nodes.iter().map(|node| url(node, CLIENT_PORT)).collect();
    let endpoints = endpoints.join(",");
    eventually("etcd answers", 30, || {
        let check = format!(
            "ETCDCTL_API=3 etcdctl --endpoints {endpoints} --cacert /etc/flota/pki/ca.pem \
             --cert /etc/flota/pki/machine.pem --key /etc/flota/pki/machine-key.pem endpoint health"
        );
        let health = cluster.m1().run(&check);
        if health.code == 0 { Ok(()) } else { Err(health.to_string()) }
    });
    endpoints
}

/// A new unit starts, asked for on each machine in turn.
#[track_caller]
fn units_start(cluster: &Cluster, when: &str) {
    for (node, index) in cluster.nodes().into_iter().zip(1..) {
        node.write("plain@.service", "[Service]\nExecStart=/bin/sleep infinity\n");
        node.run(&format!("flota start --block-attempts 20 plain@{when}{index}")).ok();
    }
}

/// Every machine is where its configuration says, again.
fn forget(cluster: &Cluster) {
    for node in cluster.nodes() {
        node.stop_daemon();
        node.run("rm -f /var/lib/flota/membership.toml; systemctl stop elsewhere; rm -rf /var/lib/etcd/elsewhere").ok();
    }
    cluster.nodes().iter().for_each(Node::start_daemon);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn the_cluster_moves_to_an_etcd_of_three_members_and_back_and_no_unit_restarts() {
    let cluster = cluster();
    let (m1, m2, m3) = (cluster.m1(), cluster.m2(), cluster.m3());
    cluster.start_everywhere("web", texts::WEB);
    m1.run("flota kv put /app/where embedded").ok();
    let etcd = start_etcd(&cluster);
    let before = Witness::of(&cluster.nodes());
    assert_eq!(before.len(), 6, "{before:?}");

    let moved = m2.run(&format!("flota store migrate --to {etcd} {TLS}"));
    moved.ok().err_has(&format!("the cluster has moved to {etcd}: "));
    before.unchanged(&cluster.nodes(), "the move to etcd");
    cluster.together();
    m3.run("flota kv get /app/where").ok().out("embedded\n");
    units_start(&cluster, "there");

    // From now on no single machine carries the store.
    m2.run("systemctl stop elsewhere").ok();
    units_start(&cluster, "without-a-member");
    m2.run("systemctl reset-failed elsewhere; true").ok();
    m3.run("flota kv put /app/where etcd").ok();

    let before = Witness::of(&cluster.nodes());
    let home = url(&m1, 2379);
    let moved = m3.run(&format!("flota store migrate --to {home} {TLS}"));
    moved.ok().err_has(&format!("the cluster has moved to {home}: "));
    before.unchanged(&cluster.nodes(), "the move back");
    for node in [&m1, &m3] {
        node.run("systemctl stop elsewhere").ok();
    }
    cluster.together();
    m2.run("flota kv get /app/where").ok().out("etcd\n");
    units_start(&cluster, "home");
    Witness::of(&cluster.nodes()).has_all_of(&before, "the end of etcd");
    m1.run("flota kv rm /app/where").ok();
    forget(&cluster);
    cluster.together();
}
