//! The task: one loop around the pure machine.

use std::collections::BTreeMap;
use std::time::Duration;

use flota_agent::registrations::{Effect, Event, Held, Listed, Outcome, Registrations, Ticket};
use flota_unit::UnitName;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::calls::carry_out;
use super::file::RuntimeFile;
use super::witness::{Connect, Question, witness};
use crate::session::LinkWatch;
use crate::tasks::{Clock, MAX_QUEUED_EVENTS};

/// Most questions that wait for systemd, and most requests that wait for this task.
const MAX_QUESTIONS: usize = 512;
/// How long a request waits for its answer: longer than the machine waits for the store, shorter than clients do.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the API asks for.
enum Request {
    Put { unit: UnitName, key: String, value: Vec<u8>, ttl: Option<u32>, reply: oneshot::Sender<Outcome> },
    Remove { unit: UnitName, key: String, reply: oneshot::Sender<Outcome> },
    List(oneshot::Sender<Vec<Listed>>),
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
#[error(
    "systemd does not answer the daemon, or the daemon is overloaded (see `journalctl -u flota`); nothing is registered"
)]
pub struct Unanswered;

/// The API's end of the task.
#[derive(Clone)]
pub struct Handle(mpsc::Sender<Request>);

impl Handle {
    /// A handle, and what the task reads.
    pub fn new() -> (Handle, Requests) {
        let (sender, receiver) = mpsc::channel(MAX_QUESTIONS);
        (Handle(sender), Requests(receiver))
    }

    /// Registers a key.
    pub async fn put(
        &self,
        unit: UnitName,
        key: String,
        value: Vec<u8>,
        ttl: Option<u32>,
    ) -> Result<Outcome, Unanswered> {
        self.ask(|reply| Request::Put { unit, key, value, ttl, reply }).await
    }

    /// Removes a registered key.
    pub async fn remove(&self, unit: UnitName, key: String) -> Result<Outcome, Unanswered> {
        self.ask(|reply| Request::Remove { unit, key, reply }).await
    }

    /// All registered keys.
    pub async fn list(&self) -> Result<Vec<Listed>, Unanswered> {
        self.ask(Request::List).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(request(reply)).map_err(|_| Unanswered)?;
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Unanswered),
        }
    }
}

/// The task's end of a [`Handle`].
pub struct Requests(mpsc::Receiver<Request>);

/// The task.
pub struct RegistrationsTask {
    pub link: LinkWatch,
    pub clock: Clock,
    pub file: RuntimeFile,
    pub boot_id: String,
    pub connect: Connect,
}

/// What the loop holds.
struct Running {
    machine: Registrations,
    link: LinkWatch,
    clock: Clock,
    file: RuntimeFile,
    events: mpsc::Sender<Event>,
    questions: mpsc::Sender<Question>,
    calls: TaskTracker,
    last_ticket: u64,
    replies: BTreeMap<Ticket, oneshot::Sender<Outcome>>,
}

impl RegistrationsTask {
    /// Runs until `shutdown`. Leases are left to the next daemon: units run on, and so do their keys.
    pub async fn run(self, mut requests: Requests, shutdown: CancellationToken) {
        let (events, mut inbox) = mpsc::channel(MAX_QUEUED_EVENTS);
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        let calls = TaskTracker::new();
        calls.spawn(witness(self.connect, asked, events.clone()));
        let held = self.file.read();
        let mut link = self.link.clone();
        let mut running = Running {
            machine: Registrations::new(),
            link: self.link,
            clock: self.clock,
            file: self.file,
            events,
            questions,
            calls,
            last_ticket: 0,
            replies: BTreeMap::new(),
        };
        let mut now = running.take(Event::Boot { held, boot_id: self.boot_id }).await;
        link.mark_changed();
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return,
                request = requests.0.recv() => match request {
                    Some(request) => running.admit(request),
                    None => return,
                },
                event = inbox.recv() => event,
                changed = link.changed() => match changed {
                    Ok(()) if link.borrow_and_update().is_some() => Some(Event::StoreUp),
                    Ok(()) => Some(Event::StoreDown),
                    Err(_) => return,
                },
                () = self.clock.wait_until(running.machine.deadline(now)) => Some(Event::Tick),
            };
            if let Some(event) = event {
                now = running.take(event).await;
            }
        }
    }
}

impl Running {
    /// What a request means for the machine; none: it is answered, or waits for systemd first.
    fn admit(&mut self, request: Request) -> Option<Event> {
        match request {
            Request::List(reply) => {
                // Whoever asked may have gone.
                let _ = reply.send(self.machine.list());
                None
            }
            Request::Remove { unit, key, reply } => {
                let ticket = self.expect_answer(reply);
                Some(Event::Remove { ticket, unit, key })
            }
            Request::Put { unit, key, value, ttl, reply } => {
                let ticket = self.expect_answer(reply);
                if self.questions.try_send(Question::Register { ticket, unit, key, value, ttl }).is_err() {
                    self.replies.remove(&ticket);
                }
                None
            }
        }
    }

    fn expect_answer(&mut self, reply: oneshot::Sender<Outcome>) -> Ticket {
        self.replies.retain(|_, reply| !reply.is_closed());
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.replies.insert(ticket, reply);
        ticket
    }

    /// Hands an event to the machine and carries out what follows; returns the time that the machine was told.
    async fn take(&mut self, event: Event) -> flota_registry::Millis {
        let now = self.clock.now();
        if let Event::Register(request) = &event
            && self.replies.get(&request.ticket).is_none_or(oneshot::Sender::is_closed)
        {
            // Whoever asked was told that nothing is registered.
            return now;
        }
        for effect in self.machine.handle(now, event) {
            self.carry_out(effect).await;
        }
        now
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Persist(held) => self.persist(held).await,
            Effect::Observe(units) => {
                if self.questions.try_send(Question::Lives(units)).is_err() {
                    // So many questions wait that each of them will be answered with the newest state.
                    warn!("systemd is slow to answer; a question about units was dropped");
                    drop(self.events.try_send(Event::Changed(None)));
                }
            }
            Effect::Answer(ticket, outcome) => {
                if let Some(reply) = self.replies.remove(&ticket) {
                    // Whoever asked may have gone.
                    let _ = reply.send(outcome);
                }
            }
            Effect::Note(text) => info!("{text}"),
            call => self.call(call),
        }
    }

    /// Without a session the call fails when the store is really away, and is tried again when it is back.
    fn call(&self, call: Effect) {
        let (mut link, events) = (self.link.clone(), self.events.clone());
        self.calls.spawn(async move {
            let client = match link.wait_for(Option::is_some).await.as_deref() {
                Ok(Some(link)) => link.client.clone(),
                _ => return,
            };
            if let Some(event) = carry_out(client, call).await {
                let _ = events.send(event).await;
            }
        });
    }

    async fn persist(&self, held: Held) {
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || file.write(&held)).await;
        let why = match written {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why.to_string(),
            Err(why) => why.to_string(),
        };
        error!("cannot note the registrations, a daemon that starts now would not know them: {why}");
    }
}
