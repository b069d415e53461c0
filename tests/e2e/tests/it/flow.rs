//! The whole flow: unit files in, containers under systemd on three machines, states back, everything away again.

use flota_e2e::{Cluster, Node, cluster, eventually, page, texts};

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_template_becomes_containers_on_two_machines_and_goes_away_again() {
    let cluster = cluster();
    let m1 = cluster.m1();
    m1.run("flota list-machines").ok().out(&machines(&cluster)).err("");
    m1.write("web@.service", texts::WEB);
    m1.run("flota submit web@.service").ok().out("Unit web@.service inactive\n").err("");
    let started = m1.run("flota start web@1 web@2");
    let (one, two) = (cluster.place("web@1.service").unwrap(), cluster.place("web@2.service").unwrap());
    assert_ne!(one.name, two.name, "Conflicts=web@* is not kept\n{started}");
    started.ok().err("");
    let launched = |unit: &str, node: Node<'_>| format!("Unit {unit} launched on {}", node.legend());
    assert_eq!(started.sorted_lines(), [launched("web@1.service", one), launched("web@2.service", two)]);

    for (node, name) in [(one, "1"), (two, "2")] {
        let page = cluster.page_answers(node, 20);
        assert!(page.starts_with(&format!("Flota web {name} in container ")), "{page}");
        assert_eq!(node.containers(), [format!("web-{name}")]);
        assert_eq!(node.ask(&format!("systemctl is-active web@{name}")), "active");
    }
    lists(&cluster, one, two);
    details(m1);
    away(&cluster, one, two);
}

fn machines(cluster: &Cluster) -> String {
    let row = |node: Node<'_>| {
        let number = &node.name[1..];
        format!("{}...  {}  ready  machine={},rack=r{number}\n", node.short_id(), node.address, node.name)
    };
    format!("MACHINE      IP            STATE  METADATA\n{}", cluster.by_id().into_iter().map(row).collect::<String>())
}

fn lists(cluster: &Cluster, one: Node<'_>, two: Node<'_>) {
    let m1 = cluster.m1();
    let expected = format!(
        "UNIT           MACHINE                   ACTIVE  SUB\n\
         web@1.service  {}  active  running\n\
         web@2.service  {}  active  running\n",
        one.legend(),
        two.legend()
    );
    // Every machine answers for the whole cluster.
    for node in cluster.nodes() {
        node.run("flota list-units").ok().out(&expected).err("");
    }
    // A unit file's identity is the SHA-1 of its canonical text.
    let hash = m1.ask("sha1sum web@.service");
    let hash = &hash[..7];
    let expected = format!(
        "UNIT           HASH     DSTATE    STATE     TARGET\n\
         web@.service   {hash}  inactive  inactive  -\n\
         web@1.service  {hash}  launched  launched  {}\n\
         web@2.service  {hash}  launched  launched  {}\n",
        one.legend(),
        two.legend()
    );
    m1.run("flota list-unit-files").ok().out(&expected).err("");
    let json: serde_json::Value = serde_json::from_str(&m1.ask("flota list-units --output json")).unwrap();
    assert_eq!(json[0]["name"], "web@1.service");
    assert_eq!(json[0]["machineID"], one.id);
    assert_eq!(json[0]["systemdActiveState"], "active");
}

fn details(m1: Node<'_>) {
    m1.run("flota cat web@1").ok().out(texts::WEB).err("");
    // At least one of the two is on another machine, so this goes over ssh, too.
    for name in ["web@1", "web@2"] {
        let status = m1.run(&format!("flota status {name}"));
        status.ok().out_has("Active: active (running)").out_has("/usr/bin/docker run --rm --name web-");
        let journal = m1.run(&format!("flota journal -n 20 {name}"));
        journal.ok().out_has(&format!("Started {name}.service - Web page "));
        m1.run(&format!("flota why {name}"))
            .ok()
            .out_has(&format!("{name}.service: should be launched, is on "))
            .out_has("cause: ");
    }
}

