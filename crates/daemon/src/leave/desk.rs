//! Where the order to leave is handed in, while the daemon does its usual work.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use flota_agent::{Leave, Stage};
use flota_registry::{ClusterId, LeaseId, Schedule};
use tokio::sync::mpsc;

use crate::disk::AgentDir;

/// Where systemd keeps the administrator's units.
const ETC: &str = "/etc/systemd/system";

/// What is known of this machine to whoever orders it to leave.
#[derive(Debug, Clone)]
pub struct Desk {
    /// The agent's folder.
    pub dir: AgentDir,
    /// systemd's folder of the administrator's units.
    pub etc: PathBuf,
    /// This daemon has the cluster's store.
    pub has_store: bool,
    /// The kernel's boot id.
    pub boot_id: String,
    orders: mpsc::Sender<Leave>,
}

impl Desk {
    /// The desk of a machine, and where its orders come out: the first one counts.
    pub fn new(dir: AgentDir, has_store: bool, boot_id: String) -> (Desk, mpsc::Receiver<Leave>) {
        let (orders, taken) = mpsc::channel(1);
        (Desk { dir, etc: ETC.into(), has_store, boot_id, orders }, taken)
    }

    /// The same with another folder for systemd's files.
    #[cfg(test)]
    pub fn with_etc(self, etc: &std::path::Path) -> Desk {
        Desk { etc: etc.to_owned(), ..self }
    }

    /// Orders the machine to leave; whether this is the first order.
    pub fn order(&self, cluster: Option<ClusterId>, lease: Option<LeaseId>, keep: bool) -> bool {
        let stage = if keep { Stage::Files } else { Stage::Cluster };
        self.hand_in(Leave { cluster, lease, keep, tell: lease.is_some(), ..self.blank(stage) })
    }

    /// The cluster has forgotten the machine already: nothing is left to be done, and nothing here is changed.
    pub fn order_removed(&self, held: Schedule) -> bool {
        let kept = held.units.into_keys().collect();
        self.hand_in(Leave { cluster: Some(held.cluster), kept, ..self.blank(Stage::Done) })
    }

    fn hand_in(&self, leave: Leave) -> bool {
        self.orders.try_send(leave).is_ok()
    }

    fn blank(&self, stage: Stage) -> Leave {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Leave {
            cluster: None,
            since_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            boot_id: self.boot_id.clone(),
            lease: None,
            keep: false,
            tell: true,
            kept: [].into(),
            stage,
        }
    }
}
