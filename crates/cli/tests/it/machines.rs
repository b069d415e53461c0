//! Machines taken out of service and back: cordon, drain, removal, and how they are listed.

use flota_api::machines::{MachineInfo, MachineState};

use crate::cluster::Cluster;

const ONE: &str = "f1ee0100aaaabbbbccccddddeeeeffff";
const TWO: &str = "f1ee0200aaaabbbbccccddddeeeeffff";

#[test]
fn a_cordon_is_asked_for_shown_and_taken_back() {
    let cluster = Cluster::new(2);
    cluster.flota(&["cordon", "f1ee01", "10.1.1.2", "--reason", "new disk"]).check(
        0,
        "Machine f1ee0100.../10.1.1.1 cordoned\nMachine f1ee0200.../10.1.1.2 cordoned\n",
        "",
    );
    cluster.flota(&["uncordon", TWO, "10.1.1.2", "f1ee02"]).check(0, "Machine f1ee0200.../10.1.1.2 uncordoned\n", "");
    cluster.flota(&["list-machines"]).check(
        0,
        "MACHINE      IP        STATE               METADATA\n\
         f1ee0100...  10.1.1.1  cordoned: new disk  n=1\n\
         f1ee0200...  10.1.1.2  ready               n=2\n",
        "",
    );
    let expected = ["CORDON f1ee0100 Cordoned new disk", "CORDON f1ee0200 Cordoned new disk", "UNCORDON f1ee0200"];
    assert_eq!(cluster.changes(), expected);
    let json = format!("{{\"machineID\":\"{ONE}\",\"result\":\"uncordoned\"}}\n");
    cluster.flota(&["uncordon", ONE, "--output=json"]).check(0, &json, "");
}

#[test]
fn machines_that_are_gone_are_listed_for_people_and_programs_and_not_for_fleets_scripts() {
    let cluster = Cluster::new(3);
    cluster.lose(3, MachineState::Down);
    cluster.lose(1, MachineState::Lost);
    cluster.flota(&["list-machines", "--no-legend", "--fields=machine,state,version"]).check(
        0,
        "f1ee0100...  lost   -\nf1ee0200...  ready  0.1.0\nf1ee0300...  down   -\n",
        "",
    );
    cluster.fleetctl(&["list-machines", "--no-legend"]).check(0, "f1ee0200...\t10.1.1.2\tn=2\n", "");
    let json = cluster.flota(&["list-machines", "--output=json"]).out;
    let machines: Vec<MachineInfo> = serde_json::from_str(&json).unwrap();
    let seen: Vec<_> = machines.iter().map(|machine| (machine.alive, machine.state)).collect();
    assert_eq!(seen, [(false, MachineState::Lost), (true, MachineState::Ready), (false, MachineState::Down)]);
}

#[test]
fn a_drain_waits_until_every_unit_is_elsewhere() {
    let cluster = Cluster::new(2);
    let paths = ["a.service", "b.service"].map(|name| cluster.service(name));
    cluster.flota(&["start", &paths[0], &paths[1]]);
    cluster.flota(&["drain", ONE, "--reason=repairs"]).check(0, "Machine f1ee0100.../10.1.1.1 drained\n", "");
    let out = cluster.flota(&["list-unit-files", "--no-legend", "--fields=unit,target"]).out;
    assert_eq!(out, "a.service  f1ee0200.../10.1.1.2\nb.service  f1ee0200.../10.1.1.2\n");
    let out = cluster.flota(&["list-machines", "--no-legend", "--fields=state,units"]).out;
    assert_eq!(out, "draining: repairs  0\nready              2\n");
    let json = format!("{{\"machineID\":\"{ONE}\",\"result\":\"draining\"}}\n");
    cluster.flota(&["drain", ONE, "--no-block", "--output=json"]).check(0, &json, "");
}

#[test]
fn a_drain_says_why_units_cannot_leave() {
    let cluster = Cluster::new(2);
    cluster.flota(&["start", &cluster.service("a.service")]);
    cluster.flota(&["cordon", TWO]);
    let hint = format!("hint: the drain goes on; end it with: flota uncordon {ONE}\n");
    cluster.flota(&["drain", ONE]).check(
        3,
        "",
        &format!(
            "Machine f1ee0100.../10.1.1.1 keeps 1 unit: no other machine can take them\n  a.service:\n    \
             f1ee0200.../10.1.1.2: machine takes no units\n{hint}"
        ),
    );
    let note = "note: machine f1ee0100.../10.1.1.1 is draining\n";
    assert!(cluster.flota(&["why", "a"]).out.contains(note), "why tells how the unit's machine is");
    let ran = cluster.flota(&["drain", ONE, "--timeout=1"]);
    let expected = "Machine f1ee0100.../10.1.1.1 is not drained after 1 s: 1 unit left, waiting for a.service (active) \
                    to leave\n";
    ran.check(5, "", &format!("{expected}{hint}"));
}

