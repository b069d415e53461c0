//! Every type of unit on a real machine, `[Install]` sections, and units that are broken in every way that systemd
//! knows: none of them holds another one up.

use flota_e2e::{Cluster, Node, cluster, eventually, holds_for};

/// Where all units of these tests go: a machine that joined.
const PLACE: &str = "[X-Fleet]\nMachineMetadata=machine=m2\n";

/// Writes a unit file that is placed on the second machine.
#[track_caller]
fn write(cluster: &Cluster, unit: &str, text: &str) {
    cluster.m1().write(unit, format!("{text}{PLACE}"));
}

/// Waits until systemd on the machine says this of the unit.
#[track_caller]
fn is(node: Node<'_>, unit: &str, expected: &str) {
    eventually(&format!("{unit} is {expected}"), 10, || {
        let state = node.run(&format!("systemctl is-active {unit}"));
        if state.stdout.trim_end() == expected { Ok(()) } else { Err(state.to_string()) }
    });
}

/// What is left in the machine's folders of the units with these words in their names.
#[track_caller]
fn left(node: Node<'_>, words: &str) -> String {
    node.ask(&format!("ls -R /run/systemd/system /var/lib/flota/agent/units | grep -E '{words}' || true"))
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_socket_starts_its_service_when_somebody_connects_and_flota_leaves_it_running() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    write(&cluster, "echo.socket", "[Socket]\nListenStream=127.0.0.1:7001\n");
    m1.write("echo.service", "[Service]\nExecStart=/bin/sleep 1000\n[X-Fleet]\nMachineOf=echo.socket\n");
    m1.run("flota submit echo.service echo.socket").ok();
    // The socket alone cannot start: systemd does not know its service yet.
    m1.run("flota start --no-block echo.socket").ok();
    m1.run("flota load echo.service").ok();
    is(m2, "echo.socket", "active");
    is(m2, "echo.service", "inactive");

    m2.run("bash -c ': < /dev/tcp/127.0.0.1/7001'").ok();
    is(m2, "echo.service", "active");
    let pid = m2.ask("systemctl show --property MainPID echo.service");
    m2.run("systemctl restart flota.service").ok();
    holds_for(3, || assert_eq!(m2.ask("systemctl show --property MainPID echo.service"), pid));
    m1.run("flota list-unit-files --no-legend --fields unit,dstate").ok().out_has("echo.service  loaded");

    m1.run("flota destroy echo.service echo.socket").ok();
    is(m2, "echo.service", "inactive");
    assert_eq!(left(m2, "echo"), "");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_launched_pair_of_socket_and_service_starts_in_the_order_that_systemd_needs() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    write(&cluster, "chat@.socket", "[Socket]\nListenStream=/run/chat-%i.sock\n");
    m1.write("chat@.service", "[Service]\nExecStart=/bin/sleep 1000\n[X-Fleet]\nMachineOf=chat@%i.socket\n");
    m1.run("flota submit chat@.service chat@.socket").ok();
    m1.run("flota start chat@1.service chat@2.service chat@1.socket chat@2.socket").ok();
    for unit in ["chat@1.socket", "chat@2.socket", "chat@1.service", "chat@2.service"] {
        is(m2, unit, "active");
    }
    m1.run("flota destroy chat@1.service chat@2.service chat@1.socket chat@2.socket chat@.service chat@.socket").ok();
    assert_eq!(left(m2, "chat"), "");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn timers_and_paths_start_their_services() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    m2.run("rm -f /run/ticked /run/look /run/seen").ok();
    write(&cluster, "tick.service", "[Service]\nType=oneshot\nExecStart=/bin/touch /run/ticked\n");
    m1.write("tick.timer", "[Timer]\nOnActiveSec=1\nAccuracySec=100ms\n[X-Fleet]\nMachineOf=tick.service\n");
    let see = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'touch /run/seen; rm -f /run/look'\n";
    write(&cluster, "see.service", see);
    m1.write("see.path", "[Path]\nPathExists=/run/look\n[X-Fleet]\nMachineOf=see.service\n");
    m1.run("flota load tick.service see.service").ok();
    m1.run("flota start tick.timer see.path").ok();
    m2.run("touch /run/look").ok();
    eventually("the timer and the path did their work", 10, || {
        let found = m2.run("ls /run/ticked /run/seen");
        if found.code == 0 { Ok(()) } else { Err(found.to_string()) }
    });
    is(m2, "tick.timer", "active");
    is(m2, "see.path", "active");
    m1.run("flota destroy tick.timer tick.service see.path see.service").ok();
    assert_eq!(left(m2, "tick|see"), "");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn mounts_targets_and_slices_come_and_go() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    write(&cluster, "srv-flota.mount", "[Mount]\nWhat=tmpfs\nWhere=/srv/flota\nType=tmpfs\n");
    write(&cluster, "ready.target", "[Unit]\nDescription=All is ready\n");
    write(&cluster, "limit.slice", "[Slice]\nTasksMax=50\n");
    write(&cluster, "inside.service", "[Service]\nSlice=limit.slice\nExecStart=/bin/sleep 1000\n");
    m1.run("flota start srv-flota.mount ready.target limit.slice inside.service").ok();
    m2.run("findmnt --noheadings --output FSTYPE /srv/flota").ok().out("tmpfs\n");
    assert_eq!(m2.ask("cat /sys/fs/cgroup/limit.slice/pids.max || systemctl show -P TasksMax limit.slice"), "50");
    is(m2, "ready.target", "active");

    // A slice's new file, and its going, leave running what is in it.
    let pid = m2.ask("systemctl show --property MainPID inside.service");
    write(&cluster, "limit.slice", "[Slice]\nTasksMax=60\n");
    m1.run("flota start --replace limit.slice").ok();
    eventually("the new limit counts", 10, || {
        let limit = m2.ask("systemctl show -P TasksMax limit.slice");
        if limit == "60" { Ok(()) } else { Err(limit) }
    });
    m1.run("flota destroy limit.slice").ok();
    assert_eq!(m2.ask("systemctl show --property MainPID inside.service"), pid);

    m1.run("flota destroy inside.service srv-flota.mount ready.target").ok();
    m2.run("findmnt /srv/flota").code(1);
    assert_eq!(left(m2, "srv-flota|ready|limit|inside"), "");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn an_automount_is_handed_to_systemd_which_may_lack_the_kernels_help() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    write(&cluster, "srv-auto.mount", "[Mount]\nWhat=tmpfs\nWhere=/srv/auto\nType=tmpfs\n");
    m1.write("srv-auto.automount", "[Automount]\nWhere=/srv/auto\n[X-Fleet]\nMachineOf=srv-auto.mount\n");
    m1.run("flota load srv-auto.mount").ok();
    m1.run("flota start --no-block srv-auto.automount").ok();
    // A container has no /dev/autofs: there systemd's refusal is what a person gets to see.
    if m2.run("test -e /dev/autofs").code == 0 {
        is(m2, "srv-auto.automount", "active");
        m2.run("ls /srv/auto").ok();
        is(m2, "srv-auto.mount", "active");
    } else {
        eventually("systemd's refusal is told", 10, || {
            let why = m1.run("flota why srv-auto.automount");
            if why.stdout.contains("`unsupported`") { Ok(()) } else { Err(why.to_string()) }
        });
    }
    m1.run("flota destroy srv-auto.automount srv-auto.mount").ok();
    assert_eq!(left(m2, "srv-auto"), "");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn kinds_that_systemd_loads_from_no_file_are_refused_with_the_reason() {
    let cluster = cluster();
    let m1 = cluster.m1();
    for unit in ["x.scope", "dev-x.device", "x.snapshot", "x.busname"] {
        m1.write(unit, "[Unit]\nDescription=x\n");
        m1.run(&format!("flota submit {unit}")).code(65).out("").err_has(&format!("{unit} cannot run anywhere: "));
    }
    m1.run("flota list-unit-files --no-legend").ok().out("");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn an_install_section_is_honoured_and_made_good_again_after_a_power_cut() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    write(&cluster, "main.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    m1.write(
        "side.service",
        "[Unit]\nBindsTo=main.service\nAfter=main.service\n[Service]\nExecStart=/bin/sleep 1000\n\
         [Install]\nRequiredBy=main.service\nWantedBy=main.service\nAlias=aside.service\n[X-Fleet]\nMachineOf=main.service\n",
    );
    m1.run("flota submit main.service side.service").ok();
    m1.run("flota load main.service side.service").ok();
    let links = ["main.service.wants/side.service", "main.service.requires/side.service", "aside.service"];
    let linked = || {
        for link in links {
            m2.run(&format!("test -L /run/systemd/system/{link}")).ok();
        }
        assert_eq!(m2.ask("systemctl is-enabled side.service"), "enabled-runtime");
    };
    linked();
    // Starting one starts the other, as on any machine.
    m1.run("flota start main.service").ok();
    is(m2, "side.service", "active");
    is(m2, "aside.service", "active");
    m1.run("flota stop main.service").ok();
    is(m2, "side.service", "inactive");
    m1.run("flota start main.service").ok();

    cluster.lab().kill(m2.name).unwrap();
    cluster.power_on();
    cluster.together();
    is(m2, "main.service", "active");
    is(m2, "side.service", "active");
    linked();

    // New content without the section takes the links away.
    m1.write("side.service", "[Service]\nExecStart=/bin/sleep 1000\n[X-Fleet]\nMachineOf=main.service\n");
    m1.run("flota start --replace side.service").ok();
    is(m2, "side.service", "active");
    assert_eq!(left(m2, "aside|wants/side|main.service.(wants|requires)"), "");
    m1.run("flota destroy side.service main.service").ok();
    assert_eq!(left(m2, "side|main.service"), "");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn broken_units_are_told_of_and_hold_no_other_up() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    let sleep = "[Service]\nExecStart=/bin/sleep 1000\n";
    let broken = [
        ("bad-alias.service", format!("{sleep}[Install]\nAlias=other.timer\n"), "Cannot alias"),
        ("bad-thief.service", format!("{sleep}[Install]\nAlias=good1.service\n"), "its [Install] is not applied"),
        ("bad-setting.service", "[Service]\nRestart=no\n".to_owned(), "bad unit file setting"),
        ("bad-mount.mount", "[Mount]\nWhat=tmpfs\nWhere=/srv/elsewhere\n".to_owned(), "bad unit file setting"),
        ("bad-masked.service", sleep.to_owned(), "masked"),
        ("cron.service", sleep.to_owned(), "not Flota's"),
    ];
    m2.run("ln -sf /dev/null /etc/systemd/system/bad-masked.service").ok();
    m2.run("printf '[Service]\\nExecStart=/bin/true\\n' > /etc/systemd/system/cron.service; systemctl daemon-reload")
        .ok();
    for (unit, text, _) in &broken {
        write(&cluster, unit, text);
    }
    write(&cluster, "bad-exec.service", "[Service]\nExecStart=/nowhere/nothing\n");
    for unit in ["good1.service", "good2.service"] {
        write(&cluster, unit, sleep);
    }
    m1.run("flota submit *.service *.mount").ok();
    m1.run("flota start --no-block good1.service bad-*.service cron.service bad-mount.mount good2.service").ok();
    is(m2, "good1.service", "active");
    is(m2, "good2.service", "active");
    for (unit, _, why) in &broken {
        eventually(&format!("{unit} is told of"), 10, || {
            let said = m1.run(&format!("flota why {unit}"));
            if said.stdout.contains("problem: ") && said.stdout.contains(why) { Ok(()) } else { Err(said.to_string()) }
        });
    }
    is(m2, "bad-exec.service", "failed");
    // Only the section is not applied: the units themselves run.
    is(m2, "bad-alias.service", "active");
    is(m2, "bad-thief.service", "active");
    // What comes later is not held up either, and all of them can go.
    write(&cluster, "late.service", sleep);
    m1.run("flota start late.service").ok();
    m1.run("flota destroy good1.service good2.service late.service bad-*.service cron.service bad-mount.mount").ok();
    assert_eq!(left(m2, "bad-|good|late"), "");
    m2.run("rm /etc/systemd/system/bad-masked.service /etc/systemd/system/cron.service; systemctl daemon-reload").ok();
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn sighup_reads_the_metadata_anew_and_stops_nothing() {
    let cluster = cluster();
    let (m1, m2) = (cluster.m1(), cluster.m2());
    write(&cluster, "stays.service", "[Service]\nExecStart=/bin/sleep 1000\n");
    m1.run("flota start stays.service").ok();
    let pids = |node: Node<'_>| node.ask("systemctl show --property MainPID flota.service stays.service");
    let before = pids(m2);
    m2.run("cp /etc/flota/flota.toml /root/flota.toml").ok();
    let metadata = |expected: &str| {
        eventually(&format!("the list shows {expected}"), 5, || {
            let list = m1.run("flota list-machines --no-legend");
            let row = list.stdout.lines().find(|row| row.starts_with(m2.short_id())).unwrap_or_default().to_owned();
            if row.contains(expected) { Ok(()) } else { Err(list.to_string()) }
        });
    };
    m2.run("sed -i 's/machine = \"m2\"/machine = \"m2\", disk = \"ssd\"/' /etc/flota/flota.toml").ok();
    m2.run("systemctl kill --signal=HUP --kill-whom=main flota.service").ok();
    metadata("disk=ssd");
    // A broken file changes nothing, and is told of.
    m2.run("echo '[[[' > /etc/flota/flota.toml; systemctl kill --signal=HUP --kill-whom=main flota.service").ok();
    eventually("the log tells of the broken file", 5, || {
        let log = m2.run("journalctl --unit flota --no-pager --lines 20 --output cat");
        if log.stdout.contains("the configuration stays as it was") { Ok(()) } else { Err(log.to_string()) }
    });
    metadata("disk=ssd");
    m2.run("cp /root/flota.toml /etc/flota/flota.toml").ok();
    m2.run("for i in 1 2 3 4 5; do systemctl kill --signal=HUP --kill-whom=main flota.service; done").ok();
    eventually("the first metadata is back", 5, || {
        let list = m1.run("flota list-machines --no-legend");
        if list.stdout.contains("disk=ssd") { Err(list.to_string()) } else { Ok(()) }
    });
    assert_eq!(pids(m2), before, "neither the daemon nor the unit restarted");
    let stop = m2.run("systemctl stop flota.socket flota.service");
    stop.ok();
    assert!(stop.took.as_secs() < 10, "{stop}");
    assert_eq!(m2.ask("systemctl is-active stays.service"), "active");
    m2.start_daemon();
    cluster.together();
    m1.run("flota destroy stays.service").ok();
}
