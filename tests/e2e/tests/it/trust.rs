//! A store that forgets, an older one, another cluster's: nobody obeys them. And a machine that says goodbye.

use flota_e2e::{Cluster, Node, Witness, cluster, eventually, holds_for, texts};
use flota_lab::MachineState;

const STORE: &str = "/var/lib/flota/store";

/// Six units, two on each machine, all running; the list of them.
fn start(cluster: &Cluster) -> String {
    cluster.start_everywhere("sleep", texts::SLEEP);
    cluster.start_everywhere("web", texts::WEB);
    cluster.nodes().into_iter().for_each(|node| drop(cluster.page_answers(node, 20)));
    cluster.all_running(6, 10)
}

/// Every machine says in its log that it is frozen, and its API refuses changes, for this reason.
#[track_caller]
fn all_frozen(cluster: &Cluster, reason: &str) {
    for node in cluster.nodes() {
        eventually(&format!("{} is frozen", node.name), 15, || {
            let refused = node.run("flota stop web@1");
            if refused.code == 69 && refused.stderr.contains(reason) { Ok(()) } else { Err(refused.to_string()) }
        });
        node.run("journalctl --boot --unit flota --no-pager --output cat").ok().out_has("FROZEN").out_has(reason);
    }
}

/// Replaces the store's directory by what `make` leaves there, with the daemon of its machine down.
fn replace_store(m1: Node<'_>, make: &str) {
    m1.stop_daemon();
    m1.run(make).ok();
    m1.start_daemon();
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_wiped_store_freezes_the_machines_and_is_filled_again_from_what_they_hold() {
    let cluster = cluster();
    let m1 = cluster.m1();
    let list = start(&cluster);
    let files = m1.ask("flota list-unit-files");
    let witness = Witness::of(&cluster.nodes());

    replace_store(m1, &format!("rm -r {STORE}"));
    all_frozen(&cluster, "the store is empty, but this machine belongs to cluster");
    let keys = "ETCDCTL_API=3 etcdctl --endpoints=unix:///run/flota/store.sock get --prefix /flota/ --keys-only";
    holds_for(5, || assert_eq!(m1.ask(keys), "", "somebody wrote into it"));
    witness.unchanged(&cluster.nodes(), "the store was wiped");

    m1.run("flota store accept").code(2).err_has("holds generation").err_has("--yes");
    m1.run("flota store accept --yes").ok().err_has("accepted: cluster");
    cluster.together();
    assert_eq!(cluster.all_running(6, 20), list, "units have moved");
    assert_eq!(m1.ask("flota list-unit-files"), files);
    witness.unchanged(&cluster.nodes(), "the wiped store was accepted");
    orders_count(&cluster);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn an_older_store_freezes_the_machines_until_it_is_accepted_or_the_newer_one_is_back() {
    let cluster = cluster();
    let m1 = cluster.m1();
    cluster.start_everywhere("web", texts::WEB);
    cluster.all_running(3, 20);
    m1.run("flota store backup older.db").ok();
    let list = start(&cluster);
    let witness = Witness::of(&cluster.nodes());

    let restore = format!("mv {STORE} {STORE}.away && flota store restore older.db --data-dir {STORE}");
    replace_store(m1, &restore);
    all_frozen(&cluster, "bring the");
    m1.run("flota list-machines").ok().out_has("frozen").err_has("WARNING: the daemon's machine takes no orders");
    holds_for(10, || witness.unchanged(&cluster.nodes(), "an older store was restored"));

    // The newer one is back, and all is well.
    replace_store(m1, &format!("rm -r {STORE} && mv {STORE}.away {STORE}"));
    cluster.together();
    assert_eq!(cluster.all_running(6, 20), list);
    witness.unchanged(&cluster.nodes(), "the newer store came back");

    replace_store(m1, &format!("rm -r {STORE} && flota store restore older.db --data-dir {STORE}"));
    all_frozen(&cluster, "bring the");
    m1.run("flota store accept --yes").ok();
    cluster.together();
    // What was started since the backup is not in it; what is in it was not touched.
    let list = cluster.all_running(3, 20);
    assert!(list.lines().all(|row| row.starts_with("web@")), "{list}");
    let now = Witness::of(&cluster.nodes());
    assert_eq!(now.len(), 6, "three units and three containers: {now:?}");
    witness.has_all_of(&now, "the older store was accepted");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn another_clusters_store_freezes_the_machines_and_cannot_be_accepted() {
    let cluster = cluster();
    let m1 = cluster.m1();
    let list = start(&cluster);
    let witness = Witness::of(&cluster.nodes());
    let foreign = format!(
        "mv {STORE} {STORE}.away; flota store serve --data-dir {STORE} --listen-client-urls http://127.0.0.1:23790 & \
         store=$!; sleep 1; echo '{{\"v\":1,\"id\":\"000000000000000000000000000000ff\",\"created_unix_ms\":1}}' | \
         ETCDCTL_API=3 etcdctl --endpoints=http://127.0.0.1:23790 put /flota/v1/cluster; kill $store; wait $store; true"
    );
    replace_store(m1, &foreign);
    all_frozen(&cluster, "the store is that of cluster 000000000000000000000000000000ff");
    m1.run("flota store accept --yes").code(1).err_has("there is nothing to accept");
    holds_for(8, || witness.unchanged(&cluster.nodes(), "another cluster's store was there"));

    replace_store(m1, &format!("rm -r {STORE} && mv {STORE}.away {STORE}"));
    cluster.together();
    assert_eq!(cluster.all_running(6, 20), list);
    witness.unchanged(&cluster.nodes(), "the own store came back");
    orders_count(&cluster);
}

/// The machines do what they are told again.
#[track_caller]
fn orders_count(cluster: &Cluster) {
    cluster.m1().run("flota stop sleep@1 sleep@2 sleep@3").ok();
    let stopped = cluster.m1().ask("flota list-units --no-legend --fields unit,active | grep sleep");
    assert_eq!(stopped, "sleep@1.service  inactive\nsleep@2.service  inactive\nsleep@3.service  inactive");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_that_is_shut_down_hands_its_units_over_at_once() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.write("one.service", "[Service]\nExecStart=/bin/sleep infinity\n");
    // Not on the machine with the store.
    m1.write("pin.service", format!("[Service]\nExecStart=/bin/sleep infinity\n[X-Flota]\nMachineID={}\n", m1.id));
    m1.run("flota start pin one").ok();
    let victim = cluster.place("one.service").unwrap();
    assert_ne!(victim.name, "m1", "m1 has more units than the others");
    let others: Vec<_> = cluster.nodes().into_iter().filter(|node| node.name != victim.name).collect();

    // The keys of the store tell when: both are written with the machines' common clock.
    victim.run("systemctl --no-block poweroff").ok();
    let member = format!("/flota/v1/members/{}", victim.id);
    let get = format!("ETCDCTL_API=3 etcdctl --endpoints=unix:///run/flota/store.sock get --print-value-only {member}");
    let down = eventually("the machine says goodbye", 30, || {
        let value: serde_json::Value = serde_json::from_str(&m1.ask(&get)).unwrap();
        value["down_unix_ms"].as_u64().ok_or_else(|| value.to_string())
    });
    let active = "systemctl show one.service --timestamp=us+utc -p ActiveState -p ActiveEnterTimestamp";
    let up = eventually("the unit is active elsewhere", 10, || {
        let at = others.iter().find_map(|node| {
            let said = node.ask(active);
            said.contains("ActiveState=active").then(|| {
                let line = said.lines().find_map(|line| line.strip_prefix("ActiveEnterTimestamp=")).unwrap().to_owned();
                node.ask(&format!("date --date '{line}' +%s%3N")).parse::<u64>().unwrap()
            })
        });
        at.ok_or_else(|| m1.run("flota list-units").to_string())
    });
    let took = up.saturating_sub(down);
    assert!(took <= 2_000, "active elsewhere {took} ms after the goodbye");
    m1.run("flota list-machines").ok().out_has("down");
    eventually("the machine is off", 60, || {
        let machines = cluster.lab().list().unwrap();
        let off = machines.iter().any(|it| it.name == victim.name && it.state == MachineState::Stopped);
        if off { Ok(()) } else { Err(format!("{machines:?}")) }
    });
    cluster.power_on();
    // It takes its word back when it is up.
    cluster.together();
}
