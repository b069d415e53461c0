//! The one cluster that all tests of a program share, handed to each of them whole and empty.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flota_lab::{Lab, LabConfig, MachineState, Plain, Store};

use crate::node::{Facts, Node};
use crate::undertaker::Undertaker;
use crate::wait::eventually;
use crate::{beats, diagnosis, elk, program};

/// The image of [`crate::texts::WEB`] and [`crate::texts::BEAT`].
const WEB_IMAGE: &str = "flota/web:1";

/// What a cluster is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    lab: &'static str,
    subnet: &'static str,
    machines: u8,
    store: Store,
    images: Images,
}

/// The container images that its machines have or can fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Images {
    /// That of [`crate::texts::WEB`] and [`crate::texts::BEAT`], on every machine.
    Web,
    /// Those of `examples/elk`, in the lab's registry.
    Elk,
}

/// Three machines, the store in the first one's daemon: the smallest cluster that people run.
const THREE: Plan =
    Plan { lab: "e2e", subnet: "10.78.240.0/24", machines: 3, store: Store::Embedded, images: Images::Web };

/// Five machines, Debian's etcd on three of them.
const FIVE: Plan = Plan { lab: "e2e5", subnet: "10.78.241.0/24", machines: 5, store: Store::Etcd, images: Images::Web };

/// The same for the application of `examples/elk`.
const ELK: Plan =
    Plan { lab: "e2eelk", subnet: "10.78.243.0/24", machines: 5, store: Store::Etcd, images: Images::Elk };

/// Three machines for a database, whose image is too large to be brought to machines that do not need it.
const GALERA: Plan = Plan { lab: "e2egal", subnet: "10.78.247.0/24", ..THREE };

/// How long the machines may take to find each other, in seconds.
const TOGETHER: u64 = 30;

/// Machines with Flota on them.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    lab: Lab,
    machines: Vec<Facts>,
    /// Whether a test failed on it, so that nobody knows what it left behind.
    spoiled: bool,
    _undertaker: Undertaker,
}

static CLUSTER: Mutex<Option<Cluster>> = Mutex::new(None);

/// The cluster, for one test.
#[derive(Debug)]
pub struct InUse(MutexGuard<'static, Option<Cluster>>);

/// Hands the cluster out: three machines that know each other, with the image [`crate::texts::WEB`] runs, and no units.
/// The first call boots it, and so does the first one after a failed test.
#[track_caller]
pub fn cluster() -> InUse {
    hand_out(THREE)
}

/// The same with five machines and a real etcd on three of them. A program uses one or the other.
#[track_caller]
pub fn five() -> InUse {
    hand_out(FIVE)
}

/// The same as [`cluster()`], in a lab of its own for examples/galera.
#[track_caller]
pub fn three_for_galera() -> InUse {
    hand_out(GALERA)
}

/// The same with the images of `examples/elk` in a registry that all machines reach.
#[track_caller]
pub fn with_elk_images() -> InUse {
    hand_out(ELK)
}

#[track_caller]
fn hand_out(plan: Plan) -> InUse {
    let mut place = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = place.get_or_insert_with(|| Cluster::create(plan));
    assert_eq!(cluster.plan, plan, "this program uses another cluster already");
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
    fn create(plan: Plan) -> Cluster {
        let binary = program::flota();
        let undertaker = Undertaker::hire(&binary, plan.lab);
        let config = LabConfig {
            name: plan.lab.parse().unwrap(),
            subnet: plan.subnet.parse().unwrap(),
            machines: plan.machines,
            store: plan.store,
            binary: Some(binary),
            ..LabConfig::default()
        };
        let lab = Lab::open(config).unwrap_or_else(|error| panic!("{error}"));
        Cluster { plan, lab, machines: Vec::new(), spoiled: true, _undertaker: undertaker }
    }

    /// A new lab, whatever was there.
    fn boot_anew(&mut self) {
        let progress = &mut Plain(std::io::stderr());
        self.lab.down(progress).unwrap_or_else(|error| panic!("{error}"));
        let machines = self.lab.up(progress).unwrap_or_else(|error| panic!("{error}"));
        let images = match self.plan.images {
            Images::Web => self.lab.build_container_image(WEB_IMAGE, &beats::image(), progress),
            Images::Elk => self.lab.serve_images(&elk::images(), progress),
        };
        images.unwrap_or_else(|error| panic!("{error}"));
        self.machines = machines.into_iter().map(|machine| Facts::of(&self.lab, machine)).collect();
    }

    /// Takes away what a test left: everything runs, nothing is in the cluster.
    #[track_caller]
    fn tidy(&self) {
        self.mend();
        for node in self.nodes() {
            node.start_daemon();
        }
        self.together();
        let units = self.m1().ask("flota list-unit-files --no-legend --fields unit").replace('\n', " ");
        if !units.is_empty() {
            self.m1().run(&format!("flota destroy --block-attempts 15 {units}")).ok();
        }
        self.forget_losses();
        for node in self.nodes() {
            node.run("docker ps --all --quiet | xargs --no-run-if-empty docker rm --force").ok();
            node.run(&format!("rm -rf /root/* {}", beats::DIR)).ok();
        }
    }

    /// Machines that were lost are held off for a while when they are back, but for those that people took out of service
    /// and bring back.
    #[track_caller]
    fn forget_losses(&self) {
        let all = self.nodes().iter().map(|node| node.id.to_owned()).collect::<Vec<_>>().join(" ");
        self.m1().run(&format!("flota cordon {all}")).ok();
        // The leader has to see that they are out before they are in again.
        std::thread::sleep(Duration::from_secs(1));
        self.m1().run(&format!("flota uncordon {all}")).ok();
        self.together();
    }

    /// Takes every fault away that a machine can have from outside.
    #[track_caller]
    fn mend(&self) {
        for machine in self.lab.list().unwrap() {
            self.lab.heal(&machine.name).unwrap();
            if machine.state == MachineState::Frozen {
                self.lab.thaw(&machine.name).unwrap();
            }
        }
        self.power_on();
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

    /// The machine of that number, counted from 1.
    pub fn m(&self, number: usize) -> Node<'_> {
        self.node(number - 1)
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
        self.machines[index].node(&self.lab)
    }

    /// A machine that runs and can be asked about the cluster: the last one whose cable is whole and that has power.
    #[track_caller]
    pub fn asked(&self) -> Node<'_> {
        let running = self.lab.list().unwrap();
        let good = |name: &str| {
            let up = running.iter().any(|machine| machine.name == name && machine.state == MachineState::Running);
            up && !self.lab.is_damaged(name).unwrap()
        };
        self.nodes().into_iter().rev().find(|node| good(node.name)).unwrap_or_else(|| self.m1())
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

    /// Submits a template and starts as many instances as there are machines, one on each machine; returns when all are active.
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
        let list = self.asked().ask("flota list-unit-files --no-legend --full --fields unit,target");
        let mut rows = list.lines().filter_map(|line| line.split_once(' '));
        let (_, target) = rows.find(|(name, _)| *name == unit)?;
        let id = target.trim().split('/').next()?;
        self.nodes().into_iter().find(|node| node.id == id)
    }

    /// `flota list-units` as a machine sees it, once every unit in it is active and running.
    #[track_caller]
    pub fn all_running(&self, units: usize, seconds: u64) -> String {
        eventually(&format!("{units} units are active and running"), seconds, || {
            let list = self.asked().run("flota list-units --no-legend");
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
