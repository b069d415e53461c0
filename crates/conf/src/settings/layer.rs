//! One layer of settings, and all of them on top of each other.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// Where resources lie by default.
const CONFDIR: &str = "/etc/confd";
/// Seconds between two looks at everything.
const INTERVAL: u64 = 600;

/// A setting has a value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A backend that Flota does not speak.
    #[error(
        "backend `{0}` is not offered: Flota reads etcd v3 (etcdv3), etcd v2 (etcd with http:// nodes), env and file"
    )]
    Refused(String),
    /// No backend at all.
    #[error("there is no backend `{0}`: it is one of etcd, etcdv3, env, file")]
    UnknownBackend(String),
    /// No level at all.
    #[error("there is no log level `{0}`: it is one of panic, fatal, error, warn, info, debug")]
    UnknownLevel(String),
    /// Neither `http` nor `https`.
    #[error("the scheme is http or https, not `{0}`")]
    Scheme(String),
}

/// What is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    /// etcd by its v3 API.
    EtcdV3,
    /// etcd by its v2 API, where it answers that, else v3.
    Etcd,
    /// This process's environment.
    Env,
    /// YAML and JSON files.
    File,
}

impl FromStr for BackendKind {
    type Err = SettingsError;

    fn from_str(name: &str) -> Result<BackendKind, SettingsError> {
        match name {
            "etcd" => Ok(BackendKind::Etcd),
            "etcdv3" => Ok(BackendKind::EtcdV3),
            "env" => Ok(BackendKind::Env),
            "file" => Ok(BackendKind::File),
            "consul" | "vault" | "redis" | "zookeeper" | "dynamodb" | "ssm" | "rancher" | "stackengine" => {
                Err(SettingsError::Refused(name.to_owned()))
            }
            other => Err(SettingsError::UnknownBackend(other.to_owned())),
        }
    }
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What went wrong (confd's panic, fatal and error).
    Error,
    /// And what may.
    Warn,
    /// And what is done.
    Info,
    /// And why.
    Debug,
}

impl FromStr for LogLevel {
    type Err = SettingsError;

    fn from_str(name: &str) -> Result<LogLevel, SettingsError> {
        match name.to_lowercase().as_str() {
            "panic" | "fatal" | "error" => Ok(LogLevel::Error),
            "warn" | "warning" => Ok(LogLevel::Warn),
            "info" => Ok(LogLevel::Info),
            "debug" => Ok(LogLevel::Debug),
            _ => Err(SettingsError::UnknownLevel(name.to_owned())),
        }
    }
}

/// What one source says: the command line, the environment or the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// `backend`.
    pub backend: Option<String>,
    /// `node`, `nodes`.
    pub nodes: Option<Vec<String>>,
    /// `file`: files and directories of the file backend.
    pub files: Option<Vec<PathBuf>>,
    /// `filter`: which files of a directory.
    pub filter: Option<String>,
    /// `scheme`.
    pub scheme: Option<String>,
    /// `client-ca-keys`.
    pub client_ca: Option<PathBuf>,
    /// `client-cert`.
    pub client_cert: Option<PathBuf>,
    /// `client-key`.
    pub client_key: Option<PathBuf>,
    /// `basic-auth`.
    pub basic_auth: Option<bool>,
    /// `username`.
    pub username: Option<String>,
    /// `password`.
    pub password: Option<String>,
    /// `confdir`.
    pub confdir: Option<PathBuf>,
    /// `interval`, seconds.
    pub interval: Option<u64>,
    /// `noop`.
    pub noop: Option<bool>,
    /// `onetime`.
    pub onetime: Option<bool>,
    /// `watch`.
    pub watch: Option<bool>,
    /// `sync-only`.
    pub sync_only: Option<bool>,
    /// `keep-stage-file`.
    pub keep_stage_file: Option<bool>,
    /// `prefix`.
    pub prefix: Option<String>,
    /// `srv-domain`.
    pub srv_domain: Option<String>,
    /// `srv-record`.
    pub srv_record: Option<String>,
    /// `log-level`.
    pub log_level: Option<String>,
    /// Where the state is kept; confd had none.
    pub state_dir: Option<PathBuf>,
    /// Settings that were given and that no backend here reads.
    pub unused: Vec<String>,
}

impl Layer {
    /// This layer, and below it another.
    #[must_use]
    pub fn over(self, below: Layer) -> Layer {
        let mut unused = self.unused;
        unused.extend(below.unused);
        Layer {
            backend: self.backend.or(below.backend),
            nodes: self.nodes.or(below.nodes),
            files: self.files.or(below.files),
            filter: self.filter.or(below.filter),
            scheme: self.scheme.or(below.scheme),
            client_ca: self.client_ca.or(below.client_ca),
            client_cert: self.client_cert.or(below.client_cert),
            client_key: self.client_key.or(below.client_key),
            basic_auth: self.basic_auth.or(below.basic_auth),
            username: self.username.or(below.username),
            password: self.password.or(below.password),
            confdir: self.confdir.or(below.confdir),
            interval: self.interval.or(below.interval),
            noop: self.noop.or(below.noop),
            onetime: self.onetime.or(below.onetime),
            watch: self.watch.or(below.watch),
            sync_only: self.sync_only.or(below.sync_only),
            keep_stage_file: self.keep_stage_file.or(below.keep_stage_file),
            prefix: self.prefix.or(below.prefix),
            srv_domain: self.srv_domain.or(below.srv_domain),
            srv_record: self.srv_record.or(below.srv_record),
            log_level: self.log_level.or(below.log_level),
            state_dir: self.state_dir.or(below.state_dir),
            unused,
        }
    }
}

