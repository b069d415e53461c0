//! `cargo xtask demo`: the application of `examples/elk` on five Debian machines, and one machine lost.
//!
//! May be interrupted and repeated at any point: each step makes what is missing and leaves what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::http;
use crate::lab::{FIRST, Lab, UnitState};
use crate::packages;
use crate::shell::{self, root};
use crate::steps::{Steps, pretty};

/// A lab of its own: the demo cuts the power of its machines.
const LAB: &str = "demo";
const SUBNET: &str = "10.78.1.0/24";
const EXAMPLE: &str = "examples/elk";

/// The unit files, in the order in which the application is started.
const FILES: [&str; 5] =
    ["elasticsearch.service", "logstash.service", "sinatra@.service", "nginx.service", "test-script.service"];

/// The ports of the servers, each an instance of the template.
const SERVERS: [u16; 5] = [5000, 5001, 5002, 5003, 5004];

/// The log store: its API, and its page.
const API_PORT: u16 = 9200;
const PAGE_PORT: u16 = 5601;

/// How long all units may take to be active: five machines fetch their images first.
const UP_PATIENCE: Duration = Duration::from_secs(180);

/// How long the first requests may take to be in the log store.
const FLOW_PATIENCE: Duration = Duration::from_secs(60);

/// How long the application may take to be whole again: the lease and the grace of its machine, and containers' starts.
const WHOLE_PATIENCE: Duration = Duration::from_secs(90);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const NEXT: &str = "
What to try next, as root (docs/tutorial-elk.md walks through all of it):

  PATH=$PWD/target/release:$PATH
  alias m1='flota lab exec --name demo m1 --'   # any machine answers for the whole cluster; m1 is one
  m1 fleetctl list-units              # what runs where
  m1 flota start sinatra@5005         # one more server: nginx follows at once
  m1 flota why nginx                  # where it is, and why there
  m1 flota journal test-script        # every request and its status, from the machine that has it
  m1 flota kv get --prefix /app       # how nginx finds the servers
  flota lab forward --name demo STORE 5601  # the page at http://127.0.0.1:5601/, for ssh -L from elsewhere
  flota lab start --name demo LOST      # power for the lost machine
  flota lab down --name demo          # takes the machines away; images stay in /var/cache/flota-lab

The unit files are in examples/elk/today, those of 2014 in examples/elk/classic.
";

/// What the demo has to show in the end.
struct Shown {
    lost: String,
    moved: String,
    took: Duration,
    requests: u64,
    page: String,
    /// The machine that has the page.
    store: String,
}

/// Runs the demo, then tells its times and what to try.
pub fn run() -> Result<()> {
    let mut steps = Steps::new();
    let shown = demonstrate(&mut steps)?;
    steps.summary("demo done");
    println!(
        "\n  nine containers on five machines; {} lost its power, and everything was back after {}: {}\n  \
         {} requests are in the log store, and it goes on counting\n\n  the page:  {}",
        shown.lost,
        pretty(shown.took),
        shown.moved,
        shown.requests,
        shown.page
    );
    print!("{}", NEXT.replace("LOST", &shown.lost).replace("STORE", &shown.store));
    Ok(())
}

/// The steps, and what came of them.
fn demonstrate(steps: &mut Steps) -> Result<Shown> {
    if !packages::is_root()? {
        bail!("the demo makes machines with systemd-nspawn; run it as root");
    }
    steps.run("Debian packages", || packages::ensure(&[packages::BUILD, packages::LAB]))?;
    let lab = steps.run("build flota (release)", || Lab::build(LAB))?;
    let store = steps.run("build the log store (release)", log_store)?;
    steps.run("boot five Debian machines, one cluster", || {
        shell::run(&mut lab.verb("up", ["-n", "5", "--store", "etcd", "--subnet", SUBNET]))
    })?;
    steps.run("container images from Debian packages, in a registry", || {
        let program = |name: &str, path: PathBuf| format!("{name}={}", path.display());
        lab.serve_images(
            &format!("{EXAMPLE}/images"),
            "elk",
            &[program("flota", lab.program()), program("logstore", store)],
        )
    })?;
    steps.run("submit the unit files", || submit(&lab))?;
    steps.run("start the application in its order", || start(&lab))?;
    let places = steps.run("all nine units active", || wait_for_all(&lab, None, UP_PATIENCE))?;
    steps
        .run("what runs where", || fleetctl(&lab, &["list-machines"]).and_then(|()| fleetctl(&lab, &["list-units"])))?;
    steps.run("traffic: every server's requests in the log store", || {
        wait_for_traffic(address(&lab, place_of(&places, FILES[0])?)?)
    })?;
    let lost = place_of(&places, "nginx.service")?.to_owned();
    let began = Instant::now();
    steps.run(&format!("power off {lost}, which runs nginx"), || shell::run(&mut lab.verb("kill", [lost.as_str()])))?;
    let after = steps.run("everything on the other machines", || wait_for_all(&lab, Some(&lost), WHOLE_PATIENCE))?;
    let store = place_of(&after, FILES[0])?.to_owned();
    let at = address(&lab, &store)?;
    let requests = steps.run("the log store goes on counting", || goes_on_counting(at))?;
    let took = began.elapsed();
    steps.run("what runs where now", || fleetctl(&lab, &["list-units"]))?;
    let moved = moved(&places, &after);
    Ok(Shown { lost, moved, took, requests, page: format!("http://{at}:{PAGE_PORT}/"), store })
}

