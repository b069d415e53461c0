//! Waiting for systemd's jobs: matches `JobRemoved` signals with the calls that queued the jobs.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::SystemdError;

/// Ended jobs remembered while a call waits for its reply. A reply takes milliseconds; more endings than this within one
/// means that the reader is hopelessly behind, and the connection is given up.
const MAX_EARLY_JOBS: usize = 4096;

/// How a job ended: systemd's `result` of `JobRemoved`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobOutcome {
    /// The unit is in the state that was asked for.
    Done,
    /// Another job took its place, or somebody cancelled it.
    Canceled,
    /// The job ran into its time limit.
    Timeout,
    /// The unit failed.
    Failed,
    /// A unit that it depends on failed.
    Dependency,
    /// The unit could not be brought to this state from the one it was in.
    Skipped,
    /// Any other word of systemd's (`invalid`, `assert`, `collected`, ...).
    Other(String),
}

impl JobOutcome {
    /// systemd's word for it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Done => "done",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Failed => "failed",
            Self::Dependency => "dependency",
            Self::Skipped => "skipped",
            Self::Other(word) => word,
        }
    }
}

impl From<String> for JobOutcome {
    fn from(word: String) -> Self {
        match word.as_str() {
            "done" => Self::Done,
            "canceled" => Self::Canceled,
            "timeout" => Self::Timeout,
            "failed" => Self::Failed,
            "dependency" => Self::Dependency,
            "skipped" => Self::Skipped,
            _ => Self::Other(word),
        }
    }
}

/// The jobs of one connection.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    closed: bool,
    /// Orders tickets and endings: an ending older than every open ticket interests nobody.
    clock: u64,
    open: BTreeSet<u64>,
    ended: VecDeque<Ended>,
    waiting: HashMap<String, Vec<oneshot::Sender<JobOutcome>>>,
}

#[derive(Debug)]
struct Ended {
    at: u64,
    job: String,
    outcome: JobOutcome,
}

impl Jobs {
    /// Taken before the call that queues a job, so that a job which ends before the reply is read is not missed.
    pub(crate) fn ticket(self: &Arc<Self>) -> Ticket {
        let mut table = self.lock();
        table.clock += 1;
        let at = table.clock;
        table.open.insert(at);
        Ticket { at, jobs: Arc::clone(self) }
    }

    /// Records a `JobRemoved`. An error means that it could not be remembered and the connection must be given up.
    pub(crate) fn ended(&self, job: &str, outcome: JobOutcome) -> Result<(), SystemdError> {
        let mut table = self.lock();
        for waiter in table.waiting.remove(job).into_iter().flatten() {
            // A caller that stopped waiting is no error.
            let _ = waiter.send(outcome.clone());
        }
        if table.open.is_empty() {
            return Ok(());
        }
        if table.ended.len() == MAX_EARLY_JOBS {
            return Err(SystemdError::Disconnected);
        }
        table.clock += 1;
        let at = table.clock;
        table.ended.push_back(Ended { at, job: job.to_owned(), outcome });
        Ok(())
    }

    /// Ends every wait with [`SystemdError::Disconnected`], now and in future.
    pub(crate) fn close(&self) {
        let mut table = self.lock();
        table.closed = true;
        table.waiting.clear();
        table.ended.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Every change above leaves the table whole, so a panicking holder does no harm.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that is about to queue a job.
#[derive(Debug)]
pub(crate) struct Ticket {
    at: u64,
    jobs: Arc<Jobs>,
}

impl Ticket {
    /// Waits until the job at this object path has ended.
    pub(crate) async fn outcome(self, job: &str) -> Result<JobOutcome, SystemdError> {
        let end = {
            let mut table = self.jobs.lock();
            if table.closed {
                return Err(SystemdError::Disconnected);
            }
            let early = table.ended.iter().find(|e| e.at > self.at && e.job == job).map(|e| e.outcome.clone());
            if let Some(outcome) = early {
                return Ok(outcome);
            }
            let (sender, receiver) = oneshot::channel();
            table.waiting.entry(job.to_owned()).or_default().push(sender);
            receiver
        };
        drop(self);
        end.await.map_err(|_| SystemdError::Disconnected)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut table = self.jobs.lock();
        table.open.remove(&self.at);
        let oldest = table.open.first().copied().unwrap_or(u64::MAX);
        while table.ended.front().is_some_and(|e| e.at < oldest) {
            table.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn endings_are_forgotten_when_no_call_can_want_them() {
        let jobs = Arc::new(Jobs::default());
        jobs.ended("/0", JobOutcome::Done).unwrap();
        let first = jobs.ticket();
        jobs.ended("/1", JobOutcome::Done).unwrap();
        let second = jobs.ticket();
        jobs.ended("/2", JobOutcome::Failed).unwrap();
        assert_eq!(jobs.lock().ended.len(), 2, "the one before all tickets was not kept");
        assert_eq!(first.outcome("/1").await.unwrap(), JobOutcome::Done);
        assert_eq!(jobs.lock().ended.len(), 1, "only the older one is forgotten");
        assert_eq!(second.outcome("/2").await.unwrap(), JobOutcome::Failed);
        assert!(jobs.lock().ended.is_empty());
    }

    #[tokio::test]
    async fn an_ending_before_the_ticket_is_another_jobs() {
        let jobs = Arc::new(Jobs::default());
        let other = jobs.ticket();
        jobs.ended("/1", JobOutcome::Failed).unwrap();
        let wait = tokio::spawn(jobs.ticket().outcome_of("/1"));
        tokio::task::yield_now().await;
        jobs.ended("/1", JobOutcome::Done).unwrap();
        assert_eq!(wait.await.unwrap().unwrap(), JobOutcome::Done);
        drop(other);
    }

    #[tokio::test]
    async fn a_flood_within_one_call_gives_up_instead_of_growing() {
        let jobs = Arc::new(Jobs::default());
        let ticket = jobs.ticket();
        for n in 0..MAX_EARLY_JOBS {
            jobs.ended(&format!("/{n}"), JobOutcome::Done).unwrap();
        }
        assert!(jobs.ended("/one-more", JobOutcome::Done).is_err());
        jobs.close();
        assert!(matches!(ticket.outcome("/0").await, Err(SystemdError::Disconnected)));
        assert!(jobs.lock().open.is_empty());
    }

    impl Ticket {
        async fn outcome_of(self, job: &'static str) -> Result<JobOutcome, SystemdError> {
            self.outcome(job).await
        }
    }
}
