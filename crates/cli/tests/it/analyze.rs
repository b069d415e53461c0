//! What `systemd-analyze verify` says of new unit files is a warning.

use crate::cluster::Cluster;

const ON_1: &str = "on f1ee0100.../10.1.1.1";
const BAD: &str = "[Service]\nExecStart=/bin/true\nRestrat=always\n";

/// Complains of the third line of each file.
const ANALYZE: &str = r#"
echo "$@" >> DIR/analyze.log
for file; do case $file in /*) echo "$file:3: Unknown key" >&2;; esac; done
exit 1
"#;

#[test]
fn complaints_are_warnings() {
    let cluster = Cluster::new(1);
    cluster.program("systemd-analyze", ANALYZE);
    let (bad, worse) = (cluster.file("bad.service", BAD), cluster.file("worse@.service", BAD));
    let warning = "WARNING: systemd-analyze: bad.service:3: Unknown key\n";
    cluster.flota(&["submit", &bad, &worse]).check(
        0,
        "Unit bad.service inactive\nUnit worse@.service inactive\n",
        &format!("{warning}WARNING: systemd-analyze: worse@instance.service:3: Unknown key\n"),
    );
    // What the cluster has already is not looked at again.
    let started = format!("Unit bad.service launched {ON_1}\n");
    cluster.flota(&["start", &bad]).check(0, &started, "");
    cluster.flota(&["destroy", "bad"]);
    cluster.flota(&["start", &bad]).check(0, &started, warning);
    cluster.flota(&["destroy", "bad"]);
    cluster.flota(&["load", "--no-verify", &bad]).check(0, &format!("Unit bad.service loaded {ON_1}\n"), "");
    let log = std::fs::read_to_string(cluster.path("analyze.log")).unwrap();
    assert_eq!(log.lines().count(), 2);
    let directory = log.split_whitespace().find(|word| word.starts_with('/')).unwrap();
    assert!(!std::path::Path::new(directory).exists(), "left behind: {directory}");
}

#[test]
fn without_systemd_analyze_nothing_is_said() {
    let cluster = Cluster::new(1);
    cluster.flota(&["submit", &cluster.file("bad.service", BAD)]).check(0, "Unit bad.service inactive\n", "");
}

#[test]
fn the_real_one() {
    if !std::path::Path::new("/usr/bin/systemd-analyze").exists() {
        return;
    }
    let cluster = Cluster::new(1).with("PATH", Some("/usr/bin:/bin"));
    let ran = cluster.flota(&["submit", &cluster.file("bad@.service", BAD), &cluster.service("good.service")]);
    assert_eq!((ran.code, ran.err.lines().count()), (0, 1), "{ran:?}");
    assert!(ran.err.starts_with("WARNING: systemd-analyze: bad@instance.service:3: Unknown key"), "{ran:?}");
}
