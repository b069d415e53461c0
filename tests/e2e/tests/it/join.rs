//! Machines that know nothing of each other become one cluster with the two commands of docs/machines.md.

use flota_e2e::{Node, cluster, eventually};

/// The daemon's data and configuration as the package leaves them: none.
pub fn unconfigure(node: &Node<'_>) {
    node.stop_daemon();
    node.run("mv /etc/flota /etc/flota.kept && mkdir /etc/flota && find /var/lib/flota -mindepth 1 -delete").ok();
}

/// The lab's own configuration again.
pub fn configure(node: &Node<'_>) {
    node.stop_daemon();
    node.run("rm -r /etc/flota && mv /etc/flota.kept /etc/flota && find /var/lib/flota -mindepth 1 -delete").ok();
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn two_commands_make_machines_one_cluster() {
    let cluster = cluster();
    let (m1, m2, m3) = (cluster.m1(), cluster.m2(), cluster.m3());
    cluster.nodes().iter().for_each(unconfigure);
    m1.run(&format!("printf '[store]\\nlisten = [\"https://{}:2379\"]\\n' > /etc/flota/flota.toml", m1.address)).ok();
    for node in cluster.nodes() {
        node.start_daemon();
    }

    // m2 is alone, and a cluster of its own.
    assert_eq!(m2.ask("flota list-machines --no-legend").lines().count(), 1);
    m2.run("flota token create").code(1).err_has("no living machine of this cluster lets others in by tokens");

    let command = m1.ask("flota token create");
    assert!(command.starts_with(&format!("flota join {} --token ", m1.address)), "{command}");
    m2.run(&command).ok().err_has("this machine joined cluster");
    for node in [&m1, &m2] {
        assert_eq!(node.ask("flota list-machines --no-legend").lines().count(), 2, "{}", node.name);
    }
    m2.run("ls -d /var/lib/flota/store.before-*").ok();
    m2.run("stat --format %a /var/lib/flota/pki/*/machine-key.pem").ok().out("600\n");

    // A wrong token changes nothing, and says what is wrong.
    let (address, token) = command.strip_prefix("flota join ").unwrap().split_once(" --token ").unwrap();
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[0] = "00000000";
    let wrong = format!("flota join {address} --token {}", parts.join("."));
    m3.run(&wrong).code(1).err_has("this token lets nobody in: it is wrong, has expired or was revoked");
    m3.run("flota join 10.78.240.99 --token x").code(1).err_has("this is not a token");
    m3.run("test ! -e /var/lib/flota/membership.toml").ok();

    // A machine that has units of its own is not taken by accident.
    m3.write("own.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    m3.run("flota start own.service").ok();
    m3.run(&command).code(1).err_has("this machine's own cluster has units: own.service");
    assert_eq!(m3.ask("systemctl is-active own.service"), "active");
    m3.run(&format!("{command} --force")).ok().err_has("destroyed own.service");
    m3.run("systemctl is-active own.service").out("inactive\n");

    // All of them are one cluster, which runs things.
    m3.write("all.service", "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nGlobal=true\n");
    m3.run("flota start all.service").ok();
    for node in cluster.nodes() {
        assert_eq!(node.ask("flota list-machines --no-legend").lines().count(), 3, "{}", node.name);
        eventually("the global unit is active", 10, || {
            let state = node.run("systemctl is-active all.service");
            if state.code == 0 { Ok(()) } else { Err(format!("{}: {state}", node.name)) }
        });
    }
    m1.run(&format!("flota token revoke {token}")).ok();
    assert_eq!(m3.ask("flota token list"), "TOKEN  ENDS");
    m1.run("flota destroy all.service").ok();

    cluster.nodes().iter().for_each(configure);
}
