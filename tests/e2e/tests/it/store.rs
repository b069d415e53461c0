//! The store as an administrator meets it: its keys, a full disk.

use std::collections::BTreeMap;

use flota_e2e::{Cluster, Node, Witness, cluster, eventually, holds_for, texts};
use serde_json::Value;

const ETCDCTL: &str = "ETCDCTL_API=3 etcdctl --endpoints=unix:///run/flota/store.sock";

/// All of Flota's own keys, with their values.
fn keys(m1: Node<'_>) -> BTreeMap<String, Value> {
    let pairs = m1.ask(&format!("{ETCDCTL} get --prefix /flota/v1/"));
    let lines: Vec<&str> = pairs.lines().collect();
    lines.chunks(2).map(|pair| (pair[0].to_owned(), serde_json::from_str(pair[1]).unwrap())).collect()
}

fn revision(m1: Node<'_>) -> u64 {
    let answer = m1.ask(&format!("{ETCDCTL} get /flota/v1/cluster --write-out json"));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["header"]["revision"].as_u64().unwrap()
}

/// Waits until nothing has been written for a second.
fn quiet(m1: Node<'_>) -> u64 {
    let mut last = revision(m1);
    eventually("the cluster comes to rest", 20, || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let now = revision(m1);
        if now == std::mem::replace(&mut last, now) { Ok(now) } else { Err(format!("revision {now}")) }
    })
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn etcdctl_shows_the_documented_keys_and_an_idle_cluster_writes_nothing() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.write("sleep@.service", texts::SLEEP);
    m1.run("flota start sleep@1 sleep@2").ok();
    quiet(m1);
    let names = m1.ask(&format!("{ETCDCTL} get --prefix /flota/v1/ --keys-only | sed /^$/d"));
    let hash = m1.ask("sha1sum < sleep@.service");
    let mut expected = vec![
        "/flota/v1/cluster".to_owned(),
        format!("/flota/v1/files/{}", &hash[..40]),
        "/flota/v1/leader".to_owned(),
        "/flota/v1/units/sleep@1.service".to_owned(),
        "/flota/v1/units/sleep@2.service".to_owned(),
    ];
    for kind in ["machines", "members", "reports"] {
        expected.extend(cluster.nodes().iter().map(|node| format!("/flota/v1/{kind}/{}", node.id)));
    }
    expected.sort();
    // A machine that never had a unit has no schedule, and there are notes of the leader once a machine was lost: earlier tests decide.
    let sometimes = |name: &&str| name.starts_with("/flota/v1/schedules/") || *name == "/flota/v1/leader-notes";
    let names: Vec<&str> = names.lines().filter(|name| !sometimes(name)).collect();
    assert_eq!(names, expected);

    let before = revision(m1);
    holds_for(3, || assert_eq!(revision(m1), before, "an idle cluster wrote: {:#?}", keys(m1)));
    only_its_own_machine_is_told(&cluster);
}

/// A change of one unit gives its machine a new schedule, and no other.
fn only_its_own_machine_is_told(cluster: &Cluster) {
    let m1 = cluster.m1();
    let generations = || -> BTreeMap<String, u64> {
        let schedules = keys(m1).into_iter().filter_map(|(key, value)| {
            Some((key.strip_prefix("/flota/v1/schedules/")?.to_owned(), value["generation"].as_u64()?))
        });
        schedules.collect()
    };
    let before = generations();
    let node = cluster.place("sleep@1.service").unwrap();
    m1.run("flota stop sleep@1").ok();
    quiet(m1);
    let mut expected = before.clone();
    *expected.get_mut(node.id).unwrap() += 1;
    assert_eq!(generations(), expected, "sleep@1.service is on {}", node.id);
    let schedule = &keys(m1)[&format!("/flota/v1/schedules/{}", node.id)];
    assert_eq!(schedule["units"]["sleep@1.service"]["target"], "loaded");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_full_disk_refuses_submits_clearly_and_loses_nothing() {
    let cluster = cluster();
    let m1 = cluster.m1();
    cluster.start_everywhere("sleep", texts::SLEEP);
    m1.write("before.service", "[Service]\nExecStart=/bin/true\n");
    m1.run("flota submit before.service").ok();
    let list = cluster.all_running(3, 10);
    let witness = Witness::of(&cluster.nodes());
    move_store_to_small_disk(m1);
    cluster.together();
    let files = m1.ask("flota list-unit-files");

    m1.run("cat /dev/zero > /var/lib/flota/store/filler").code(1).err_has("No space left on device");
    // The log has some space in advance: applications use it up.
    let fill =
        "for i in $(seq 20); do head -c 1000000 /dev/zero | tr '\\0' x | flota kv put /filler/$i - || exit 1; done";
    m1.run(fill).code(1).err_has("space");
    m1.write("late.service", format!("[Service]\nExecStart=/bin/true\nEnvironment=X={}\n", "x".repeat(64 << 10)));
    m1.run("flota submit late.service")
        .code(1)
        .out("")
        .err_has("Error creating units: unit late.service: ")
        .err_has("free space on the store's disk");
    let option = format!(r#"{{"section":"Service","name":"ExecStart","value":"/bin/echo {}"}}"#, "x".repeat(64 << 10));
    m1.write("late.json", format!(r#"{{"desiredState":"inactive","options":[{option}]}}"#));
    m1.run(
        "curl --silent --output /dev/null --write-out '%{http_code}' --unix-socket /run/flota/api.sock \
         --header 'Content-Type: application/json' --upload-file late.json http://flota/fleet/v1/units/late.service",
    )
    .ok()
    .out("507");
    assert_eq!(m1.ask("flota list-unit-files"), files, "the refused unit is there");
    m1.run("flota list-units --no-legend").ok().out(&list);
    m1.run("flota destroy before.service").ok().out("Destroyed before.service\n");
    witness.unchanged(&cluster.nodes(), "the disk was full");

    m1.run("rm /var/lib/flota/store/filler").ok();
    m1.run("flota submit late.service").ok().out("Unit late.service inactive\n").err("");
    m1.run("systemctl restart flota.service").ok();
    cluster.together();
    let names = m1.ask("flota list-unit-files --no-legend --fields unit");
    assert_eq!(names, "late.service\nsleep@1.service\nsleep@2.service\nsleep@3.service");
    assert_eq!(cluster.all_running(3, 10), list);
    witness.unchanged(&cluster.nodes(), "the disk had space again");
    move_store_back(m1);
    cluster.together();
    assert_eq!(cluster.all_running(3, 10), list);
}

fn move_store_to_small_disk(m1: Node<'_>) {
    m1.stop_daemon();
    m1.run("mkdir kept && cp --archive /var/lib/flota/store/. kept").ok();
    m1.run("mount -t tmpfs -o size=24m,mode=0700 tmpfs /var/lib/flota/store").ok();
    m1.run("cp --archive kept/. /var/lib/flota/store && rm -r kept").ok();
    m1.start_daemon();
}

fn move_store_back(m1: Node<'_>) {
    m1.stop_daemon();
    m1.run("mkdir kept && cp --archive /var/lib/flota/store/. kept && umount /var/lib/flota/store").ok();
    m1.run("rm -r /var/lib/flota/store && mv kept /var/lib/flota/store").ok();
    m1.start_daemon();
}
