//! What `confd.toml` says.

use std::path::{Path, PathBuf};

use super::Layer;
use crate::document::{FileError, Source, Table, parse};

/// What backends that are not offered would read.
const UNUSED: [&str; 12] = [
    "auth_token",
    "auth_type",
    "app_id",
    "user_id",
    "role_id",
    "secret_id",
    "path",
    "table",
    "separator",
    "role",
    "client_insecure",
    "secret_keyring",
];

/// Reads the text of `confd.toml`. Both spellings of confd's are known: `log-level` and `log_level`.
pub fn from_file(path: &Path, text: &str) -> Result<Layer, FileError> {
    let source = Source { path, text };
    let parsed = parse(source)?;
    let mut table = Table::new(source, "confd.toml", &parsed)?;
    let text = |table: &mut Table<'_>, name| table.string(name).map(|found| found.map(|located| located.value));
    let file =
        |table: &mut Table<'_>, name| table.string(name).map(|found| found.map(|located| PathBuf::from(located.value)));
    let interval = match table.integer("interval")? {
        None => None,
        Some(seconds) => match u64::try_from(seconds.value) {
            Ok(value) => Some(value),
            Err(_) => return Err(source.error(&seconds.at, "`interval` is negative")),
        },
    };
    let mut layer = Layer {
        interval,
        backend: text(&mut table, "backend")?,
        nodes: table.strings("nodes")?,
        files: table.strings("file")?.map(|files| files.into_iter().map(PathBuf::from).collect()),
        filter: text(&mut table, "filter")?,
        scheme: text(&mut table, "scheme")?,
        client_ca: file(&mut table, "client_cakeys")?,
        client_cert: file(&mut table, "client_cert")?,
        client_key: file(&mut table, "client_key")?,
        basic_auth: table.boolean("basic_auth")?,
        username: text(&mut table, "username")?,
        password: text(&mut table, "password")?,
        confdir: file(&mut table, "confdir")?,
        noop: table.boolean("noop")?,
        onetime: table.boolean("onetime")?,
        watch: table.boolean("watch")?,
        sync_only: table.boolean("sync_only")?,
        keep_stage_file: table.boolean("keep_stage_file")?.or(table.boolean("keepstagefile")?),
        prefix: text(&mut table, "prefix")?,
        srv_domain: text(&mut table, "srv_domain")?,
        srv_record: text(&mut table, "srv_record")?,
        log_level: text(&mut table, "log_level")?,
        state_dir: file(&mut table, "state_dir")?,
        unused: Vec::new(),
    };
    for name in UNUSED {
        if table.given(name) {
            layer.unused.push(name.replace('_', "-"));
        }
    }
    table.finish()?;
    Ok(layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Layer, String> {
        from_file(Path::new("confd.toml"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn every_key_of_confds_is_read() {
        let layer = read(
            r#"
            backend = "etcdv3"
            nodes = ["http://127.0.0.1:2379"]
            file = ["a.yaml"]
            filter = "*.yaml"
            scheme = "https"
            client_cakeys = "/ca"
            client_cert = "/cert"
            client_key = "/key"
            client_insecure = true
            basic_auth = true
            username = "u"
            password = "p"
            auth_token = ""
            confdir = "/c"
            interval = 5
            noop = true
            prefix = "/production"
            srv_domain = "example.net"
            srv_record = "_x._tcp.example.net"
            watch = true
            log-level = "debug"
            sync-only = true
            "#,
        );
        let layer = layer.unwrap();
        assert_eq!(layer.backend.as_deref(), Some("etcdv3"));
        assert_eq!(layer.nodes.unwrap(), ["http://127.0.0.1:2379"]);
        assert_eq!(layer.client_ca, Some("/ca".into()));
        assert_eq!((layer.interval, layer.noop, layer.watch), (Some(5), Some(true), Some(true)));
        assert_eq!((layer.sync_only, layer.log_level.as_deref()), (Some(true), Some("debug")));
        assert_eq!(layer.unused, ["auth-token", "client-insecure"]);
    }

    #[test]
    fn both_spellings_and_any_case_count() {
        let layer = read("sync_only = true\nLog_Level = \"warn\"\nkeepstagefile = true").unwrap();
        assert_eq!((layer.sync_only, layer.log_level.as_deref()), (Some(true), Some("warn")));
        assert_eq!(layer.keep_stage_file, Some(true));
        assert!(read("sync_only = true\nsync-only = false").unwrap_err().contains("given twice"));
    }

    #[test]
    fn unknown_keys_and_wrong_kinds_are_errors_with_their_place() {
        assert_eq!(
            read("\nprefx = \"/x\"").unwrap_err(),
            "confd.toml:2:1: confd.toml knows no `prefx`, did you mean `prefix`?"
        );
        assert_eq!(read("watch = \"yes\"").unwrap_err(), "confd.toml:1:9: `watch` is true or false, not a text");
        assert!(read("nodes = ").unwrap_err().starts_with("confd.toml:1:"), "{:?}", read("nodes = "));
    }
}
