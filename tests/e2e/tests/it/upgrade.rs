//! Another version of the program comes to one machine after the other, while everything runs.

use flota_e2e::{Node, Witness, cluster, eventually, texts};

/// The version under test, and one that differs from it in nothing but its name: the same program, with other digits.
const VERSION: &str = env!("CARGO_PKG_VERSION");
const OTHER: &str = "9.8.7";

/// Puts a program in the place of the machine's own, as a package does, and restarts the daemon.
fn install(node: Node<'_>, program: &str) {
    node.run(&format!("install -m 0755 {program} /usr/bin/flota.new && mv /usr/bin/flota.new /usr/bin/flota")).ok();
    node.run("systemctl restart flota.service").ok();
}

/// The versions that the machines announce, as `asked` sees them.
fn versions(asked: Node<'_>) -> Vec<String> {
    let list = asked.ask("flota list-machines --no-legend --fields version");
    let mut versions: Vec<String> = list.lines().map(|line| line.trim().to_owned()).collect();
    versions.sort();
    versions
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_new_version_comes_to_one_machine_after_the_other_and_no_unit_is_restarted() {
    assert_eq!(VERSION.len(), OTHER.len(), "strings of one length can be exchanged in a program");
    let cluster = cluster();
    cluster.start_everywhere("sleep", texts::SLEEP);
    cluster.all_running(3, 20);
    let nodes = cluster.nodes();
    let before = Witness::of(&nodes);
    for node in &nodes {
        node.run("cp /usr/bin/flota flota.own").ok();
        // Every mention of the version is exchanged.
        let found = VERSION.replace('.', "\\.");
        node.run(&format!("LC_ALL=C sed 's/{found}/{OTHER}/g' flota.own > flota.other")).ok();
    }
    // There and back again: a downgrade is an upgrade too.
    for (program, version, left) in [("flota.other", OTHER, VERSION), ("flota.own", VERSION, OTHER)] {
        for (done, node) in nodes.iter().enumerate() {
            install(*node, program);
            cluster.together();
            let mut expected = vec![version; done + 1];
            expected.resize(nodes.len(), left);
            expected.sort_unstable();
            eventually("each machine announces its version", 10, || {
                let found = versions(cluster.m3());
                if found == expected { Ok(()) } else { Err(format!("{found:?}, not {expected:?}")) }
            });
            before.unchanged(&nodes, &format!("{version} has come to {}", node.name));
            // Versions mixed or not, orders are carried out everywhere.
            let on_each: Vec<String> = (1..=nodes.len()).map(|i| format!("mixed@{i}")).collect();
            cluster.start_everywhere("mixed", &texts::SLEEP.replace("sleep@", "mixed@"));
            cluster.all_running(6, 20);
            node.run(&format!("flota destroy {}", on_each.join(" "))).ok();
            cluster.all_running(3, 20);
        }
    }
    before.unchanged(&nodes, "all of it");
}
