//! What a machine believes of its store: from what it remembers and what the store shows to a verdict.
//!
//! A store can forget: it was wiped, restored from an older backup, or is another cluster's. Followed blindly, such a
//! store would take healthy units down. A machine that finds one stands still with its units running, and asks.

use std::collections::BTreeSet;
use std::fmt;

use flota_registry::{Cluster, ClusterId, Generation, Schedule, ScheduledUnit};
use flota_unit::UnitName;
use serde::{Deserialize, Serialize};

use crate::Held;

/// Who the store itself says it is, in the header of each answer: a number drawn when its data directory was made.
/// Not to be taken for the [`ClusterId`], which is a value in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub u64);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

/// What a machine remembers of the store that it believed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The cluster that the machine belongs to.
    pub cluster: ClusterId,
    /// How often people had accepted a store until then ([`Cluster::incarnation`]).
    #[serde(default)]
    pub incarnation: u64,
    /// The highest revision seen.
    #[serde(default)]
    pub revision: i64,
    /// The store's own id; none when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreId>,
}

/// What a store shows to whoever connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The record at [`flota_registry::Key::Cluster`].
    pub cluster: Option<Cluster>,
    /// The revision that it stands at.
    pub revision: i64,
    /// Its own id; none where it tells none.
    pub store: Option<StoreId>,
}

/// What to make of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A new one, and the machine belongs to no cluster: it may found one.
    Found,
    /// Its word counts. To be remembered from now on.
    Ours(Known),
    /// Its word does not count.
    Frozen(Distrust),
}

/// Why a store is not believed. As text: what is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distrust {
    /// What the machine remembers.
    pub known: Known,
    /// What speaks against the store.
    pub doubt: Doubt,
}

/// What speaks against a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// There is no cluster in it.
    Wiped,
    /// It holds this other cluster.
    Foreign(ClusterId),
    /// It stands at this revision, below one that the machine has seen.
    Older(i64),
    /// It was accepted only so many times, less often than the one that the machine saw.
    Superseded(u64),
    /// Its data directory was made anew, as a restore does. It may have moved on since, past what the machine has
    /// seen, so its revision says nothing.
    Restored(StoreId),
    /// It holds this generation of the machine's schedule (0: none), and the machine holds a later one, or another one of
    /// the same generation. So it is older, although it has moved on past every revision that the machine has seen.
    Behind(Generation, Generation),
}

impl Distrust {
    /// Whether it is a store of the machine's own cluster. The machine announces itself there, and says why it stands
    /// still; to any other store it says nothing.
    pub fn is_own_cluster(&self) -> bool {
        !matches!(self.doubt, Doubt::Wiped | Doubt::Foreign(_))
    }

    /// Whether people can accept the store as it is. Another cluster's is never taken over.
    pub fn is_acceptable(&self) -> bool {
        !matches!(self.doubt, Doubt::Foreign(_))
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Known { cluster, incarnation, revision, .. } = &self.known;
        match &self.doubt {
            Doubt::Wiped => write!(
                f,
                "the store is empty, but this machine belongs to cluster {cluster}: bring the cluster's store back, or \
                 let the machines fill this one with what they hold (flota store accept)"
            ),
            Doubt::Foreign(theirs) => write!(
                f,
                "the store is that of cluster {theirs}, but this machine belongs to cluster {cluster}: correct the \
                 store's endpoints, or let this machine leave its cluster first"
            ),
            Doubt::Older(shown) => write!(
                f,
                "the store is older than what this machine has seen (revision {shown}, not {revision}): bring the newer \
                 one back, or take this one for the truth (flota store accept)"
            ),
            Doubt::Superseded(shown) => write!(
                f,
                "the store is from before one that was accepted later (incarnation {shown}, not {incarnation}): bring the \
                 later one back, or take this one for the truth (flota store accept)"
            ),
            Doubt::Behind(shown, held) => write!(
                f,
                "the store is older than what this machine has seen (its schedule's generation {}, not {}): bring the newer \
                 one back, or take this one for the truth (flota store accept)",
                shown.0, held.0
            ),
            Doubt::Restored(shown) => {
                let seen = self.known.store.map_or_else(String::new, |id| id.to_string());
                write!(
                    f,
                    "the store was made anew from a backup (its own id is {shown}, not {seen}), and nobody can tell what is \
                     missing in it: bring the other one back, or take this one for the truth (flota store accept)"
                )
            }
        }
    }
}

