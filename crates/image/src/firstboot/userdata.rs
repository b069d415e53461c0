//! User-data as people write it: a part of `#cloud-config`, the section `flota:`, and CoreOS's old section `coreos:`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::coreos::{self, CoreOs};
use super::metadata::MetaData;
use super::settings::{self, Settings};
use crate::document::{Fields, Finding, Node, Place, Value, parse_yaml};
use crate::words;

/// The line that user-data begins with.
const HEAD: &str = "#cloud-config";

/// What a machine is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserData {
    /// The machine's name.
    pub hostname: Option<String>,
    /// Its full name.
    pub fqdn: Option<String>,
    /// Keys of the default user.
    pub ssh_keys: Vec<String>,
    /// Users, in order.
    pub users: Vec<UserEntry>,
    /// Files, in order.
    pub files: Vec<FileEntry>,
    /// The machine's part in a cluster.
    pub flota: Settings,
    /// What CoreOS's section asks for.
    pub coreos: CoreOs,
    /// What is not done, and why.
    pub warnings: Vec<Finding>,
}

/// A user to add, or one that is there already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserEntry {
    /// The login name.
    pub name: String,
    /// The full name.
    pub gecos: Option<String>,
    /// Groups beside its own.
    pub groups: Vec<String>,
    /// The login shell.
    pub shell: Option<String>,
    /// What it may do as whom, in the words of sudoers.
    pub sudo: Vec<String>,
    /// Keys for ssh.
    pub ssh_keys: Vec<String>,
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Absolute.
    pub path: String,
    /// The bytes.
    pub content: Vec<u8>,
    /// Its mode.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
    /// Behind what is there already.
    pub append: bool,
}

/// Reads user-data. What can't be read at all is an error with its place; what is in it that is not understood, or is
/// wrong, is a warning, and the rest counts.
pub fn read(bytes: &[u8], metadata: &MetaData) -> Result<UserData, Finding> {
    let text = text(bytes)?;
    let Some(text) = text else { return Ok(UserData::default()) };
    let mut warnings = Vec::new();
    let text = coreos::with_addresses(text, metadata, &mut warnings);
    let node = parse_yaml(&text)?;
    if !matches!(node.value, Value::Map(_) | Value::Null) {
        return Err(Finding::new(node.at, format!("must be a table of keys, not {}", node.kind())));
    }
    let mut fields = Fields::of(&node, HEAD);
    let mut data = UserData {
        hostname: checked(&mut fields, "hostname", words::hostname),
        fqdn: checked(&mut fields, "fqdn", words::hostname),
        ssh_keys: keys(&mut fields, "ssh_authorized_keys"),
        ..UserData::default()
    };
    data.users = fields.list("users").iter().filter_map(|node| user(node, &mut fields)).collect();
    data.files = fields.list("write_files").iter().filter_map(|node| file(node, &mut fields)).collect();
    data.flota = settings::read(&mut fields);
    data.coreos = coreos::read(&mut fields);
    for (key, why) in REFUSED {
        if let Some(node) = fields.take(key) {
            fields.note(node.at, format!("`{key}` is not done: {why}"));
        }
    }
    warnings.extend(fields.finish());
    warnings.sort();
    data.warnings = warnings;
    Ok(data)
}

/// Keys that people know from cloud-init, and what to do instead.
const REFUSED: [(&str, &str); 7] = [
    ("runcmd", "a node runs what is in units; use `write_files`, or `coreos: units:`"),
    ("bootcmd", "a node runs what is in units; use `write_files`, or `coreos: units:`"),
    ("packages", "packages belong into the image's spec"),
    ("package_update", "packages belong into the image's spec"),
    ("package_upgrade", "packages belong into the image's spec"),
    ("manage_etc_hosts", "/etc/hosts gets this machine's name in any case"),
    ("chpasswd", "users log in with keys"),
];

/// The text of user-data that is a `#cloud-config`; none where there is nothing.
fn text(bytes: &[u8]) -> Result<Option<&str>, Finding> {
    let wrong = |message: &str| Err(Finding::new(Place { line: 1, column: 1 }, message));
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return wrong("is compressed; this machine takes it plain");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return wrong("is not text (UTF-8)") };
    let text = text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default().trim_end();
    match head {
        HEAD => Ok(Some(text)),
        _ if text.trim().is_empty() => Ok(None),
        _ if head.starts_with("#!") => wrong("is a script; this machine runs none: write a #cloud-config with units"),
        _ if head.to_ascii_lowercase().starts_with("content-type: multipart") => {
            wrong("has several parts; this machine takes one #cloud-config")
        }
        _ => wrong("must begin with the line #cloud-config"),
    }
}

