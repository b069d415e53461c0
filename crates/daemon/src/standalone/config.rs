//! What the store alone is told, in etcd's words, and what that means here.

use std::path::PathBuf;
use std::time::Duration;

use flota_store::{AuthConfig, AuthTokenError, BCRYPT_COSTS, Limits, Listen, Retention, StoreConfig};
use tracing_subscriber::filter::LevelFilter;

use crate::config::ConfigError;
use crate::standalone::urls::listen;

/// What `flota store serve` was told.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The member's name.
    pub name: String,
    /// The data directory; none: the name with `.etcd`.
    pub data_dir: Option<PathBuf>,
    /// URLs to listen on.
    pub listen: Vec<String>,
    /// URLs for clients; none: those it listens on.
    pub advertise: Vec<String>,
    /// etcd's `--initial-cluster`.
    pub initial_cluster: String,
    /// URLs for other members, as the member list shows them.
    pub peer_urls: Vec<String>,
    /// Certificates.
    pub tls: TlsOptions,
    /// Limits.
    pub limits: LimitOptions,
    /// Tokens and passwords.
    pub tokens: TokenOptions,
    /// Serve the v2 API too.
    pub enable_v2: bool,
    /// How much history to keep.
    pub compaction: CompactionOptions,
    /// Log lines.
    pub log: LogOptions,
    /// Flags that were given and have no effect.
    pub unused: Vec<&'static str>,
}

/// The certificates of `https://` addresses.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The server's certificate, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// The authority of clients, PEM.
    pub client_ca: Option<PathBuf>,
    /// Only clients with a certificate.
    pub client_cert_auth: bool,
}

/// Limits of requests and data.
#[derive(Debug, Clone, Copy)]
pub struct LimitOptions {
    /// Bytes of data; 0: the default, negative: none.
    pub quota_bytes: i64,
    /// Operations of a transaction.
    pub txn_ops: usize,
    /// Bytes of a request.
    pub request_bytes: usize,
    /// etcd's heartbeat interval in milliseconds.
    pub heartbeat: u32,
    /// etcd's election timeout in milliseconds.
    pub election: u32,
}

/// The quota where none is given, as in etcd.
const DEFAULT_QUOTA_BYTES: u64 = 2 << 30;

impl LimitOptions {
    fn with(self, retention: Retention) -> Limits {
        Limits {
            max_request_bytes: self.request_bytes,
            max_txn_ops: self.txn_ops,
            min_lease_ttl: self.shortest_lease(),
            retention,
        }
    }

    /// Seconds of the shortest lease, as etcd derives them: in a cluster a lease must outlive an election.
    fn shortest_lease(self) -> i64 {
        let ticks = self.election / self.heartbeat.max(1);
        let milliseconds = u64::from(3 * ticks / 2) * u64::from(self.heartbeat);
        i64::try_from(milliseconds.div_ceil(1000)).unwrap_or(i64::MAX)
    }

    /// Etcd's numbers as the store's: there 0 is the default, here it is none.
    fn quota(self) -> u64 {
        if self.quota_bytes == 0 { DEFAULT_QUOTA_BYTES } else { u64::try_from(self.quota_bytes).unwrap_or(0) }
    }
}

/// How users prove who they are.
#[derive(Debug, Clone)]
pub struct TokenOptions {
    /// `simple`, or `jwt` and its options.
    pub kind: String,
    /// Seconds that a simple token lives.
    pub ttl: u64,
    /// The cost of a password's hash.
    pub bcrypt_cost: u32,
}

/// How much history to keep.
#[derive(Debug, Clone)]
pub struct CompactionOptions {
    /// `periodic` or `revision`.
    pub mode: String,
    /// How much of it: a time such as `30m`, hours where it has no unit, or a number of revisions; `0`: the store's own
    /// rule.
    pub retention: String,
}

