//! `--tunnel` with a stand-in for ssh that forwards a socket by linking it.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;

const SSH: &str = r#"
line=ssh
for word; do line="$line|$word"; done
echo "$line" >> DIR/ssh.log
case $line in *nowhere*) exit 255;; esac
while [ $# -gt 0 ]; do
    if [ "$1" = -L ]; then
        echo $$ > DIR/pid
        ln -s "${2#*:}" "${2%%:*}"
        exec sleep 60
    fi
    shift
done
exit 7
"#;

fn cluster() -> Cluster {
    let cluster = Cluster::new(1);
    cluster.program("ssh", SSH);
    cluster.flota(&["start", &cluster.service("a.service")]);
    cluster
}

/// How ssh was called, without the names of directories that live as long as a command.
fn calls(cluster: &Cluster) -> Vec<String> {
    let log = std::fs::read_to_string(cluster.path("ssh.log")).unwrap();
    let own = cluster.path("").to_str().unwrap().trim_end_matches('/').to_owned();
    let line = |line: &str| {
        let line = line.replace(&own, "DIR");
        let control = line.split("-S|").nth(1).or_else(|| line.split("-S ").nth(1)).unwrap();
        let directory = control.split("/control").next().unwrap().to_owned();
        assert!(!std::path::Path::new(&directory).exists(), "left behind: {directory}");
        line.replace(&directory, "TUNNEL")
    };
    log.lines().map(line).collect()
}

#[test]
fn the_api_through_ssh() {
    let cluster = cluster();
    let ran = cluster.fleetctl(&["--tunnel", "core@gate:2222", "list-units", "--no-legend"]);
    ran.check(0, "a.service\tf1ee0100.../10.1.1.1\tactive\trunning\n", "");
    let expected = "ssh|-N|-M|-S|TUNNEL/control|-o|ExitOnForwardFailure=yes|-o|ControlPersist=no|-L|TUNNEL/api:\
                    DIR/api.sock|-p|2222|-l|core|--|gate";
    assert_eq!(calls(&cluster), [expected]);
    // The tunnel ends with the command.
    let pid = std::fs::read_to_string(cluster.path("pid")).unwrap();
    let gone = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while !gone() {
        assert!(Instant::now() < deadline, "ssh is still there");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn machines_behind_it_are_reached_through_it() {
    let cluster = cluster().with("FLEETCTL_TUNNEL", Some("gate"));
    for (arguments, expected) in [
        (&["ssh", "a", "uptime"][..], "--|10.1.1.1|uptime"),
        (&["status", "a"], "--|10.1.1.1|systemctl status -l a.service"),
        (&["journal", "a"], "--|10.1.1.1|journalctl --unit a.service --no-pager -n 10 --output short"),
    ] {
        let _ = std::fs::remove_file(cluster.path("ssh.log"));
        cluster.fleetctl(arguments).check(7, "", "");
        let jump = "ssh|-o|ProxyCommand=ssh -S TUNNEL/control -W [%h]:%p -- gate|";
        assert_eq!(calls(&cluster)[1], format!("{jump}{expected}"));
    }
}

#[test]
fn no_tunnel() {
    let cluster = cluster();
    let expected = "Unable to initialize client: no tunnel to nowhere: ssh ended (exit status: 255)\n";
    let ran = cluster.flota(&["--tunnel=nowhere", "list-units"]);
    assert!(ran.err.starts_with(expected) && ran.code == 69, "{ran:?}");
    assert_eq!(cluster.fleetctl(&["--tunnel=nowhere", "list-units"]).code, 1);
    let host = "hint: does ssh alone get there? try: ssh nowhere\n";
    assert!(ran.err.ends_with(host), "{ran:?}");
    let ran = cluster.flota(&["--tunnel=gate:x", "list-units"]);
    ran.check(2, "", "Invalid value of --tunnel: \"x\" is not a port\n");
}

#[test]
fn a_tunnel_to_a_daemon_that_does_not_answer() {
    let cluster = cluster();
    // A stand-in for a socket that takes connections and drops them.
    let socket = cluster.path("mute.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let endpoint = format!("unix://{}", socket.display());
    let ran = cluster.flota(&["--tunnel=gate", "--endpoint", &endpoint, "list-units"]);
    let hint = "hint: the tunnel to gate is there; may you use unix://DIR/mute.sock on it, and does a daemon answer?\n";
    assert!(ran.code == 69 && ran.err.ends_with(hint), "{ran:?}");
}
