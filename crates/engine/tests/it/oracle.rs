//! Random `[X-Fleet]` options against an oracle that reads them by itself, as text, and tries everything.
//!
//! The oracle shares nothing with the engine: neither the reading of options nor the patterns nor the rules.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::cluster::{Cluster, id};
use crate::{INACTIVE, LAUNCHED, LOADED};

const NAMES: [&str; 8] =
    ["a.service", "a@1.service", "a@2.service", "b.service", "b.socket", "c.timer", "db.service", "db.mount"];
const PATTERNS: [&str; 8] = ["a*", "a@*", "*.socket", "?.service", "b.*", "[ad]*.service", "db.service", "*"];

/// The options of one unit, as a person writes them.
#[derive(Debug, Clone, Default)]
struct Asks {
    lines: Vec<(&'static str, Vec<String>)>,
}

impl Asks {
    /// Lists of several values are written quoted, or as lines of their own.
    fn text(&self, quoted: bool) -> String {
        let line = |(option, values): &(&str, Vec<String>)| {
            if quoted && values.len() > 1 {
                let list: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
                format!("{option}={}\n", list.join(" "))
            } else {
                let lines: Vec<String> = values.iter().map(|value| format!("{option}={value}\n")).collect();
                lines.concat()
            }
        };
        self.lines.iter().map(line).collect()
    }

    fn all(&self, option: &str) -> impl Iterator<Item = &str> {
        let lines = self.lines.iter().filter(move |(name, _)| *name == option);
        lines.flat_map(|(_, values)| values.iter().map(String::as_str))
    }

    fn is_global(&self) -> bool {
        self.all("Global").next() == Some("true")
    }
}

type Metadata = BTreeMap<&'static str, &'static str>;

/// What the oracle knows: who asks for what, and who is where.
struct World<'a> {
    asks: &'a BTreeMap<&'static str, Asks>,
    machines: &'a BTreeMap<u32, Metadata>,
    places: BTreeMap<u32, BTreeSet<&'static str>>,
}

impl World<'_> {
    /// Whether the unit may be on the machine beside what is there.
    fn allows(&self, unit: &str, machine: u32) -> bool {
        let asks = &self.asks[unit];
        let here = &self.places[&machine];
        let full = id(machine).to_string();
        if asks.all("MachineID").any(|wanted| wanted != full && wanted != &full[..8]) {
            return false;
        }
        let mut keys: BTreeMap<&str, bool> = BTreeMap::new();
        for (key, value) in asks.all("MachineMetadata").filter_map(|value| value.split_once('=')) {
            *keys.entry(key).or_default() |= self.machines[&machine].get(key) == Some(&value);
        }
        let peers = asks.all("MachineOf").all(|peer| here.contains(peer));
        let others = here.iter().filter(|other| **other != unit);
        let mut strangers = others.filter(|other| {
            let theirs = &self.asks[*other];
            asks.all("Conflicts").any(|pattern| hits(pattern, other))
                || theirs.all("Conflicts").any(|pattern| hits(pattern, unit))
                || (theirs.all("Replaces").any(|pattern| hits(pattern, unit)) && !self.chain(unit, other, &mut vec![]))
        });
        keys.values().all(|met| *met) && peers && strangers.next().is_none() && !self.drives_out_its_peer(unit)
    }

    /// Whether `from` replaces `to` in any number of steps.
    fn chain<'s>(&'s self, from: &'s str, to: &str, seen: &mut Vec<&'s str>) -> bool {
        seen.push(from);
        let next: Vec<&str> = self.asks.keys().copied().filter(|other| *other != from).collect();
        next.into_iter().any(|other| {
            let replaces = self.asks[from].all("Replaces").any(|pattern| hits(pattern, other));
            replaces && (other == to || (!seen.contains(&other) && self.chain(other, to, seen)))
        })
    }

    /// Whether the unit replaces one that must be beside it.
    fn drives_out_its_peer(&self, unit: &str) -> bool {
        let mut beside: Vec<&str> = self.asks[unit].all("MachineOf").collect();
        let mut at = 0;
        while at < beside.len() {
            let peer = beside[at];
            if let Some(asks) = self.asks.get(peer) {
                let replaces = peer != unit && self.asks[unit].all("Replaces").any(|pattern| hits(pattern, peer));
                if replaces && !self.chain(peer, unit, &mut vec![]) {
                    return true;
                }
                let further: Vec<&str> = asks.all("MachineOf").filter(|next| !beside.contains(next)).collect();
                beside.extend(further);
            }
            at += 1;
        }
        false
    }
}

