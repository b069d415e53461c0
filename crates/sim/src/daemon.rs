//! One life of a daemon: the two pure machines, and where its bond with the store stands.

use std::collections::{BTreeMap, BTreeSet};

use flota_agent::fence::Guarded;
use flota_agent::trust::{Distrust, Known};
use flota_agent::{Agent, Held};
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
    /// Opening session number `.0`.
    Session(u64),
    /// Renewing the lease that was taken as number `.0`, at that time.
    Renewal(u64, Millis),
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
    /// Tells a store of its own cluster why its word does not count.
    StandingBy,
    /// Holds its watches, which have told everything below these revisions.
    Open { leader: i64, schedule: i64 },
}

/// What an opening session waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Look,
    Found,
    Renewal,
    Lease,
    Lost,
    /// Says that it is not ready, puts back what the store has lost, and waits for the others to do the same.
    Unready,
    PuttingBack,
    Settling,
    Announced,
    Own,
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
    /// The lease that is being renewed, which lease of this daemon that is, and when its last answered renewal was sent.
    pub(crate) lease: Option<LeaseId>,
    pub(crate) leases: u64,
    pub(crate) renewed: Millis,
    /// Whether the agent and the engine may use the store.
    pub(crate) linked: bool,
    /// Whether this session has had a schedule for the machine.
    pub(crate) ordered: bool,
    /// What the machine remembers of its store, and what it is about to remember or says against it.
    pub(crate) known: Option<Known>,
    pub(crate) judged: Option<Known>,
    pub(crate) distrust: Option<Distrust>,
    /// The revision of the cluster's record when the store was judged, and which store that was.
    pub(crate) record: i64,
    pub(crate) store: u64,
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
    Record,
}

impl Daemon {
    pub(crate) fn new(epoch: u64, me: MachineId, settings: Settings, held: &Held, found: Option<Guarded>) -> Daemon {
        Daemon {
            epoch,
            engine: Engine::new(me, settings),
            agent: Agent::fencing(settings.lease, found),
            session: Session::Away,
            sessions: 0,
            wait: RETRY_FIRST,
            last_lease: None,
            lease: None,
            leases: 0,
            renewed: Millis::default(),
            linked: false,
            ordered: false,
            known: held.belongs(),
            judged: None,
            distrust: None,
            record: 0,
            store: 0,
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

    /// The lease of a daemon that can use the store.
    pub(crate) fn link(&self) -> Option<LeaseId> {
        self.lease.filter(|_| self.linked)
    }

    /// Where the watch goes on; `None` if it is not open.
    pub(crate) fn next(&self, watch: Watch) -> Option<i64> {
        match (watch, &self.session) {
            (Watch::Leader, Session::Open { leader, .. }) => Some(*leader),
            (Watch::Schedule, Session::Open { schedule, .. }) => Some(*schedule),
            (Watch::Cluster, _) if self.linked => self.feed?.next,
            _ => None,
        }
    }

    /// Whether it watches the cluster's record.
    pub(crate) fn has_settled_view(&self) -> bool {
        matches!(self.session, Session::Open { .. } | Session::StandingBy)
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