#[test]
fn a_machine_that_lives_is_removed_only_by_force() {
    let cluster = Cluster::new(2);
    let hint =
        format!("hint: empty it with `flota drain {ONE}`, or run `flota leave` on it; --force takes it out as it is\n");
    let error = "Error removing machine f1ee0100.../10.1.1.1: machine f1ee0100 lives\n";
    cluster.flota(&["remove-machine", "f1ee01"]).check(1, "", &format!("{error}{hint}"));
    let done = "Machine f1ee0100.../10.1.1.1 removed\n";
    cluster.flota(&["remove-machine", "f1ee01", "--force"]).check(0, done, "");
    cluster.lose(1, MachineState::Lost);
    cluster.flota(&["remove-machine", "f1ee02"]).check(0, "Machine f1ee0200.../10.1.1.2 removed\n", "");
    assert_eq!(cluster.flota(&["list-machines", "--no-legend"]).out, "");
}

#[test]
fn machines_that_nobody_knows_or_that_could_be_several() {
    let cluster = Cluster::new(2);
    for verb in ["cordon", "uncordon", "drain", "remove-machine"] {
        cluster.flota(&[verb]).check(2, "", "No machines given\n");
        let hint = "hint: they are told by: flota list-machines\n";
        cluster.flota(&[verb, "0000"]).check(1, "", &format!("No machine of the cluster is \"0000\"\n{hint}"));
        cluster.flota(&[verb, "f1ee"]).check(
            1,
            "",
            &format!("\"f1ee\" means more than one machine\nhint: they are {ONE}, {TWO}\n"),
        );
    }
    assert_eq!(cluster.changes(), [""; 0]);
}

#[test]
fn a_machine_leaves_when_it_is_empty() {
    let cluster = Cluster::new(2);
    cluster.flota(&["start", &cluster.service("a.service")]);
    cluster.flota(&["leave"]).check(0, "This machine has left cluster 00ff\n", "");
    let target = cluster.flota(&["list-unit-files", "--no-legend", "--fields=target"]).out;
    assert_eq!(target, "f1ee0200.../10.1.1.2\n");
    let expected = [
        "LEAVE keep=false force=false check=true",
        "CORDON f1ee0100 Draining it leaves the cluster",
        "LEAVE keep=false force=false check=false",
    ];
    assert_eq!(cluster.changes()[2..], expected);
}

#[test]
fn a_machine_that_cannot_be_emptied_does_not_leave() {
    let cluster = Cluster::new(2);
    cluster.flota(&["start", &cluster.service("a.service")]);
    cluster.flota(&["cordon", TWO]);
    let ran = cluster.flota(&["leave"]);
    assert!(ran.code == 3 && ran.err.contains("keeps 1 unit: no other machine can take them"), "{ran:?}");
    let end =
        format!("this machine has not left its cluster\nhint: the drain goes on; end it with: flota uncordon {ONE}\n");
    assert!(ran.err.ends_with(&end), "{ran:?}");
    assert!(!cluster.changes().contains(&"LEAVE keep=false force=false check=false".to_owned()));
}

#[test]
fn units_that_are_kept_are_named_and_nothing_is_drained() {
    let cluster = Cluster::new(1);
    cluster.flota(&["start", &cluster.service("a.service")]);
    let refused = "Error leaving the cluster: no other machine of the cluster lives\n";
    cluster.flota(&["leave"]).check(1, "", refused);
    let left = "This machine has left cluster 00ff\nUnit a.service runs on as a plain systemd unit\n";
    cluster.flota(&["leave", "--keep"]).check(0, left, "");
    assert!(cluster.changes().iter().all(|request| !request.starts_with("CORDON")));
}

#[test]
fn without_the_store_a_machine_leaves_only_by_force() {
    let cluster = Cluster::new(2);
    cluster.lose_store();
    let refused = "Error leaving the cluster: flota cannot reach its store\n";
    cluster.flota(&["leave"]).check(69, "", refused);
    let hint = "hint: --force leaves all the same; the cluster must be told later\n";
    cluster.flota(&["leave", "--keep"]).check(69, "", &format!("{refused}{hint}"));
    let ran = cluster.flota(&["leave", "--keep", "--force"]);
    assert!(ran.code == 0 && ran.err.contains("run flota remove-machine for this machine"), "{ran:?}");
    assert_eq!(cluster.flota(&["leave", "--force"]).code, 2, "only units that stay can be left by force");
}