/// All that confd is told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is read.
    pub backend: BackendKind,
    /// Its addresses; empty: the backend's default.
    pub nodes: Vec<String>,
    /// Files and directories of the file backend.
    pub files: Vec<PathBuf>,
    /// Which files of a directory; a pattern.
    pub filter: String,
    /// `http` or `https`, for nodes that do not say.
    pub scheme: String,
    /// Who signs the store's certificate.
    pub client_ca: Option<PathBuf>,
    /// The certificate to show.
    pub client_cert: Option<PathBuf>,
    /// Its key.
    pub client_key: Option<PathBuf>,
    /// User and password, if both are given.
    pub user: Option<(String, String)>,
    /// Where `conf.d` and `templates` are.
    pub confdir: PathBuf,
    /// Time between two looks at everything.
    pub interval: Duration,
    /// Change nothing, and tell what would be changed.
    pub noop: bool,
    /// Once, and end.
    pub onetime: bool,
    /// Follow the keys.
    pub watch: bool,
    /// No checks and no reloads.
    pub sync_only: bool,
    /// Leave staged files where they are.
    pub keep_stage_file: bool,
    /// Instead of the prefixes of resources.
    pub prefix: Option<String>,
    /// The DNS record that names the nodes.
    pub srv_record: Option<String>,
    /// How much is told.
    pub log_level: LogLevel,
    /// Where pending reloads are remembered; none: the default.
    pub state_dir: Option<PathBuf>,
    /// Settings that were given and that no backend here reads.
    pub unused: Vec<String>,
}

impl Settings {
    /// What the layers say together, with defaults for the rest.
    pub fn new(layer: Layer) -> Result<Settings, SettingsError> {
        let backend_name = layer.backend.unwrap_or_else(|| "etcd".to_owned());
        let backend: BackendKind = backend_name.parse()?;
        let scheme = layer.scheme.unwrap_or_else(|| "http".to_owned());
        if scheme != "http" && scheme != "https" {
            return Err(SettingsError::Scheme(scheme));
        }
        let mut nodes = layer.nodes.unwrap_or_default();
        nodes.retain(|node| !node.is_empty());
        let username = layer.username.filter(|name| !name.is_empty());
        // confd wants `basic_auth` beside them; whoever names a user means it.
        let user = username.map(|name| (name, layer.password.unwrap_or_default()));
        let user = user.filter(|_| layer.basic_auth != Some(false));
        let record = layer.srv_record.filter(|record| !record.is_empty());
        let of_domain = layer.srv_domain.filter(|domain| !domain.is_empty());
        Ok(Settings {
            backend,
            nodes,
            files: layer.files.unwrap_or_default(),
            filter: layer.filter.unwrap_or_else(|| "*".to_owned()),
            scheme,
            client_ca: layer.client_ca.filter(|path| !path.as_os_str().is_empty()),
            client_cert: layer.client_cert.filter(|path| !path.as_os_str().is_empty()),
            client_key: layer.client_key.filter(|path| !path.as_os_str().is_empty()),
            user,
            confdir: layer.confdir.unwrap_or_else(|| CONFDIR.into()),
            interval: Duration::from_secs(layer.interval.unwrap_or(INTERVAL).max(1)),
            noop: layer.noop.unwrap_or(false),
            onetime: layer.onetime.unwrap_or(false),
            watch: layer.watch.unwrap_or(false),
            sync_only: layer.sync_only.unwrap_or(false),
            keep_stage_file: layer.keep_stage_file.unwrap_or(false),
            prefix: layer.prefix.filter(|prefix| !prefix.is_empty()),
            srv_record: record.or_else(|| of_domain.map(|domain| format!("_{backend_name}._tcp.{domain}."))),
            log_level: layer.log_level.as_deref().unwrap_or("info").parse()?,
            state_dir: layer.state_dir,
            unused: layer.unused,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(prefix: Option<&str>, interval: Option<u64>) -> Layer {
        Layer { prefix: prefix.map(str::to_owned), interval, ..Layer::default() }
    }

    #[test]
    fn the_upper_layer_wins_and_the_rest_shines_through() {
        let settings = layer(Some("/flag"), None).over(layer(Some("/file"), Some(5))).over(layer(None, Some(9)));
        let settings = Settings::new(settings).unwrap();
        assert_eq!(settings.prefix.as_deref(), Some("/flag"));
        assert_eq!(settings.interval, Duration::from_secs(5));
        assert_eq!(settings.confdir, PathBuf::from("/etc/confd"));
    }

    #[test]
    fn a_domain_becomes_the_record_of_its_backend() {
        let layer =
            Layer { backend: Some("etcdv3".into()), srv_domain: Some("example.net".into()), ..Layer::default() };
        assert_eq!(Settings::new(layer).unwrap().srv_record.as_deref(), Some("_etcdv3._tcp.example.net."));
    }

    #[test]
    fn the_backends_of_others_are_refused_by_name() {
        for name in ["consul", "vault", "redis", "zookeeper", "dynamodb", "ssm", "rancher"] {
            let error = name.parse::<BackendKind>().unwrap_err();
            assert_eq!(error, SettingsError::Refused(name.to_owned()));
            assert!(error.to_string().contains(name));
        }
        assert!(matches!("mysql".parse::<BackendKind>(), Err(SettingsError::UnknownBackend(_))));
    }
}
