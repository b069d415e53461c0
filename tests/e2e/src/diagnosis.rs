//! What the machines say when a test has failed.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::cluster::Cluster;

const LOOK: &str = "journalctl -u flota --no-pager --lines 50 --output short-precise; \
    docker ps --all; systemctl list-units --no-pager --legend=false 'web@*' 'sleep@*' 'beat*' etcd.service '*.mount' --failed; \
    ls -l /run/systemd/system /var/lib/flota /var/lib/flota/store /var/lib/flota/agent/units";

/// Writes the state of the cluster and the log of each daemon to standard error. Must not panic: a test already does.
pub(crate) fn print(cluster: &Cluster) {
    let mut text = String::from("\n======== the cluster when the test failed\n");
    let nodes = cluster.nodes();
    let looks = nodes.iter().map(|node| (node.name, LOOK));
    for (name, line) in
        std::iter::once(("m1", "flota list-machines; flota list-units; flota list-unit-files")).chain(looks)
    {
        let _ = writeln!(text, "======== {name}$ {line}");
        match cluster.lab().exec_captured(name, &["timeout", "20", "sh", "-c", line]) {
            Ok(output) => {
                text.push_str(&String::from_utf8_lossy(&output.stdout));
                text.push_str(&String::from_utf8_lossy(&output.stderr));
            }
            Err(error) => drop(writeln!(text, "{error}")),
        }
    }
    // Whoever cannot read it cannot be helped.
    let _ = std::io::stderr().write_all(text.as_bytes());
}
