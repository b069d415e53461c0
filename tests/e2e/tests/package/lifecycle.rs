//! Install, upgrade, remove, install again, purge, install once more; the same processes all the time.

use std::time::Instant;

use flota_e2e::{Bare, NEWER, Node, eventually, full_length, packages, texts};
use flota_lab::{ContainerRecipe, Plain, Suite};

/// A socket that systemd holds, and the service behind it.
const DOOR: &str = "[Socket]\nListenStream=127.0.0.1:7000\n";
const BEHIND: &str = "[Service]\nExecStart=/bin/sleep infinity\n";
/// Loaded and never started.
const IDLE: &str = "[Service]\nExecStart=/bin/sleep infinity\n";
const LONE: &str = "[Service]\nExecStart=/bin/sleep infinity\n\n[X-Flota]\nExclusive=true\n";

/// What runs.
const RUNNING: [&str; 3] = ["sleep@1.service", "web@1.service", "door.socket"];

/// Everything by which Flota could be known on a machine, but for what this test put there: files and links by name or
/// target, units, groups, control groups. The daemon's folder is a disk of its own in a lab machine.
const TRACES: &str = "ls -A /var/lib/flota; find / -xdev -path /proc -prune -o -path /root -prune -o -path /var/lib/docker -prune -o \
    -path /var/lib/flota -prune -o \
    \\( -name '*flota*' -o -lname '*flota*' -o -name '*fleet*' \\) -print; \
    find /run /sys/fs/cgroup \\( -name '*flota*' -o -lname '*flota*' -o -name 'fleet*' \\) -print; \
    systemctl list-units --all --no-legend --plain 'flota*'; getent group flota; getent passwd flota; \
    ls /etc/alternatives/confd /usr/bin/confd 2>/dev/null; true";

fn apt(node: Node<'_>, words: &str) {
    node.run(&format!("DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes {words}")).ok();
}

/// The processes and sockets of what runs: each start would show in it.
fn lives(node: Node<'_>) -> String {
    let show = "systemctl show -p Id -p ActiveState -p LoadState -p MainPID -p NRestarts -p InvocationID";
    let containers = "docker ps --no-trunc --format '{{.ID}} {{.Names}}'";
    let port = "ss --no-header --listening --tcp src 127.0.0.1:7000";
    let lives = node.ask(&format!("{show} {}; {containers}; {port}", RUNNING.join(" ")));
    assert_eq!(lives.matches("ActiveState=active").count(), RUNNING.len(), "{lives}");
    assert_eq!(lives.matches("LoadState=loaded").count(), RUNNING.len(), "{lives}");
    assert!(lives.contains("web-1") && lives.contains("LISTEN"), "{lives}");
    lives
}

#[track_caller]
fn same_lives(node: Node<'_>, before: &str, after: &str) {
    assert_eq!(lives(node), before, "after {after}");
}

fn start_units(node: Node<'_>) {
    node.run("flota load door.service idle.service && flota start sleep@1 web@1 door.socket").ok();
}

#[track_caller]
fn no_traces(node: Node<'_>) {
    assert_eq!(node.ask(TRACES), "", "purge has left something");
    node.run("command -v flota fleetctl confd").code(127);
    node.run("test -e /run/systemd/system/idle.service").code(1);
}

/// From `apt install` on a fresh machine to units that run.
#[expect(clippy::print_stdout, reason = "figures for those who run it")]
fn install(bare: &Bare) -> String {
    let node = bare.node();
    bare.put(&packages().own, "flota.deb");
    bare.put(&packages().newer, "newer.deb");
    for (name, text) in [
        ("sleep@.service", texts::SLEEP),
        ("web@.service", texts::WEB),
        ("door.socket", DOOR),
        ("door.service", BEHIND),
        ("idle.service", IDLE),
        ("lone.service", LONE),
    ] {
        node.write(name, text);
    }
    let began = Instant::now();
    apt(node, "install ./flota.deb");
    let installed = began.elapsed();
    // Nothing is configured, and nothing is waited for.
    node.run("flota list-machines --no-legend --full").ok().out_has(node.id).out_has("ready");
    node.run("flota start sleep@1").ok();
    let release = node.ask(". /etc/os-release; echo $PRETTY_NAME");
    println!(
        "{release}: installed in {:.1} s, first unit running after {:.1} s",
        installed.as_secs_f32(),
        began.elapsed().as_secs_f32()
    );
    start_units(node);
    eventually("the container runs", 20, || {
        let page = flota_e2e::page(node.address)?;
        if page.contains("on machine") { Ok(()) } else { Err(page) }
    });
    lives(node)
}

