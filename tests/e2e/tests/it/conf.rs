//! confd on several machines: each tells how its files are, and any of them shows it.

use flota_e2e::{Cluster, Node, cluster, eventually};

const RESOURCE: &str = "[template]\nsrc = \"site.tmpl\"\ndest = \"/root/site.conf\"\nkeys = [\"/e2e/site\"]\n";
const CHECK: &str = "check_cmd = \"grep -q good {{.src}}\"\n";

#[track_caller]
fn keep(node: Node<'_>, resource: &str) {
    node.run("mkdir -p confd/conf.d confd/templates").ok();
    node.write("confd/conf.d/site.toml", resource);
    node.write("confd/templates/site.tmpl", "{{getv \"/e2e/site\"}}\n");
    start(node);
}

#[track_caller]
fn start(node: Node<'_>) {
    node.run("systemd-run --quiet --collect --unit=confd flota conf run --confdir /root/confd").ok();
}

/// Waits until m1 lists these files: the machine, the state, and words of the error.
#[track_caller]
fn lists(cluster: &Cluster, code: i32, expect: &[(Node<'_>, &str, &str)]) {
    eventually("the files are listed as they are", 20, || {
        let ran = cluster.m1().run("flota conf status --no-legend --full");
        let rows: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
        let is = |(node, state, error): &(Node<'_>, &str, &str)| {
            let fits = |row: &&Vec<&str>| {
                row[..3] == [node.id, "/root/site.conf", *state] && row[4..].join(" ").contains(error)
            };
            rows.iter().any(|row| fits(&row))
        };
        if ran.code == code && rows.len() == expect.len() && expect.iter().all(is) {
            Ok(())
        } else {
            Err(ran.to_string())
        }
    });
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn every_machine_shows_how_the_configuration_files_of_all_are() {
    let cluster = cluster();
    let (m1, m2, m3) = (cluster.m1(), cluster.m2(), cluster.m3());
    m1.run("flota conf status").ok().err_has("no machine has a confd");
    m1.run("flota kv put /e2e/site 'good 1'").ok();
    keep(m2, &format!("{RESOURCE}{CHECK}"));
    keep(m3, RESOURCE);
    lists(&cluster, 0, &[(m2, "ok", "-"), (m3, "ok", "-")]);

    m1.run("flota kv put /e2e/site bad").ok();
    lists(&cluster, 1, &[(m2, "failed", "a check failed"), (m3, "ok", "-")]);
    assert_eq!((m2.ask("cat site.conf"), m3.ask("cat site.conf")), ("good 1".to_owned(), "bad".to_owned()));
    m3.run("flota conf status --here --confdir /root/confd").ok().out_has("/root/site.conf");

    // Killed, nobody keeps its files; a daemon that starts anew says the same of those that are kept.
    m3.run("systemctl kill --signal=KILL confd").ok();
    lists(&cluster, 1, &[(m2, "failed", "a check failed"), (m3, "unattended", "-")]);
    for node in [m2, m3] {
        node.run("systemctl restart flota.service").ok();
    }
    cluster.together();
    lists(&cluster, 1, &[(m2, "failed", "a check failed"), (m3, "unattended", "-")]);
    start(m3);
    lists(&cluster, 1, &[(m2, "failed", "a check failed"), (m3, "ok", "-")]);

    // Ended on purpose, or without power: there is nothing to be told.
    m3.run("systemctl stop confd").ok();
    lists(&cluster, 1, &[(m2, "failed", "a check failed")]);
    cluster.lab().kill(m2.name).unwrap();
    lists(&cluster, 0, &[]);
    cluster.power_on();
    cluster.together();
    m1.run("flota kv rm /e2e/site").ok();
}
