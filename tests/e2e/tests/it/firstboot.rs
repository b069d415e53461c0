//! The first boot of an image, on machines of the lab: user-data that names a cluster to join.

use flota_e2e::{Node, cluster};

use crate::join::{configure, unconfigure};

/// What flota-firstboot.service does, with this user-data, before the daemon starts.
fn first_boot(node: &Node<'_>, join: &str) {
    node.run("rm -rf /var/lib/flota-firstboot && mkdir -p /var/lib/cloud/seed/nocloud").ok();
    let text = format!("#cloud-config\nflota:\n  metadata: {{rack: r9}}\n  join: {join}\n");
    node.run(&format!("printf '%s' '{text}' > /var/lib/cloud/seed/nocloud/user-data")).ok();
    node.run("flota firstboot apply --user root").ok();
    node.start_daemon();
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_first_boot_joins_by_its_token_and_a_machine_that_is_refused_is_in_no_cluster() {
    let cluster = cluster();
    let (m1, m2, m3) = (cluster.m1(), cluster.m2(), cluster.m3());
    cluster.nodes().iter().for_each(unconfigure);
    m1.run(&format!("printf '[store]\\nlisten = [\"https://{}:2379\"]\\n' > /etc/flota/flota.toml", m1.address)).ok();
    m1.start_daemon();
    let command = m1.ask("flota token create");
    let (address, token) = command.strip_prefix("flota join ").unwrap().split_once(" --token ").unwrap();

    first_boot(&m2, &format!("{{address: {address}, token: {token}}}"));
    m2.run("flota firstboot join").ok().err_has("this machine joined cluster");
    assert!(m2.ask("flota list-machines --no-legend").contains("rack=r9"));
    m2.run("test ! -e /var/lib/flota-firstboot/join.json").ok();
    m2.run("flota firstboot join").ok().err_has("no user-data names a cluster to join");

    // As it was sent, but for the part that names the token.
    let (_, rest) = token.split_once('.').unwrap();
    first_boot(&m3, &format!("{{address: {address}, token: 00000000.{rest}}}"));
    let outside = "this machine is in no cluster, and nothing runs on it";
    m3.run("flota list-machines").code(69).err_has(outside);
    for _ in 0..2 {
        m3.run("flota firstboot join").code(1).err_has("this token lets nobody in: it is wrong, has expired");
    }
    m3.run("flota list-machines").code(69).err_has("the last attempt failed").err_has("this token lets nobody in");
    m3.write("a.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    m3.run("flota start a.service").code(69).err_has(outside);
    m3.run("cat /run/motd.d/flota").ok().out_has("this machine has not joined the cluster at");
    m3.run("test ! -e /var/lib/flota/store && test -e /var/lib/flota-firstboot/join.json").ok();
    // Not even a restart makes it a cluster of its own.
    m3.run("systemctl restart flota.service").ok();
    m3.run("flota list-machines").code(69).err_has(outside);

    // Somebody brings the right one.
    m3.run(&command).ok().err_has("this machine joined cluster");
    m3.run("test ! -e /run/motd.d/flota && test ! -e /var/lib/flota-firstboot/join.json").ok();
    assert_eq!(m3.ask("flota list-machines --no-legend").lines().count(), 3);

    for node in [&m2, &m3] {
        node.run("rm -rf /var/lib/flota-firstboot /var/lib/cloud").ok();
    }
    cluster.nodes().iter().for_each(configure);
}
