//! The flags of confd, as clap types and as a layer of settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser};
use flota_conf::settings::Layer;

/// Where keys and resources are: the same names as confd's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Keys and resources")]
pub struct ConfSource {
    /// Where keys are read: etcd, etcdv3, env or file
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// An address of the store; several times for several members
    #[arg(long = "node", value_name = "ADDRESS")]
    pub nodes: Vec<String>,
    /// A YAML or JSON file, or a directory of them, for the backend `file`
    #[arg(long = "file", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Which files of a directory
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    pub filter: Option<String>,
    /// The directory of conf.d and templates
    #[arg(long, value_name = "DIR")]
    pub confdir: Option<PathBuf>,
    /// confd's configuration
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// The path that all keys are below
    #[arg(long, value_name = "PATH")]
    pub prefix: Option<String>,
    /// http or https, for addresses that do not say
    #[arg(long, value_name = "SCHEME", hide_short_help = true)]
    pub scheme: Option<String>,
    /// Who signs the store's certificate
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub client_ca_keys: Option<PathBuf>,
    /// The certificate to show to the store
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub client_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<PathBuf>,
    /// Use user name and password
    #[arg(long, hide_short_help = true)]
    pub basic_auth: bool,
    /// The user name
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub username: Option<String>,
    /// The password
    #[arg(long, value_name = "PASSWORD", hide_short_help = true)]
    pub password: Option<String>,
    /// Find the store by the SRV record of its kind in this domain
    #[arg(long, value_name = "DOMAIN", hide_short_help = true)]
    pub srv_domain: Option<String>,
    /// Find the store by this SRV record
    #[arg(long, value_name = "RECORD", hide_short_help = true)]
    pub srv_record: Option<String>,
}

/// How files are kept: the same names as confd's.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What is done")]
pub struct ConfWork {
    /// Once, and end
    #[arg(long)]
    pub onetime: bool,
    /// Follow the keys
    #[arg(long)]
    pub watch: bool,
    /// Seconds between two looks at everything
    #[arg(long, value_name = "SECONDS")]
    pub interval: Option<u64>,
    /// Change nothing; tell what would be changed
    #[arg(long)]
    pub noop: bool,
    /// No checks and no reloads
    #[arg(long)]
    pub sync_only: bool,
    /// Leave staged files that were not used
    #[arg(long)]
    pub keep_stage_file: bool,
    /// How much is told: error, warn, info or debug
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// confd's command line.
#[derive(Debug, Parser)]
#[command(
    name = "confd",
    about = "Keeps configuration files in line with keys",
    disable_version_flag = true,
    after_help = "As the entry point of a container, `confd exec [OPTIONS] -- COMMAND...` starts the command when its files are there, \
        passes signals on, and restarts or signals it when they change: `confd exec -h`."
)]
pub struct ConfdArgs {
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
    /// What for.
    #[command(flatten)]
    pub work: ConfWork,
    /// Print the version
    #[arg(long)]
    pub version: bool,
    /// What only backends read that are not offered.
    #[command(flatten)]
    pub unused: ConfUnused,
}

/// confd's flags for the backends of others.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Accepted, without effect")]
pub struct ConfUnused {
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub auth_token: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub auth_type: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub app_id: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub user_id: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub role_id: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub secret_id: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub path: Option<String>,
    /// Redis's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub separator: Option<String>,
    /// DynamoDB's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub table: Option<String>,
    /// Nobody's: confd has it and no backend of confd's reads it
    #[arg(long, hide_short_help = true)]
    pub client_insecure: bool,
}

/// Arguments of `conf exec` and of `confd exec`.
#[derive(Debug, Args)]
pub struct ConfExecArgs {
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
    /// How much is told: error, warn, info or debug
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// The command
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub command: Vec<OsString>,
}

/// The flags as a layer.
pub fn layer(source: &ConfSource, work: &ConfWork) -> Layer {
    let given = |switch: bool| switch.then_some(true);
    Layer {
        backend: source.backend.clone(),
        nodes: (!source.nodes.is_empty()).then(|| source.nodes.clone()),
        files: (!source.files.is_empty()).then(|| source.files.clone()),
        filter: source.filter.clone(),
        scheme: source.scheme.clone(),
        client_ca: source.client_ca_keys.clone(),
        client_cert: source.client_cert.clone(),
        client_key: source.client_key.clone(),
        basic_auth: given(source.basic_auth),
        username: source.username.clone(),
        password: source.password.clone(),
        confdir: source.confdir.clone(),
        interval: work.interval,
        noop: given(work.noop),
        onetime: given(work.onetime),
        watch: given(work.watch),
        sync_only: given(work.sync_only),
        keep_stage_file: given(work.keep_stage_file),
        prefix: source.prefix.clone(),
        srv_domain: source.srv_domain.clone(),
        srv_record: source.srv_record.clone(),
        log_level: work.log_level.clone(),
        state_dir: None,
        unused: Vec::new(),
    }
}

impl ConfUnused {
    /// The names of those that were given.
    pub(crate) fn names(&self) -> Vec<String> {
        let texts = [
            ("auth-token", &self.auth_token),
            ("auth-type", &self.auth_type),
            ("app-id", &self.app_id),
            ("user-id", &self.user_id),
            ("role-id", &self.role_id),
            ("secret-id", &self.secret_id),
            ("path", &self.path),
            ("separator", &self.separator),
            ("table", &self.table),
        ];
        let texts = texts.into_iter().filter(|(_, text)| text.is_some()).map(|(name, _)| name.to_owned());
        texts.chain(self.client_insecure.then(|| "client-insecure".to_owned())).collect()
    }
}
