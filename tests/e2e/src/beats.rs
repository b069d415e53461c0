//! Evidence from inside of units: containers that write down when they start, beat and stop, on the disk of their machine.
//!
//! All lab machines have one kernel, and so one clock: times from different machines compare to the hundredth of a
//! second. The files outlive container, unit and machine, and the host reads them even when the machine has no power.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use flota_lab::ContainerRecipe;

use crate::cluster::Cluster;
use crate::wait::LOOK_EVERY;

/// Where containers write, on their machine.
pub(crate) const DIR: &str = "/var/lib/beats";

/// How long a container can be silent while it lives, in seconds: it beats five times a second, on a busy host.
const SILENCE: f64 = 1.5;

/// `beat NAME`: lines of time, word and a name of its own that no other run has.
const SCRIPT: &str = r#"#!/bin/sh
say() { read -r now rest < /proc/uptime; echo "$now $1 $id" >> "$log"; }
log=/beats/$1
read -r id < /proc/sys/kernel/random/uuid
trap 'say stop; kill $!; exit 0' TERM INT
say start
while :; do
    sleep 0.2 &
    wait $!
    say beat
done
"#;

/// The web server's image with `beat` in it.
pub(crate) fn image() -> ContainerRecipe {
    let mut recipe = ContainerRecipe::web();
    recipe.files.push(("/usr/bin/beat".to_owned(), 0o755, SCRIPT.to_owned()));
    recipe
}

/// The host's clock that containers write down, in seconds since its boot.
pub fn host_seconds() -> f64 {
    let uptime = fs::read_to_string("/proc/uptime").expect("a kernel tells its uptime");
    uptime.split(' ').next().and_then(|text| text.parse().ok()).expect("seconds")
}

/// One life of a container, from its start to its last word.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    /// The machine it ran on.
    pub machine: String,
    /// The container's name for itself.
    pub id: String,
    /// Its first word, in seconds since the boot of the host.
    pub from: f64,
    /// Its last word, likewise.
    pub until: f64,
    /// Whether it was asked to stop (a container whose machine lost power was not).
    pub stopped: bool,
}

impl Life {
    /// Whether it was alive at any moment of the other's life.
    fn meets(&self, other: &Life) -> bool {
        self.from <= other.until && other.from <= self.until
    }
}

/// Every life of one unit, in the order of their starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Beats {
    /// The unit's name.
    pub unit: String,
    /// Its lives.
    pub lives: Vec<Life>,
}

impl Beats {
    /// What the disks of all machines tell about `unit`, such as `beat@1.service`.
    pub fn of(cluster: &Cluster, unit: &str) -> Beats {
        let name = unit.trim_end_matches(".service").replace('@', "-");
        let mut lives = BTreeMap::new();
        for node in cluster.nodes() {
            let path = cluster.lab().disk(node.name).join(DIR.trim_start_matches('/')).join(&name);
            for line in fs::read_to_string(path).unwrap_or_default().lines() {
                read(node.name, line, &mut lives);
            }
        }
        let mut lives: Vec<Life> = lives.into_values().collect();
        lives.sort_by(|a, b| a.from.total_cmp(&b.from));
        Beats { unit: unit.to_owned(), lives }
    }

    /// The life that goes on now, on that machine if one is named.
    pub fn alive(&self, machine: Option<&str>) -> Option<&Life> {
        let now = host_seconds();
        let here = |life: &&Life| machine.is_none_or(|machine| life.machine == machine);
        self.lives.iter().filter(here).find(|life| !life.stopped && now - life.until < SILENCE)
    }

    /// Waits until a life began after the time `since`, on another machine than `not_on`.
    #[track_caller]
    pub fn wait_for_new(cluster: &Cluster, unit: &str, not_on: &str, since: f64, patience: Duration) -> Life {
        let deadline = Instant::now() + patience;
        loop {
            let beats = Beats::of(cluster, unit);
            if let Some(life) = beats.lives.iter().find(|life| life.machine != not_on && life.from > since) {
                return life.clone();
            }
            assert!(Instant::now() < deadline, "{unit} did not start elsewhere within {patience:?}: {beats:#?}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Never were two alive at once.
    #[track_caller]
    pub fn never_two(&self) {
        for (index, one) in self.lives.iter().enumerate() {
            if let Some(other) = self.lives[index + 1..].iter().find(|other| one.meets(other)) {
                panic!("{} ran twice at once: {one:?} and {other:?}", self.unit);
            }
        }
    }
}

fn read(machine: &str, line: &str, lives: &mut BTreeMap<String, Life>) {
    let words: Vec<&str> = line.split(' ').collect();
    // A line may be torn by a power cut.
    let [time, word, id] = words[..] else { return };
    let Ok(time) = time.parse::<f64>() else { return };
    let life = lives.entry(id.to_owned()).or_insert_with(|| Life {
        machine: machine.to_owned(),
        id: id.to_owned(),
        from: time,
        until: time,
        stopped: false,
    });
    life.until = time;
    life.stopped |= word == "stop";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(lines: &[(&str, &str)]) -> Beats {
        let mut lives = BTreeMap::new();
        for (machine, line) in lines {
            read(machine, line, &mut lives);
        }
        Beats { unit: "beat@1.service".into(), lives: lives.into_values().collect() }
    }

    #[test]
    fn a_life_is_what_one_container_wrote() {
        let beats = beats(&[("m1", "1.00 start a"), ("m1", "1.20 beat a"), ("m1", "1.3"), ("m1", "1.40 stop a")]);
        let life = Life { machine: "m1".into(), id: "a".into(), from: 1.0, until: 1.4, stopped: true };
        assert_eq!(beats.lives, [life]);
        beats.never_two();
    }

    #[test]
    #[should_panic(expected = "ran twice at once")]
    fn two_lives_at_once_are_found() {
        beats(&[("m1", "1.00 start a"), ("m1", "2.00 beat a"), ("m2", "1.50 start b")]).never_two();
    }
}