/// Shell patterns, by trying everything.
fn hits(pattern: &str, name: &str) -> bool {
    fn tail(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some(b'*'), _) => (0..=name.len()).any(|skip| tail(&pattern[1..], &name[skip..])),
            (Some(b'['), Some(c)) => {
                let close = pattern.iter().position(|c| *c == b']').unwrap();
                pattern[1..close].contains(c) && tail(&pattern[close + 1..], &name[1..])
            }
            (Some(b'?'), Some(_)) => tail(&pattern[1..], &name[1..]),
            (Some(p), Some(c)) => p == c && tail(&pattern[1..], &name[1..]),
            _ => false,
        }
    }
    tail(pattern.as_bytes(), name.as_bytes())
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let pair = prop_oneof![Just(("zone", "a")), Just(("zone", "b")), Just(("disk", "ssd")), Just(("disk", "hdd")),];
    prop::collection::vec(pair, 0..3).prop_map(|pairs| pairs.into_iter().collect())
}

fn asks() -> impl Strategy<Value = Asks> {
    let pattern = || prop::sample::select(&PATTERNS[..]).prop_map(str::to_owned);
    let label = || prop_oneof![Just("zone=a"), Just("zone=b"), Just("zone=c"), Just("disk=ssd"), Just("disk=hdd")];
    let machine = (1..=5_u32, any::<bool>())
        .prop_map(|(number, short)| if short { id(number).short().to_owned() } else { id(number).to_string() });
    let line = prop_oneof![
        3 => Just(("", vec![])),
        2 => prop::collection::vec(label().prop_map(str::to_owned), 1..3).prop_map(|list| ("MachineMetadata", list)),
        2 => prop::collection::vec(prop::sample::select(&NAMES[..]).prop_map(str::to_owned), 1..3)
            .prop_map(|list| ("MachineOf", list)),
        2 => prop::collection::vec(pattern(), 1..3).prop_map(|list| ("Conflicts", list)),
        1 => pattern().prop_map(|it| ("Replaces", vec![it])),
        1 => machine.prop_map(|it| ("MachineID", vec![it])),
        1 => Just(("Global", vec!["true".to_owned()])),
    ];
    let lines = prop::collection::vec(line, 1..3);
    lines.prop_map(|lines| Asks { lines: lines.into_iter().filter(|(option, _)| !option.is_empty()).collect() })
}

/// Whether Flota takes such a unit at all.
fn is_valid(unit: &str, asks: &Asks) -> bool {
    let file = crate::cluster::file(&asks.text(false));
    flota_unit::Requirements::from_unit(&unit.parse().unwrap(), &file).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_placement_is_allowed_and_every_unit_that_could_be_placed_is(
        machines in prop::collection::vec(metadata(), 1..5),
        units in prop::collection::vec((0..NAMES.len(), asks(), any::<bool>(), 0..6_u8), 1..10),
        one_by_one in any::<bool>(),
    ) {
        let machines: BTreeMap<u32, Metadata> = (1..).zip(machines).collect();
        let mut cluster = Cluster::empty();
        for (number, metadata) in &machines {
            let pairs: Vec<(&str, &str)> = metadata.iter().map(|(key, value)| (*key, *value)).collect();
            cluster.join(*number, &pairs);
        }
        cluster.settle();
        let mut wanted: BTreeMap<&'static str, Asks> = BTreeMap::new();
        for (index, asks, quoted, desired) in units {
            let unit = NAMES[index];
            if !is_valid(unit, &asks) {
                continue;
            }
            let state = match desired { 0 => INACTIVE, 1 => LOADED, _ => LAUNCHED };
            cluster.submit(unit, &asks.text(quoted), state);
            if state == INACTIVE { wanted.remove(unit) } else { wanted.insert(unit, asks) };
            if one_by_one {
                cluster.settle();
            }
        }
        cluster.settle();
        let held = |number: &u32| -> BTreeSet<&'static str> {
            let schedule = cluster.schedule(*number).unwrap_or_else(|| flota_registry::Schedule {
                cluster: "00000000000000000000000000000001".parse().unwrap(),
                generation: flota_registry::Generation::default(),
                units: BTreeMap::new(),
            });
            NAMES.into_iter().filter(|unit| schedule.units.contains_key(*unit)).collect()
        };
        let places = machines.keys().map(|number| (*number, held(number))).collect();
        let world = World { asks: &wanted, machines: &machines, places };
        for (unit, asks) in &wanted {
            let on: Vec<u32> = world.places.iter().filter(|(_, held)| held.contains(unit)).map(|(id, _)| *id).collect();
            for number in &on {
                prop_assert!(world.allows(unit, *number), "{unit} is on {number}: {:#?}", world.places);
            }
            prop_assert!(on.len() <= 1 || asks.is_global(), "{unit} is on {on:?}");
            for number in machines.keys().filter(|number| !on.contains(number) && (asks.is_global() || on.is_empty())) {
                prop_assert!(!world.allows(unit, *number), "{unit} could be on {number}: {:#?}", world.places);
            }
        }
        prop_assert!(world.places.values().flatten().all(|unit| wanted.contains_key(unit)));
        // It is at rest.
        let commits = cluster.commits.len();
        cluster.pass(60_000);
        prop_assert_eq!(cluster.commits.len(), commits);
    }
}
