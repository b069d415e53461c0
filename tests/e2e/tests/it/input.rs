//! Bad input: each a message that says what, where and how to mend it, an exit code, and nothing changed.

use flota_e2e::{Cluster, Node, cluster, eventually, texts};

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn bad_unit_files_are_shown_and_nothing_is_submitted() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.write("sleep@.service", texts::SLEEP);
    m1.run("flota submit sleep@.service").ok();
    let files = m1.ask("flota list-unit-files");
    m1.write("good.service", "[Service]\nExecStart=/bin/true\n");

    m1.write("typo.service", "[Service]\nExecStart=/bin/true\n\n[X-Fleet]\nConflict=web@*\n");
    m1.run("flota start good.service typo.service").code(65).out("").err(
        "typo.service:5:1: error: unknown option Conflict in [X-Fleet]\n  Conflict=web@*\n  ^\n\
         hint: did you mean Conflicts?\nnothing was submitted\n",
    );
    m1.write("empty.service", "");
    m1.run("flota submit empty.service")
        .code(65)
        .out("")
        .err("empty.service: error: unit file is empty\nhint: a service needs at least [Service] and ExecStart=\n");
    m1.write("long.service", format!("[Service]\nExecStart=/bin/echo {}\n", "x".repeat(1 << 20)));
    let long = m1.run("flota submit long.service");
    long.code(65)
        .out("")
        .err_has("long.service:2:1: error: line has 1048596 bytes, more than the 1048575 that systemd reads\n");
    assert!(long.stderr.len() < 1000, "the whole line is shown");
    m1.write("latin.service", b"[Service]\nExecStart=/bin/echo caf\xe9\n");
    m1.run("flota submit latin.service")
        .code(65)
        .out("")
        .err_has("latin.service:2:24: error: byte 0xe9 is not UTF-8\n")
        .err_has("hint: convert the file, for example: iconv -f latin1 -t utf-8\n");
    m1.run("mkdir folder.service").ok();
    m1.run("flota submit folder.service")
        .code(65)
        .out("")
        .err_has("folder.service: error: cannot read unit file: Is a directory");
    m1.run("flota submit missing.service")
        .code(1)
        .out("")
        .err_has("unable to find Unit(missing.service) in Registry or on filesystem");
    m1.run("flota start other@1")
        .code(1)
        .out("")
        .err_has("unable to find template Unit(other@.service) in Registry or on filesystem");
    m1.run("flota submit 'a b.service'")
        .code(2)
        .out("")
        .err_has("Invalid unit name \"a b.service\": invalid character ' '");
    m1.run("flota submit").code(2).out("").err_has("No units given");
    m1.run("flota start sleep@.service")
        .code(1)
        .out("")
        .err_has("cannot activate template \"sleep@.service\"")
        .err_has("such as sleep@1.service");
    // fleetctl's users know two codes.
    m1.run("fleetctl submit typo.service").code(1).out("").err_has("did you mean Conflicts?");

    assert_eq!(m1.ask("flota list-unit-files"), files);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn the_longest_line_that_systemd_reads_runs() {
    let cluster = cluster();
    let m1 = cluster.m1();
    // systemd ignores what begins with X-; the line is as long as one may be.
    let note = "x".repeat((1 << 20) - 1 - "X-Note=".len());
    m1.write("long.service", format!("[Service]\nExecStart=/bin/sleep infinity\nX-Note={note}\n"));
    m1.run("flota start long.service").ok();
    let node = cluster.place("long.service").unwrap();
    assert_eq!(node.ask("systemctl is-active long.service"), "active");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn unknown_units_are_named() {
    let cluster = cluster();
    let m1 = cluster.m1();
    for verb in ["stop", "unload", "destroy"] {
        m1.run(&format!("flota {verb} nope nada"))
            .code(1)
            .out("")
            .err("Units not found in registry: nope.service, nada.service\n");
    }
    for verb in ["status", "journal", "why"] {
        m1.run(&format!("flota {verb} nope")).code(1).out("").err("Unit nope.service does not exist.\n");
    }
    m1.run("flota cat nope").code(1).out("").err("Unit nope.service not found\n");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_unit_that_no_machine_can_take_is_told_so_at_once() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.write("pinned.service", "[Service]\nExecStart=/bin/true\n\n[X-Fleet]\nMachineMetadata=disk=ssd\n");
    let reason =
        |node: &Node<'_>| format!("  {}: MachineMetadata asks for disk=ssd, machine has no disk", node.legend());
    let reasons: Vec<String> = cluster.by_id().iter().map(reason).collect();
    let reasons = reasons.join("\n");
    let refused = m1.run("flota start pinned.service");
    refused.code(3).out("").err(&format!(
        "Error starting unit pinned.service: no machine can take it\n{reasons}\nhint: it stays launched and goes to the \
         first machine that can take it; give up with: flota unload pinned.service\n"
    ));
    assert!(refused.took.as_secs() < 5, "{refused}");
    m1.run("flota why pinned").ok().out_has("problem: no machine can take it").out_has("machine has no disk");

    // Every machine has one already.
    cluster.start_everywhere("sleep", texts::SLEEP);
    let refused = m1.run("flota start sleep@4");
    refused.code(3).out("");
    for number in 1..=3 {
        let at = cluster.place(&format!("sleep@{number}.service")).unwrap().legend();
        refused.err_has(&format!("  {at}: Conflicts matches sleep@{number}.service, which is there\n"));
    }
    // It stays wanted, and gets the first place that is free.
    let free = cluster.place("sleep@2.service").unwrap();
    m1.run("flota destroy sleep@2").ok();
    eventually("the waiting unit takes the place", 5, || match cluster.place("sleep@4.service") {
        Some(node) if node.name == free.name => Ok(()),
        _ => Err(m1.ask("flota why sleep@4")),
    });
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_unit_that_fails_is_told_so() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.write("broken.service", "[Service]\nExecStart=/no/such/program\n");
    let failed = m1.run("flota start broken.service");
    let at = cluster.place("broken.service").unwrap();
    failed.code(4).out("").err(&format!(
        "Error starting unit broken.service: it failed (failed/failed) on {}\n\
         hint: see why with: flota journal broken.service\n",
        at.legend()
    ));
    m1.run("flota journal broken.service").ok().out_has("/no/such/program");
    m1.run("flota list-units --no-legend").ok().out(&format!("broken.service  {}  failed  failed\n", at.legend()));
    m1.run("flota destroy broken.service").ok().out("Destroyed broken.service\n");
    assert_eq!(at.ask("systemctl list-units --all --no-legend broken.service"), "", "systemd remembers the failure");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_unit_of_the_machine_itself_is_neither_shadowed_nor_stopped() {
    let cluster = cluster();
    let m1 = cluster.m1();
    for unit in ["ssh.service", "dbus.service"] {
        let before = own_unit(&cluster, unit);
        m1.write(unit, "[Service]\nExecStart=/bin/sleep infinity\n");
        let taken = "this machine has a unit of this name already that is not Flota's: rename the unit, or remove the other one";
        m1.run(&format!("flota start {unit}")).code(4).out("").err_has(&format!("Error starting unit {unit}: {taken}"));
        m1.run(&format!("flota why {unit}")).ok().out_has(&format!("problem: {taken}"));
        m1.run("flota list-units --no-legend").ok().out("");
        m1.run(&format!("flota stop {unit}")).ok();
        m1.run(&format!("flota unload {unit}")).ok();
        m1.run(&format!("flota destroy {unit}")).ok();
        assert_eq!(own_unit(&cluster, unit), before, "Flota touched {unit}");
    }
}

fn own_unit(cluster: &Cluster, unit: &str) -> Vec<String> {
    let ask = |node: Node<'_>| {
        node.ask(&format!(
            "systemctl show {unit} -p MainPID -p FragmentPath -p DropInPaths -p InvocationID -p UnitFileState"
        ))
    };
    cluster.nodes().into_iter().map(ask).collect()
}
