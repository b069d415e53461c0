//! Takes this machine into another cluster: looks first, and changes nothing unless all fits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flota_api::join::{JoinRequest, JoinTls, JoinWay, Joined};
use flota_etcd::{ClientConfig, EtcdError, Membership, MembershipError, MembershipStore, StoreClient, TlsFiles};
use flota_registry::{Cluster, ClusterId, ClusterSnapshot, Entry, Key, Machine, MachineId, destroy_unit, keys};
use flota_unit::UnitName;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::enter::{Credentials, JoinError, enter};
use super::pki;
use super::token::TokenError;
use crate::disk::DataDir;
use crate::session::Link;

/// How long the units of the machine's own cluster get to stop.
const STOP_UNITS: Duration = Duration::from_secs(45);
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// Folders of certificates that a machine got when it joined begin with this.
const FOLDER: &str = "joined-";

/// Why a machine does not join.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The token is none.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// It is not let in.
    #[error(transparent)]
    Enter(#[from] JoinError),
    /// The other cluster's store does not answer, or does not let it in.
    #[error("the cluster's store at {endpoints}")]
    Store {
        /// Where it should be.
        endpoints: String,
        /// Why not.
        source: EtcdError,
    },
    /// There is no cluster in that store.
    #[error("the store at {endpoints} holds no cluster of flota: is it the right one?")]
    NoCluster {
        /// Which store.
        endpoints: String,
    },
    /// A value there cannot be read.
    #[error("{key} in the cluster's store")]
    Value {
        /// Which key.
        key: Key,
        /// Why.
        source: flota_registry::CodecError,
    },
    /// Another machine says that it is this one.
    #[error(
        "a machine with the same id lives in that cluster, at {address}: give this one an id of its own (rm /etc/machine-id, systemd-machine-id-setup, reboot)"
    )]
    Twin {
        /// The other one's address.
        address: String,
    },
    /// Its own cluster has units.
    #[error(
        "this machine's own cluster has units: {}; they would be stopped and destroyed (--force does so)",
        names(.units)
    )]
    HasUnits {
        /// Which.
        units: Vec<UnitName>,
    },
    /// Its own cluster has other machines.
    #[error("this machine belongs to cluster {cluster} with other machines: let it leave that one first (flota leave)")]
    HasMachines {
        /// Its cluster.
        cluster: ClusterId,
    },
    /// Nobody can tell what would be lost.
    #[error("the store of this machine's own cluster does not answer, so nobody can tell what would be lost there")]
    OwnStore {
        /// Why not, if there is something to say.
        source: Option<EtcdError>,
    },
    /// Units of its own cluster do not stop.
    #[error("units of this machine's own cluster are destroyed, but did not stop: {}; nothing was joined", names(.units))]
    DoNotStop {
        /// Which.
        units: Vec<UnitName>,
    },
    /// The disk refused.
    #[error("{0:#}")]
    Disk(anyhow::Error),
    /// What it was told cannot be written down.
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

