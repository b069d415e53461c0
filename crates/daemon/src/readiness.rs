//! When the daemon can answer for the cluster, and the service manager is told so.

use std::sync::Arc;
use std::time::Duration;

use flota_agent::trust::Distrust;
use flota_systemd::Notifier;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::session::LinkWatch;

/// How long the store has for its first answer. A machine whose store is away is up all the same: its units run.
const FIRST_ANSWER: Duration = Duration::from_secs(5);

/// What the first command after `systemctl start flota` counts on; one that comes sooner waits.
pub struct Readiness {
    pub link: LinkWatch,
    /// Why the store is not believed: an answer, too.
    pub distrust: watch::Receiver<Option<Distrust>>,
    /// Ends once the cluster knows where machines join; has ended where none can.
    pub door: CancellationToken,
    /// Lets go the requests that wait.
    pub open: CancellationToken,
}

impl Readiness {
    /// Lets requests go as soon as they can be answered, at the latest after [`FIRST_ANSWER`], and tells the service
    /// manager.
    pub async fn tell(mut self, notifier: Arc<Notifier>, shutdown: CancellationToken) {
        let waited = shutdown.run_until_cancelled(timeout(FIRST_ANSWER, self.reached())).await;
        self.open.cancel();
        match waited {
            // It ends before it was ever ready.
            None => return,
            Some(Err(_)) => debug!("no answer of the store yet"),
            Some(Ok(())) => {}
        }
        notifier.ready();
    }

    async fn reached(&mut self) {
        let believed = async {
            if self.link.wait_for(Option::is_some).await.is_ok() {
                self.door.cancelled().await;
            }
        };
        tokio::select! {
            () = believed => {}
            _ = self.distrust.wait_for(Option::is_some) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use flota_agent::trust::{Doubt, Known};
    use flota_etcd::{ClientConfig, StoreClient};
    use flota_registry::LeaseId;
    use tempfile::TempDir;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::session::Link;

    /// A daemon that starts, and the service manager that waits for it. Time is the test's own.
    struct Rig {
        link: watch::Sender<Option<Link>>,
        distrust: watch::Sender<Option<Distrust>>,
        door: CancellationToken,
        open: CancellationToken,
        manager: UnixDatagram,
        began: Instant,
        _folder: TempDir,
    }

    fn rig() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let ((link, link_watch), (distrust, doubts)) = (watch::channel(None), watch::channel(None));
        let door = CancellationToken::new();
        let open = CancellationToken::new();
        let readiness = Readiness { link: link_watch, distrust: doubts, door: door.clone(), open: open.clone() };
        let notifier = Arc::new(Notifier::for_socket(Some(path.into())));
        tokio::spawn(readiness.tell(notifier, CancellationToken::new()));
        Rig { link, distrust, door, open, manager, began: Instant::now(), _folder: folder }
    }

    impl Rig {
        async fn is_told(&self) -> bool {
            sleep(Duration::from_millis(10)).await;
            let mut text = [0; 64];
            let is_told = self.manager.recv(&mut text).is_ok_and(|length| &text[..length] == b"READY=1");
            assert_eq!(self.open.is_cancelled(), is_told);
            is_told
        }

        async fn link(&self) {
            let client =
                StoreClient::new(&ClientConfig { endpoints: vec!["http://127.0.0.1:1".to_owned()], tls: None })
                    .await
                    .unwrap();
            self.link.send_replace(Some(Link { client, lease: LeaseId(1) }));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_daemon_is_ready_with_its_session_and_its_door() {
        let rig = rig();
        assert!(!rig.is_told().await);
        rig.link().await;
        assert!(!rig.is_told().await);
        rig.door.cancel();
        assert!(rig.is_told().await);
        assert!(rig.began.elapsed() < FIRST_ANSWER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_not_believed_has_answered() {
        let rig = rig();
        let cluster = "000000000000000000000000000000cc".parse().unwrap();
        let known = Known { cluster, incarnation: 0, revision: 9, store: None };
        rig.distrust.send_replace(Some(Distrust { known, doubt: Doubt::Wiped }));
        assert!(rig.is_told().await);
        assert!(rig.began.elapsed() < FIRST_ANSWER);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_away_does_not_keep_the_machine_from_being_up() {
        let rig = rig();
        sleep(FIRST_ANSWER.mul_f32(0.99)).await;
        assert!(!rig.is_told().await);
        sleep(FIRST_ANSWER.mul_f32(0.01)).await;
        assert!(rig.is_told().await);
    }
}
