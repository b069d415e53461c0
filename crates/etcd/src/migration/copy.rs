//! A copy of a living store in another one: read at one revision, then kept up by a watch, compared at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Client, DeleteOptions, EventType, GetOptions, KeyValue, LeaseGrantOptions,
    LeaseTimeToLiveOptions, PutOptions, Txn, TxnOp, WatchOptions, WatchStream,
};
use flota_registry::{LeaseId, MAX_TXN_BYTES, keys};
use tokio::time::{Instant, timeout};

use super::MigrationError;
use crate::client::{CALL_TIMEOUT, MAX_MESSAGE_BYTES, within};
use crate::{EtcdError, StoreClient};

/// Keys read and written at a time: fewer than etcd takes in one transaction (128).
const PAGE_KEYS: usize = 100;
/// Most leases of applications that are held in both stores.
const MAX_LEASES: usize = 10_000;
/// How long the copy may take to come as far as the original.
pub(super) const CATCH_UP: Duration = Duration::from_secs(30);
/// How often the store is asked how far its watch is.
const ASK_AGAIN: Duration = Duration::from_millis(200);
/// The member in whose name the old store is closed: none that an etcd has, so that an alarm of its own is not taken for it.
const CLOSER: u64 = 0x000f_107a;

/// Keys that are not copied: what lives by the sessions of machines, which they announce in the new store themselves, what is
/// known of the move, and the cluster's record, which is written last.
fn stays(key: &[u8]) -> bool {
    let own =
        [keys::MACHINES, keys::REPORTS, keys::CONF, keys::MOVERS, keys::STORE, "/flota/v1/leader", "/flota/v1/cluster"];
    own.iter().any(|prefix| key.starts_with(prefix.as_bytes()))
}

fn of_session(pair: &KeyValue) -> bool {
    LeaseId(pair.lease()).is_own()
}

/// A store that is copied into another one.
pub(super) struct Copy {
    from: Client,
    to: Client,
    watch: Option<WatchStream>,
    /// The copy has everything up to here.
    reached: i64,
    /// Leases of applications, with when each is renewed in the copy.
    leases: BTreeMap<i64, Renewal>,
}

struct Renewal {
    every: Duration,
    due: Instant,
}

fn from<T>(result: Result<T, EtcdError>) -> Result<T, MigrationError> {
    result.map_err(MigrationError::From)
}

fn to<T>(result: Result<T, EtcdError>) -> Result<T, MigrationError> {
    result.map_err(MigrationError::To)
}

impl Copy {
    pub(super) fn new(old: &StoreClient, new: &StoreClient) -> Copy {
        Copy { from: old.client.clone(), to: new.client.clone(), watch: None, reached: 0, leases: BTreeMap::new() }
    }

    /// Copies everything as it is at one revision; returns how many keys that were.
    pub(super) async fn take(&mut self) -> Result<usize, MigrationError> {
        let (revision, pairs) = from(read_all(&self.from, 0).await)?;
        let options = WatchOptions::new().with_range(vec![0]).with_start_revision(revision + 1);
        let mut watch = self.from.watch_client().max_decoding_message_size(MAX_MESSAGE_BYTES);
        self.watch = Some(from(within(CALL_TIMEOUT, watch.watch([0], Some(options))).await)?);
        for pair in &pairs {
            self.hold_lease(pair.lease()).await?;
        }
        let count = pairs.len();
        let mut ops = Vec::new();
        let mut bytes = 0;
        for pair in pairs {
            let size = pair.key().len() + pair.value().len();
            if ops.len() == PAGE_KEYS || (bytes + size > MAX_TXN_BYTES && !ops.is_empty()) {
                self.write(std::mem::take(&mut ops)).await?;
                bytes = 0;
            }
            bytes += size;
            ops.push(put(&pair));
        }
        self.write(ops).await?;
        self.reached = revision;
        Ok(count)
    }

    /// Keeps the copy up until it is as far as the store was at `revision`.
    pub(super) async fn follow_to(&mut self, revision: i64) -> Result<(), MigrationError> {
        let deadline = Instant::now() + CATCH_UP;
        while self.reached < revision {
            if Instant::now() >= deadline {
                return Err(MigrationError::Behind { seconds: CATCH_UP.as_secs() });
            }
            self.follow_for(ASK_AGAIN).await?;
        }
        Ok(())
    }

