//! The three lists: byte for byte as fleetctl's, aligned for people, and as JSON.

use crate::cluster::Cluster;

fn cluster() -> Cluster {
    let cluster = Cluster::new(2);
    let paths = ["hello.service", "a-longer-name.service"].map(|name| cluster.service(name));
    cluster.flota(&["start", &paths[0], &paths[1]]);
    let described = "[Unit]\nDescription=A\tglobal one\n[Service]\nExecStart=/bin/true\n[X-Fleet]\nGlobal=true\n";
    cluster.flota(&["submit", &cluster.file("g.service", described)]);
    cluster
}

#[test]
fn list_units() {
    let cluster = cluster();
    cluster.fleetctl(&["list-units"]).check(
        0,
        "UNIT\t\t\tMACHINE\t\t\tACTIVE\tSUB\n\
         a-longer-name.service\tf1ee0100.../10.1.1.1\tactive\trunning\n\
         hello.service\t\tf1ee0100.../10.1.1.1\tactive\trunning\n",
        "",
    );
    cluster.flota(&["list-units"]).check(
        0,
        "UNIT                   MACHINE               ACTIVE  SUB\n\
         a-longer-name.service  f1ee0100.../10.1.1.1  active  running\n\
         hello.service          f1ee0100.../10.1.1.1  active  running\n",
        "",
    );
    cluster.fleetctl(&["list-units", "--no-legend", "--full", "--fields", "unit,active,machine"]).check(
        0,
        "a-longer-name.service\tactive\tf1ee0100aaaabbbbccccddddeeeeffff/10.1.1.1\n\
         hello.service\t\tactive\tf1ee0100aaaabbbbccccddddeeeeffff/10.1.1.1\n",
        "",
    );
    cluster.fleetctl(&["list-units", "--no-legend", "--fields=hash,load"]).check(
        0,
        "1c6fb6f\tloaded\n1c6fb6f\tloaded\n",
        "",
    );
    let json = cluster.flota(&["list-units", "--output=json"]).out;
    let states: Vec<flota_api::v1::UnitState> = serde_json::from_str(&json).unwrap();
    assert_eq!(states[1].name, "hello.service");
}

#[test]
fn list_unit_files() {
    let cluster = cluster();
    cluster.fleetctl(&["list-unit-files"]).check(
        0,
        "UNIT\t\t\tHASH\tDSTATE\t\tSTATE\t\tTARGET\n\
         a-longer-name.service\t1c6fb6f\tlaunched\tlaunched\tf1ee0100.../10.1.1.1\n\
         g.service\t\t57edac8\tinactive\t-\t\tglobal\n\
         hello.service\t\t1c6fb6f\tlaunched\tlaunched\tf1ee0100.../10.1.1.1\n",
        "",
    );
    // A tab in a description makes no column.
    cluster.fleetctl(&["list-unit-files", "--no-legend", "--fields=unit,desc,global"]).check(
        0,
        "a-longer-name.service\t-\t\tfalse\ng.service\t\tA global one\ttrue\nhello.service\t\t-\t\tfalse\n",
        "",
    );
}

#[test]
fn list_machines() {
    let cluster = Cluster::new(2);
    cluster.fleetctl(&["list-machines"]).check(
        0,
        "MACHINE\t\tIP\t\tMETADATA\nf1ee0100...\t10.1.1.1\tn=1\nf1ee0200...\t10.1.1.2\tn=2\n",
        "",
    );
    cluster.fleetctl(&["list-m", "-l", "--no-legend", "--fields", "machine"]).check(
        0,
        "f1ee0100aaaabbbbccccddddeeeeffff\nf1ee0200aaaabbbbccccddddeeeeffff\n",
        "",
    );
}

#[test]
fn more_units_than_a_page_has() {
    let cluster = Cluster::new(1);
    cluster.file("x@.service", "[Service]\nExecStart=/bin/true\n");
    let paths: Vec<String> =
        (0..250).map(|n| cluster.path(&format!("x@{n:03}.service")).to_str().unwrap().to_owned()).collect();
    let arguments: Vec<&str> = std::iter::once("submit").chain(paths.iter().map(String::as_str)).collect();
    assert_eq!(cluster.flota(&arguments).out.lines().count(), 250);
    let out = cluster.flota(&["list-unit-files", "--no-legend", "--fields=unit"]).out;
    let listed: Vec<&str> = out.lines().collect();
    assert_eq!((listed.len(), listed[0], listed[249]), (250, "x@000.service", "x@249.service"));
}

