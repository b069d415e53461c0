//! Three nodes that find each other, lose one, lose all, and still have every row.

use std::time::Instant;

use flota_e2e::{Node, Witness, eventually, full_length, holds_for, three_for_galera};
use flota_lab::Silent;

use crate::scene::{Galera, NUMBERS, UP};

/// How long keys of a machine without power are there, in seconds, and a little more.
const KEYS_GONE: u64 = 15;

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn three_nodes_find_each_other_and_survive_the_loss_of_one_and_of_all() {
    let cluster = three_for_galera();
    let galera = Galera::new(&cluster);
    let machines = NUMBERS.map(|number| galera.machine(number).name);
    assert!(machines.iter().all(|name| machines.iter().filter(|other| *other == name).count() == 1), "{machines:?}");
    assert_eq!(galera.beginnings(), 1, "one starts the cluster, the others join it");
    assert_eq!(galera.keys(), galera.keys_of(&NUMBERS));

    // Written on one, read on the others.
    galera.sql(1, "CREATE DATABASE shop; CREATE TABLE shop.orders (what VARCHAR(20) PRIMARY KEY)").ok();
    galera.sql(1, "INSERT INTO shop.orders VALUES ('bread')").ok();
    galera.sql(2, "INSERT INTO shop.orders VALUES ('cake')").ok();
    galera.have(&NUMBERS, "bread,cake");

    // A machine without power; not the one with the cluster's store.
    let lost = NUMBERS.into_iter().find(|&number| galera.machine(number).name != "m1").unwrap();
    let rest = NUMBERS.into_iter().filter(|&number| number != lost).collect::<Vec<_>>();
    let (victim, others) = (galera.machine(lost), rest.iter().map(|&number| galera.machine(number)));
    let others: Vec<Node<'_>> = others.collect();
    let witness = Witness::of(&others);
    let since = Instant::now();
    cluster.lab().kill(victim.name).unwrap();
    eventually("a write is taken", 20, || {
        let ran = galera.sql(rest[0], "REPLACE INTO shop.orders VALUES ('pie')");
        if ran.code == 0 { Ok(()) } else { Err(ran.to_string()) }
    });
    eprintln!("a write was taken {:.1} s after the power cut", since.elapsed().as_secs_f32());
    galera.counts(&rest, 2);
    galera.have(&rest, "bread,cake,pie");
    eventually("the keys of the lost node are gone", KEYS_GONE, || match galera.keys() {
        keys if keys == galera.keys_of(&rest) => Ok(()),
        keys => Err(keys),
    });
    witness.unchanged(&others, "another node was lost");

    // Its power is back: it gets what it missed, and nothing else.
    cluster.lab().start(victim.name, &mut Silent).unwrap();
    cluster.all_running(3, u64::from(UP));
    galera.counts(&NUMBERS, 3);
    galera.have(&NUMBERS, "bread,cake,pie");
    assert!(galera.said(lost).contains("IST received"), "the node had all data copied");
    assert_eq!(galera.keys(), galera.keys_of(&NUMBERS));

    // All are stopped at once; one starts the cluster again, wherever the data are newest.
    let before = galera.beginnings();
    galera.stop();
    assert_eq!(galera.keys(), "");
    galera.start();
    galera.counts(&NUMBERS, 3);
    galera.have(&NUMBERS, "bread,cake,pie");
    assert_eq!(galera.beginnings(), before + 1);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn without_one_of_three_nothing_is_started_until_people_say_where_and_a_power_cut_of_all_needs_nobody() {
    if !full_length() {
        return;
    }
    let cluster = three_for_galera();
    let galera = Galera::new(&cluster);
    let m1 = cluster.m1();
    galera.sql(1, "CREATE DATABASE shop; CREATE TABLE shop.orders (what VARCHAR(20) PRIMARY KEY)").ok();
    galera.sql(1, "INSERT INTO shop.orders VALUES ('bread')").ok();
    galera.have(&NUMBERS, "bread");

    let lost = NUMBERS.into_iter().find(|&number| galera.machine(number).name != "m1").unwrap();
    let rest = NUMBERS.into_iter().filter(|&number| number != lost).collect::<Vec<_>>();
    let victim = galera.machine(lost);
    galera.stop();
    cluster.lab().kill(victim.name).unwrap();
    m1.run(&format!("flota start --no-block galera@{} galera@{}", rest[0], rest[1])).ok();
    let waiting = || m1.run("flota kv get --prefix --keys /galera/waiting/").stdout.lines().count();
    eventually("both nodes wait", 60, || if waiting() == 2 { Ok(()) } else { Err(waiting().to_string()) });
    holds_for(10, || assert_eq!(galera.keys(), ""));
    assert!(galera.said(rest[0]).contains("flota kv put --ttl 1m /galera/bootstrap NODE"));
    m1.run(&format!("flota kv put --ttl 1m /galera/bootstrap {}", rest[1])).ok();
    cluster.all_running(2, u64::from(UP));
    galera.counts(&rest, 2);
    galera.have(&rest, "bread");
    cluster.power_on();
    cluster.together();
    m1.run_within(UP, &format!("flota start galera@{lost}")).ok();
    galera.counts(&NUMBERS, 3);

    galera.sql(lost, "INSERT INTO shop.orders VALUES ('cake')").ok();
    galera.have(&NUMBERS, "bread,cake");
    for node in cluster.nodes() {
        cluster.lab().kill(node.name).unwrap();
    }
    cluster.power_on();
    cluster.together();
    cluster.all_running(3, u64::from(UP));
    galera.counts(&NUMBERS, 3);
    galera.have(&NUMBERS, "bread,cake");
}
