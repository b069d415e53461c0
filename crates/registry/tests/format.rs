//! The format of every key's value: what this version writes is what the files in `format/` hold, one a key. A change of one of
//! these files is a change of the format, which machines of the version before must still be able to read.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

use std::collections::BTreeMap;
use std::fmt::Debug;

use flota_registry::codec::{CodecError, decode, encode};
use flota_registry::{
    Capacity, Cluster, ConfGroup, ConfReport, ConfState, Cordon, CordonMode, DesiredState, DesiredUnit, Door,
    Generation, HeldOff, JoinToken, Leader, LeaderNotes, Machine, MachineId, Member, MetadataOverlay, MoveAnswer,
    ObservedUnit, Op, Report, Schedule, ScheduledUnit, StoreTarget, StoreTls, TargetState, UnitStates, put_unit,
};
use flota_unit::{UnitFile, UnitName};
use serde::{Serialize, de::DeserializeOwned};

const CLUSTER: &str = "000000000000000000000000000000cc";
const MACHINE: &str = "0123456789abcdef0123456789abcdef";
const TEXT: &str = "[Service]\nExecStart=/bin/sleep 100\n";

fn machine() -> MachineId {
    MACHINE.parse().unwrap()
}

fn name() -> UnitName {
    "web@1.service".parse().unwrap()
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// The value is written as the file says, and the file is read as the value; also with a field that a later version of the
/// same format added. A later format is refused by name.
#[track_caller]
fn holds<T: Serialize + DeserializeOwned + PartialEq + Debug>(golden: &str, value: &T) {
    let golden = golden.trim_end();
    assert_eq!(String::from_utf8(encode(value)).unwrap(), golden, "this version writes something else");
    assert_eq!(&decode::<T>(golden.as_bytes()).unwrap(), value);
    let added = golden.replacen("{\"v\":1", "{\"v\":1,\"added_later\":{\"a\":[1]}", 1);
    assert_eq!(&decode::<T>(added.as_bytes()).unwrap(), value, "with a field that is not known yet");
    let later = golden.replacen("{\"v\":1", "{\"v\":2", 1);
    assert!(matches!(decode::<T>(later.as_bytes()), Err(CodecError::Newer { found: 2 })));
}

#[test]
fn what_people_want() {
    let file = UnitFile::parse(TEXT).unwrap();
    let unit = DesiredUnit { hash: file.hash(), desired: DesiredState::Launched };
    holds(include_str!("format/unit.json"), &unit);
    let txn = put_unit(&name(), &unit, &file, None);
    let Op::Put { value, .. } = &txn.ops[0] else { panic!("{txn:?}") };
    assert_eq!(String::from_utf8_lossy(value), include_str!("format/file.json").trim_end());
    let cordon = Cordon { mode: CordonMode::Draining, reason: Some(text("new disk")), since_unix_ms: 7 };
    holds(include_str!("format/cordon.json"), &cordon);
    let mut overlay = MetadataOverlay::default();
    overlay.set("disk", "ssd");
    overlay.remove("zone");
    holds(include_str!("format/metadata.json"), &overlay);
}

#[test]
fn what_machines_say() {
    let announced = Machine {
        address: text("10.0.0.1"),
        metadata: [(text("disk"), text("ssd"))].into(),
        capacity: Capacity { cpus: 2, memory_bytes: 1_024 },
        version: text("0.1.0"),
        boot_id: text("b"),
        frozen: Some(text("the store is older")),
    };
    holds(include_str!("format/machine.json"), &announced);
    let member = Member { address: text("10.0.0.1"), peer: Some(text("10.0.0.1:4002")), down_unix_ms: Some(7) };
    holds(include_str!("format/member.json"), &member);
    let states = UnitStates { load: text("loaded"), active: text("active"), sub: text("running") };
    let hash = Some(UnitFile::parse(TEXT).unwrap().hash());
    let seen = ObservedUnit { hash, started: true, states, since_unix_ms: Some(7), problem: Some(text("slow")) };
    let report = Report { generation: Generation(3), units: [(name(), seen)].into(), problem: Some(text("full")) };
    holds(include_str!("format/report.json"), &report);
    let nginx = ConfGroup {
        resource: text("nginx.toml"),
        state: ConfState::Failed,
        revision: 7,
        error: Some(text("a check failed")),
        files: vec![text("/etc/nginx/nginx.conf")],
    };
    let motd = ConfGroup {
        resource: text("motd.toml"),
        state: ConfState::Unattended,
        revision: 0,
        error: None,
        files: vec![text("/etc/motd")],
    };
    let conf = ConfReport { sources: [(text("/etc/confd"), vec![nginx, motd])].into() };
    holds(include_str!("format/conf.json"), &conf);
    holds(include_str!("format/mover.json"), &MoveAnswer { attempt: 7, problem: Some(text("cannot go there")) });
}

#[test]
fn what_leaders_decide() {
    holds(include_str!("format/leader.json"), &Leader { machine: machine() });
    let hash = UnitFile::parse(TEXT).unwrap().hash();
    let unit = ScheduledUnit { hash, target: TargetState::Launched, cause: text("fewest units"), exclusive: true };
    let plain = ScheduledUnit { target: TargetState::Loaded, exclusive: false, ..unit.clone() };
    let units = BTreeMap::from([(name(), unit), ("b.service".parse().unwrap(), plain)]);
    let schedule = Schedule { cluster: CLUSTER.parse().unwrap(), generation: Generation(3), units };
    holds(include_str!("format/schedule.json"), &schedule);
    let notes = LeaderNotes {
        held_off: [(machine(), HeldOff { losses: 2, span_ms: 20_000 })].into(),
        suspects: [(machine(), text("it can be reached"))].into(),
        waits: [(name(), text("it is exclusive"))].into(),
    };
    holds(include_str!("format/leader-notes.json"), &notes);
}

#[test]
fn what_the_cluster_and_its_store_are() {
    let cluster = Cluster { id: CLUSTER.parse().unwrap(), created_unix_ms: 7, incarnation: 1 };
    holds(include_str!("format/cluster.json"), &cluster);
    holds(include_str!("format/door.json"), &Door { address: text("10.0.0.1:4003"), authority: text("abcd") });
    let token = JoinToken { secret_sha256: text("abcd"), created_unix_ms: 7, expires_unix_ms: 9 };
    holds(include_str!("format/token.json"), &token);
    let tls = StoreTls { ca: text("a"), cert: text("c"), key: text("k") };
    let (cluster, endpoints) = (CLUSTER.parse().unwrap(), vec![text("https://10.0.0.1:2379")]);
    let target = StoreTarget { cluster, attempt: 7, endpoints, tls: Some(tls) };
    holds(include_str!("format/store-target.json"), &target);
}

#[test]
fn values_of_before_a_field_was_added_are_read() {
    let cluster: Cluster =
        decode(format!("{{\"v\":1,\"id\":\"{CLUSTER}\",\"created_unix_ms\":7}}").as_bytes()).unwrap();
    assert_eq!(cluster.incarnation, 0);
    let member: Member = decode(br#"{"v":1,"address":"10.0.0.1"}"#).unwrap();
    assert_eq!((member.peer, member.down_unix_ms), (None, None));
    assert_eq!(decode::<LeaderNotes>(br#"{"v":1}"#).unwrap(), LeaderNotes::default());
}
