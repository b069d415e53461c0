//! The daemon of a machine that leaves, or has left: finishes what the note says, and answers that it has left.

use std::time::Duration;

use anyhow::{Context, bail};
use flota_agent::{AtBoot, Leave, Stage};
use flota_api::machines::{LeaveStage, LeaveStatus};
use flota_etcd::StoreClient;
use flota_registry::MachineId;
use flota_systemd::Systemd;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{Desk, cluster, files};
use crate::config::Config;
use crate::disk::DataDir;
use crate::http;
use crate::join::Joiner;

/// How long a step that failed waits.
const RETRY: Duration = Duration::from_secs(2);

/// What a leaving machine does it with.
pub struct Departure<'a> {
    pub me: MachineId,
    pub data: &'a DataDir,
    pub desk: Desk,
    pub config: &'a Config,
}

impl Departure<'_> {
    /// Writes the note of a machine whose agent has ended: from now on it leaves.
    pub async fn begin(&self, mut leave: Leave) -> anyhow::Result<Leave> {
        if leave.keep {
            let keep = self.plan().await?;
            leave.kept = keep.kept.into_iter().map(|kept| kept.unit).collect();
        }
        self.data.write_leave(&leave)?;
        Ok(leave)
    }

    async fn plan(&self) -> anyhow::Result<flota_agent::Keep> {
        let (dir, etc) = (self.desk.dir.clone(), self.desk.etc.clone());
        Ok(tokio::task::spawn_blocking(move || files::plan(&dir, &etc)).await???)
    }

    /// Takes all steps that are left, each as often as it takes.
    async fn finish(&self, mut leave: Leave, out: &watch::Sender<LeaveStatus>) {
        // A machine that was removed has none of these steps before it, and its memory is of no use to it.
        if leave.stage == Stage::Done
            && let Err(why) = self.desk.dir.forget_held()
        {
            error!("cannot forget the cluster that this machine has left: {why}");
        }
        let mut complaint = String::new();
        while leave.stage != Stage::Done {
            match self.step(&leave).await {
                Ok(stage) => leave.stage = stage,
                Err(why) => {
                    let why = format!("{why:#}");
                    // Once per fault: a log full of the same line hides the others.
                    if why != complaint {
                        error!("leaving the cluster: {why}; trying again");
                    }
                    out.send_modify(|status| status.problem = Some(why.clone()));
                    complaint = why;
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            if let Err(why) = self.data.write_leave(&leave) {
                error!("{why:#}");
            }
            out.send_replace(status(&leave));
        }
    }

    /// Takes one step; returns what comes next.
    async fn step(&self, leave: &Leave) -> anyhow::Result<Stage> {
        match leave.stage {
            Stage::Files => {
                self.hand_over(leave).await?;
                Ok(if leave.tell { Stage::Cluster } else { self.forget().await? })
            }
            Stage::Cluster => {
                // A store of its own, which nobody else may use then, ends with the daemon's usual work.
                if !self.config.has_store() {
                    cluster::tell(&StoreClient::new(&self.config.client).await?, &self.me, leave).await?;
                }
                self.forget().await
            }
            Stage::Done => Ok(Stage::Done),
        }
    }

    async fn hand_over(&self, leave: &Leave) -> anyhow::Result<()> {
        let keep = self.plan().await?;
        let (systemd, _signals) = Systemd::connect().await?;
        files::hand_over(&systemd, &self.desk.dir, &self.desk.etc, &keep).await?;
        if leave.boot_id != self.desk.boot_id {
            // The machine was off in between, and nothing starts at this boot what only the agent knew.
            for kept in keep.kept.iter().filter(|kept| kept.at_boot != AtBoot::Nothing) {
                if let Err(why) = systemd.start(kept.unit.as_str()).await {
                    warn!("{}: {why:#}", kept.unit);
                }
            }
        }
        Ok(())
    }

    async fn forget(&self) -> anyhow::Result<Stage> {
        let dir = self.desk.dir.clone();
        tokio::task::spawn_blocking(move || dir.forget()).await?.context("cannot clear the agent's folder")?;
        Ok(Stage::Done)
    }
}

/// Runs until `ended`: finishes the steps, and answers whoever asks. Nothing here rejoins the cluster.
pub async fn run(
    departure: Departure<'_>,
    leave: Leave,
    listeners: Vec<UnixListener>,
    ended: impl Future<Output = &'static str>,
) -> anyhow::Result<()> {
    let (out, told) = watch::channel(status(&leave));
    let shutdown = CancellationToken::new();
    let Departure { me, data, desk, .. } = &departure;
    let left = http::Left {
        me: me.clone(),
        status: told,
        joiner: Joiner::new(me.clone(), desk.boot_id.clone(), data),
        note: data.leave_note(),
    };
    let server = tokio::spawn(http::serve_left(left, listeners, shutdown.clone()));
    let work = async {
        departure.finish(leave.clone(), &out).await;
        warn!("{}", text(&out.borrow()));
        std::future::pending::<()>().await;
    };
    let signal = tokio::select! {
        () = work => bail!("a machine that has left has nothing more to do"),
        signal = ended => signal,
    };
    info!("{signal}: the daemon ends");
    shutdown.cancel();
    server.await.context("the API failed")
}

fn status(leave: &Leave) -> LeaveStatus {
    LeaveStatus {
        stage: match leave.stage {
            Stage::Files => LeaveStage::Files,
            Stage::Cluster => LeaveStage::Cluster,
            Stage::Done => LeaveStage::Done,
        },
        cluster: leave.cluster.as_ref().map(ToString::to_string),
        tell: leave.tell,
        kept: leave.kept.iter().map(ToString::to_string).collect(),
        problem: None,
    }
}

/// What people are told who ask a machine that has left.
pub fn text(status: &LeaveStatus) -> String {
    let cluster = status.cluster.as_deref().map_or_else(String::new, |id| format!(" {}", &id[..id.len().min(8)]));
    match (status.stage, &status.problem) {
        (LeaveStage::Done, _) => format!(
            "this machine left cluster{cluster}: run `flota join` to join one, or remove left.json from its data directory \
             and restart flota.service to go on as flota.toml says"
        ),
        (_, Some(problem)) => format!("this machine leaves cluster{cluster}, and is not done: {problem}"),
        (_, None) => format!("this machine leaves cluster{cluster}"),
    }
}
