//! Looks at the daemon, and through it at the cluster's other machines.

use flota_api::machines::{LeaveStage, MachineInfo};
use flota_api::{Client, ClientError};
use flota_daemon::peer::{Reach as Reached, clock_ahead, probe};
use flota_doctor::{Blind, Daemon, Daemons, Look, Peer, Reach, Service};
use flota_etcd::chain;
use flota_registry::MachineId;
use futures_util::{StreamExt, stream};

use super::look::{is_denied, properties, within};
use crate::output::legend::legend;

/// Machines that are asked at the same time.
const MAX_ASKED: usize = 64;

/// What was seen of the daemon and the cluster.
pub struct Cluster {
    pub service: Look<Service>,
    pub daemon: Look<Daemon>,
    /// The address that the cluster has of this machine.
    pub announced: Option<String>,
    pub peers: Look<Vec<Peer>>,
}

/// Looks at the daemon's unit, the daemon and the other machines, in this order.
pub async fn look(client: &Client) -> Cluster {
    let service = within("systemctl", service()).await;
    // Whoever knocks at the socket of a stopped daemon starts it: an examination changes nothing.
    let stopped = service.as_ref().ok().filter(|service| service.load == "loaded" && service.active == "inactive");
    let daemon = match stopped {
        Some(_) => Ok(Daemon::Silent("flota.service is inactive".to_owned())),
        None => within("the daemon", daemon(client)).await,
    };
    let nobody = || Blind::Because("no daemon tells which other machines there are".to_owned());
    if !matches!(daemon, Ok(Daemon::Answers(_))) {
        return Cluster { service, daemon, announced: None, peers: Err(nobody()) };
    }
    let machines = within("the daemon", async { client.all_machines().await.map_err(|_| nobody()) }).await;
    let me = std::fs::read_to_string("/etc/machine-id").unwrap_or_default().trim().to_owned();
    let (mine, others): (Vec<_>, Vec<_>) =
        machines.clone().unwrap_or_default().into_iter().partition(|machine| machine.id == me);
    let announced = mine.into_iter().filter(|machine| machine.alive).map(|machine| machine.address).next();
    let asked = stream::iter(others).map(ask).buffered(MAX_ASKED).collect::<Vec<_>>();
    let peers = match machines {
        Ok(_) => within("the other machines", async { Ok(asked.await) }).await,
        Err(why) => Err(why),
    };
    Cluster { service, daemon, announced, peers }
}

async fn service() -> Look<Service> {
    let line = ["systemctl", "show", "flota.service", "-p", "LoadState", "-p", "ActiveState", "-p", "UnitFileState"];
    let value = properties(&line).await?;
    Ok(Service { load: value("LoadState"), active: value("ActiveState"), enabled: value("UnitFileState") })
}

async fn daemon(client: &Client) -> Look<Daemon> {
    let health = match client.health().await {
        Ok(health) => health,
        Err(ClientError::Connect { source, .. }) if is_denied(&source) => {
            return Err(Blind::NotAllowed("ask the daemon".to_owned()));
        }
        Err(error) => return Ok(Daemon::Silent(chain(&error))),
    };
    let frozen = client.frozen();
    if !health.store_connected
        && let Ok(status) = client.leave_status().await
        && status.stage != LeaveStage::None
    {
        return Ok(Daemon::Left(health.detail.unwrap_or_else(|| "this machine leaves its cluster".to_owned())));
    }
    Ok(Daemon::Answers(Daemons {
        version: health.version,
        store_connected: health.store_connected,
        has_leader: health.leader.is_some(),
        detail: health.detail,
        frozen,
    }))
}

/// Asks another machine itself.
async fn ask(machine: MachineInfo) -> Peer {
    let id = machine.id.parse::<MachineId>();
    let (reach, ahead_ms) = match (&machine.peer, id) {
        (Some(port), Ok(id)) => {
            let (reached, ahead) = tokio::join!(probe(port, &id), clock_ahead(port));
            let reach = match reached {
                Reached::Alive => Reach::Alive,
                Reached::NoDaemon => Reach::NoDaemon,
                Reached::Silent => Reach::Silent,
            };
            (reach, ahead)
        }
        _ => (Reach::NoPort, None),
    };
    Peer {
        name: legend(&machine.id, &machine.address, false),
        state: machine.state_text(),
        port: machine.peer,
        alive: machine.alive,
        reach,
        ahead_ms,
    }
}
