//! The configuration file as it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flota_etcd::TlsFiles;
use serde::Deserialize;

use super::options::ConfigError;

/// Where the discovery gateway listens where nothing else is configured.
const DEFAULT_GATEWAY: &str = "127.0.0.1:4001";
/// Docker's own bridge.
const DEFAULT_BRIDGE: &str = "docker0";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) data_dir: Option<PathBuf>,
    pub(super) machine: MachineSection,
    pub(super) store: StoreSection,
    pub(super) tls: Option<TlsFiles>,
    pub(super) api: ApiSection,
    pub(super) gateway: GatewaySection,
    pub(super) peer: PortSection,
    pub(super) join: JoinSection,
    pub(super) cluster: ClusterSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MachineSection {
    pub(super) address: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StoreSection {
    pub(super) endpoints: Vec<String>,
    pub(super) listen: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ApiSection {
    pub(super) listen: Vec<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GatewaySection {
    pub(super) enabled: bool,
    pub(super) listen: Vec<String>,
    pub(super) bridges: Vec<String>,
}

impl Default for GatewaySection {
    fn default() -> Self {
        let (listen, bridges) = (vec![DEFAULT_GATEWAY.to_owned()], vec![DEFAULT_BRIDGE.to_owned()]);
        GatewaySection { enabled: true, listen, bridges }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PortSection {
    pub(super) listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct JoinSection {
    pub(super) listen: Option<String>,
    pub(super) required: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ClusterSection {
    pub(super) lease_seconds: u64,
    pub(super) grace_seconds: u64,
    pub(super) max_moves: u64,
}

impl Default for ClusterSection {
    fn default() -> Self {
        ClusterSection { lease_seconds: 5, grace_seconds: 1, max_moves: 50 }
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| ConfigError::Parse { path: path.to_owned(), message: error.to_string() })
}