fn user(node: &Node, parent: &mut Fields<'_>) -> Option<UserEntry> {
    if let Value::Scalar { text, .. } = &node.value {
        if text != "default" {
            parent.note(node.at, format!("user `{text}`: only `default` can be named like that"));
        }
        return None;
    }
    let mut fields = Fields::of(node, "`users`");
    let name = fields.needed("name");
    let mut user = UserEntry {
        gecos: fields.text("gecos"),
        groups: list(&mut fields, "groups").into_iter().collect(),
        shell: checked(&mut fields, "shell", words::absolute),
        ssh_keys: keys(&mut fields, "ssh_authorized_keys"),
        ..UserEntry::default()
    };
    user.ssh_keys.extend(keys(&mut fields, "ssh-authorized-keys"));
    if let Some(node) = fields.take("sudo") {
        user.sudo = rules(node);
    }
    if fields.boolean("lock_passwd") == Some(false) {
        fields.note(node.at, "no password is set: users log in with keys");
    }
    let name = name.filter(|name| match words::user(name) {
        Ok(()) => true,
        Err(why) => {
            fields.note(node.at, format!("`{name}` {why}"));
            false
        }
    });
    parent.absorb(fields.finish());
    name.map(|name| UserEntry { name, ..user })
}

/// `ALL=(ALL) NOPASSWD:ALL`, several of them, or false.
fn rules(node: &Node) -> Vec<String> {
    let one = |node: &Node| match &node.value {
        Value::Scalar { text, quoted } if *quoted || !matches!(text.as_str(), "false" | "no") => Some(text.clone()),
        _ => None,
    };
    match &node.value {
        Value::List(items) => items.iter().filter_map(one).collect(),
        _ => one(node).into_iter().collect(),
    }
}

fn file(node: &Node, parent: &mut Fields<'_>) -> Option<FileEntry> {
    let mut fields = Fields::of(node, "`write_files`");
    let path = fields.needed("path");
    let text = fields.text("content").unwrap_or_default();
    let encoding = fields.text("encoding").unwrap_or_default();
    let content = decode(&encoding, &text);
    let mode = fields
        .text("permissions")
        .map_or(Ok(0o644), |text| words::mode(&text).map_err(|why| format!("`{text}` {why}")));
    let owner = checked(&mut fields, "owner", words::owner).unwrap_or_else(|| "root:root".to_owned());
    let append = fields.boolean("append").unwrap_or_default();
    // Everything is written before any service starts that is not part of the system itself.
    fields.boolean("defer");
    let entry = match (path, content, mode) {
        (Some(path), Ok(content), Ok(mode)) => match words::absolute(&path) {
            Ok(()) => Some(FileEntry { path, content, mode, owner, append }),
            Err(why) => {
                fields.note(node.at, format!("`{path}` {why}"));
                None
            }
        },
        (path, content, mode) => {
            let path = path.unwrap_or_default();
            for why in [content.err(), mode.err()].into_iter().flatten() {
                fields.note(node.at, format!("the file `{path}` is not written: {why}"));
            }
            None
        }
    };
    parent.absorb(fields.finish());
    entry
}

fn decode(encoding: &str, text: &str) -> Result<Vec<u8>, String> {
    match encoding {
        "" | "text/plain" => Ok(text.as_bytes().to_vec()),
        "b64" | "base64" => {
            let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            STANDARD.decode(packed).map_err(|error| format!("its content is not base64: {error}"))
        }
        other => Err(format!("encoding `{other}` is none of b64, base64, text/plain")),
    }
}

/// A list of texts; one text may have commas between.
fn list(fields: &mut Fields<'_>, key: &'static str) -> Vec<String> {
    let texts = fields.texts(key);
    texts
        .iter()
        .flat_map(|(text, _)| text.split(','))
        .map(|text| text.trim().to_owned())
        .filter(|t| !t.is_empty())
        .collect()
}

/// Keys for ssh; what is none is left out.
fn keys(fields: &mut Fields<'_>, key: &'static str) -> Vec<String> {
    let mut keys = Vec::new();
    for (text, at) in fields.texts(key) {
        match words::ssh_key(&text) {
            Ok(()) => keys.push(text.trim().to_owned()),
            Err(why) => fields.note(at, format!("`{text}` {why}")),
        }
    }
    keys
}

/// A text that has to look like something; else it is taken for absent.
fn checked(fields: &mut Fields<'_>, key: &'static str, check: fn(&str) -> Result<(), &'static str>) -> Option<String> {
    let (text, at) = fields.texts(key).into_iter().next()?;
    match check(&text) {
        Ok(()) => Some(text),
        Err(why) => {
            fields.note(at, format!("`{key}`: `{text}` {why}"));
            None
        }
    }
}
