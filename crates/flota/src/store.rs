//! `flota store serve`: the command line's words as the store's options.

use flota_cli::{LogLevel, ServeArgs};
use flota_daemon::standalone::{CompactionOptions, LimitOptions, LogOptions, ServeOptions, TlsOptions, TokenOptions};
use tracing_subscriber::filter::LevelFilter;

/// Runs the store alone.
pub fn serve(arguments: ServeArgs) -> anyhow::Result<()> {
    flota_daemon::standalone::run(options(arguments))
}

fn options(arguments: ServeArgs) -> ServeOptions {
    let level = match arguments.log_level {
        LogLevel::Debug => LevelFilter::DEBUG,
        _ if arguments.debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error => LevelFilter::ERROR,
    };
    ServeOptions {
        name: arguments.name,
        data_dir: arguments.data_dir,
        listen: arguments.listen_client_urls,
        advertise: arguments.advertise_client_urls,
        initial_cluster: arguments.initial_cluster,
        peer_urls: arguments.initial_advertise_peer_urls,
        tls: TlsOptions {
            cert: arguments.cert_file,
            key: arguments.key_file,
            client_ca: arguments.trusted_ca_file,
            client_cert_auth: arguments.client_cert_auth,
        },
        limits: LimitOptions {
            quota_bytes: arguments.quota_backend_bytes,
            txn_ops: arguments.max_txn_ops,
            request_bytes: arguments.max_request_bytes,
            heartbeat: arguments.heartbeat_interval,
            election: arguments.election_timeout,
        },
        tokens: TokenOptions {
            kind: arguments.auth_token,
            ttl: arguments.auth_token_ttl,
            bcrypt_cost: arguments.bcrypt_cost,
        },
        enable_v2: arguments.enable_v2,
        compaction: CompactionOptions {
            mode: arguments.auto_compaction_mode,
            retention: arguments.auto_compaction_retention,
        },
        log: LogOptions { level, output: arguments.log_outputs },
        unused: arguments.unused.0,
    }
}
