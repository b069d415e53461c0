//! Metadata that the API changed: placement goes by it as by what machines announce.

use flota_registry::{Key, MetadataOverlay, MetadataWrite, put_metadata};

use crate::cluster::{Cluster, id};

/// Changes a machine's metadata as the API does.
fn patch(cluster: &mut Cluster, number: u32, change: impl FnOnce(&mut MetadataOverlay)) {
    let key = Key::Metadata(id(number));
    let (seen, mut overlay) = match cluster.store.snapshot().metadata().get(&id(number)) {
        Some(entry) => (Some(entry.mod_revision), entry.value.clone()),
        None => (None, MetadataOverlay::default()),
    };
    change(&mut overlay);
    let write = MetadataWrite { machine: id(number), overlay, seen };
    cluster.store.commit(&put_metadata(&[write])).unwrap();
    assert!(cluster.store.get(&key).is_some());
    cluster.settle();
    assert_eq!(flota_sim::broken(&cluster.store.snapshot()), None);
}

#[test]
fn a_unit_follows_metadata_that_the_api_changed() {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[("disk", "ssd")]);
    cluster.join(2, &[("disk", "hdd")]);
    cluster.launch("a.service", "MachineMetadata=disk=ssd");
    assert_eq!(cluster.places("a.service"), [1]);
    patch(&mut cluster, 2, |metadata| metadata.set("disk", "ssd"));
    assert_eq!(cluster.places("a.service"), [1], "nothing moves without need");
    patch(&mut cluster, 1, |metadata| metadata.remove("disk"));
    assert_eq!(cluster.places("a.service"), [2], "what is removed is hidden");
    cluster.join(1, &[("disk", "ssd")]);
    patch(&mut cluster, 2, |metadata| metadata.set("disk", "tape"));
    assert!(cluster.places("a.service").is_empty(), "what machine 1 announces stays hidden");
    patch(&mut cluster, 1, |metadata| metadata.set("disk", "ssd"));
    assert_eq!(cluster.places("a.service"), [1]);
}

#[test]
fn a_global_unit_follows_metadata_also_of_a_machine_yet_to_come() {
    let mut cluster = Cluster::empty();
    cluster.join(1, &[]);
    cluster.launch("log.service", "Global=true\nMachineMetadata=role=web");
    assert!(cluster.places("log.service").is_empty());
    patch(&mut cluster, 1, |metadata| metadata.set("role", "web"));
    assert_eq!(cluster.places("log.service"), [1]);
    patch(&mut cluster, 2, |metadata| metadata.set("role", "web"));
    cluster.join(2, &[("role", "db")]);
    cluster.settle();
    assert_eq!(cluster.places("log.service"), [1, 2], "what was said of it outlives its absence");
    patch(&mut cluster, 1, |metadata| metadata.remove("role"));
    assert_eq!(cluster.places("log.service"), [2]);
}