impl CompactionOptions {
    fn retention(&self) -> Result<Retention, ConfigError> {
        let (mode, text) = (&self.mode, &self.retention);
        let found = match (mode.as_str(), text.parse::<u32>()) {
            (_, Ok(0)) => Some(Retention::default()),
            ("periodic", Ok(hours)) => Some(Retention { age: u64::from(hours) * 3_600_000, revisions: 0 }),
            ("periodic", Err(_)) => milliseconds(text).map(|age| Retention { age, revisions: 0 }),
            (_, revisions) => revisions.ok().map(|revisions| Retention { age: 0, revisions: revisions.into() }),
        };
        found.ok_or_else(|| {
            let expected = if mode == "periodic" { "a time such as 30m, or hours" } else { "a number of revisions" };
            ConfigError::Value(format!("--auto-compaction-retention={text} is not {expected}"))
        })
    }
}

/// Reads a time as Go writes it, such as `1h30m` or `1.5s`.
fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(char::is_alphabetic)?);
        let (unit, after) = after.split_at(after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len()));
        let scale = match unit {
            "ms" => 1.0,
            "s" => 1e3,
            "m" => 60e3,
            "h" => 3_600e3,
            _ => return None,
        };
        total += number.parse::<f64>().ok().filter(|number| *number >= 0.0)? * scale;
        rest = after;
    }
    (total >= 1.0).then_some(total as u64)
}

/// What to log, and where.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// How much.
    pub level: LevelFilter,
    /// `default`, `stderr`, `stdout` or a file.
    pub output: String,
}

impl ServeOptions {
    /// The store that this describes.
    pub(crate) fn store(&self) -> Result<StoreConfig, ConfigError> {
        let data_dir = self.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", self.name).into());
        if data_dir.join("member").is_dir() {
            return Err(ConfigError::Value(format!(
                "{} is the data of a real etcd: save it with `etcdctl snapshot save`, and make a directory of it with \
                 `flota store restore`",
                data_dir.display()
            )));
        }
        let mut addresses: Vec<Listen> = Vec::new();
        for url in &self.listen {
            addresses.push(listen(url, &self.tls)?);
        }
        let defaults = StoreConfig::new(data_dir, addresses);
        let peer_urls = if self.peer_urls.is_empty() { defaults.peer_urls.clone() } else { self.peer_urls.clone() };
        Ok(StoreConfig {
            name: self.name.clone(),
            peer_urls,
            advertise: self.advertise.clone(),
            limits: self.limits.with(self.compaction.retention()?),
            quota_bytes: self.limits.quota(),
            auth: self.tokens.auth()?,
            ..defaults
        })
    }

    /// Said when several members are named: each of them that runs this store answers for itself.
    pub(crate) fn alone(&self) -> Option<String> {
        let members = self.initial_cluster.split(',').filter(|member| !member.trim().is_empty()).count();
        (members > 1).then(|| {
            format!(
                "--initial-cluster names {members} members, and this store is always one: it takes writes for itself, whatever \
                 the others do. For several members use etcd itself; docs/store.md tells how to take the data there"
            )
        })
    }

    /// What was asked for and is not done, one line each.
    pub(crate) fn without_effect(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.unused.is_empty() {
            let flags: Vec<String> = self.unused.iter().map(|flag| format!("--{flag}")).collect();
            lines.push(format!("without effect in a store of one member: {}", flags.join(" ")));
        }
        lines
    }
}

