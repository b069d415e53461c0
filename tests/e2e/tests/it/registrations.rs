//! Keys that units register for themselves: there as long as the unit is active, whatever happens to daemons.

use std::time::Instant;

use flota_e2e::{Cluster, Node, cluster, eventually, holds_for};

/// A process at most once per machine, which registers a key under its own life.
const REGISTERED: &str = "[Service]
ExecStart=/bin/sleep infinity
ExecStartPost=/usr/bin/flota kv put --lease unit /services/reg/%i %H:80

[X-Fleet]
Conflicts=reg@*
";
/// The store as m1 reaches it, whether its daemon has a gateway or not.
const STORE: &str = "FLOTA_KV_ENDPOINT=unix:///run/flota/store.sock";
/// Where m1 notes every change of the keys.
const LOG: &str = "/root/changes.log";
/// How long a key outlives its machine, in seconds.
const TTL: u64 = 10;

/// The value of an instance's key and the revision that wrote it.
#[track_caller]
fn key(cluster: &Cluster, number: u8) -> Option<(String, i64)> {
    let got = cluster.m1().run(&format!("{STORE} flota kv get /services/reg/{number} --output json"));
    if got.code == 1 {
        return None;
    }
    let pair: serde_json::Value = serde_json::from_str(&got.ok().stdout).unwrap();
    Some((pair["value"].as_str().unwrap().to_owned(), pair["mod_revision"].as_i64().unwrap()))
}

/// The lines that the watch on m1 wrote.
#[track_caller]
fn changes(cluster: &Cluster) -> String {
    cluster.m1().ask(&format!("cat {LOG}"))
}

#[track_caller]
fn gone(cluster: &Cluster, number: u8, why: &str, seconds: u64) {
    eventually(&format!("{why}: its key is gone"), seconds, || match key(cluster, number) {
        None => Ok(()),
        Some(pair) => Err(format!("{pair:?}")),
    });
}

fn kill_daemon(node: Node<'_>) {
    let pid = node.ask("systemctl show --property MainPID --value flota.service");
    node.run(&format!("kill -9 {pid}")).ok();
    eventually("systemd has started another daemon", 20, || {
        let state = node.run("systemctl show --property MainPID,ActiveState flota.service");
        let another =
            state.stdout.contains("ActiveState=active") && !state.stdout.contains(&format!("MainPID={pid}\n"));
        if another { Ok(()) } else { Err(state.to_string()) }
    });
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_units_key_lives_exactly_as_long_as_the_unit() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.run(&format!(
        "systemd-run --quiet --unit kv-watch --setenv {STORE} sh -c 'exec flota kv watch --prefix /services/ > {LOG}'"
    ))
    .ok();
    cluster.start_everywhere("reg", REGISTERED);
    let place = |number: u8| cluster.place(&format!("reg@{number}.service")).unwrap();
    let numbers = [1, 2, 3];
    let before = numbers.map(|number| key(&cluster, number).unwrap());
    for number in numbers {
        assert_eq!(before[usize::from(number) - 1].0, format!("{}:80", place(number).name));
        let list = place(number).run("flota kv lease list --units");
        list.ok().out_has(&format!("reg@{number}.service  /services/reg/{number}  {}:80  10s", place(number).name));
    }
    assert_eq!(changes(&cluster).lines().count(), 3);

    // Every daemon is killed, the store's too, and more time passes than a lease lives.
    cluster.nodes().into_iter().for_each(kill_daemon);
    cluster.together();
    holds_for(TTL + 2, || assert_eq!(numbers.map(|number| key(&cluster, number).unwrap()), before));
    assert_eq!(changes(&cluster).lines().count(), 3, "nobody was told of a change");

    let others: Vec<u8> = numbers.into_iter().filter(|number| place(*number).name != "m1").collect();
    let (lost, stopped) = (others[0], others[1]);
    let failed = numbers.into_iter().find(|number| place(*number).name == "m1").unwrap();
    cluster.lab().kill(place(lost).name).unwrap();
    gone(&cluster, lost, "its machine lost its power", TTL + 2);

    let on = place(stopped);
    on.run(&format!("systemctl stop reg@{stopped}.service")).ok();
    let since = Instant::now();
    gone(&cluster, stopped, "it was stopped", 1);
    eprintln!("a key was gone {} ms after its unit had stopped", since.elapsed().as_millis());
    m1.run(&format!("systemctl kill --signal KILL reg@{failed}.service")).ok();
    gone(&cluster, failed, "it was killed", 1);
    let log = changes(&cluster);
    assert_eq!(log.lines().filter(|line| line.starts_with("delete")).count(), 3, "{log}");
    m1.run("systemctl stop kv-watch.service").ok();

    // Outside of a unit there is no life to share, unless one is named.
    m1.run("flota kv put --lease unit /services/x y").code(2).err_has("--lease unit:NAME");
    m1.run("flota kv put --lease unit:kv-watch /services/x y").code(1).err_has("kv-watch.service is not active");
    m1.run("flota kv put --lease unit:dbus.service /services/x y").ok();
    m1.run("flota kv rm --lease unit:dbus.service /services/x").ok();
    m1.run("flota kv put --lease unit:dbus.service /flota/v1/leader me").code(1).err_has("the cluster's own");
}
