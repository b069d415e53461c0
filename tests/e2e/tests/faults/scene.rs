//! What the tests set up and look at: beating containers, plain units, etcd's members, the leaders.

use std::time::{Duration, Instant};

use flota_e2e::{Beats, Cluster, Node, Ran, Witness, eventually, texts};
use serde_json::Value;

/// How long a unit may take to come up on an idle cluster, its container's start included.
const UP: u64 = 20;

/// Starts `count` containers that beat, and returns when each has begun.
#[track_caller]
pub fn start_beats(cluster: &Cluster, count: u8) -> Vec<String> {
    start_template(cluster, "beat", texts::BEAT, count)
}

/// The same as an exclusive unit, which may never run twice at once.
#[track_caller]
pub fn start_exclusive_beats(cluster: &Cluster, count: u8) -> Vec<String> {
    let text = format!("{}\n[X-Flota]\nExclusive=true\n", texts::BEAT.replace("beat-%i", "sole-%i"));
    start_template(cluster, "sole", &text, count)
}

fn start_template(cluster: &Cluster, template: &str, text: &str, count: u8) -> Vec<String> {
    cluster.m1().write(&format!("{template}@.service"), text);
    let units: Vec<String> = (1..=count).map(|number| format!("{template}@{number}.service")).collect();
    cluster.m1().run(&format!("flota start {}", units.join(" "))).ok();
    for unit in &units {
        eventually(&format!("{unit} beats"), UP, || {
            let beats = Beats::of(cluster, unit);
            beats.alive(None).map(|_| ()).ok_or_else(|| format!("{beats:?}"))
        });
    }
    units
}

/// The units among these whose living container is on that machine.
pub fn units_on(cluster: &Cluster, units: &[String], machine: &str) -> Vec<String> {
    let here = |unit: &&String| Beats::of(cluster, unit).alive(Some(machine)).is_some();
    units.iter().filter(here).cloned().collect()
}

/// A beating container and a plain process on every machine: what must not be touched.
pub struct Load {
    pub list: String,
    pub witness: Witness,
}

impl Load {
    #[track_caller]
    pub fn start(cluster: &Cluster) -> Load {
        let machines = cluster.nodes().len();
        cluster.start_everywhere("sleep", texts::SLEEP);
        cluster.start_everywhere("beat", &format!("{}\n[X-Fleet]\nConflicts=beat@*\n", texts::BEAT));
        let list = cluster.all_running(2 * machines, UP);
        for number in 1..=machines {
            eventually("every container beats", UP, || {
                let beats = Beats::of(cluster, &format!("beat@{number}.service"));
                beats.alive(None).map(|_| ()).ok_or_else(|| format!("{beats:?}"))
            });
        }
        let witness = Witness::of(&cluster.nodes());
        assert_eq!(witness.len(), 3 * machines, "two units and a container on each machine: {witness:?}");
        Load { list, witness }
    }

    /// No process has changed, and each container has had one life.
    #[track_caller]
    pub fn untouched(&self, cluster: &Cluster, after: &str) {
        self.witness.unchanged(&cluster.nodes(), after);
        for number in 1..=cluster.nodes().len() {
            let beats = Beats::of(cluster, &format!("beat@{number}.service"));
            assert_eq!(beats.lives.len(), 1, "after {after}: {beats:#?}");
            assert!(beats.alive(None).is_some(), "after {after}: {beats:#?}");
        }
    }

    /// No process has changed on the machines beside that one.
    #[track_caller]
    pub fn others_untouched(&self, cluster: &Cluster, except: Node<'_>, after: &str) {
        let others: Vec<Node<'_>> = cluster.nodes().into_iter().filter(|node| node.name != except.name).collect();
        self.witness.unchanged(&others, after);
    }

    /// Every machine lists what it listed before, and a unit can be started; how long that took to be so.
    #[track_caller]
    pub fn normal_again(&self, cluster: &Cluster, patience: u64) -> Duration {
        let began = Instant::now();
        let m1 = cluster.m1();
        m1.write("again.service", "[Service]\nExecStart=/bin/sleep infinity\n");
        for node in cluster.nodes() {
            eventually("every machine lists what it listed before", patience, || {
                let now = node.run("flota list-units --no-legend | grep -v ^again");
                if now.stdout == self.list { Ok(()) } else { Err(now.to_string()) }
            });
        }
        let listed = began.elapsed();
        let left = Duration::from_secs(patience).saturating_sub(listed).as_secs().max(1);
        eventually("a unit can be started", left, || {
            let started = m1.run("flota start --block-attempts 5 again.service");
            if started.code == 0 { Ok(()) } else { Err(started.to_string()) }
        });
        let took = began.elapsed();
        m1.run("flota destroy again.service").ok();
        took
    }
}

/// `etcdctl` with the machine's own certificate, at those members; API 3 needs to be asked for on Debian 12.
pub fn etcdctl(node: Node<'_>, endpoints: &str, command: &str) -> Ran {
    let pki = "--cacert /etc/flota/pki/ca.pem --cert /etc/flota/pki/machine.pem --key /etc/flota/pki/machine-key.pem";
    node.run(&format!("ETCDCTL_API=3 etcdctl --endpoints {endpoints} {pki} {command}"))
}

/// The machines with a member of etcd.
pub fn members(cluster: &Cluster) -> Vec<Node<'_>> {
    cluster.nodes().into_iter().take(3).collect()
}

fn endpoint(node: Node<'_>) -> String {
    format!("https://{}:2379", node.address)
}

/// All members' addresses, for `--endpoints`.
pub fn endpoints(cluster: &Cluster) -> String {
    members(cluster).into_iter().map(endpoint).collect::<Vec<_>>().join(",")
}

/// The machine whose member leads etcd.
#[track_caller]
pub fn etcd_leader(cluster: &Cluster) -> Node<'_> {
    eventually("etcd has a leader", 20, || {
        for node in members(cluster) {
            let status = etcdctl(node, &endpoint(node), "endpoint status --write-out json");
            let Ok(status) = serde_json::from_str::<Value>(&status.stdout) else { continue };
            let status = &status[0]["Status"];
            if status["leader"].is_u64() && status["leader"] == status["header"]["member_id"] {
                return Ok(node);
            }
        }
        Err("no member says that it leads".to_owned())
    })
}

/// The machine whose daemon leads Flota, if one does.
pub fn flota_leader<'a>(cluster: &'a Cluster, asked: Node<'a>) -> Option<Node<'a>> {
    let answer = etcdctl(asked, &endpoints(cluster), "get /flota/v1/leader --print-value-only");
    let leader: Value = serde_json::from_str(&answer.stdout).ok()?;
    cluster.nodes().into_iter().find(|node| leader["machine"] == node.id)
}

/// `systemctl VERB etcd` on all members at once: a member that starts waits for others.
#[track_caller]
pub fn all_etcd(cluster: &Cluster, verb: &str) {
    for node in members(cluster) {
        node.run(&format!("systemctl --no-block {verb} etcd.service")).ok();
    }
    let wanted = if verb == "stop" { "inactive\n" } else { "active\n" };
    for node in members(cluster) {
        eventually("etcd does as it is told", 30, || {
            let state = node.run("systemctl is-active etcd.service");
            if state.stdout == wanted { Ok(()) } else { Err(state.to_string()) }
        });
    }
}
