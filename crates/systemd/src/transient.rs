//! Services without a unit file, which systemd keeps running beside whoever asked for them.

use zbus::Variant;

use crate::{JobOutcome, Systemd, SystemdError, proxy::Property};

/// After an end that was not clean such a service starts again this much later, in microseconds.
const RESTART_USEC: u64 = 100_000;
/// As for the daemon itself: what watches over others is worth more than any of them.
const OOM_SCORE_ADJUST: i32 = -900;

/// A service to be kept running.
#[derive(Debug, Clone, Copy)]
pub struct Transient<'a> {
    /// Its unit's name.
    pub unit: &'a str,
    /// What it is, for people.
    pub description: &'a str,
    /// Program and arguments.
    pub command: &'a [String],
}

impl Systemd {
    /// Starts the service, unless it is there already; waits for the end of the job. systemd restarts it whenever its end was
    /// not a clean one, and forgets it when it was.
    pub async fn keep_running(&self, service: Transient<'_>) -> Result<JobOutcome, SystemdError> {
        let Some(program) = service.command.first() else { return Ok(JobOutcome::Skipped) };
        // Program, arguments with the program's name first, whether a failure is to be passed over.
        let start = vec![(program.clone(), service.command.to_vec(), false)];
        let properties: [Property<'_>; 8] = [
            ("Description", Variant::new(service.description)),
            ("ExecStart", Variant::new(start)),
            ("Restart", Variant::new("on-failure")),
            ("RestartUSec", Variant::new(RESTART_USEC)),
            ("StartLimitIntervalUSec", Variant::new(0_u64)),
            ("OOMScoreAdjust", Variant::new(OOM_SCORE_ADJUST)),
            ("CollectMode", Variant::new("inactive-or-failed")),
            ("Type", Variant::new("exec")),
        ];
        let ticket = self.0.sinks.jobs.ticket();
        let job = self.0.manager.start_transient_unit(service.unit, "replace", &properties, &[]).await;
        match job.map_err(|e| SystemdError::from_bus("start", service.unit, e)) {
            Ok(job) => ticket.outcome(job.as_str()).await,
            Err(error) if error.is_already_there() => Ok(JobOutcome::Skipped),
            Err(error) => Err(error),
        }
    }
}
