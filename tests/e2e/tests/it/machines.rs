//! Machines taken out of service by command, on real ones: cordon, drain, leave, removal.

use std::collections::BTreeSet;

use flota_e2e::{InUse, Node, Witness, cluster, eventually, holds_for};

/// A plain process, as many per machine as there are.
const PLAIN: &str = "[Service]\nExecStart=/bin/sleep infinity\n";

/// Starts that many plain units.
#[track_caller]
fn start_plain(cluster: &InUse, count: usize) {
    cluster.m1().write("plain@.service", PLAIN);
    let names: Vec<String> = (1..=count).map(|number| format!("plain@{number}")).collect();
    cluster.m1().run(&format!("flota start {}", names.join(" "))).ok();
}

/// The units that the cluster has on a machine.
#[track_caller]
fn units_on(cluster: &InUse, node: Node<'_>) -> BTreeSet<String> {
    let list = cluster.m1().ask("flota list-unit-files --no-legend --full --fields target,unit");
    let rows = list.lines().filter_map(|row| row.split_once(' '));
    rows.filter(|(target, _)| target.starts_with(node.id)).map(|(_, unit)| unit.trim().to_owned()).collect()
}

/// How the list of machines shows one.
#[track_caller]
fn state_of(cluster: &InUse, node: Node<'_>) -> String {
    let list = cluster.m1().ask("flota list-machines --no-legend --full --fields machine,state");
    let row = list.lines().find_map(|row| row.strip_prefix(node.id));
    row.unwrap_or("unknown").trim().to_owned()
}