#[test]
fn wrong_fields() {
    let cluster = Cluster::new(1);
    let ran = cluster.flota(&["list-units", "--fields=unit,foo"]);
    let expected =
        "Invalid key in output format: \"foo\"\nhint: the fields are unit, machine, active, sub, load, hash\n";
    ran.check(2, "", expected);
    assert_eq!(cluster.fleetctl(&["list-units", "--fields="]).err, "Must define output format\n");
}

#[test]
fn every_field_of_every_list() {
    let cluster = cluster();
    cluster.flota(&["submit", &cluster.service("idle.service")]);
    cluster.fleetctl(&["list-units", "--fields=active,hash,load,machine,sub,unit"]).check(
        0,
        "ACTIVE\tHASH\tLOAD\tMACHINE\t\t\tSUB\tUNIT\n\
         active\t1c6fb6f\tloaded\tf1ee0100.../10.1.1.1\trunning\ta-longer-name.service\n\
         active\t1c6fb6f\tloaded\tf1ee0100.../10.1.1.1\trunning\thello.service\n",
        "",
    );
    let fields = "--fields=desc,dstate,global,hash,state,target,unit";
    cluster.fleetctl(&["list-unit-files", fields]).check(
        0,
        "DESC\t\tDSTATE\t\tGLOBAL\tHASH\tSTATE\t\tTARGET\t\t\tUNIT\n\
         -\t\tlaunched\tfalse\t1c6fb6f\tlaunched\tf1ee0100.../10.1.1.1\ta-longer-name.service\n\
         A global one\tinactive\ttrue\t57edac8\t-\t\tglobal\t\t\tg.service\n\
         -\t\tlaunched\tfalse\t1c6fb6f\tlaunched\tf1ee0100.../10.1.1.1\thello.service\n\
         -\t\tinactive\tfalse\t1c6fb6f\tinactive\t-\t\t\tidle.service\n",
        "",
    );
    let warning = "WARNING: the field \"tmachine\" is deprecated, use \"target\"\n";
    let ran = cluster.fleetctl(&["list-unit-files", "--no-legend", "--full", "--fields=tmachine"]);
    let on_1 = "f1ee0100aaaabbbbccccddddeeeeffff/10.1.1.1\n";
    ran.check(0, &format!("{on_1}global\n{on_1}-\n"), warning);
    let ran = cluster.fleetctl(&["list-unit-files", "--no-legend", "--full", "--fields=hash"]);
    assert_eq!(ran.out.lines().next(), Some("1c6fb6f3684bafb0c173d8b8b957ceff031180c1"));
}

#[test]
fn machines_with_less_and_more_to_show() {
    let cluster = Cluster::new(1);
    cluster.machine("0000", "");
    cluster.fleetctl(&["list-machines", "--fields=metadata,ip,machine"]).check(
        0,
        "METADATA\tIP\t\tMACHINE\n-\t\t-\t\t0000\nn=1\t\t10.1.1.1\tf1ee0100...\n",
        "",
    );
    let json = cluster.flota(&["list-machines", "--output=json"]).out;
    let machines: Vec<flota_api::machines::MachineInfo> = serde_json::from_str(&json).unwrap();
    assert_eq!((machines.len(), machines[1].metadata["n"].as_str()), (2, "1"));
}

#[test]
fn nothing_to_list() {
    let cluster = Cluster::new(0);
    cluster.fleetctl(&["list-units"]).check(0, "UNIT\tMACHINE\tACTIVE\tSUB\n", "");
    cluster.fleetctl(&["list-unit-files"]).check(0, "UNIT\tHASH\tDSTATE\tSTATE\tTARGET\n", "");
    cluster.fleetctl(&["list-machines", "--no-legend"]).check(0, "", "");
    cluster.flota(&["list-machines", "--output=json"]).check(0, "[]\n", "");
}