    /// Keeps the copy up for at least so long, or until the store says that nothing is left.
    pub(super) async fn follow_for(&mut self, span: Duration) -> Result<(), MigrationError> {
        self.renew().await?;
        let Some(watch) = &mut self.watch else { return Ok(()) };
        from(within(CALL_TIMEOUT, watch.request_progress()).await)?;
        let Ok(message) = timeout(span, watch.message()).await else { return Ok(()) };
        let ended = |reason: &str| EtcdError::Ended { what: "watch", reason: reason.to_owned() };
        let Some(response) = from(message.map_err(EtcdError::from))? else {
            return from(Err(ended("stream closed")));
        };
        if response.canceled() {
            return from(Err(ended(response.cancel_reason())));
        }
        let mut ops = Vec::new();
        let mut at = self.reached;
        for event in response.events() {
            let Some(pair) = event.kv() else { continue };
            if pair.mod_revision() != at {
                // One revision is one transaction, in the copy as in the original.
                self.write(std::mem::take(&mut ops)).await?;
                at = pair.mod_revision();
            }
            match event.event_type() {
                _ if stays(pair.key()) => {}
                EventType::Put if of_session(pair) => {}
                EventType::Put => {
                    self.hold_lease(pair.lease()).await?;
                    ops.push(put(pair));
                }
                EventType::Delete => ops.push(TxnOp::delete(pair.key(), None)),
            }
        }
        self.write(ops).await?;
        if !response.created() {
            let told = response.header().map_or(0, etcd_client::ResponseHeader::revision);
            self.reached = self.reached.max(at).max(if response.events().is_empty() { told } else { 0 });
        }
        Ok(())
    }

    /// The store's revision now.
    pub(super) async fn revision(&self) -> Result<i64, MigrationError> {
        let answer = from(within(CALL_TIMEOUT, self.from.kv_client().get("/flota/", None)).await)?;
        Ok(answer.header().map_or(0, etcd_client::ResponseHeader::revision))
    }

    /// Closes the old store for all that grows; reads, removals and leases go on.
    pub(super) async fn close(&self) -> Result<(), MigrationError> {
        from(alarm(&self.from, AlarmAction::Activate).await)
    }

    /// Takes [`Copy::close`] back.
    pub(super) async fn reopen(&self) -> Result<(), MigrationError> {
        from(alarm(&self.from, AlarmAction::Deactivate).await)
    }

    /// Compares every key, value and lease of the two.
    pub(super) async fn compare(&self) -> Result<usize, MigrationError> {
        let (_, old) = from(read_all(&self.from, self.reached).await)?;
        let (_, new) = to(read_all(&self.to, 0).await)?;
        let differs =
            |pair: &KeyValue| MigrationError::Differs { key: String::from_utf8_lossy(pair.key()).into_owned() };
        for (one, other) in old.iter().zip(&new) {
            if (one.key(), one.value(), one.lease()) != (other.key(), other.value(), other.lease()) {
                return Err(differs(one));
            }
        }
        match old.iter().skip(new.len()).chain(new.iter().skip(old.len())).next() {
            Some(pair) => Err(differs(pair)),
            None => Ok(old.len()),
        }
    }

    /// How many keys the new store has.
    pub(super) async fn target_keys(&self) -> Result<i64, MigrationError> {
        let options = GetOptions::new().with_range(vec![0]).with_count_only();
        Ok(to(within(CALL_TIMEOUT, self.to.kv_client().get([0], Some(options))).await)?.count())
    }

    /// Empties a new store that this cluster left before, leases included, and opens it.
    pub(super) async fn empty_target(&self) -> Result<(), MigrationError> {
        to(alarm(&self.to, AlarmAction::Deactivate).await)?;
        let leases = to(within(CALL_TIMEOUT, self.to.lease_client().leases()).await)?;
        for lease in leases.leases() {
            // One that has ended meanwhile is as good.
            let _ = within(CALL_TIMEOUT, self.to.lease_client().revoke(lease.id())).await;
        }
        let options = DeleteOptions::new().with_range(vec![0]);
        to(within(CALL_TIMEOUT, self.to.kv_client().delete([0], Some(options))).await)?;
        Ok(())
    }