/// A machine that left comes back as if it had never been there.
#[track_caller]
fn readmit(cluster: &InUse, node: Node<'_>) {
    node.run("systemctl stop flota.socket flota.service; rm -f /var/lib/flota/left.json").ok();
    node.start_daemon();
    cluster.together();
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_cordon_keeps_what_is_there_and_nothing_comes() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    start_plain(&cluster, 6);
    let before = units_on(&cluster, m2);
    assert_eq!(before.len(), 2, "{before:?}");
    let witness = Witness::of(&[m2]);
    let line = format!("Machine {} cordoned\n", m2.legend());
    m1.run(&format!("flota cordon {} --reason 'new disk'", m2.short_id())).ok().out(&line).err("");
    assert_eq!(state_of(&cluster, m2), "cordoned: new disk");

    start_plain(&cluster, 9);
    assert_eq!(units_on(&cluster, m2), before, "nothing leaves, nothing comes");
    witness.unchanged(&[m2], "a cordon");
    let nowhere = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nMachineMetadata=machine=m2\n";
    m1.write("there.service", nowhere);
    m1.run("flota start there.service").code(3).err_has(m2.short_id()).err_has("cordoned");
    m1.run(&format!("flota uncordon {}", m2.address)).ok();
    eventually("the unit that waited is there", 10, || {
        let active = m2.run("systemctl is-active there.service");
        if active.stdout == "active\n" { Ok(()) } else { Err(active.to_string()) }
    });
    assert_eq!(state_of(&cluster, m2), "ready");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_drain_moves_units_one_by_one_and_waits_until_none_is_left() {
    let cluster = cluster();
    let (m1, m3) = (cluster.m1(), cluster.m3());
    start_plain(&cluster, 9);
    assert_eq!(units_on(&cluster, m3).len(), 3);
    let others = Witness::of(&[m1, cluster.m2()]);
    let untouched = others.len();
    let drained = std::thread::scope(|scope| {
        let drain = scope.spawn(|| m1.run(&format!("flota drain {} --reason repairs", m3.id)));
        while !drain.is_finished() {
            let list = m1.ask("flota list-units --no-legend --fields unit,active");
            let up: BTreeSet<&str> = list.lines().filter_map(|row| row.strip_suffix("  active")).collect();
            assert!(up.len() >= 8, "more than one unit is away at a time\n{list}");
        }
        drain.join().unwrap()
    });
    drained.ok().out(&format!("Machine {} drained\n", m3.legend())).err("");
    assert_eq!(state_of(&cluster, m3), "draining: repairs");
    cluster.all_running(9, 5);
    assert_eq!(units_on(&cluster, m3), BTreeSet::new());
    assert_eq!(m3.ask("ls /var/lib/flota/agent/units"), "");
    assert_eq!(Witness::of(&[m1, cluster.m2()]).len(), untouched + 3, "all of them came to the others");

    m1.run(&format!("flota uncordon {}", m3.id)).ok();
    start_plain(&cluster, 10);
    assert_eq!(units_on(&cluster, m3).len(), 1, "it takes units again");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_drain_names_the_units_that_no_other_machine_can_take() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    m1.write("bound.service", format!("{PLAIN}\n[X-Fleet]\nMachineMetadata=machine=m2\n"));
    m1.run("flota start bound.service").ok();
    for node in [m1, cluster.m3()] {
        m1.run(&format!("flota cordon {}", node.id)).ok();
    }
    let witness = Witness::of(&[m2]);
    m1.run(&format!("flota drain {}", m2.id))
        .code(3)
        .err_has("keeps 1 unit: no other machine can take them")
        .err_has("bound.service:")
        .err_has("MachineMetadata asks for machine=m2, machine has machine=m1")
        .err_has(&format!("end it with: flota uncordon {}", m2.id));
    m1.run("flota why bound").ok().out_has(&format!("note: machine {} is draining", m2.legend()));
    witness.unchanged(&[m2], "a drain that found no place for the unit");
    let ids: Vec<&str> = cluster.nodes().iter().map(|node| node.id).collect();
    m1.run(&format!("flota uncordon {}", ids.join(" "))).ok();
}

/// What must not change while a machine leaves and keeps its units.
#[track_caller]
fn lives(node: Node<'_>, units: &[&str]) -> Vec<String> {
    let show = |unit: &&str| {
        node.ask(&format!("systemctl show {unit} -p ActiveState -p MainPID -p InvocationID -p NRestarts"))
    };
    units.iter().map(show).collect()
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_leaves_and_keeps_every_process_over_a_reboot() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    let here = "[X-Fleet]\nMachineMetadata=machine=m2\n";
    let units = ["bare.service", "wanted.service", "idle@1.service", "everywhere.service"];
    m1.write(units[0], format!("{PLAIN}\n{here}"));
    m1.write(units[1], format!("{PLAIN}\n[Install]\nWantedBy=multi-user.target\n\n{here}"));
    m1.write("idle@.service", format!("{PLAIN}\n{here}"));
    m1.write(units[3], format!("{PLAIN}\n[X-Fleet]\nGlobal=true\n"));
    m1.run("flota start bare.service wanted.service everywhere.service && flota load idle@1").ok();
    eventually("the global unit runs there", 10, || match m2.run("systemctl is-active everywhere").code {
        0 => Ok(()),
        code => Err(format!("code {code}")),
    });
    m1.run("flota leave").code(1).err_has("this machine has the cluster's store, which 2 other machines use");
    m2.write("foreign", "[Service]\nExecStart=/bin/false\n");
    m2.run("cp foreign /etc/systemd/system/bare.service").ok();
    let before = lives(m2, &units);
    m2.run("flota leave --keep").code(1).err_has("are not Flota's, move them away first: bare.service");
    assert_eq!(state_of(&cluster, m2), "ready", "nothing was changed");
    m2.run("rm /etc/systemd/system/bare.service").ok();

    m2.run("flota leave --keep").ok().out_has("Unit bare.service runs on as a plain systemd unit");
    assert_eq!(lives(m2, &units), before, "a process changed");
    assert_eq!(m2.ask("systemctl show -p FragmentPath --value bare"), "/etc/systemd/system/bare.service");
    assert_eq!(m2.ask("systemctl is-enabled bare wanted"), "enabled\nenabled");
    eventually("the cluster has forgotten the machine", 10, || match state_of(&cluster, m2).as_str() {
        "unknown" => Ok(()),
        state => Err(state.to_owned()),
    });
    let list = m1.ask("flota list-unit-files --no-legend --fields unit,dstate");
    for row in ["bare.service        inactive", "wanted.service      inactive", "everywhere.service  launched"] {
        assert!(list.contains(row), "{list}");
    }
    m2.run("flota list-units").code(69).err_has("this machine left cluster");
    m2.run("systemctl restart flota.service").ok();
    m2.run("flota start bare.service").code(69).err_has("run `flota join`");
    // Longer than a lease and all patience of a leader.
    holds_for(8, || assert_eq!(lives(m2, &units), before, "a process changed"));

    cluster.lab().kill(m2.name).unwrap();
    cluster.power_on();
    for unit in ["bare.service", "wanted.service", "everywhere.service"] {
        eventually(&format!("{unit} runs after a reboot"), 30, || {
            let active = m2.run(&format!("systemctl is-active {unit}"));
            if active.code == 0 { Ok(()) } else { Err(active.to_string()) }
        });
    }
    m2.run("systemctl is-active idle@1.service").code(3);
    let files = "bare.service wanted.service everywhere.service idle@1.service";
    m2.run(&format!(
        "systemctl disable --now {files}; cd /etc/systemd/system && rm -f {files} && systemctl daemon-reload"
    ))
    .ok();
    readmit(&cluster, m2);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_leaves_empty_and_its_units_run_elsewhere() {
    let cluster = cluster();
    let m3 = cluster.m3();
    start_plain(&cluster, 6);
    let left = m3.run("flota leave");
    left.ok().err("");
    assert!(left.stdout.starts_with("This machine has left cluster "), "{left}");
    let list = cluster.m1().ask("flota list-units --no-legend --fields active");
    assert_eq!(list, ["active"; 6].join("\n"));
    eventually("the cluster has forgotten the machine", 10, || match state_of(&cluster, m3).as_str() {
        "unknown" => Ok(()),
        state => Err(state.to_owned()),
    });
    assert_eq!(m3.ask("ls /var/lib/flota/agent/units; systemctl list-units --no-legend 'plain@*'"), "");
    m3.run("systemctl restart flota.service; flota list-machines").code(69).err_has("this machine left cluster");
    readmit(&cluster, m3);
    assert_eq!(state_of(&cluster, m3), "ready");
    start_plain(&cluster, 8);
    assert_eq!(units_on(&cluster, m3).len(), 2, "it is a machine like any other again");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_that_is_gone_for_good_is_removed_and_forgotten() {
    let cluster = cluster();
    let (m1, m3) = (cluster.m1(), cluster.m3());
    start_plain(&cluster, 6);
    m1.run(&format!("flota remove-machine {}", m3.id)).code(1).err_has("lives").err_has("flota drain");
    cluster.lab().kill(m3.name).unwrap();
    eventually("the machine does not answer", 15, || match state_of(&cluster, m3).as_str() {
        "lost" => Ok(()),
        state => Err(state.to_owned()),
    });
    let line = format!("Machine {} removed\n", m3.legend());
    m1.run(&format!("flota remove-machine {}", m3.id)).ok().out(&line).err("");
    eventually("its units run elsewhere", 15, || {
        let list = m1.run("flota list-units --no-legend --fields active");
        if list.stdout == "active\n".repeat(6) { Ok(()) } else { Err(list.to_string()) }
    });
    assert_eq!(state_of(&cluster, m3), "unknown");
    cluster.power_on();
    eventually("the machine that comes back knows that it was removed", 20, || {
        let asked = m3.run("flota list-machines");
        if asked.code == 69 && asked.stderr.contains("this machine left cluster") {
            Ok(())
        } else {
            Err(asked.to_string())
        }
    });
    assert_eq!(m3.ask("systemctl list-units --no-legend 'plain@*'"), "", "what runs elsewhere is not started here");
    readmit(&cluster, m3);
    start_plain(&cluster, 8);
    assert_eq!(units_on(&cluster, m3).len(), 2, "it is a machine like any other again");
}
