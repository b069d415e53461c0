//! One life of a daemon: the two pure machines, and where its bond with the store stands.

use std::collections::{BTreeMap, BTreeSet};

use flota_agent::Agent;
use flota_engine::{Engine, Settings, Ticket};
use flota_registry::{LeaseId, MachineId, Millis, Report};
use flota_unit::UnitHash;

use crate::call::CallId;

/// First and longest wait before the store is tried again, as in the daemon.
pub(crate) const RETRY_FIRST: Millis = Millis(50);
pub(crate) const RETRY_MAX: Millis = Millis(2_000);

/// What a call was for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// Opening or holding session number `.0`.
    Session(u64),
    /// The cluster's feed number `.0`.
    Feed(u64),
    Campaign,
    Commit(Ticket),
    Text(UnitHash),
    Publish,
}

/// The bond with the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Session {
    /// Waits before the next try.
    Away,
    /// Step by step, as the daemon's session does it.
    Opening(Step),
    /// Holds this lease and its watches, which have told everything below these revisions.
    Open { lease: LeaseId, leader: i64, schedule: i64 },
}

/// What an opening session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Cluster,
    Renewal,
    Lease,
    Announced(LeaseId),
    Own(LeaseId),
}

/// The watch of the whole cluster, while the engine leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Feed {
    pub(crate) number: u64,
    /// What the engine has been told of; none before the first range.
    pub(crate) next: Option<i64>,
}

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Daemon {
    /// Counts the daemons of the whole world, so that what was meant for an earlier one finds nobody.
    pub(crate) epoch: u64,
    pub(crate) engine: Engine,
    pub(crate) agent: Agent,
    pub(crate) session: Session,
    /// Counts sessions.
    pub(crate) sessions: u64,
    pub(crate) wait: Millis,
    pub(crate) last_lease: Option<LeaseId>,
    pub(crate) feed: Option<Feed>,
    pub(crate) feeds: u64,
    pub(crate) pending: BTreeMap<CallId, Purpose>,
    pub(crate) calls: CallId,
    /// The newest report, until the store has it.
    pub(crate) report: Option<Report>,
    pub(crate) publishing: bool,
    /// Texts that the agent waits for.
    pub(crate) texts: BTreeSet<UnitHash>,
    /// When the next tick is on its way.
    pub(crate) tick_at: Option<Millis>,
    /// Watches with a delivery on its way.
    pub(crate) delivering: BTreeSet<Watch>,
}

/// The watches of a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Watch {
    Leader,
    Schedule,
    Cluster,
}

impl Daemon {
    pub(crate) fn new(epoch: u64, me: MachineId, settings: Settings) -> Daemon {
        Daemon {
            epoch,
            engine: Engine::new(me, settings),
            agent: Agent::new(),
            session: Session::Away,
            sessions: 0,
            wait: RETRY_FIRST,
            last_lease: None,
            feed: None,
            feeds: 0,
            pending: BTreeMap::new(),
            calls: 0,
            report: None,
            publishing: false,
            texts: BTreeSet::new(),
            tick_at: None,
            delivering: BTreeSet::new(),
        }
    }

    pub(crate) fn lease(&self) -> Option<LeaseId> {
        if let Session::Open { lease, .. } = self.session { Some(lease) } else { None }
    }

    /// Where the watch goes on; `None` if it is not open.
    pub(crate) fn next(&self, watch: Watch) -> Option<i64> {
        match (watch, &self.session) {
            (Watch::Leader, Session::Open { leader, .. }) => Some(*leader),
            (Watch::Schedule, Session::Open { schedule, .. }) => Some(*schedule),
            (Watch::Cluster, Session::Open { .. }) => self.feed?.next,
            _ => None,
        }
    }

    pub(crate) fn set_next(&mut self, watch: Watch, next: i64) {
        match (watch, &mut self.session) {
            (Watch::Leader, Session::Open { leader, .. }) => *leader = next,
            (Watch::Schedule, Session::Open { schedule, .. }) => *schedule = next,
            (Watch::Cluster, _) => {
                if let Some(feed) = &mut self.feed {
                    feed.next = Some(next);
                }
            }
            _ => {}
        }
    }
}
