//! Options that every verb knows.
//!
//! All are texts here, because each may come from the environment as well; `settings` reads them.

use clap::Args;

/// Options that every verb knows.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection (each also from the environment, such as FLEETCTL_TUNNEL)")]
pub struct Global {
    /// The daemon to ask: unix:///path/to/socket or http://host:port
    ///
    /// Without it: $FLOTA_ENDPOINT, $FLEETCTL_ENDPOINT, then the local daemon's socket, unix:///run/flota/api.sock or
    /// unix:///run/fleet.sock. Any daemon of the cluster answers for all of it.
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Ask the daemon of another machine, through your own ssh
    ///
    /// The endpoint is then the one on that machine. `ssh`, `status` and `journal` jump over it too.
    #[arg(long, global = true, value_name = "[USER@]HOST[:PORT]")]
    pub tunnel: Option<String>,
    /// The user on other machines [default: as ssh is configured]
    #[arg(long, global = true, value_name = "USER", hide_short_help = true)]
    pub ssh_username: Option<String>,
    /// How long ssh may take to connect [default: as ssh is configured]
    #[arg(long, global = true, value_name = "SECONDS", hide_short_help = true)]
    pub ssh_timeout: Option<String>,
    /// The file of known host keys [default: as ssh is configured]
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub known_hosts_file: Option<String>,
    /// `=false` lets ssh connect to machines whose host key is unknown or has changed
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_short_help = true)]
    pub strict_host_key_checking: Option<String>,
    /// Say which endpoint is asked and which programs are run
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_short_help = true)]
    pub debug: Option<String>,

    /// `API`; fleet's other driver spoke to etcd itself
    #[arg(long, global = true, value_name = "DRIVER", hide = true)]
    pub driver: Option<String>,
    /// Refused: the API has no TLS
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    pub ca_file: Option<String>,
    /// Refused: the API has no TLS
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    pub cert_file: Option<String>,
    /// Refused: the API has no TLS
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    pub key_file: Option<String>,
    /// Without effect, as with fleet's API driver
    #[arg(long, global = true, value_name = "SECONDS", hide = true)]
    pub request_timeout: Option<String>,
    /// Without effect, as with fleet's API driver
    #[arg(long, global = true, value_name = "PREFIX", hide = true)]
    pub etcd_key_prefix: Option<String>,
    /// Deprecated; without effect, as with fleet
    #[arg(long, global = true, value_name = "BOOL", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide = true)]
    pub experimental_api: Option<String>,
    /// Deprecated; without effect
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    pub etcd_cafile: Option<String>,
    /// Deprecated; without effect
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    pub etcd_certfile: Option<String>,
    /// Deprecated; without effect
    #[arg(long, global = true, value_name = "FILE", hide = true)]
    pub etcd_keyfile: Option<String>,
}
