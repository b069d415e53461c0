//! What systemd says of units that registered keys: questions answered one after the other, signals passed on.

use std::pin::Pin;
use std::time::Duration;

use flota_agent::registrations::{Event, Life, Register, Ticket};
use flota_systemd::{Signals, Systemd, SystemdError, UnitLife};
use flota_unit::UnitName;
use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::tasks::gather;

const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// How systemd is reached.
pub type Connect = Box<dyn Fn() -> Connecting + Send + Sync>;
type Connecting = Pin<Box<dyn Future<Output = Result<(Systemd, Signals), SystemdError>> + Send>>;

/// Over the system bus.
pub fn system_bus() -> Connect {
    Box::new(|| Box::pin(Systemd::connect()))
}

/// What systemd is asked.
pub enum Question {
    /// How these units are.
    Lives(Vec<UnitName>),
    /// How the unit is that wants a key.
    Register { ticket: Ticket, unit: UnitName, key: String, value: Vec<u8>, ttl: Option<u32> },
}

/// Answers questions until there are no more, in their order, so that no answer overtakes a newer one. The connection is
/// made at the first one: a machine without registrations listens to nothing.
pub async fn witness(connect: Connect, mut questions: mpsc::Receiver<Question>, events: mpsc::Sender<Event>) {
    let Some(mut question) = questions.recv().await.map(Some) else { return };
    let mut wait = RECONNECT_FIRST;
    loop {
        match connect().await {
            Ok((systemd, signals)) => {
                wait = RECONNECT_FIRST;
                // Whatever happened in between is unknown: ask for everything.
                if events.send(Event::Changed(None)).await.is_err() {
                    return;
                }
                match listen(&systemd, signals, question.take(), &mut questions, &events).await {
                    End::Finished => return,
                    End::Disconnected(unanswered) => question = unanswered,
                }
                warn!("the connection to systemd broke; connecting again");
            }
            Err(error) => error!("{error:#}; trying again"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RECONNECT_MAX);
    }
}

/// Why a connection is not used any longer.
enum End {
    /// Nobody asks any more.
    Finished,
    /// It broke, perhaps before this question was answered.
    Disconnected(Option<Question>),
}

async fn listen(
    systemd: &Systemd,
    mut signals: Signals,
    first: Option<Question>,
    questions: &mut mpsc::Receiver<Question>,
    events: &mpsc::Sender<Event>,
) -> End {
    let mut question = first;
    loop {
        if let Some(asked) = question.take() {
            match answer(systemd, &asked).await {
                Ok(event) => {
                    if events.send(event).await.is_err() {
                        return End::Finished;
                    }
                }
                Err(error) => {
                    warn!("units with registered keys: {error:#}");
                    return End::Disconnected(Some(asked));
                }
            }
        }
        tokio::select! {
            asked = questions.recv() => match asked {
                Some(asked) => question = Some(asked),
                None => return End::Finished,
            },
            signal = signals.recv() => {
                let Some(first) = signal else { return End::Disconnected(None) };
                if events.send(Event::Changed(gather(first, &mut signals))).await.is_err() {
                    return End::Finished;
                }
            }
        }
    }
}

async fn answer(systemd: &Systemd, question: &Question) -> Result<Event, SystemdError> {
    Ok(match question {
        Question::Lives(units) => Event::Observed(lives(systemd, units).await?),
        Question::Register { ticket, unit, key, value, ttl } => {
            let life = lives(systemd, std::slice::from_ref(unit)).await?.pop();
            let life = life.ok_or(SystemdError::Disconnected)?;
            Event::Register(Register { ticket: *ticket, life, key: key.clone(), value: value.clone(), ttl: *ttl })
        }
    })
}

async fn lives(systemd: &Systemd, units: &[UnitName]) -> Result<Vec<Life>, SystemdError> {
    let names: Vec<String> = units.iter().map(ToString::to_string).collect();
    let lives = systemd.lives(&names).await?;
    Ok(units.iter().zip(lives).map(|(unit, life)| to_life(unit, life)).collect())
}

/// An alias is known by its main name from here on: signals come under that.
fn to_life(asked: &UnitName, life: UnitLife) -> Life {
    let UnitLife { name, active, sub, invocation } = life;
    Life { unit: name.parse().unwrap_or_else(|_| asked.clone()), active, sub, invocation }
}
