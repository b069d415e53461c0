//! Goes along when the cluster moves to another store: says whether this machine could, and goes when it is time.

use std::path::{Path, PathBuf};
use std::time::Duration;

use flota_etcd::{ClientConfig, EtcdError, Membership, MembershipStore, StoreClient, TlsFiles};
use flota_registry::{MachineId, MoveAnswer, MoveStep, StoreTarget, answer_move, keys};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::session::{Link, LinkWatch};

/// How long the way to another store may take to be tried.
const TRY_WITHIN: Duration = Duration::from_secs(6);
/// Wait before the store is asked again after a failure.
const RETRY: Duration = Duration::from_secs(1);

/// The task.
pub struct MoverTask {
    pub me: MachineId,
    pub link: LinkWatch,
    pub data_dir: PathBuf,
    /// Why this machine goes nowhere: its store is fixed on its command line.
    pub fixed: Option<String>,
    /// Told when this machine has noted its new store: the daemon starts anew.
    pub moved: CancellationToken,
}

impl MoverTask {
    /// Runs until `shutdown`, or until the machine goes.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let moved = self.moved.clone();
        let follow = async {
            loop {
                let Some(link) = self.connected().await else { return };
                if let Err(error) = self.follow(&link).await {
                    // The session tells what is wrong with the store; this comes again with it.
                    tracing::debug!("what is known of a move to another store cannot be read: {error}");
                }
                tokio::time::sleep(RETRY).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = moved.cancelled() => {}
            () = follow => {}
        }
    }

    async fn connected(&mut self) -> Option<Link> {
        self.link.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Does what the store says, from now on.
    async fn follow(&self, link: &Link) -> Result<(), EtcdError> {
        let mut answered = None;
        loop {
            let (revision, pairs) = link.client.range(keys::STORE).await?;
            match MoveStep::of(&pairs) {
                Ok(MoveStep::Nothing) => {}
                Ok(MoveStep::Try(target)) if answered == Some(target.attempt) => {}
                Ok(MoveStep::Try(target)) => {
                    self.answer(link, &target).await?;
                    answered = Some(target.attempt);
                }
                Ok(MoveStep::Go(target)) => self.go(target),
                Err(error) => error!("where the cluster moves to cannot be read: {error}"),
            }
            let mut watch = link.client.watch_prefix(keys::STORE, revision + 1).await?;
            while watch.next().await?.changes.is_empty() {}
        }
    }

    async fn answer(&self, link: &Link, target: &StoreTarget) -> Result<(), EtcdError> {
        let problem = match &self.fixed {
            Some(why) => Some(why.clone()),
            None => tried(&way(target)).await.err(),
        };
        match &problem {
            None => info!("the cluster is to move to the store at {}: this machine can", target.endpoints.join(", ")),
            Some(why) => warn!("the cluster is to move to the store at {}: {why}", target.endpoints.join(", ")),
        }
        let answer = MoveAnswer { attempt: target.attempt, problem };
        link.client.commit(&answer_move(&self.me, &answer, link.lease)).await?;
        Ok(())
    }

    fn go(&self, target: StoreTarget) {
        if let Some(why) = &self.fixed {
            return error!("the cluster has moved to the store at {}: {why}", target.endpoints.join(", "));
        }
        let place = target.endpoints.join(", ");
        match note(&self.data_dir, target) {
            Ok(()) => {
                info!("the cluster has moved to the store at {place}: this daemon starts anew, units run on");
                self.moved.cancel();
            }
            Err(why) => error!("the cluster has moved to the store at {place}, but that cannot be noted: {why}"),
        }
    }
}

/// The way to the new store.
fn way(target: &StoreTarget) -> ClientConfig {
    let file = |path: &String| PathBuf::from(path);
    let tls = target.tls.as_ref();
    let tls = tls.map(|tls| TlsFiles { ca: file(&tls.ca), cert: file(&tls.cert), key: file(&tls.key) });
    ClientConfig { endpoints: target.endpoints.clone(), tls }
}

/// Reads from the new store, or tells why that is not possible.
async fn tried(way: &ClientConfig) -> Result<(), String> {
    let read = async { StoreClient::new(way).await?.get(keys::RESERVED).await };
    match tokio::time::timeout(TRY_WITHIN, read).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{:#}", anyhow::Error::from(error))),
        Err(_) => Err(format!("{} did not answer within {} s", way.endpoints.join(", "), TRY_WITHIN.as_secs())),
    }
}

fn note(data_dir: &Path, target: StoreTarget) -> anyhow::Result<()> {
    let ClientConfig { endpoints, tls } = way(&target);
    let membership = Membership { cluster: target.cluster, store: MembershipStore { endpoints }, tls };
    Ok(membership.write(data_dir)?)
}

#[cfg(test)]
mod tests;
