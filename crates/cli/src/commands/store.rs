//! `store`: backups of a store and data directories made of them.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use flota_etcd::{TlsFiles, chain};
use flota_store::{FileStatus, RestoreError};

use super::stores::configured;
use crate::{
    cli::{BackupArgs, KvConnection, RestoreArgs, StoreStatusArgs},
    exit::Exit,
    failure::Failure,
    kv::{KvSettings, Store, call_failed},
    output::printer::Printer,
};

/// The socket of the daemon's own store.
const SOCKET: &str = "/run/flota/store.sock";
/// Where a store that runs alone listens.
const ALONE: &str = "http://127.0.0.1:2379";

/// Runs `store backup`.
pub async fn backup(
    printer: &mut Printer<'_>,
    arguments: BackupArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    let store = open(arguments.connection, variable).await?;
    let mut part = arguments.file.clone().into_os_string();
    part.push(".part");
    let part = PathBuf::from(part);
    let saved = save(&store, &part, &arguments.file).await;
    if saved.is_err() {
        // What is left of it is of no use, and holds secrets.
        let _ = fs::remove_file(&part);
    }
    let status = saved?;
    printer.say(&format!("saved revision {} to {}", status.revision, arguments.file.display()));
    Ok(Exit::SUCCESS)
}

/// Receives the whole file, makes it durable, and reads it back: only then it gets its name.
async fn save(store: &Store, part: &Path, file: &Path) -> Result<FileStatus, Failure> {
    let _ = fs::remove_file(part);
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(part).map_err(io("create", part))?;
    let failed = || call_failed(store, || "cannot save the store".to_owned());
    let mut pieces = store.client.maintenance_client().snapshot().await.map_err(failed())?;
    while let Some(piece) = pieces.message().await.map_err(failed())? {
        out.write_all(piece.blob()).map_err(io("write", part))?;
    }
    out.sync_all().map_err(io("write", part))?;
    let status = flota_store::status(part).map_err(|error| told(&error))?;
    if !status.hashed {
        return Err(Failure::new(Exit::FAILURE, "the store ended the file before its SHA-256: nothing was saved"));
    }
    fs::rename(part, file).map_err(io("replace", file))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync", folder))?;
    Ok(status)
}

/// Runs `store restore`.
pub fn restore(printer: &mut Printer<'_>, arguments: &RestoreArgs) -> Result<Exit, Failure> {
    let made = flota_store::restore(&arguments.file, &arguments.data_dir).map_err(|error| told(&error))?;
    if !made.status.hashed {
        printer.say("the file has no SHA-256 behind it: only its structure could be checked");
    }
    printer.say(&format!(
        "restored revision {} into {}: a new cluster {:x} with member {:x}; clients that watched the old one must begin anew",
        made.status.revision,
        arguments.data_dir.display(),
        made.cluster_id,
        made.member_id
    ));
    Ok(Exit::SUCCESS)
}

/// Runs `store status`.
pub async fn status(
    printer: &mut Printer<'_>,
    arguments: StoreStatusArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    let facts: Vec<(&str, String)> = if let Some(file) = &arguments.file {
        let status = flota_store::status(file).map_err(|error| told(&error))?;
        vec![
            ("revision", status.revision.to_string()),
            ("compacted", status.compacted.to_string()),
            ("keys", status.keys.to_string()),
            ("versions", status.versions.to_string()),
            ("leases", status.leases.to_string()),
            ("users", status.users.to_string()),
            ("bytes", status.bytes.to_string()),
            ("sha-256", if status.hashed { "right" } else { "none" }.to_owned()),
        ]
    } else {
        let store = open(arguments.connection, variable).await?;
        let failed = call_failed(&store, || "cannot ask the store".to_owned());
        let status = store.call(store.client.maintenance_client().status()).await.map_err(failed)?;
        let header = status.header();
        vec![
            ("version", status.version().to_owned()),
            ("revision", header.map_or(0, etcd_client::ResponseHeader::revision).to_string()),
            ("cluster", format!("{:x}", header.map_or(0, etcd_client::ResponseHeader::cluster_id))),
            ("member", format!("{:x}", header.map_or(0, etcd_client::ResponseHeader::member_id))),
            ("bytes", status.db_size().to_string()),
        ]
    };
    for (name, fact) in facts {
        printer.line(&format!("{name:<10}{fact}"))?;
    }
    Ok(Exit::SUCCESS)
}

async fn open(mut connection: KvConnection, variable: impl Fn(&str) -> Option<String>) -> Result<Store, Failure> {
    // A socket may be that of a store that the cluster has left.
    if let (None, Some((endpoint, tls))) = (&connection.endpoint, moved()) {
        connection.endpoint = Some(endpoint);
        if let Some(files) = tls {
            connection.cacert.get_or_insert(files.ca);
            connection.cert.get_or_insert(files.cert);
            connection.key.get_or_insert(files.key);
        }
    }
    // Not the gateway, which `kv` asks: it shows a part of the keys only.
    connection
        .endpoint
        .get_or_insert_with(|| if Path::new(SOCKET).exists() { format!("unix://{SOCKET}") } else { ALONE.to_owned() });
    Store::open(&KvSettings::new(&connection, variable)?).await
}

/// Where the store is of a machine that joined a cluster, or whose cluster moved.
fn moved() -> Option<(String, Option<TlsFiles>)> {
    let config = configured().ok()?;
    config.membership?;
    let endpoint = config.client.endpoints.into_iter().next()?;
    Some((endpoint.replacen("unix:/", "unix:///", 1), config.client.tls))
}

fn io(action: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |error| Failure::new(Exit::FAILURE, format!("cannot {action} {}: {error}", path.display()))
}

/// The error with its causes, in one line.
fn told(error: &RestoreError) -> Failure {
    Failure::new(Exit::FAILURE, chain(error))
}
