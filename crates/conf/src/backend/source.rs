//! A backend that is ready to be read.

use std::path::PathBuf;

use flota_etcd::EtcdError;

use super::etcd2::{Etcd2, Etcd2Error};
use super::etcd3::Etcd3;
use super::file::{self, FilesError};
use super::srv::{self, SrvError};
use super::{covering, environment};
use crate::keys::{KeyPath, Snapshot};
use crate::settings::{BackendKind, Settings};

/// Where etcd listens by default: the first is the port that IANA gave it, the second that of 2014, where Flota's gateway is.
const DEFAULT_NODES: [&str; 2] = ["127.0.0.1:2379", "127.0.0.1:4001"];

/// Why keys cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// etcd v3.
    #[error("etcd at {nodes}")]
    Etcd3 {
        /// Where.
        nodes: String,
        /// Why.
        #[source]
        source: EtcdError,
    },
    /// etcd v2.
    #[error(transparent)]
    Etcd2(#[from] Etcd2Error),
    /// Files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The record of the nodes.
    #[error(transparent)]
    Srv(#[from] SrvError),
    /// A certificate without its key, or a key without its certificate.
    #[error("client-cert and client-key are given together or not at all")]
    HalfIdentity,
}

/// A backend.
#[derive(Debug, Clone)]
pub enum Source {
    /// etcd by its v3 API.
    Etcd3(Etcd3),
    /// etcd by its v2 API.
    Etcd2(Etcd2),
    /// The environment of this process.
    Env,
    /// Files and directories, and which files of a directory.
    Files(Vec<PathBuf>, String),
}

impl Source {
    /// What the settings name. Asks DNS if they name a record, and the store which API it has if they leave that open.
    pub async fn open(settings: &Settings) -> Result<Source, SourceError> {
        match settings.backend {
            BackendKind::Env => return Ok(Source::Env),
            BackendKind::File => return Ok(Source::Files(settings.files.clone(), settings.filter.clone())),
            BackendKind::Etcd | BackendKind::EtcdV3 => {}
        }
        let nodes = nodes(settings)?;
        let identity = match (&settings.client_cert, &settings.client_key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(SourceError::HalfIdentity),
        };
        let access = flota_etcd::Access { ca: settings.client_ca.clone(), identity, user: settings.user.clone() };
        if settings.backend == BackendKind::Etcd {
            let etcd2 = Etcd2::new(nodes.clone(), &access)?;
            if etcd2.answers().await {
                return Ok(Source::Etcd2(etcd2));
            }
        }
        Ok(Source::Etcd3(Etcd3::new(nodes, access)))
    }

    /// All keys at and below these paths, as far as can be had from one moment.
    pub async fn read(&self, roots: &[KeyPath]) -> Result<Snapshot, SourceError> {
        let roots = covering(roots.iter().cloned());
        match self {
            Source::Etcd3(etcd) => etcd.read(&roots).await,
            Source::Etcd2(etcd) => Ok(etcd.read(&roots).await?),
            Source::Env => Ok(environment::read(environment::of_process())),
            Source::Files(paths, filter) => Ok(file::read(paths, filter)?),
        }
    }
}

/// The addresses as URLs.
fn nodes(settings: &Settings) -> Result<Vec<String>, SourceError> {
    let mut nodes = settings.nodes.clone();
    if let Some(record) = &settings.srv_record {
        let records = srv::lookup(record)?;
        nodes = records.iter().map(|at| format!("{}:{}", at.target.trim_end_matches('.'), at.port)).collect();
    }
    if nodes.is_empty() {
        let default = if settings.backend == BackendKind::Etcd { DEFAULT_NODES[1] } else { DEFAULT_NODES[0] };
        nodes.push(default.to_owned());
    }
    Ok(nodes.into_iter().map(|node| url(node, settings)).collect())
}

fn url(node: String, settings: &Settings) -> String {
    if node.contains("://") || node.starts_with("unix:/") {
        // The transport's form of a socket's address has one slash.
        return node.replacen("unix:///", "unix:/", 1).trim_end_matches('/').to_owned();
    }
    // As confd: with certificates an address without a scheme is one of TLS.
    let secure = settings.client_ca.is_some() || settings.client_cert.is_some();
    let scheme = if secure { "https" } else { &settings.scheme };
    format!("{scheme}://{node}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Layer;

    fn nodes_of(layer: Layer) -> Vec<String> {
        nodes(&Settings::new(layer).unwrap()).unwrap()
    }

    #[test]
    fn nodes_become_urls() {
        let given = |nodes: &[&str]| Some(nodes.iter().map(|node| (*node).to_owned()).collect());
        let layer = Layer { nodes: given(&["10.0.0.1:4001", "https://b:2379/", "unix:///run/x"]), ..Layer::default() };
        assert_eq!(nodes_of(layer.clone()), ["http://10.0.0.1:4001", "https://b:2379", "unix:/run/x"]);
        let secure = Layer { client_ca: Some("/ca".into()), ..layer };
        assert_eq!(nodes_of(secure)[0], "https://10.0.0.1:4001");
        assert_eq!(nodes_of(Layer::default()), ["http://127.0.0.1:4001"]);
        assert_eq!(nodes_of(Layer { backend: Some("etcdv3".into()), ..Layer::default() }), ["http://127.0.0.1:2379"]);
    }
}