impl TokenOptions {
    fn auth(&self) -> Result<AuthConfig, ConfigError> {
        let token = self.kind.parse().map_err(|error: AuthTokenError| ConfigError::Value(error.to_string()))?;
        if !BCRYPT_COSTS.contains(&self.bcrypt_cost) {
            return Err(ConfigError::Value(format!("--bcrypt-cost={} is not between 4 and 31", self.bcrypt_cost)));
        }
        // As in etcd, none is the default.
        let token_ttl = match self.ttl {
            0 => AuthConfig::default().token_ttl,
            ttl => Duration::from_secs(ttl),
        };
        Ok(AuthConfig { token, bcrypt_cost: self.bcrypt_cost, token_ttl })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> ServeOptions {
        ServeOptions {
            name: "n".to_owned(),
            data_dir: None,
            listen: vec!["http://127.0.0.1:0".to_owned()],
            advertise: Vec::new(),
            initial_cluster: String::new(),
            peer_urls: Vec::new(),
            tls: TlsOptions::default(),
            limits: LimitOptions {
                quota_bytes: 0,
                txn_ops: 128,
                request_bytes: 1 << 20,
                heartbeat: 100,
                election: 1000,
            },
            tokens: TokenOptions { kind: "simple".to_owned(), ttl: 300, bcrypt_cost: 10 },
            enable_v2: false,
            compaction: CompactionOptions { mode: "periodic".to_owned(), retention: "0".to_owned() },
            log: LogOptions { level: LevelFilter::INFO, output: "default".to_owned() },
            unused: Vec::new(),
        }
    }

    #[test]
    fn the_directory_is_named_after_the_member() {
        assert_eq!(options().store().unwrap().data_dir, std::path::Path::new("n.etcd"));
    }

    #[test]
    fn several_members_are_warned_of() {
        let mut options = options();
        options.initial_cluster = "a=http://x:1".to_owned();
        assert_eq!(options.alone(), None);
        options.initial_cluster.push_str(",b=http://y:1");
        assert!(options.alone().unwrap().contains("names 2 members"));
        assert!(options.store().is_ok());
    }

    #[test]
    fn the_shortest_lease_is_made_from_the_election_timeout_as_in_etcd() {
        for (heartbeat, election, seconds) in [(100, 1000, 2), (10, 100, 1), (100, 5000, 8), (1, 1, 1)] {
            let limits = LimitOptions { heartbeat, election, ..options().limits };
            assert_eq!(limits.with(Retention::default()).min_lease_ttl, seconds, "{heartbeat} {election}");
        }
    }

    #[test]
    fn history_is_kept_as_etcds_flags_say() {
        let with = |mode: &str, retention: &str| {
            let compaction = CompactionOptions { mode: mode.to_owned(), retention: retention.to_owned() };
            let store = ServeOptions { compaction, ..options() }.store();
            store.map(|config| config.limits.retention).map_err(|error| error.to_string())
        };
        let of_age = |age| Ok(Retention { age, revisions: 0 });
        assert_eq!(with("periodic", "0"), Ok(Retention::default()));
        assert_eq!(with("periodic", "2"), of_age(7_200_000));
        assert_eq!(with("periodic", "1h30m"), of_age(5_400_000));
        assert_eq!(with("periodic", "1.5s"), of_age(1_500));
        assert_eq!(with("revision", "1000"), Ok(Retention { age: 0, revisions: 1000 }));
        for (mode, retention) in [("periodic", "soon"), ("periodic", "-1h"), ("revision", "30m")] {
            let error = with(mode, retention).unwrap_err();
            assert!(error.contains(&format!("--auto-compaction-retention={retention} is not")), "{error}");
        }
    }

    #[test]
    fn tokens_are_as_asked_for_and_impossible_ones_are_refused() {
        let with = |kind: &str, ttl, bcrypt_cost| {
            let tokens = TokenOptions { kind: kind.to_owned(), ttl, bcrypt_cost };
            ServeOptions { tokens, ..options() }.store().map(|config| config.auth).map_err(|error| error.to_string())
        };
        assert_eq!(with("simple", 0, 10).unwrap(), AuthConfig::default());
        assert_eq!(with("simple", 3, 4).unwrap().token_ttl, Duration::from_secs(3));
        assert!(with("magic", 3, 4).unwrap_err().contains("unknown kind of auth token `magic`"));
        assert!(with("simple", 3, 3).unwrap_err().contains("between 4 and 31"));
    }

    #[test]
    fn a_real_etcds_directory_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("member/wal")).unwrap();
        let options = ServeOptions { data_dir: Some(dir.path().to_owned()), ..options() };
        assert!(options.store().unwrap_err().to_string().contains("flota store restore"));
    }
}