    /// Whether the old store has users.
    pub(super) async fn has_users(&self) -> Result<bool, MigrationError> {
        let users = from(within(CALL_TIMEOUT, self.from.auth_client().user_list()).await)?;
        Ok(!users.users().is_empty())
    }

    /// Which clusters the two stores are, by their own ids.
    pub(super) async fn ids(&self) -> Result<(u64, u64), MigrationError> {
        let id =
            |answer: etcd_client::StatusResponse| answer.header().map_or(0, etcd_client::ResponseHeader::cluster_id);
        let old = from(within(CALL_TIMEOUT, self.from.maintenance_client().status()).await)?;
        let new = to(within(CALL_TIMEOUT, self.to.maintenance_client().status()).await)?;
        Ok((id(old), id(new)))
    }

    async fn write(&self, ops: Vec<TxnOp>) -> Result<(), MigrationError> {
        if ops.is_empty() {
            return Ok(());
        }
        to(within(CALL_TIMEOUT, self.to.kv_client().txn(Txn::new().and_then(ops))).await)?;
        Ok(())
    }

    /// Has an application's lease in the copy too, with its id and its full time.
    async fn hold_lease(&mut self, id: i64) -> Result<(), MigrationError> {
        if id == 0 || self.leases.contains_key(&id) {
            return Ok(());
        }
        if self.leases.len() >= MAX_LEASES {
            return Err(MigrationError::TooManyLeases { limit: MAX_LEASES });
        }
        let options = LeaseTimeToLiveOptions::new();
        let found = from(within(CALL_TIMEOUT, self.from.lease_client().time_to_live(id, Some(options))).await)?;
        // One that is about to end is ended by the old store, whose removals are followed.
        let ttl = found.granted_ttl().max(2);
        let options = LeaseGrantOptions::new().with_id(id);
        to(within(CALL_TIMEOUT, self.to.lease_client().grant(ttl, Some(options))).await)?;
        let every = Duration::from_secs(ttl.unsigned_abs()) / 3;
        self.leases.insert(id, Renewal { every, due: Instant::now() + every });
        Ok(())
    }

    /// Renews the leases in the copy whose time it is: their owners still renew them in the original.
    async fn renew(&mut self) -> Result<(), MigrationError> {
        let now = Instant::now();
        for (id, renewal) in self.leases.iter_mut().filter(|(_, renewal)| renewal.due <= now) {
            renewal.due = now + renewal.every;
            match within(CALL_TIMEOUT, self.to.lease_client().keep_alive(*id)).await {
                Ok(_) | Err(EtcdError::Call(etcd_client::Error::LeaseKeepAliveError(_))) => {}
                Err(error) => return Err(MigrationError::To(error)),
            }
        }
        Ok(())
    }
}

fn put(pair: &KeyValue) -> TxnOp {
    let options = (pair.lease() != 0).then(|| PutOptions::new().with_lease(pair.lease()));
    TxnOp::put(pair.key(), pair.value(), options)
}

async fn alarm(client: &Client, action: AlarmAction) -> Result<(), EtcdError> {
    let mut options = AlarmOptions::new();
    options.with_member(CLOSER);
    within(CALL_TIMEOUT, client.maintenance_client().alarm(action, AlarmType::Nospace, Some(options))).await?;
    Ok(())
}

/// All keys that move, at one revision (0: now).
async fn read_all(client: &Client, revision: i64) -> Result<(i64, Vec<KeyValue>), EtcdError> {
    let mut kv = client.kv_client().max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (mut pairs, mut next, mut at) = (Vec::new(), vec![0], revision);
    loop {
        let limit = i64::try_from(PAGE_KEYS).unwrap_or(i64::MAX);
        let options = GetOptions::new().with_range(vec![0]).with_limit(limit).with_revision(at);
        let mut answer = within(CALL_TIMEOUT, kv.get(next, Some(options))).await?;
        if at == 0 {
            at = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        }
        let more = answer.more();
        let page = answer.take_kvs();
        next = page.last().map(|pair| [pair.key(), &[0]].concat()).unwrap_or_default();
        pairs.extend(page.into_iter().filter(|pair| !stays(pair.key()) && !of_session(pair)));
        if !more || next.is_empty() {
            return Ok((at, pairs));
        }
    }
}