/// Builds the log store, which is a workspace of its own; its program.
fn log_store() -> Result<PathBuf> {
    let target = shell::target_dir()?.join("logstore");
    let mut build = shell::cargo(["build", "--release", "--locked", "--target-dir"]);
    shell::run(build.arg(&target).current_dir(root().join(EXAMPLE).join("logstore")))?;
    Ok(target.join("release/logstore"))
}

/// `fleetctl` on a machine that has power, shown as one would type it there.
fn fleetctl(lab: &Lab, args: &[&str]) -> Result<()> {
    let asked = asked(lab)?;
    println!("\n{asked}# fleetctl {}", args.join(" "));
    shell::run(&mut lab.exec(&asked, &[&["fleetctl"], args].concat()))
}

fn asked(lab: &Lab) -> Result<String> {
    lab.running()?.into_keys().next().context("no machine has power")
}

fn units() -> Vec<String> {
    let instances = SERVERS.iter().map(|port| format!("sinatra@{port}.service"));
    FILES.iter().filter(|file| !file.contains('@')).map(|file| (*file).to_owned()).chain(instances).collect()
}

/// Copies the unit files to the first machine and submits them; what an earlier demo left is taken away first.
fn submit(lab: &Lab) -> Result<()> {
    let mut old = vec!["flota", "destroy"];
    let units = units();
    old.extend(units.iter().map(String::as_str).chain(FILES));
    // That there are none is the usual case, and no error worth telling.
    shell::output(&mut lab.exec(FIRST, &old))?;
    for file in FILES {
        let path = root().join(EXAMPLE).join("today").join(file);
        let content = File::open(&path).with_context(|| format!("can't open {}", path.display()))?;
        shell::run(lab.exec(FIRST, &["sh", "-c", &format!("cat > '{file}'")]).stdin(content))?;
    }
    fleetctl(lab, &[&["submit"], FILES.as_slice()].concat())
}

fn start(lab: &Lab) -> Result<()> {
    let servers: Vec<String> = SERVERS.iter().map(|port| format!("sinatra@{port}")).collect();
    let servers: Vec<&str> = servers.iter().map(String::as_str).collect();
    for group in [&["elasticsearch"], &["logstash"], servers.as_slice(), &["nginx"], &["test-script"]] {
        fleetctl(lab, &[&["start", "--no-block"], group].concat())?;
    }
    Ok(())
}

/// The machine of each unit, once all are active, and none on the lost one; tells what happens meanwhile.
fn wait_for_all(lab: &Lab, lost: Option<&str>, patience: Duration) -> Result<BTreeMap<String, String>> {
    let wanted: BTreeSet<String> = units().into_iter().collect();
    let asked = asked(lab)?;
    let began = Instant::now();
    let mut told = String::new();
    while began.elapsed() < patience {
        let active = places(lab.states(&asked)?, lost);
        let missing: Vec<&str> = wanted.iter().filter(|unit| !active.contains_key(*unit)).map(String::as_str).collect();
        if missing.is_empty() {
            println!("    {:>7}  all {} are active", pretty(began.elapsed()), wanted.len());
            return Ok(active);
        }
        let now = format!("not active yet: {}", missing.join(" "));
        if now != told {
            println!("    {:>7}  {now}", pretty(began.elapsed()));
            told = now;
        }
        sleep(LOOK_EVERY);
    }
    bail!("not within {}; {told}", pretty(patience))
}

/// The machines of the units that are active elsewhere than on the lost machine.
fn places(states: Vec<UnitState>, lost: Option<&str>) -> BTreeMap<String, String> {
    let active = states.into_iter().filter(|state| state.active == "active");
    let here = active.filter(|state| state.machine != "?" && Some(state.machine.as_str()) != lost);
    here.map(|state| (state.unit, state.machine)).collect()
}