impl Refusal {
    /// The reason as one line, with what is behind it.
    pub fn told(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

fn names(units: &[UnitName]) -> String {
    units.iter().map(UnitName::as_str).collect::<Vec<_>>().join(", ")
}

/// Lets this machine's daemon join.
pub struct Joiner {
    me: MachineId,
    boot_id: String,
    data_dir: PathBuf,
    /// One attempt at a time.
    turn: Mutex<()>,
}

/// What this machine's own cluster has to lose.
struct Own {
    cluster: Option<ClusterId>,
    /// With the revision that each was seen at.
    units: BTreeMap<UnitName, i64>,
    is_alone: bool,
}

impl Joiner {
    /// For machine `me` with its data in `data`.
    pub fn new(me: MachineId, boot_id: String, data: &DataDir) -> Joiner {
        Joiner { me, boot_id, data_dir: data.root().to_owned(), turn: Mutex::default() }
    }

    /// Joins: from the next start on this machine belongs to the other cluster. `own` is the way to its present store.
    pub async fn join(&self, request: JoinRequest, own: Option<Link>) -> Result<Joined, Refusal> {
        let _turn = self.turn.lock().await;
        let JoinRequest { way, force } = request;
        match way {
            JoinWay::Token { address, token } => {
                let credentials = Box::pin(enter(&address, &token.parse()?, &self.me)).await?;
                let folder = self.data_dir.join("pki").join(format!("{FOLDER}{}", unix_ms()));
                let cluster = Some(credentials.cluster.clone());
                let config = keep(&folder, credentials).map_err(Refusal::Disk);
                let joined = match config {
                    Ok(config) => Box::pin(self.change(config, cluster, own, force)).await,
                    Err(why) => Err(why),
                };
                match &joined {
                    Ok(_) => remove_others(&folder),
                    // Nothing half-done stays.
                    Err(_) => drop(std::fs::remove_dir_all(&folder)),
                }
                joined
            }
            JoinWay::Store { endpoints, tls } => {
                let tls = tls.map(|JoinTls { ca, cert, key }| TlsFiles { ca, cert, key });
                let config = ClientConfig { endpoints, tls };
                Box::pin(self.change(config, None, own, force)).await
            }
        }
    }

    /// Looks at both clusters, and if all fits writes down where the other one is.
    async fn change(
        &self,
        config: ClientConfig,
        expected: Option<ClusterId>,
        own: Option<Link>,
        force: bool,
    ) -> Result<Joined, Refusal> {
        let cluster = Box::pin(self.visit(&config, expected)).await?;
        let before = Box::pin(self.own(own.as_ref())).await?;
        let was_member = before.cluster.as_ref() == Some(&cluster);
        let mut destroyed = Vec::new();
        if !was_member {
            if let (false, Some(cluster)) = (before.is_alone, before.cluster) {
                return Err(Refusal::HasMachines { cluster });
            }
            destroyed = before.units.keys().cloned().collect();
            match own {
                _ if destroyed.is_empty() => {}
                Some(own) if force => Box::pin(self.destroy(&own, &before.units)).await?,
                _ => return Err(Refusal::HasUnits { units: destroyed }),
            }
        }
        let store = MembershipStore { endpoints: config.endpoints };
        let membership = Membership { cluster: cluster.clone(), store, tls: config.tls };
        membership.write(&self.data_dir)?;
        info!("this machine joins cluster {cluster} when its daemon starts anew");
        Ok(Joined {
            cluster: cluster.to_string(),
            was_member,
            destroyed: destroyed.iter().map(ToString::to_string).collect(),
            daemon_pid: std::process::id(),
        })
    }

    /// Looks around in the other cluster, and tells its id.
    async fn visit(&self, config: &ClientConfig, expected: Option<ClusterId>) -> Result<ClusterId, Refusal> {
        let endpoints = config.endpoints.join(", ");
        let store = |source| Refusal::Store { endpoints: endpoints.clone(), source };
        let client = StoreClient::new(config).await.map_err(store)?;
        let (_, pair) = client.get(&Key::Cluster.to_string()).await.map_err(store)?;
        let pair = pair.ok_or_else(|| Refusal::NoCluster { endpoints: endpoints.clone() })?;
        let cluster = Entry::<Cluster>::decode(&pair);
        let cluster = cluster.map_err(|source| Refusal::Value { key: Key::Cluster, source })?.value.id;
        if expected.is_some_and(|expected| expected != cluster) {
            return Err(Refusal::NoCluster { endpoints });
        }
        let key = Key::Machine(self.me.clone());
        let (_, pair) = client.get(&key.to_string()).await.map_err(store)?;
        if let Some(pair) = pair {
            let there = Entry::<Machine>::decode(&pair).map_err(|source| Refusal::Value { key, source })?.value;
            // A copy of this machine's disk has the same id, but was booted by itself.
            if there.boot_id != self.boot_id {
                return Err(Refusal::Twin { address: there.address });
            }
        }
        Ok(cluster)
    }

    /// What this machine's own cluster has to lose; where its store is away, as far as the machine remembers.
    async fn own(&self, link: Option<&Link>) -> Result<Own, Refusal> {
        let Some(Link { client, .. }) = link else {
            let path = self.data_dir.join("agent/held.json");
            let held = std::fs::read(path).ok().and_then(|bytes| flota_agent::Held::decode(&bytes).ok());
            let schedule = held.and_then(|held| held.schedule);
            return match schedule {
                Some(schedule) if !schedule.units.is_empty() => Err(Refusal::OwnStore { source: None }),
                schedule => Ok(Own {
                    cluster: schedule.map(|schedule| schedule.cluster),
                    units: BTreeMap::new(),
                    is_alone: true,
                }),
            };
        };
        let snapshot = read(client).await?;
        let is_me = |id: &MachineId| *id == self.me;
        Ok(Own {
            cluster: snapshot.cluster().map(|entry| entry.value.id.clone()),
            units: snapshot.units().iter().map(|(name, entry)| (name.clone(), entry.mod_revision)).collect(),
            is_alone: snapshot.machines().keys().all(is_me) && snapshot.members().keys().all(is_me),
        })
    }

    /// Destroys the units of this machine's own cluster and waits until they have stopped.
    async fn destroy(&self, own: &Link, units: &BTreeMap<UnitName, i64>) -> Result<(), Refusal> {
        warn!(
            "{} are destroyed, because this machine joins another cluster",
            names(&units.keys().cloned().collect::<Vec<_>>())
        );
        let own_store = |source| Refusal::OwnStore { source: Some(source) };
        for (unit, seen) in units {
            own.client.commit(&destroy_unit(unit, *seen)).await.map_err(own_store)?;
        }
        let deadline = Instant::now() + STOP_UNITS;
        loop {
            let snapshot = read(&own.client).await?;
            let scheduled = snapshot.schedules().get(&self.me).into_iter().flat_map(|entry| entry.value.units.keys());
            let reported = snapshot.reports().get(&self.me).into_iter().flat_map(|entry| entry.value.units.keys());
            let left: Vec<UnitName> = snapshot.units().keys().chain(scheduled).chain(reported).cloned().collect();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Refusal::DoNotStop { units: left });
            }
            sleep(ASK_AGAIN).await;
        }
    }
}

async fn read(client: &StoreClient) -> Result<ClusterSnapshot, Refusal> {
    let (revision, pairs) =
        client.range(keys::PREFIX).await.map_err(|source| Refusal::OwnStore { source: Some(source) })?;
    Ok(ClusterSnapshot::from_range(revision, pairs))
}

/// Writes the certificates down; the way to the store with them.
fn keep(folder: &Path, credentials: Credentials) -> anyhow::Result<ClientConfig> {
    let Credentials { endpoints, authority, certificate, key, .. } = credentials;
    pki::make_folder(folder)?;
    let tls = pki::machine_files(folder);
    pki::write_private(&tls.ca, &authority)?;
    pki::write_private(&tls.cert, &certificate)?;
    pki::write_private(&tls.key, &key)?;
    Ok(ClientConfig { endpoints, tls: Some(tls) })
}

/// Removes the certificates that a machine had from joining before. What cannot be removed is of no use, and no harm.
fn remove_others(folder: &Path) {
    let Some(entries) = folder.parent().and_then(|all| std::fs::read_dir(all).ok()) else { return };
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        let is_one = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(FOLDER));
        if is_one && path != folder {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis()
}
