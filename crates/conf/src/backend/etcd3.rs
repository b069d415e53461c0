//! etcd by its v3 API: one reading of all that is wanted at one revision, and one watch from there.

use flota_etcd::{Access, Batch, EtcdError, KeyRange, StoreClient, Watch};
use flota_gotemplate::Str;
use flota_registry::Change;
use tokio::sync::OnceCell;

use super::follow::Followed;
use super::{SourceError, common};
use crate::keys::{KeyPath, Snapshot};

/// A store, and how to be let in. The connection is made at the first call, and kept.
#[derive(Debug, Clone)]
pub struct Etcd3 {
    nodes: Vec<String>,
    access: Access,
    client: std::sync::Arc<OnceCell<Client>>,
}

#[derive(Clone)]
struct Client(StoreClient);

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Etcd3 {
    pub(super) fn new(nodes: Vec<String>, access: Access) -> Etcd3 {
        Etcd3 { nodes, access, client: std::sync::Arc::default() }
    }

    fn failed(&self, source: EtcdError) -> SourceError {
        SourceError::Etcd3 { nodes: self.nodes.join(", "), source }
    }

    async fn client(&self) -> Result<StoreClient, SourceError> {
        let made =
            self.client.get_or_try_init(|| async { StoreClient::guest(&self.nodes, &self.access).await.map(Client) });
        Ok(made.await.map_err(|error| self.failed(error))?.0.clone())
    }

    pub(super) async fn read(&self, roots: &[KeyPath]) -> Result<Snapshot, SourceError> {
        let ranges: Vec<KeyRange> = roots.iter().map(|root| KeyRange::tree(root.as_str())).collect();
        let (revision, pairs) = self.client().await?.ranges(&ranges).await.map_err(|error| self.failed(error))?;
        // A range also holds `/a-b`, which is not below `/a`.
        let wanted = pairs.into_iter().filter(|pair| admits(roots, &pair.key));
        Ok(Snapshot::new(revision, wanted.map(|pair| (pair.key, pair.value))))
    }

    /// Follows the keys until an error ends that; the next call begins anew, with another login.
    pub(super) async fn follow(&mut self, roots: &[KeyPath], followed: &mut Followed) -> Result<(), SourceError> {
        // What a login gives may have ended; so may the member that gave it.
        self.client = std::sync::Arc::default();
        let snapshot = self.read(roots).await?;
        let from = snapshot.revision + 1;
        if !followed.reset(snapshot).await {
            return Ok(());
        }
        let client = self.client().await?;
        // One watch, so that all changes of a revision come together, whatever the number of prefixes.
        let all = common(roots).unwrap_or_else(|| KeyPath::new("/"));
        let opened = client.watch_range(&KeyRange::tree(all.as_str()), from).await;
        match opened {
            Ok(watch) => self.follow_one(watch, roots, followed).await,
            Err(error) => Err(self.failed(error)),
        }
    }

    async fn follow_one(
        &self,
        mut watch: Watch,
        roots: &[KeyPath],
        followed: &mut Followed,
    ) -> Result<(), SourceError> {
        loop {
            let batch = watch.next().await.map_err(|error| self.failed(error))?;
            let Batch { revision, changes } = batch;
            let changes = changes.into_iter().map(|change| match change {
                Change::Put(pair) => (pair.key, Some(Str::from(pair.value))),
                Change::Delete { key } => (key, None),
            });
            let changes: Vec<_> = changes.filter(|(key, _)| admits(roots, key)).collect();
            if !changes.is_empty() && !followed.change(revision, changes).await {
                return Ok(());
            }
        }
    }
}

fn admits(roots: &[KeyPath], key: &str) -> bool {
    roots.iter().any(|root| root.covers(key))
}