/// Whoever is in the group needs no root, and nobody else gets in; names are completed.
fn people(node: Node<'_>) {
    node.run("useradd --groups flota member && useradd stranger").ok();
    node.run("setpriv --reuid member --regid member --init-groups flota list-units --no-legend")
        .ok()
        .out_has("sleep@1");
    let refused = node.run("setpriv --reuid stranger --regid stranger --init-groups flota list-units");
    refused.code(69).err_has("the group flota; try again with sudo");
    node.run("fleetctl list-units --no-legend").ok().out_has("web@1.service");
    node.run("confd -version").ok().out_has("confd");
    // A program of its own, which needs no other file of the package.
    node.run("readlink -f /usr/bin/confd").out("/usr/libexec/flota/confd\n");
    node.run("mkdir -p c/conf.d c/templates && cp -L /usr/bin/confd c/").ok();
    node.write("c/conf.d/a.toml", "[template]\nsrc = \"a\"\ndest = \"/root/c/a\"\n");
    node.write("c/templates/a", "{{getenv \"HOME\"}}\n");
    node.run("c/confd -onetime -backend env -confdir c && cat c/a").out("/root\n");
    node.run("FLOTA_COMPLETE=fish flota -- flota stop sle").ok().out_has("sleep@1.service");
    node.run("FLOTA_COMPLETE=fish flota -- flota drain ''").ok().out_has(node.short_id());
}

fn lifecycle(suite: Suite) {
    let bare = Bare::boot(suite);
    let node = bare.node();
    bare.lab().build_container_image("flota/web:1", &ContainerRecipe::web(), &mut Plain(std::io::stderr())).unwrap();
    let before = install(&bare);
    people(node);

    let daemon = node.ask("systemctl show -p MainPID --value flota.service");
    apt(node, "install ./newer.deb");
    same_lives(node, &before, "an upgrade");
    node.run("dpkg-query --show flota").ok().out_has(NEWER);
    assert_ne!(node.ask("systemctl show -p MainPID --value flota.service"), daemon, "the old daemon runs on");
    node.run("flota list-units --no-legend --fields unit,active").ok().out_has("sleep@1.service  active");

    apt(node, "remove flota");
    same_lives(node, &before, "removal");
    node.run("systemctl is-active flota.service flota.socket").out("inactive\ninactive\n");
    apt(node, "install ./flota.deb");
    same_lives(node, &before, "installing again");
    node.run("flota list-units --no-legend --fields unit,active").ok().out_has("web@1.service    active");

    node.run("flota start lone.service").ok();
    apt(node, "purge flota");
    same_lives(node, &before, "purge");
    // Whether anyone starts it elsewhere nobody knows any more.
    node.run("systemctl is-active lone.service").out("inactive\n");
    no_traces(node);

    apt(node, "install ./flota.deb");
    start_units(node);
    same_lives(node, &before, "purge and installing once more");
    let taken = node.ask("flota list-units --no-legend --fields unit,active");
    for unit in RUNNING {
        assert!(taken.lines().any(|line| line.starts_with(unit) && line.ends_with("active")), "{unit}: {taken}");
    }
    node.run("readlink /run/systemd/system/sleep@1.service").ok().out_has("/var/lib/flota/agent/units/");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn on_trixie_the_package_comes_and_goes_and_what_runs_runs_on() {
    lifecycle(Suite::Trixie);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn on_bookworm_and_forky_too() {
    if full_length() {
        lifecycle(Suite::Bookworm);
        lifecycle(Suite::Forky);
    }
}
