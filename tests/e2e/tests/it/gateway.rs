//! The discovery gateway as containers meet it.

use flota_e2e::{Node, Ran, cluster, eventually};

/// `/e2e/hello`, `world`, `/e2e/` and `/e2e0`, and the leader's key, for JSON.
const KEY: &str = "L2UyZS9oZWxsbw==";
const VALUE: &str = "d29ybGQ=";
const PREFIX: &str = r#""key":"L2UyZS8=","range_end":"L2UyZTA=""#;
const LEADER: &str = "L2Zsb3RhL3YxL2xlYWRlcg==";

/// Asks the gateway from within a container, at the address of the container's own default route.
#[track_caller]
fn in_container(node: Node<'_>, path: &str, body: &str) -> Ran {
    node.write("ask.json", body);
    // The first route is the default one: `default via ADDRESS dev eth0`.
    let ask =
        format!("set -- $(ip route)\nwget -q -T 10 -O - --post-data \"$(cat /ask.json)\" \"http://$3:4001{path}\"\n");
    node.write("ask.sh", ask);
    node.run(
        "docker run --rm -v /root/ask.json:/ask.json:ro -v /root/ask.sh:/ask.sh:ro --entrypoint /usr/bin/sh \
         flota/web:1 /ask.sh",
    )
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_container_finds_what_one_on_another_machine_wrote_and_nothing_of_the_cluster() {
    let cluster = cluster();
    let (m1, m2, m3) = (cluster.m1(), cluster.m2(), cluster.m3());
    in_container(m1, "/v3/kv/put", &format!(r#"{{"key":"{KEY}","value":"{VALUE}"}}"#)).ok();
    in_container(m2, "/v3/kv/range", &format!("{{{PREFIX}}}")).ok().out_has(VALUE).out_has(r#""count":"1""#);
    let refused = in_container(m2, "/v3/kv/range", &format!(r#"{{"key":"{LEADER}"}}"#));
    assert_ne!(refused.code, 0, "{refused}");
    refused.err_has("403");
    let everything = in_container(m3, "/v3/kv/range", r#"{"key":"AA==","range_end":"AA=="}"#);
    everything.ok().out_has(VALUE);
    assert!(!everything.stdout.contains(LEADER), "{everything}");
    m3.run("curl -sS -f http://127.0.0.1:4001/version").ok().out_has("etcdserver");
    in_container(m3, "/v3/kv/deleterange", &format!("{{{PREFIX}}}")).ok().out_has(r#""deleted":"1""#);
    assert!(m1.ask("flota list-machines --no-legend").lines().count() == 3);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn the_gateway_follows_the_bridge_to_its_addresses() {
    let cluster = cluster();
    let m2 = cluster.m2();
    let daemon = m2.ask("systemctl show --property=MainPID flota.service");
    let asks = || m2.run("curl -sS --max-time 2 http://172.31.99.1:4001/health");
    assert_ne!(asks().code, 0);
    m2.run("ip address add 172.31.99.1/24 dev docker0").ok();
    eventually("the gateway at the bridge's new address", 5, || {
        let answer = asks();
        if answer.stdout == r#"{"health":"true"}"# { Ok(()) } else { Err(answer.to_string()) }
    });
    m2.run("ip address delete 172.31.99.1/24 dev docker0").ok();
    eventually("a socket less", 5, || {
        let sockets = m2.ask("ss --listening --tcp --numeric --no-header");
        if sockets.contains("172.31.99.1:4001") { Err(sockets) } else { Ok(()) }
    });
    assert_eq!(m2.ask("systemctl show --property=MainPID flota.service"), daemon, "the daemon is the same");
}
