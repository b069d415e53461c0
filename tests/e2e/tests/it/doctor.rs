//! `flota doctor`: it finds nothing wrong with a machine that is well, and finds what is broken, with what to do.

use flota_e2e::{Node, Ran, cluster, eventually};

/// Runs the examination, which must end with this exit code.
#[track_caller]
fn examine(node: Node<'_>, code: i32) -> Ran {
    let ran = node.run("flota doctor");
    ran.code(code);
    ran
}

/// Whether a check tells something at a level, and then what to do.
#[track_caller]
fn tells(ran: &Ran, level: &str, check: &str, what: &str, mend: &str) {
    let mut lines = ran.stdout.lines();
    let is_it =
        |line: &&str| line.starts_with(level) && line.split_whitespace().nth(1) == Some(check) && line.contains(what);
    assert!(lines.any(|line| is_it(&line)), "no {level} of {check} with `{what}`\n{ran}");
    let next = lines.next().unwrap_or_default();
    assert!(next.trim_start().starts_with("mend:") && next.contains(mend), "not told to `{mend}`\n{ran}");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn machines_that_are_well_are_found_to_be_so() {
    let cluster = cluster();
    for node in cluster.nodes() {
        let ran = examine(node, 0);
        for well in [
            "\nok    machine-id ",
            "\nok    service        flota.service is active, enabled",
            "\nok    daemon ",
            "\nok    ports          Flota's: 127.0.0.1:4001 (gateway), ",
            "\nok    store ",
            "\nok    machines       all 2 others answer",
            "\nok    certificates ",
        ] {
            ran.out_has(well);
        }
        ran.out_has(&format!("{}:4002/udp (peer)", node.address));
        assert!(ran.took.as_secs() < 15, "{ran}");
    }
    let m2 = cluster.m2();
    let told = m2.run("flota doctor --output json");
    told.ok().out_has("\"check\": \"kernel\"");
    assert!(!told.stdout.contains("\"fail\""), "{told}");
    // Who is not root is told what could not be looked at; nothing of that is an error.
    let nobody = m2.run("setpriv --reuid=65534 --regid=65534 --clear-groups flota doctor");
    nobody.ok();
    tells(&nobody, "?", "daemon", "only root can ask the daemon", "sudo flota doctor");
    m2.run("flota doctor --tunnel m3").code(2).err_has("flota ssh MACHINE flota doctor");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn what_is_broken_is_found_and_mended_by_what_is_told() {
    let cluster = cluster();
    let m2 = cluster.m2();

    // The daemon is stopped, another program has its port, names are asked of nobody, and docker is stopped.
    m2.run("cp -a /etc/flota/pki/machine.pem machine.pem").ok();
    m2.stop_daemon();
    let serve = "flota store serve --data-dir /root/thief --listen-client-urls http://127.0.0.1:4001";
    m2.run(&format!("systemd-run --quiet --unit=thief {serve}")).ok();
    m2.run("echo 'nameserver 192.0.2.53' > /etc/resolv.conf").ok();
    m2.run("systemctl stop docker.socket docker.service").ok();
    eventually("the port is taken", 10, || {
        let asked = m2.run("curl -s -o /dev/null http://127.0.0.1:4001/");
        if asked.code == 0 { Ok(()) } else { Err(asked.to_string()) }
    });
    let ran = examine(m2, 1);
    tells(&ran, "FAIL", "service", "flota.service is inactive", "systemctl enable --now flota.socket flota.service");
    tells(&ran, "FAIL", "daemon", "flota.service is inactive", "systemctl start flota.socket flota.service");
    tells(&ran, "FAIL", "ports", "127.0.0.1:4001 (gateway) is held by flota (process", "systemctl stop thief.service");
    tells(&ran, "FAIL", "names", "no name server answers (192.0.2.53)", "/etc/resolv.conf");
    tells(&ran, "warn", "containers", "docker does not answer", "systemctl start docker");
    m2.run("systemctl is-active flota.service").code(3);
    // What was told, typed.
    m2.run("systemctl stop thief.service; systemctl start docker; rm /etc/resolv.conf").ok();
    m2.run("systemctl enable --now flota.socket flota.service").ok();
    cluster.together();
    examine(m2, 0);

    // Another's certificate, no room, and a store that is not where it should be.
    m2.run("mount -t tmpfs -o size=2m none /var/lib/docker && cp /etc/flota/pki/ca.pem /etc/flota/pki/machine.pem")
        .ok();
    cluster.m1().stop_daemon();
    let ran = examine(m2, 1);
    tells(&ran, "FAIL", "space", "/var/lib/docker: 2 MiB of 2 MiB free", "docker system prune");
    tells(
        &ran,
        "FAIL",
        "certificates",
        "/etc/flota/pki/machine.pem: does not go with",
        "replace /etc/flota/pki/machine.pem",
    );
    tells(&ran, "FAIL", "store", "cannot be reached: https://", "systemctl status flota");
    m2.run("umount /var/lib/docker; cp -a machine.pem /etc/flota/pki/machine.pem").ok();
    cluster.m1().start_daemon();
    cluster.together();

    // A machine that is cut off from another one, but not from the store.
    m2.run("nft 'add table ip cut; add chain ip cut in { type filter hook input priority 0; }'").ok();
    m2.run(&format!("nft add rule ip cut in ip saddr {} drop", cluster.m3().address)).ok();
    let ran = examine(cluster.m3(), 1);
    let port = format!("{}:4002", m2.address);
    tells(&ran, "FAIL", "machines", &format!("lives, but cannot be asked at {port}"), "open TCP and UDP");
    m2.run("nft delete table ip cut").ok();
    m2.run("sed -i 's/\\[store\\]/[stroe]/' /etc/flota/flota.toml").ok();
    let ran = examine(m2, 1);
    tells(&ran, "FAIL", "configuration", "stroe", "systemctl restart flota");
    m2.run("sed -i 's/\\[stroe\\]/[store]/' /etc/flota/flota.toml").ok();
    examine(m2, 0);
}
