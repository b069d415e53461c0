//! Arguments of `join` and `token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::verbs::OutputArg;
use crate::kv::parse_seconds;

/// Arguments of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// A machine of the cluster that has its certificate authority, as `flota token create` there printed it
    #[arg(value_name = "ADDRESS[:PORT]", required_unless_present = "endpoints", requires = "token")]
    pub address: Option<String>,
    /// The token
    #[arg(long, value_name = "TOKEN", requires = "address")]
    pub token: Option<String>,
    /// Instead of a machine: the cluster's store, such as an etcd, with commas between its members
    #[arg(long, value_name = "URL", value_delimiter = ',', conflicts_with = "address")]
    pub endpoints: Vec<String>,
    /// Who signs the store's certificates
    #[arg(long, value_name = "FILE", requires_all = ["endpoints", "cert", "key"])]
    pub ca: Option<PathBuf>,
    /// This machine's certificate for the store
    #[arg(long, value_name = "FILE", requires_all = ["endpoints", "ca", "key"])]
    pub cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", requires_all = ["endpoints", "ca", "cert"])]
    pub key: Option<PathBuf>,
    /// Destroy the units of this machine's own cluster, if it has any
    #[arg(long)]
    pub force: bool,
}

/// What to do with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenVerb {
    /// Make a token, and print the command for the machines that are to join
    ///
    /// It can be used several times until it ends. It is shown this once: the cluster keeps only a hash of it.
    Create(TokenCreateArgs),
    /// List the tokens that let machines in
    List(TokenListArgs),
    /// Take tokens away; the machines that joined by them stay
    Revoke(TokenRevokeArgs),
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub struct TokenCreateArgs {
    /// How long it lets machines in, such as 30m or 24h; a minute to a week
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_seconds)]
    pub ttl: u32,
    /// How to print it.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `token list`.
#[derive(Debug, Args)]
pub struct TokenListArgs {
    /// How to print the list.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `token revoke`.
#[derive(Debug, Args)]
pub struct TokenRevokeArgs {
    /// Names of tokens, as `token list` shows them: the part before the first dot
    #[arg(value_name = "TOKEN", required = true)]
    pub tokens: Vec<String>,
}
