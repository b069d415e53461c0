//! What fleetctl's users found broken or missing, on real machines: restart, ssh, global units.

use flota_e2e::{Node, cluster, texts};

const GLOBAL: &str = "[Service]\nExecStart=/bin/sleep infinity\n\n[X-Fleet]\nGlobal=true\n";

#[track_caller]
fn main_pid(node: Node<'_>, unit: &str) -> String {
    let pid = node.ask(&format!("systemctl show --value --property MainPID {unit}"));
    assert_ne!(pid, "0", "{unit} does not run on {}", node.name);
    pid
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn restart_really_restarts() {
    let cluster = cluster();
    let m1 = cluster.m1();
    cluster.start_everywhere("sleep", texts::SLEEP);
    let place = cluster.place("sleep@1.service").unwrap();
    let other = cluster.place("sleep@2.service").unwrap();
    let (before, untouched) = (main_pid(place, "sleep@1"), main_pid(other, "sleep@2"));
    for program in ["flota", "fleetctl"] {
        let pid = main_pid(place, "sleep@1");
        m1.run(&format!("{program} restart sleep@1")).ok();
        assert_ne!(main_pid(place, "sleep@1"), pid, "{program} restart left the process as it was");
    }
    assert_ne!(main_pid(place, "sleep@1"), before);
    assert_eq!(main_pid(other, "sleep@2"), untouched, "only the named unit restarts");
    m1.run("flota list-unit-files --no-legend --fields unit,dstate").ok().out_has("sleep@1.service  launched");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn ssh_runs_on_the_machine_of_a_unit_and_passes_the_exit_code_on() {
    let cluster = cluster();
    let m1 = cluster.m1();
    cluster.start_everywhere("sleep", texts::SLEEP);
    for unit in ["sleep@1.service", "sleep@2.service", "sleep@3.service"] {
        let place = cluster.place(unit).unwrap();
        m1.run(&format!("flota ssh {unit} -- hostname")).ok().out(&format!("{}\n", place.name));
    }
    m1.run("flota ssh sleep@2 -- exit 42").code(42);
    let m3 = cluster.m3();
    m1.run(&format!("fleetctl ssh {} hostname", m3.short_id())).ok().out("m3\n");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_global_unit_shows_every_machine() {
    let cluster = cluster();
    let m1 = cluster.m1();
    // A name of its own: journals remember the units of other tests.
    m1.write("on-each.service", GLOBAL);
    m1.run("flota start on-each.service").ok();
    cluster.all_running(3, 20);
    let listed = m1.run("flota list-units --no-legend");
    for node in cluster.nodes() {
        listed.out_has(&node.legend());
        assert_eq!(node.ask("systemctl is-active on-each"), "active");
    }
    let status = m1.run("flota status on-each");
    assert_eq!(status.ok().stdout.matches("Active: active (running)").count(), 3, "{status}");
    let journal = m1.run("flota journal on-each");
    assert_eq!(journal.ok().stdout.matches("Started on-each.service").count(), 3, "{journal}");
}
