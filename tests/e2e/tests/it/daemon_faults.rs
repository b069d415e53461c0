//! A daemon that cannot start says why, and does no harm to the one that runs.

use flota_e2e::{cluster, eventually};

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_second_daemon_is_refused_and_the_first_goes_on() {
    let cluster = cluster();
    let m1 = cluster.m1();
    let pid = m1.ask("systemctl show --property MainPID --value flota.service");
    let revision = "ETCDCTL_API=3 etcdctl --endpoints=unix:///run/flota/store.sock get /flota/v1/leader";
    let leader = m1.ask(revision);

    m1.run("flota daemon").code(1).out("").err_has(&format!(
        "data directory /var/lib/flota is in use by another flota daemon (process {pid}): stop it, or name another \
         directory with --data-dir"
    ));
    m1.run("flota daemon --data-dir other").code(1).out("").err_has(
        "API socket /run/flota/api.sock is in use by another process: stop it, or name another one with --api-listen",
    );
    let elsewhere = "flota daemon --data-dir other --api-listen other.sock";
    m1.run(elsewhere).code(1).out("").err_has("address unix:///run/flota/store.sock is already in use");
    let listen = format!("https://{}:2379", m1.address);
    m1.run(&format!("{elsewhere} --store-listen {listen}"))
        .code(1)
        .out("")
        .err_has(&format!("address {listen} is already in use: stop the other server, or listen elsewhere"));

    assert_eq!(
        m1.ask("systemctl show --property MainPID --value flota.service"),
        pid,
        "the first daemon was restarted"
    );
    assert_eq!(m1.ask(revision), leader, "the first daemon's store has changed hands");
    for node in cluster.nodes() {
        assert_eq!(node.ask("flota list-machines --no-legend").lines().count(), 3);
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_port_in_use_is_named_and_the_daemon_starts_when_it_is_free() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    let port = format!("{}:2379", m1.address);
    m1.stop_daemon();
    m1.run(&format!(
        "systemd-run --quiet --unit squatter systemd-socket-activate --accept --inetd --listen {port} cat"
    ))
    .ok();
    eventually("something else has the port", 5, || {
        let open = m1.run(&format!("ss --no-header --listening --tcp src {port}"));
        if open.stdout.is_empty() { Err(open.to_string()) } else { Ok(()) }
    });
    m1.run("systemctl start flota.socket && systemctl start --no-block flota.service").ok();
    eventually("the daemon says that its port is in use", 10, || {
        let log = m1.run("journalctl --boot --unit flota --no-pager --output cat --lines 5");
        let said = format!("address https://{port} is already in use: stop the other server, or listen elsewhere");
        if log.stdout.contains(&said) { Ok(()) } else { Err(log.to_string()) }
    });
    m2.run("flota list-machines").code(69).err_has("cannot reach its store");
    m1.run("systemctl stop squatter").ok();
    eventually("systemd starts the daemon", 10, || {
        let active = m1.run("systemctl is-active flota.service");
        if active.code == 0 { Ok(()) } else { Err(active.to_string()) }
    });
    cluster.together();
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_wrong_configuration_is_shown_with_file_and_line() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.write("flota.toml", "[machine]\nadress = \"10.0.0.1\"\n");
    m1.run("flota daemon --config flota.toml")
        .code(1)
        .out("")
        .err_has("configuration file flota.toml")
        .err_has("line 2")
        .err_has("unknown field `adress`, expected `address` or `metadata`");
    m1.write("flota.toml", "[store]\nlisten = [\"http://0.0.0.0:2379\"]\n");
    m1.run("flota daemon --config flota.toml").code(1).out("").err_has("everyone on the network");
    m1.run("flota daemon --config missing.toml").code(1).out("").err_has("missing.toml").err_has("No such file");
    m1.run("flota daemon --lease 5").code(2).out("").err_has("unexpected argument '--lease'");
}