/// Judges a store by what the machine remembers.
///
/// The store's own id is looked at beside the revision because a restored store counts on: applications write to it
/// too, and by the time this machine connects it may be past every revision that was ever seen. The id alone would not
/// do: `etcdctl snapshot restore` derives it from the names and addresses of the members, so it can stay the same.
pub fn judge(known: Option<&Known>, shown: &Shown) -> Verdict {
    let Some(known) = known else {
        return shown.cluster.as_ref().map_or(Verdict::Found, |cluster| Verdict::Ours(remember(cluster, shown)));
    };
    let frozen = |doubt| Verdict::Frozen(Distrust { known: known.clone(), doubt });
    let Some(cluster) = &shown.cluster else { return frozen(Doubt::Wiped) };
    if cluster.id != known.cluster {
        return frozen(Doubt::Foreign(cluster.id.clone()));
    }
    // The operator's word, written by `store accept` and by a migration: revisions and ids begin anew.
    if cluster.incarnation > known.incarnation {
        return Verdict::Ours(remember(cluster, shown));
    }
    if cluster.incarnation < known.incarnation {
        return frozen(Doubt::Superseded(cluster.incarnation));
    }
    if shown.revision < known.revision {
        return frozen(Doubt::Older(shown.revision));
    }
    match (known.store, shown.store) {
        (Some(seen), Some(id)) if id != seen => frozen(Doubt::Restored(id)),
        (seen, id) => Verdict::Ours(Known { store: id.or(seen), ..remember(cluster, shown) }),
    }
}

/// What speaks against a store that [`judge`] takes for the machine's own, as `known`: the schedule that it has for a
/// machine which holds `held`, or that it has none although the machine is a member.
pub fn doubt_schedule(held: &Held, known: &Known, shown: Option<&Schedule>, is_member: bool) -> Option<Doubt> {
    let mine = held.schedule.as_ref().filter(|mine| mine.cluster == known.cluster)?;
    let behind = match shown {
        Some(shown) if shown.generation == mine.generation => shown.units != mine.units,
        Some(shown) => shown.generation < mine.generation,
        // Who is no member was removed.
        None => is_member,
    };
    // Of a store that was accepted since, people know that it is older.
    let accepted = known.incarnation > held.schedule_incarnation;
    let generation = shown.map_or(Generation(0), |shown| shown.generation);
    (behind && !accepted).then_some(Doubt::Behind(generation, mine.generation))
}

fn remember(cluster: &Cluster, shown: &Shown) -> Known {
    Known {
        cluster: cluster.id.clone(),
        incarnation: cluster.incarnation,
        revision: shown.revision,
        store: shown.store,
    }
}

/// The cluster's record as it is to be written when people accept a store that machines do not believe: the same
/// cluster, one incarnation above all that is known. `record` is the one in the store, none in a wiped one.
pub fn accepted(known: &Known, record: Option<&Cluster>, now_unix_ms: u64) -> Cluster {
    Cluster {
        id: known.cluster.clone(),
        created_unix_ms: record.map_or(now_unix_ms, |cluster| cluster.created_unix_ms),
        incarnation: record.map_or(0, |cluster| cluster.incarnation).max(known.incarnation) + 1,
    }
}

