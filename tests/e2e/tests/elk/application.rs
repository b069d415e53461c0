//! The application as somebody runs it: started in the seed's order, and looked at from outside.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use flota_e2e::{Cluster, Node, eventually};

use crate::log_store;

/// The servers that are started.
pub const SERVERS: [u16; 5] = [5000, 5001, 5002, 5003, 5004];

/// How long all units may take to be active, in seconds, on a busy host; what it takes on an idle one is told.
const UP: u64 = 150;

/// How long the first requests may take to be in the log store.
const FLOWING: u64 = 60;

/// The application, all of its nine units active.
pub struct Application<'a> {
    pub cluster: &'a Cluster,
}

/// What the test script wrote about its present run.
#[derive(Debug)]
pub struct Script {
    pub run: String,
    pub answered: BTreeSet<u64>,
    /// Number and status.
    pub failed: BTreeMap<u64, String>,
}

/// Tells a figure among the tests' output.
pub fn tell(text: &str) {
    // Not by `println!`, which the test harness keeps to itself while tests pass.
    let _ = writeln!(std::io::stderr(), "figure: {text}");
}

/// A server's unit.
pub fn server(port: u16) -> String {
    format!("sinatra@{port}.service")
}

impl<'a> Application<'a> {
    /// Starts the unit files of one folder of `examples/elk` with fleetctl, in the seed's order, and waits until there is
    /// traffic.
    #[track_caller]
    pub fn start(cluster: &'a Cluster, folder: &str) -> Application<'a> {
        let m1 = cluster.m1();
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/elk").join(folder);
        let mut files = Vec::new();
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            m1.write(&name, fs::read(&path).unwrap());
            files.push(name);
        }
        m1.run(&format!("fleetctl submit {}", files.join(" "))).ok();
        let began = Instant::now();
        let servers = SERVERS.map(|port| format!("sinatra@{port}")).join(" ");
        for units in ["elasticsearch", "logstash", &servers, "nginx", "test-script"] {
            m1.run_within(UP as u32, &format!("fleetctl start --no-block {units}")).ok();
        }
        cluster.all_running(4 + SERVERS.len(), UP);
        let active = began.elapsed();
        let application = Application { cluster };
        eventually("each server has answered", FLOWING, || {
            let by = log_store::servers(application.store())?;
            if by.len() == SERVERS.len() { Ok(()) } else { Err(format!("{by:?}")) }
        });
        let flowing = began.elapsed();
        tell(&format!(
            "elk ({folder}): all nine active after {:.1} s, logs of all servers found after {:.1} s",
            active.as_secs_f64(),
            flowing.as_secs_f64()
        ));
        application
    }

    /// The machine of a unit.
    #[track_caller]
    pub fn place(&self, unit: &str) -> Node<'a> {
        self.cluster.place(unit).unwrap_or_else(|| panic!("{unit} has no machine"))
    }

    /// Where the log store is.
    #[track_caller]
    pub fn store(&self) -> Ipv4Addr {
        self.place("elasticsearch.service").address
    }

    /// The value of a key, if it is there.
    #[track_caller]
    pub fn key(&self, key: &str) -> Option<String> {
        let got = self.cluster.asked().run(&format!("flota kv get {key}"));
        (got.code == 0).then(|| got.stdout.trim_end().to_owned())
    }

    /// What the test script has written by now.
    #[track_caller]
    pub fn script(&self) -> Script {
        let text = self.place("test-script.service").ask("docker logs test-script 2>/dev/null");
        let mut script = Script { run: String::new(), answered: BTreeSet::new(), failed: BTreeMap::new() };
        for line in text.lines() {
            let (first, second) = line.split_once(' ').unwrap_or((line, ""));
            match (first.parse::<u64>(), second) {
                (Ok(number), "200") => {
                    script.answered.insert(number);
                }
                (Ok(number), status) => {
                    script.failed.insert(number, status.to_owned());
                }
                (Err(_), run) if first == "run" => run.clone_into(&mut script.run),
                // What confd says.
                (Err(_), _) => {}
            }
        }
        script
    }

    /// Every request that was answered by now is in the log store soon.
    #[track_caller]
    pub fn all_logged(&self, seconds: u64) {
        let script = self.script();
        let began = Instant::now();
        eventually("every request of the test script is in the log store", seconds, || {
            let logged = log_store::requests(self.store(), &script.run)?;
            let missing: Vec<_> = script.answered.difference(&logged).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("of {} not: {missing:?}", script.answered.len())) }
        });
        let took = began.elapsed().as_secs_f64();
        tell(&format!(
            "elk: all of {} requests in the log store {took:.1} s after they were counted",
            script.answered.len()
        ));
    }

    /// No request after that number has failed.
    #[track_caller]
    pub fn no_failure_since(&self, number: u64) {
        let script = self.script();
        let since: BTreeMap<_, _> = script.failed.range(number..).collect();
        assert!(since.is_empty(), "failed of {}: {since:?}", script.answered.len());
        assert!(script.answered.last().is_some_and(|last| *last > number), "no request since {number}");
    }

    /// Waits until the log store has more documents than it had; how long that took.
    #[track_caller]
    pub fn goes_on_counting(&self, seconds: u64) -> Duration {
        let began = Instant::now();
        let before = eventually("the log store counts", seconds, || log_store::count(self.store()));
        eventually("the log store goes on counting", seconds, || match log_store::count(self.store())? {
            now if now > before + 5 => Ok(()),
            now => Err(format!("{now}, not more than {before}")),
        });
        began.elapsed()
    }
}