fn away(cluster: &Cluster, one: Node<'_>, two: Node<'_>) {
    let m1 = cluster.m1();
    let line = format!("Unit web@1.service loaded on {}\n", one.legend());
    m1.run("flota stop web@1").ok().out(&line).err("Successfully stopped units [web@1.service].\n");
    assert!(page(one.address).is_err(), "the stopped container answers");
    assert_eq!(one.containers(), [""; 0]);
    m1.run("flota list-units").ok().out_has(&format!("web@1.service  {}  inactive  dead\n", one.legend()));
    cluster.page_answers(two, 1);

    m1.run("flota unload web@1")
        .ok()
        .out("Unit web@1.service inactive\n")
        .err("Successfully unloaded units [web@1.service].\n");
    one.run("systemctl cat web@1.service").code(1).err_has("No files found for web@1.service");

    m1.run("flota destroy web@1 web@2 web@.service").ok().err("");
    assert!(page(two.address).is_err(), "the destroyed container answers");
    m1.run("flota list-unit-files").ok().out("UNIT  HASH  DSTATE  STATE  TARGET\n");
    m1.run("flota list-units").ok().out("UNIT  MACHINE  ACTIVE  SUB\n");
    for node in [one, two] {
        assert_eq!(node.containers(), [""; 0]);
        assert_eq!(node.ask("ls /var/lib/flota/agent/units /run/systemd/system | grep web || true"), "");
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn fleetctl_users_get_fleets_words_and_tabs() {
    let cluster = cluster();
    let m1 = cluster.m1();
    let row = |node: Node<'_>| {
        let number = &node.name[1..];
        format!("{}...\t{}\tmachine={},rack=r{number}\n", node.short_id(), node.address, node.name)
    };
    let machines: String = cluster.by_id().into_iter().map(row).collect();
    m1.run("fleetctl list-machines").ok().out(&format!("MACHINE\t\tIP\t\tMETADATA\n{machines}")).err("");

    m1.write("sleep@.service", texts::SLEEP);
    let started = m1.run("fleetctl start sleep@1");
    let node = cluster.place("sleep@1.service").unwrap();
    let at = node.legend();
    started.ok().out(&format!("Unit sleep@1.service inactive\nUnit sleep@1.service launched on {at}\n")).err("");
    m1.run("fleetctl list-units")
        .ok()
        .err("")
        .out(&format!("UNIT\t\tMACHINE\t\t\t\tACTIVE\tSUB\nsleep@1.service\t{at}\tactive\trunning\n"));
    let hash = m1.ask("fleetctl cat sleep@1 | sha1sum");
    let hash = &hash[..7];
    m1.run("fleetctl list-unit-files")
        .ok()
        .err("")
        .out(&format!("UNIT\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\nsleep@1.service\t{hash}\tlaunched\tlaunched\t{at}\n"));
    m1.run("fleetctl list-unit-files --no-legend --fields=unit,desc,global")
        .ok()
        .out("sleep@1.service\tSleeper %i\tfalse\n");
    m1.run("fleetctl cat sleep@1.service").ok().out(texts::SLEEP).err("");
    m1.run("fleetctl status sleep@1").ok().out_has("Active: active (running)");
    m1.run("fleetctl journal sleep@1").ok().out_has("Started sleep@1.service - Sleeper 1.");
    let said = "Successfully stopped units [sleep@1.service].\n";
    m1.run("fleetctl stop sleep@1").ok().out(&format!("Unit sleep@1.service loaded on {at}\n")).err(said);
    m1.run("fleetctl list-units --no-legend").ok().out(&format!("sleep@1.service\t{at}\tinactive\tdead\n"));
    let said = "Successfully unloaded units [sleep@1.service].\n";
    m1.run("fleetctl unload sleep@1").ok().out("Unit sleep@1.service inactive\n").err(said);
    m1.run("fleetctl destroy sleep@1").ok().out("Destroyed sleep@1.service\n").err("");
    m1.run("fleetctl status sleep@1").code(1).out("").err("Unit sleep@1.service does not exist.\n");
    eventually("no trace of the unit is left", 5, || match node.run("systemctl cat sleep@1").code {
        0 => Err("systemd still knows it".to_owned()),
        _ => Ok(()),
    });
}
