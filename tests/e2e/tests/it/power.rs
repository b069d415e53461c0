//! Machines that lose their power or their network, for good or for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use flota_e2e::{Cluster, Node, Witness, cluster, eventually, holds_for, texts};
use flota_lab::Silent;

/// Two web instances on two machines: one that will be lost (never on the machine with the store), and one that stays.
struct Pair<'a> {
    /// The number of the instance that will be lost.
    lost: u8,
    victim: Node<'a>,
    keeper: Node<'a>,
    /// The machine without an instance.
    third: Node<'a>,
}

impl Pair<'_> {
    fn start(cluster: &Cluster) -> Pair<'_> {
        cluster.m1().write("web@.service", texts::WEB);
        cluster.m1().run("flota start web@1 web@2").ok();
        let place = |number: u8| cluster.place(&format!("web@{number}.service")).unwrap();
        let (lost, stays) = if place(1).name == "m1" { (2, 1) } else { (1, 2) };
        let (victim, keeper) = (place(lost), place(stays));
        let third = cluster.nodes().into_iter().find(|node| ![victim.name, keeper.name].contains(&node.name)).unwrap();
        cluster.page_answers(victim, 20);
        cluster.page_answers(keeper, 20);
        Pair { lost, victim, keeper, third }
    }

    fn unit(&self) -> String {
        format!("web@{}.service", self.lost)
    }

    fn container(&self) -> String {
        format!("web-{}", self.lost)
    }

    /// The lost instance answers from the third machine, and the cluster tells why.
    #[track_caller]
    fn moves(&self, cluster: &Cluster) {
        let page = cluster.page_answers(self.third, 30);
        assert!(page.starts_with(&format!("Flota web {} in container ", self.lost)), "{page}");
        let m1 = cluster.m1();
        eventually("the list shows it on the third machine", 5, || {
            let list = m1.run("flota list-units");
            let row = format!("{}  {}  active  running", self.unit(), self.third.legend());
            if list.stdout.contains(&row) { Ok(()) } else { Err(list.to_string()) }
        });
        let why = m1.run(&format!("flota why {}", self.unit()));
        why.ok().out_has("cause: ").out_has("was lost").out_has(self.victim.short_id());
    }

    /// The machine that was lost has taken everything of the instance away.
    #[track_caller]
    fn is_given_up(&self) {
        eventually("the returned machine has given the unit up", 15, || {
            let left = self.victim.run("ls /var/lib/flota/agent/units /run/systemd/system | grep web@");
            if left.stdout.is_empty() { Ok(()) } else { Err(left.to_string()) }
        });
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_lost_machines_instance_moves_and_the_machine_gives_it_up_when_it_returns() {
    let cluster = cluster();
    let pair = Pair::start(&cluster);
    let untouched = Witness::of(&[pair.keeper]);
    cluster.lab().kill(pair.victim.name).unwrap();
    pair.moves(&cluster);
    untouched.unchanged(&[pair.keeper], "another machine was lost");

    let moved = Witness::of(&[pair.third]);
    cluster.lab().start(pair.victim.name, &mut Silent).unwrap();
    cluster.together();
    holds_for(5, || one_copy(&cluster, &pair.container(), pair.third.name));
    pair.is_given_up();
    // Not even for a moment was there a second copy.
    let unit = pair.unit();
    let log = pair.victim.ask(&format!("journalctl --boot --no-pager --output cat --unit {unit}"));
    assert!(!log.contains("Start"), "the returned machine started what had moved:\n{log}");
    assert_eq!(cluster.place(&unit).unwrap().name, pair.third.name, "the returned machine took the unit back");
    moved.unchanged(&[pair.third], "the lost machine returned");
    untouched.unchanged(&[pair.keeper], "the lost machine returned");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn a_machine_that_is_cut_off_runs_on_and_gives_up_what_moved_when_it_is_back() {
    let cluster = cluster();
    let pair = Pair::start(&cluster);
    let untouched = Witness::of(&[pair.keeper]);
    let cut_off = Witness::of(&[pair.victim]);
    cluster.lab().cut(pair.victim.name).unwrap();
    pair.moves(&cluster);
    // Nobody told it to stop anything: silence is no order.
    cut_off.unchanged(&[pair.victim], "its network was cut");
    let asked = pair.victim.run("flota list-units");
    asked.code(69).out("");
    assert!(asked.took < Duration::from_secs(12), "{asked}");

    let moved = Witness::of(&[pair.third]);
    cluster.lab().heal(pair.victim.name).unwrap();
    pair.is_given_up();
    cluster.together();
    one_copy(&cluster, &pair.container(), pair.third.name);
    moved.unchanged(&[pair.third], "the network was mended");
    untouched.unchanged(&[pair.keeper], "the network was mended");
}

/// The container runs on that machine and on no other.
#[track_caller]
fn one_copy(cluster: &Cluster, container: &str, on: &str) {
    for node in cluster.nodes() {
        let runs = node.containers().iter().any(|name| name == container);
        assert_eq!(runs, node.name == on, "{container} on {}", node.name);
    }
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn machines_boot_alone_while_the_store_is_gone() {
    let cluster = cluster();
    let (m1, m2, m3) = (cluster.m1(), cluster.m2(), cluster.m3());
    cluster.start_everywhere("sleep", texts::SLEEP);
    cluster.start_everywhere("web", texts::WEB);
    let list = cluster.all_running(6, 10);
    cluster.nodes().into_iter().for_each(|node| drop(cluster.page_answers(node, 20)));
    let first = Witness::of(&[m1]);

    m1.stop_daemon();
    // Power out at one, a clean reboot at the other.
    cluster.lab().kill(m3.name).unwrap();
    cluster.lab().start(m3.name, &mut Silent).unwrap();
    cluster.lab().reboot(m2.name, &mut Silent).unwrap();
    for node in [m2, m3] {
        cluster.page_answers(node, 30);
        eventually("both units run", 10, || {
            let active = node.run("systemctl is-active 'sleep@*.service' 'web@*.service'");
            if active.stdout == "active\nactive\n" { Ok(()) } else { Err(active.to_string()) }
        });
        node.run("flota list-units").code(69).err_has("cannot reach its store");
    }
    let alone = Witness::of(&[m2, m3]);
    assert_eq!(alone.len(), 6, "two units and a container on each: {alone:?}");

    m1.start_daemon();
    cluster.together();
    assert_eq!(cluster.all_running(6, 10), list, "units have moved");
    alone.unchanged(&[m2, m3], "the store came back");
    first.unchanged(&[m1], "the store came back");
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn after_a_power_cut_of_the_whole_cluster_everything_runs_where_it_was() {
    let cluster = cluster();
    cluster.start_everywhere("sleep", texts::SLEEP);
    cluster.start_everywhere("web", texts::WEB);
    let list = cluster.all_running(6, 10);
    let files = cluster.m1().ask("flota list-unit-files");
    let boots = boot_ids(&cluster);

    for node in cluster.nodes() {
        cluster.lab().kill(node.name).unwrap();
    }
    cluster.power_on();
    cluster.together();
    assert_eq!(cluster.all_running(6, 30), list, "units have moved");
    assert_eq!(cluster.m1().ask("flota list-unit-files"), files);
    for node in cluster.nodes() {
        cluster.page_answers(node, 20);
    }
    let again = boot_ids(&cluster);
    assert!(boots.iter().all(|(name, id)| again[name] != *id), "a machine kept its power: {boots:?} {again:?}");
}

fn boot_ids(cluster: &Cluster) -> BTreeMap<String, String> {
    let id = |node: Node<'_>| node.ask("cat /proc/sys/kernel/random/boot_id");
    cluster.nodes().into_iter().map(|node| (node.name.to_owned(), id(node))).collect()
}
