//! The nodes of examples/galera on their machines, and what is asked of them.

use flota_e2e::{Cluster, Node, Ran, eventually};
use flota_lab::Plain;

use crate::image;

const UNIT_FILE: &str = include_str!("../../../../examples/galera/galera@.service");

/// The numbers of the nodes.
pub const NUMBERS: [u8; 3] = [1, 2, 3];

/// How long nodes may take to be up with all data, in seconds: the second and the third copy them from the first, one
/// after the other, on a host that may have two cores for all of it.
pub const UP: u32 = 120;

/// The cluster that runs, or ran, on some machines.
pub struct Galera<'a> {
    cluster: &'a Cluster,
}

impl<'a> Galera<'a> {
    /// A new one, whatever there was before.
    #[track_caller]
    pub fn new(cluster: &'a Cluster) -> Galera<'a> {
        let progress = &mut Plain(std::io::stderr());
        cluster.lab().build_container_image(image::NAME, &image::recipe(), progress).unwrap();
        for node in cluster.nodes() {
            node.run("rm -rf /var/lib/galera").ok();
        }
        cluster.m1().run("flota kv rm --recursive /galera");
        cluster.m1().write("galera@.service", UNIT_FILE);
        let galera = Galera { cluster };
        galera.start();
        galera.counts(&NUMBERS, 3);
        galera
    }

    /// Returns when all nodes have all data, as `flota start` does.
    #[track_caller]
    pub fn start(&self) {
        self.cluster.m1().run_within(UP, "flota start galera@1 galera@2 galera@3").ok();
    }

    #[track_caller]
    pub fn stop(&self) {
        self.cluster.m1().run_within(UP, "flota stop galera@1 galera@2 galera@3").ok();
    }

    /// The machine of a node.
    #[track_caller]
    pub fn machine(&self, number: u8) -> Node<'a> {
        self.cluster.place(&format!("galera@{number}.service")).unwrap()
    }

    /// Asks a node as its administrator does, in its container.
    #[track_caller]
    pub fn sql(&self, number: u8, statement: &str) -> Ran {
        self.machine(number).run(&format!("docker exec galera-{number} mariadb -BNe \"{statement}\""))
    }

    /// What the node itself said in its journal since its machine booted.
    #[track_caller]
    pub fn said(&self, number: u8) -> String {
        self.machine(number).ask(&format!("journalctl --boot --no-pager --output cat --unit galera@{number}.service"))
    }

    /// How often a node has started the cluster, instead of joining one.
    #[track_caller]
    pub fn beginnings(&self) -> usize {
        NUMBERS.iter().map(|&number| self.said(number).matches(": starts the cluster ").count()).sum()
    }

    /// Waits until each of these nodes says that there are `size` of them.
    #[track_caller]
    pub fn counts(&self, nodes: &[u8], size: usize) {
        let ask =
            "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_cluster_size'";
        for &number in nodes {
            eventually(&format!("node {number} counts {size} nodes"), 30, || {
                let ran = self.sql(number, ask);
                if ran.stdout == format!("{size}\n") { Ok(()) } else { Err(ran.to_string()) }
            });
        }
    }

    /// Waits until each of these nodes has exactly these orders.
    #[track_caller]
    pub fn have(&self, nodes: &[u8], orders: &str) {
        for &number in nodes {
            eventually(&format!("node {number} has the orders {orders}"), 10, || {
                let ran = self.sql(number, "SELECT GROUP_CONCAT(what ORDER BY what) FROM shop.orders");
                if ran.stdout == format!("{orders}\n") { Ok(()) } else { Err(ran.to_string()) }
            });
        }
    }

    /// The registered addresses, as `1=10.0.0.1 2=10.0.0.2`.
    #[track_caller]
    pub fn keys(&self) -> String {
        let listed = self.cluster.m1().run("flota kv get --prefix /galera/nodes/");
        let pairs = listed.stdout.lines().filter_map(|line| line.strip_prefix("/galera/nodes/")?.split_once("  "));
        pairs.map(|(number, address)| format!("{number}={address}")).collect::<Vec<_>>().join(" ")
    }

    /// What the keys are while these nodes are up.
    #[track_caller]
    pub fn keys_of(&self, nodes: &[u8]) -> String {
        nodes.iter().map(|&n| format!("{n}={}", self.machine(n).address)).collect::<Vec<_>>().join(" ")
    }
}