fn place_of<'a>(places: &'a BTreeMap<String, String>, unit: &str) -> Result<&'a str> {
    places.get(unit).map(String::as_str).with_context(|| format!("{unit} is not active"))
}

fn address(lab: &Lab, machine: &str) -> Result<Ipv4Addr> {
    lab.running()?.get(machine).copied().with_context(|| format!("{machine} does not run"))
}

/// `nginx on m2, sinatra@5000 on m4`
fn moved(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> String {
    let moved = after.iter().filter(|(unit, machine)| before.get(*unit) != Some(machine));
    let words = moved.map(|(unit, machine)| format!("{} on {machine}", unit.trim_end_matches(".service")));
    words.collect::<Vec<_>>().join(", ")
}

/// What a search in the log store finds.
fn search(store: Ipv4Addr, body: &Value) -> Result<Value> {
    let address = SocketAddr::from((store, API_PORT));
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(2));
    let stream = stream.with_context(|| format!("can't connect to {address}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).context("can't set a timeout")?;
    let answer = http::exchange(stream, "POST", "/_search", Some(&body.to_string()))?;
    serde_json::from_str(&answer.body).with_context(|| format!("the log store says {}", answer.body))
}

/// Waits until requests that each server answered are in the log store, and shows how many.
fn wait_for_traffic(store: Ipv4Addr) -> Result<()> {
    let body = json!({"size": 0, "aggs": {"ports": {"terms": {"field": "port", "size": 50}}}});
    let began = Instant::now();
    loop {
        let by = search(store, &body).map(|found| by_server(&found));
        match by {
            Ok(by) if by.len() >= SERVERS.len() => {
                for (port, count) in by {
                    println!("    sinatra@{port}  {count:>5} requests");
                }
                println!("    the page: http://{store}:{PAGE_PORT}/");
                return Ok(());
            }
            Ok(by) if began.elapsed() > FLOW_PATIENCE => bail!("requests of {by:?} only"),
            Err(error) if began.elapsed() > FLOW_PATIENCE => return Err(error),
            Ok(_) | Err(_) => sleep(LOOK_EVERY),
        }
    }
}

fn by_server(found: &Value) -> BTreeMap<u64, u64> {
    let buckets = found["aggregations"]["ports"]["buckets"].as_array().into_iter().flatten();
    buckets.filter_map(|bucket| Some((bucket["key"].as_f64()? as u64, bucket["doc_count"].as_u64()?))).collect()
}

/// Waits until more requests are in the log store than at first; how many.
fn goes_on_counting(store: Ipv4Addr) -> Result<u64> {
    let count =
        || Ok::<_, anyhow::Error>(search(store, &json!({"size": 0}))?["hits"]["total"]["value"].as_u64().unwrap_or(0));
    let before = count()?;
    let began = Instant::now();
    while began.elapsed() < WHOLE_PATIENCE {
        let now = count()?;
        if now > before {
            println!("    {before} requests, then {now}");
            return Ok(now);
        }
        sleep(LOOK_EVERY);
    }
    bail!("the log store stands at {before} requests")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(unit: &str, machine: &str, active: &str) -> UnitState {
        UnitState { unit: unit.into(), machine: machine.into(), active: active.into() }
    }

    #[test]
    fn what_was_on_the_lost_machine_is_nowhere_until_it_is_elsewhere() {
        let states = || vec![state("a", "m1", "active"), state("b", "m2", "active"), state("c", "m3", "failed")];
        assert_eq!(places(states(), None).len(), 2);
        assert_eq!(places(states(), Some("m1")).into_keys().collect::<Vec<_>>(), ["b"]);
        assert!(places(vec![state("a", "?", "active")], None).is_empty());
    }

    #[test]
    fn moves_are_told_in_words() {
        let before = BTreeMap::from([("nginx.service".into(), "m1".into()), ("b.service".into(), "m2".into())]);
        let after = BTreeMap::from([("nginx.service".into(), "m3".into()), ("b.service".into(), "m2".into())]);
        assert_eq!(moved(&before, &after), "nginx on m3");
    }

    #[test]
    fn requests_are_counted_by_server() {
        let found = json!({"aggregations": {"ports": {"buckets": [{"key": 5001.0, "doc_count": 3}]}}});
        assert_eq!(by_server(&found), BTreeMap::from([(5001, 3)]));
        assert!(by_server(&json!({})).is_empty());
    }

    #[test]
    fn the_unit_files_are_there_and_nine_units_come_of_them() {
        for folder in ["today", "classic"] {
            for file in FILES {
                assert!(root().join(EXAMPLE).join(folder).join(file).is_file(), "{folder}/{file}");
            }
        }
        assert_eq!(units().len(), 9);
    }
}
