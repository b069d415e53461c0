//! The `[X-Fleet]` options, each as it meets the others (promise P5).

use crate::INACTIVE;
use crate::LAUNCHED;
use crate::cluster::{Cluster, id, name};

#[test]
fn conflicts_of_the_new_unit_keep_it_away() {
    let mut cluster = Cluster::new(2);
    cluster.launch("web@1.service", "Conflicts=web@*");
    cluster.launch("web@2.service", "Conflicts=web@*");
    cluster.launch("web@3.service", "Conflicts=web@*");
    assert_eq!((cluster.places("web@1.service"), cluster.places("web@2.service")), (vec![1], vec![2]));
    assert_eq!(cluster.unplaced, [name("web@3.service")]);
}

#[test]
fn conflicts_of_the_unit_that_is_there_keep_others_away() {
    let mut cluster = Cluster::new(2);
    cluster.launch("db.service", "Conflicts=batch*");
    cluster.launch("x.service", "");
    cluster.launch("y.service", "");
    cluster.launch("batch.service", "");
    assert_eq!((cluster.places("db.service"), cluster.places("batch.service")), (vec![1], vec![2]));
}

#[test]
fn new_content_that_conflicts_sends_the_later_name_away() {
    let mut cluster = Cluster::new(1);
    cluster.launch("a.service", "");
    cluster.launch("b.service", "");
    cluster.join(2, &[]);
    cluster.launch("a.service", "Conflicts=b.service");
    assert_eq!((cluster.places("a.service"), cluster.places("b.service")), (vec![1], vec![2]));
    let cause = cluster.schedule(2).unwrap().units["b.service"].cause.clone();
    assert!(cause.contains("left machine 00000001: a.service is there and its Conflicts matches"), "{cause}");
}

#[test]
fn a_machine_of_chain_is_placed_in_any_order_of_names() {
    let mut cluster = Cluster::new(3);
    cluster.submit("a.service", "MachineOf=b.service", LAUNCHED);
    cluster.submit("b.service", "MachineOf=c.service", LAUNCHED);
    cluster.submit("c.service", "MachineID=00000003", LAUNCHED);
    cluster.settle();
    for unit in ["a.service", "b.service", "c.service"] {
        assert_eq!(cluster.places(unit), [3], "{unit}");
    }
    cluster.launch("c.service", "MachineID=00000002");
    for unit in ["a.service", "b.service", "c.service"] {
        assert_eq!(cluster.places(unit), [2], "{unit}");
    }
    cluster.submit("c.service", "MachineID=00000002", INACTIVE);
    cluster.settle();
    assert!(cluster.places("a.service").is_empty(), "its peer is nowhere");
}

#[test]
fn machine_metadata_is_or_within_a_key_and_and_between_keys() {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[("disk", "ssd"), ("zone", "a")]);
    cluster.join(2, &[("disk", "nvme"), ("zone", "b")]);
    cluster.join(3, &[("disk", "hdd"), ("zone", "b")]);
    cluster.launch("a.service", "MachineMetadata=\"disk=ssd\" \"disk=nvme\"\nMachineMetadata=zone=b");
    assert_eq!(cluster.places("a.service"), [2]);
    cluster.launch("b.service", "MachineMetadata=disk=hdd\nMachineMetadata=zone=a");
    assert_eq!(cluster.unplaced, [name("b.service")]);
}

#[test]
fn changed_metadata_sends_a_unit_on() {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[("disk", "ssd")]);
    cluster.join(2, &[("disk", "ssd")]);
    cluster.launch("a.service", "MachineMetadata=disk=ssd");
    cluster.join(1, &[("disk", "hdd")]);
    cluster.settle();
    assert_eq!(cluster.places("a.service"), [2]);
}

#[test]
fn machine_id_is_the_full_one_or_its_first_eight_digits() {
    let mut cluster = Cluster::new(3);
    cluster.launch("full.service", &format!("MachineID={}", id(2)));
    cluster.launch("short.service", "MachineID=00000003");
    cluster.launch("part.service", "MachineID=0000000");
    assert_eq!((cluster.places("full.service"), cluster.places("short.service")), (vec![2], vec![3]));
    assert_eq!(cluster.unplaced, [name("part.service")]);
}

#[test]
fn a_global_unit_is_on_every_machine_that_matches_now_and_later() {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[("role", "web")]);
    cluster.join(2, &[]);
    cluster.launch("log.service", "Global=true\nMachineMetadata=role=web");
    cluster.join(3, &[("role", "web")]);
    cluster.settle();
    assert_eq!(cluster.places("log.service"), [1, 3]);
    cluster.join(3, &[]);
    cluster.settle();
    assert_eq!(cluster.places("log.service"), [1]);
}

#[test]
fn a_unit_that_is_global_no_more_stays_on_one_machine() {
    let mut cluster = Cluster::new(3);
    cluster.launch("a.service", "Global=true");
    cluster.launch("a.service", "");
    assert_eq!(cluster.places("a.service"), [1]);
}

#[test]
fn a_replaced_unit_moves_on() {
    let mut cluster = Cluster::new(1);
    cluster.launch("v1.service", "");
    cluster.launch("side.service", "MachineOf=v1.service");
    cluster.join(2, &[]);
    cluster.launch("x1.service", "");
    cluster.launch("x2.service", "");
    cluster.launch("v2.service", "Replaces=v1.service");
    assert_eq!(flota_sim::broken(&cluster.store.snapshot()), None);
    let (v1, v2) = (cluster.places("v1.service"), cluster.places("v2.service"));
    assert!(v1 != v2 && v1.len() == 1 && v2.len() == 1);
    assert_eq!(cluster.places("side.service"), v1, "who needs it follows");
}

#[test]
fn a_pinned_unit_that_is_replaced_waits_instead_of_flapping() {
    let mut cluster = Cluster::new(2);
    cluster.launch("v1.service", "MachineID=00000001");
    cluster.launch("v2.service", "Replaces=v1.service");
    let commits = cluster.commits.len();
    cluster.pass(60_000);
    assert_eq!(cluster.commits.len(), commits);
    assert_eq!(flota_sim::broken(&cluster.store.snapshot()), None);
}

#[test]
fn circles_of_replaces_mean_nothing() {
    for circle in [&["a", "b"][..], &["a", "b", "c"], &["a", "b", "c", "d"]] {
        let mut cluster = Cluster::new(1);
        for (unit, next) in circle.iter().zip(circle.iter().cycle().skip(1)) {
            cluster.submit(&format!("{unit}.service"), &format!("Replaces={next}.service"), LAUNCHED);
        }
        cluster.settle();
        let commits = cluster.commits.len();
        cluster.pass(60_000);
        assert_eq!(cluster.commits.len(), commits, "{circle:?}");
        assert_eq!(cluster.schedule(1).unwrap().units.len(), circle.len());
    }
}

#[test]
fn a_unit_that_replaces_what_it_needs_is_told_so() {
    let mut cluster = Cluster::new(2);
    cluster.launch("q.service", "");
    cluster.launch("p.service", "MachineOf=q.service");
    cluster.launch("f.service", "MachineOf=p.service\nReplaces=q.service");
    cluster.pass(60_000);
    assert_eq!(cluster.places("q.service"), cluster.places("p.service"));
    assert!(cluster.places("f.service").is_empty());
    let found = flota_engine::explain(&cluster.store.snapshot(), &name("f.service")).unwrap();
    assert_eq!(found.verdicts[0].reasons[0].to_string(), "Replaces matches q.service, which MachineOf needs beside it");
}