/// The schedule that a machine puts back into an accepted store which has none for it: what it holds, without what is
/// `elsewhere` in that store by now, and without exclusive units. Of these nobody can tell whether another machine had
/// been given them in what the store forgot; the leader places them anew once that is over.
pub fn to_put_back(held: &Schedule, elsewhere: &BTreeSet<UnitName>) -> Schedule {
    let stays = |(name, unit): &(&UnitName, &ScheduledUnit)| !unit.exclusive && !elsewhere.contains(*name);
    let units = held.units.iter().filter(stays).map(|(name, unit)| (name.clone(), unit.clone())).collect();
    Schedule { units, ..held.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> ClusterId {
        format!("{number:032x}").parse().unwrap()
    }

    fn known() -> Known {
        Known { cluster: id(1), incarnation: 2, revision: 100, store: Some(StoreId(7)) }
    }

    fn shown(cluster: u8, incarnation: u64, revision: i64) -> Shown {
        let cluster = Cluster { id: id(cluster), created_unix_ms: 5, incarnation };
        Shown { cluster: Some(cluster), revision, store: Some(StoreId(7)) }
    }

    fn doubt(shown: &Shown) -> Option<Doubt> {
        match judge(Some(&known()), shown) {
            Verdict::Frozen(distrust) => Some(distrust.doubt),
            Verdict::Ours(_) => None,
            Verdict::Found => panic!("a machine that belongs to a cluster founds none"),
        }
    }

    #[test]
    fn a_machine_without_a_cluster_founds_one_in_an_empty_store_and_joins_any_other() {
        let empty = Shown { cluster: None, revision: 1, store: None };
        assert_eq!(judge(None, &empty), Verdict::Found);
        let Verdict::Ours(known) = judge(None, &shown(3, 4, 50)) else { panic!() };
        assert_eq!(known, Known { cluster: id(3), incarnation: 4, revision: 50, store: Some(StoreId(7)) });
    }

    #[test]
    fn an_empty_store_is_wiped_for_who_belongs_to_a_cluster() {
        let empty = Shown { cluster: None, revision: 1_000, store: Some(StoreId(7)) };
        assert_eq!(doubt(&empty), Some(Doubt::Wiped));
    }

    #[test]
    fn another_clusters_store_is_foreign_whatever_else_it_shows() {
        assert_eq!(doubt(&shown(9, 99, 1_000)), Some(Doubt::Foreign(id(9))));
    }

    #[test]
    fn the_store_as_it_was_or_further_on_is_ours() {
        assert_eq!(doubt(&shown(1, 2, 100)), None);
        let Verdict::Ours(next) = judge(Some(&known()), &shown(1, 2, 130)) else { panic!() };
        assert_eq!(next, Known { revision: 130, ..known() });
    }

    #[test]
    fn a_store_below_what_was_seen_is_older() {
        assert_eq!(doubt(&shown(1, 2, 99)), Some(Doubt::Older(99)));
    }

    #[test]
    fn a_restored_store_that_has_moved_on_is_known_by_its_own_id() {
        let restored = Shown { store: Some(StoreId(8)), ..shown(1, 2, 1_000) };
        assert_eq!(doubt(&restored), Some(Doubt::Restored(StoreId(8))));
        // One that tells no id is judged by its revision.
        let silent = Shown { store: None, ..shown(1, 2, 1_000) };
        let Verdict::Ours(next) = judge(Some(&known()), &silent) else { panic!() };
        assert_eq!(next.store, Some(StoreId(7)), "it is not forgotten for that");
    }

    #[test]
    fn a_higher_incarnation_is_the_operators_word() {
        // A migrated or accepted store: revisions and ids begin anew.
        let moved = Shown { store: Some(StoreId(8)), ..shown(1, 3, 4) };
        let Verdict::Ours(next) = judge(Some(&known()), &moved) else { panic!() };
        assert_eq!(next, Known { cluster: id(1), incarnation: 3, revision: 4, store: Some(StoreId(8)) });
    }

    #[test]
    fn a_lower_incarnation_is_from_before_it_however_far_it_has_moved_on() {
        assert_eq!(doubt(&shown(1, 1, 1_000)), Some(Doubt::Superseded(1)));
    }

    #[test]
    fn what_is_accepted_is_above_all_that_is_known() {
        let record = shown(1, 1, 4).cluster.unwrap();
        assert_eq!(accepted(&known(), Some(&record), 9), Cluster { incarnation: 3, ..record });
        let ahead = shown(1, 5, 4).cluster.unwrap();
        assert_eq!(accepted(&known(), Some(&ahead), 9).incarnation, 6);
        assert_eq!(accepted(&known(), None, 9), Cluster { id: id(1), created_unix_ms: 9, incarnation: 3 });
    }

    fn schedule(generation: u64, units: &[&str]) -> Schedule {
        let unit = |name: &&str| {
            let exclusive = name.starts_with("db");
            let hash = "1c6fb6f3684bafb0c173d8b8b957ceff031180c1".parse().unwrap();
            let unit =
                ScheduledUnit { hash, target: flota_registry::TargetState::Launched, cause: String::new(), exclusive };
            (name.parse().unwrap(), unit)
        };
        Schedule { cluster: id(1), generation: Generation(generation), units: units.iter().map(unit).collect() }
    }

    #[test]
    fn an_older_schedule_gives_a_store_away_that_has_moved_on() {
        let held = Held { schedule: Some(schedule(5, &["a.service"])), schedule_incarnation: 2, ..Held::default() };
        let doubt = |shown: &Schedule| doubt_schedule(&held, &known(), Some(shown), true);
        assert_eq!(doubt(&schedule(4, &["a.service"])), Some(Doubt::Behind(Generation(4), Generation(5))));
        assert_eq!(doubt(&schedule(5, &[])), Some(Doubt::Behind(Generation(5), Generation(5))), "not the same one");
        assert_eq!((doubt(&schedule(5, &["a.service"])), doubt(&schedule(6, &[]))), (None, None));
        let accepted = Known { incarnation: 3, ..known() };
        assert_eq!(
            doubt_schedule(&held, &accepted, Some(&schedule(1, &[])), true),
            None,
            "people know that it is older"
        );
        assert_eq!(doubt_schedule(&Held::default(), &known(), Some(&schedule(1, &[])), true), None);
        let none = |is_member| doubt_schedule(&held, &known(), None, is_member);
        assert_eq!(none(true), Some(Doubt::Behind(Generation(0), Generation(5))));
        assert_eq!(none(false), None, "people removed it");
    }

    #[test]
    fn what_moved_and_what_may_not_run_twice_is_not_put_back() {
        let held = schedule(5, &["a.service", "b.service", "db.service"]);
        let back = to_put_back(&held, &["b.service".parse().unwrap()].into());
        assert_eq!(back, schedule(5, &["a.service"]));
    }

    #[test]
    fn every_reason_says_what_to_do() {
        let restored = Shown { store: Some(StoreId(8)), ..shown(1, 2, 1_000) };
        let empty = Shown { cluster: None, ..restored.clone() };
        let cases = [
            (empty, "flota store accept", false, true),
            (shown(9, 0, 1), "leave its cluster", false, false),
            (shown(1, 2, 9), "revision 9, not 100", true, true),
            (shown(1, 0, 9), "incarnation 0, not 2", true, true),
            (restored, "8, not 7", true, true),
        ];
        for (shown, words, own, acceptable) in cases {
            let Verdict::Frozen(distrust) = judge(Some(&known()), &shown) else { panic!("{shown:?}") };
            assert!(distrust.to_string().contains(words), "{distrust}");
            assert_eq!((distrust.is_own_cluster(), distrust.is_acceptable()), (own, acceptable), "{distrust}");
        }
    }
}
