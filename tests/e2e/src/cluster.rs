//! The one cluster that all tests share, handed to each of them whole and empty.

use std::net::Ipv4Addr;
use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flota_lab::{ContainerRecipe, Lab, LabConfig, MachineState, Plain};

use crate::node::Node;
use crate::undertaker::Undertaker;
use crate::wait::eventually;
use crate::{diagnosis, program};

const LAB: &str = "e2e";
const SUBNET: &str = "10.78.240.0/24";
const MACHINES: u8 = 3;
const WEB_IMAGE: &str = "flota/web:1";

/// How long the machines may take to find each other, in seconds.
const TOGETHER: u64 = 30;

/// Three machines with Flota on them.
#[derive(Debug)]
pub struct Cluster {
    lab: Lab,
    machines: Vec<Facts>,
    /// Whether a test failed on it, so that nobody knows what it left behind.
    spoiled: bool,
    _undertaker: Undertaker,
}

#[derive(Debug)]
struct Facts {
    name: String,
    id: String,
    address: Ipv4Addr,
}

static CLUSTER: Mutex<Option<Cluster>> = Mutex::new(None);

/// The cluster, for one test.
#[derive(Debug)]
pub struct InUse(MutexGuard<'static, Option<Cluster>>);

/// Hands the cluster out: three machines that know each other, with the image [`crate::texts::WEB`] runs, and no units.
/// The first call boots it, and so does the first one after a failed test.
#[track_caller]
pub fn cluster() -> InUse {
    let mut place = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = place.get_or_insert_with(Cluster::create);
    if cluster.spoiled {
        cluster.boot_anew();
    }
    // Until the test has ended well.
    cluster.spoiled = true;
    let in_use = InUse(place);
    in_use.tidy();
    in_use
}

impl Deref for InUse {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("set before it is handed out")
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            diagnosis::print(self);
        }
        if let Some(cluster) = self.0.as_mut() {
            cluster.spoiled = failed;
        }
    }
}

impl Cluster {
    fn create() -> Cluster {
        let binary = program::flota();
        let undertaker = Undertaker::hire(&binary, LAB);
        let config = LabConfig {
            name: LAB.parse().unwrap(),
            subnet: SUBNET.parse().unwrap(),
            machines: MACHINES,
            binary: Some(binary),
            ..LabConfig::default()
        };
        let lab = Lab::open(config).unwrap_or_else(|error| panic!("{error}"));
        Cluster { lab, machines: Vec::new(), spoiled: true, _undertaker: undertaker }
    }

    /// A new lab, whatever was there.
    fn boot_anew(&mut self) {
        let progress = &mut Plain(std::io::stderr());
        self.lab.down(progress).unwrap_or_else(|error| panic!("{error}"));
        let machines = self.lab.up(progress).unwrap_or_else(|error| panic!("{error}"));
        let web = ContainerRecipe::web();
        self.lab.build_container_image(WEB_IMAGE, &web, progress).unwrap_or_else(|error| panic!("{error}"));
        self.machines = machines
            .into_iter()
            .map(|machine| {
                let id = self.lab.exec_captured(&machine.name, &["cat", "/etc/machine-id"]).unwrap();
                let id = String::from_utf8(id.stdout).unwrap().trim().to_owned();
                Facts { name: machine.name, id, address: machine.address }
            })
            .collect();
    }

    /// Takes away what a test left: everything runs, nothing is in the cluster.
    #[track_caller]
    fn tidy(&self) {
        self.power_on();
        for node in self.nodes() {
            node.start_daemon();
        }
        self.together();
        let units = self.m1().ask("flota list-unit-files --no-legend --fields unit").replace('\n', " ");
        if !units.is_empty() {
            self.m1().run(&format!("flota destroy --block-attempts 15 {units}")).ok();
        }
        for node in self.nodes() {
            node.run("rm -rf /root/* && docker ps --all --quiet | xargs --no-run-if-empty docker rm --force").ok();
        }
    }

    /// The lab under the cluster, for its faults.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// All machines, the one with the store first.
    pub fn nodes(&self) -> Vec<Node<'_>> {
        (0..self.machines.len()).map(|index| self.node(index)).collect()
    }

    /// The machine with the store.
    pub fn m1(&self) -> Node<'_> {
        self.node(0)
    }

    /// A machine that joined.
    pub fn m2(&self) -> Node<'_> {
        self.node(1)
    }

    /// The other machine that joined.
    pub fn m3(&self) -> Node<'_> {
        self.node(2)
    }

    fn node(&self, index: usize) -> Node<'_> {
        let facts = &self.machines[index];
        Node { lab: &self.lab, name: &facts.name, id: &facts.id, address: facts.address }
    }

    /// All machines in the order of their ids, as lists have them.
    pub fn by_id(&self) -> Vec<Node<'_>> {
        let mut nodes = self.nodes();
        nodes.sort_by_key(|node| node.id);
        nodes
    }

    /// Boots the machines that are off, all at once.
    #[track_caller]
    pub fn power_on(&self) {
        let off = |machine: &flota_lab::Machine| machine.state == MachineState::Stopped;
        if self.lab.list().unwrap().iter().any(off) {
            self.lab.up(&mut Plain(std::io::stderr())).unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Waits until every machine reaches the store and knows all machines.
    #[track_caller]
    pub fn together(&self) {
        for node in self.nodes() {
            eventually("every machine knows all machines", TOGETHER, || {
                let known = node.run("flota list-machines --no-legend --fields machine,state");
                let ready = known.stdout.lines().filter(|line| line.ends_with("  ready")).count();
                if ready == self.machines.len() { Ok(()) } else { Err(known.to_string()) }
            });
        }
    }

    /// Submits a template and starts its instances 1 to 3, one on each machine; returns when all are active.
    #[track_caller]
    pub fn start_everywhere(&self, template: &str, text: &str) {
        let file = format!("{template}@.service");
        self.m1().write(&file, text);
        let instances: Vec<String> = (1..=self.machines.len()).map(|i| format!("{template}@{i}")).collect();
        self.m1().run(&format!("flota start {}", instances.join(" "))).ok();
    }

    /// The machine that a unit is scheduled to, if it is.
    #[track_caller]
    pub fn place(&self, unit: &str) -> Option<Node<'_>> {
        let list = self.m1().ask("flota list-unit-files --no-legend --full --fields unit,target");
        let mut rows = list.lines().filter_map(|line| line.split_once(' '));
        let (_, target) = rows.find(|(name, _)| *name == unit)?;
        let id = target.trim().split('/').next()?;
        self.nodes().into_iter().find(|node| node.id == id)
    }

    /// `flota list-units` as a machine sees it, once every unit in it is active and running.
    #[track_caller]
    pub fn all_running(&self, units: usize, seconds: u64) -> String {
        eventually(&format!("{units} units are active and running"), seconds, || {
            let list = self.m1().run("flota list-units --no-legend");
            let rows: Vec<&str> = list.stdout.lines().collect();
            let running = |row: &&str| row.ends_with("  active  running");
            if rows.len() == units && rows.iter().all(running) {
                Ok(list.stdout.clone())
            } else {
                Err(list.to_string())
            }
        })
    }

    /// Waits until the web page answers from that machine, and says so.
    #[track_caller]
    pub fn page_answers(&self, node: Node<'_>, seconds: u64) -> String {
        eventually(&format!("the page of {}", node.name), seconds, || {
            let page = crate::page(node.address)?;
            if page.contains(&format!("on machine {}", node.name)) { Ok(page) } else { Err(page) }
        })
    }
}
