//! CoreOS's section `coreos:` of user-data, where it has a meaning here.

use std::collections::BTreeMap;

use super::metadata::MetaData;
use crate::document::{Fields, Finding, Node, Place};
use crate::words;

/// What the section asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CoreOs {
    /// Variables of Debian's etcd, without `ETCD_`.
    pub etcd: BTreeMap<String, String>,
    /// `fleet: metadata`.
    pub metadata: BTreeMap<String, String>,
    /// `fleet: public-ip`.
    pub address: Option<String>,
    /// `fleet: etcd_servers`.
    pub endpoints: Vec<String>,
    /// Units, in order.
    pub units: Vec<UnitEntry>,
}

/// A unit of the machine, not of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitEntry {
    /// Its name.
    pub name: String,
    /// Its file; none: it is there already.
    pub content: Option<String>,
    /// Drop-ins by name.
    pub drop_ins: Vec<(String, String)>,
    /// It starts at boot.
    pub enable: bool,
    /// It can't be started.
    pub mask: bool,
    /// What systemctl does with it now, such as `start`.
    pub command: Option<String>,
}

/// What systemctl may be asked for.
const COMMANDS: [&str; 7] =
    ["start", "stop", "reload", "restart", "try-restart", "reload-or-restart", "reload-or-try-restart"];

/// What fleet's own units are called now.
const RENAMED: [(&str, &str); 4] = [
    ("fleet.service", "flota.service"),
    ("fleet.socket", "flota.socket"),
    ("etcd2.service", "etcd.service"),
    ("etcd-member.service", "etcd.service"),
];

/// Sections that were about CoreOS itself.
const WITHOUT_MEANING: [(&str, &str); 5] = [
    ("update", "Debian updates by packages"),
    ("locksmith", "Debian updates by packages"),
    ("flannel", "there is no flannel; containers are found by their machine's address"),
    ("oem", "there is no such thing here"),
    ("fleetd", "the section is called `fleet`"),
];

/// Reads the section, if it is there.
pub(super) fn read(parent: &mut Fields<'_>) -> CoreOs {
    let Some(node) = parent.take("coreos") else { return CoreOs::default() };
    let mut fields = Fields::of(node, "`coreos`");
    let mut coreos = CoreOs::default();
    if let Some(node) = fields.take("etcd") {
        first_etcd(node, &mut coreos.etcd, &mut fields);
    }
    if let Some(node) = fields.take("etcd2") {
        let mut etcd = Fields::of(node, "`coreos: etcd2`");
        let settings = etcd.rest().into_iter().filter_map(|(key, _, node)| Some((variable(key), text(node)?)));
        coreos.etcd.extend(settings);
        fields.absorb(etcd.finish());
    }
    if let Some(node) = fields.take("fleet") {
        fleet(node, &mut coreos, &mut fields);
    }
    coreos.units = fields.list("units").iter().filter_map(|node| unit(node, &mut fields)).collect();
    for (key, why) in WITHOUT_MEANING {
        if let Some(node) = fields.take(key) {
            fields.note(node.at, format!("`coreos: {key}` means nothing here: {why}"));
        }
    }
    parent.absorb(fields.finish());
    coreos
}

/// The options of etcd 0.4: what they were for, in the words of today's etcd.
fn first_etcd(node: &Node, etcd: &mut BTreeMap<String, String>, parent: &mut Fields<'_>) {
    let mut fields = Fields::of(node, "`coreos: etcd`");
    for (key, advertise, listen) in [
        ("addr", "ADVERTISE_CLIENT_URLS", "LISTEN_CLIENT_URLS"),
        ("peer-addr", "INITIAL_ADVERTISE_PEER_URLS", "LISTEN_PEER_URLS"),
    ] {
        if let Some(address) = fields.text(key) {
            let port = address.rsplit_once(':').map_or("", |(_, port)| port).to_owned();
            etcd.insert(advertise.to_owned(), format!("http://{address}"));
            etcd.insert(listen.to_owned(), format!("http://0.0.0.0:{port}"));
        }
    }
    for key in ["name", "discovery"] {
        if let Some(value) = fields.text(key) {
            etcd.insert(variable(key), value);
        }
    }
    for (key, at, _) in fields.rest() {
        fields.note(at, format!("`coreos: etcd: {key}` means nothing to etcd today"));
    }
    parent.absorb(fields.finish());
}

fn fleet(node: &Node, coreos: &mut CoreOs, parent: &mut Fields<'_>) {
    let mut fields = Fields::of(node, "`coreos: fleet`");
    let metadata = fields.text("metadata").unwrap_or_default();
    for pair in metadata.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some((key, value)) => {
                coreos.metadata.insert(key.trim().to_owned(), value.trim().to_owned());
            }
            None => fields.note(node.at, format!("`{pair}` in `metadata` is no key=value")),
        }
    }
    for key in ["public-ip", "public_ip"] {
        coreos.address = fields.text(key).or(coreos.address.take());
    }
    for key in ["etcd-servers", "etcd_servers"] {
        let servers = fields.text(key).unwrap_or_default();
        coreos.endpoints.extend(servers.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()));
    }
    for (key, at, _) in fields.rest() {
        fields.note(at, format!("`coreos: fleet: {key}` means nothing here; `flota:` has the settings of flota.toml"));
    }
    parent.absorb(fields.finish());
}

fn unit(node: &Node, parent: &mut Fields<'_>) -> Option<UnitEntry> {
    let mut fields = Fields::of(node, "`coreos: units`");
    let name = fields.needed("name").unwrap_or_default();
    let renamed = RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| (*new).to_owned());
    let mut unit = UnitEntry {
        name: renamed.unwrap_or(name),
        content: fields.text("content"),
        enable: fields.boolean("enable").unwrap_or_default(),
        mask: fields.boolean("mask").unwrap_or_default(),
        command: fields.text("command"),
        drop_ins: Vec::new(),
    };
    if fields.boolean("runtime") == Some(true) {
        fields.note(node.at, format!("`{}` stays after a reboot: `runtime` means nothing here", unit.name));
    }
    for key in ["drop-ins", "drop_ins"] {
        for node in fields.list(key) {
            let mut drop_in = Fields::of(node, "`drop-ins`");
            if let (Some(name), Some(content)) = (drop_in.needed("name"), drop_in.needed("content")) {
                if name.contains('/') || name.strip_suffix(".conf").is_none() {
                    drop_in.note(node.at, format!("`{name}` is no name of a drop-in, such as 10-limits.conf"));
                } else {
                    unit.drop_ins.push((name, content));
                }
            }
            fields.absorb(drop_in.finish());
        }
    }
    if let Some(command) = &unit.command
        && !COMMANDS.contains(&command.as_str())
    {
        fields.note(node.at, format!("`{command}` is none of {}", COMMANDS.join(", ")));
        unit.command = None;
    }
    let good = words::unit(&unit.name);
    if let Err(why) = good
        && !unit.name.is_empty()
    {
        fields.note(node.at, format!("`{}` {why}", unit.name));
    }
    parent.absorb(fields.finish());
    good.is_ok().then_some(unit)
}

fn text(node: &Node) -> Option<String> {
    match &node.value {
        crate::document::Value::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// `initial-cluster-token` as a variable.
fn variable(option: &str) -> String {
    option.to_ascii_uppercase().replace('-', "_")
}

/// The text with this machine's addresses in place of `$private_ipv4` and `$public_ipv4`, as CoreOS did; only where
/// the old section is, for scripts may mean variables of their own.
pub(super) fn with_addresses(text: &str, metadata: &MetaData, warnings: &mut Vec<Finding>) -> String {
    let mut text = text.to_owned();
    if !text.lines().any(|line| line.starts_with("coreos:")) {
        return text;
    }
    for (name, address) in [("$private_ipv4", &metadata.private_ipv4), ("$public_ipv4", &metadata.public_ipv4)] {
        let Some(line) = text.lines().position(|line| line.contains(name)) else { continue };
        if let Some(address) = address {
            text = text.replace(name, address);
        } else {
            let at = Place { line: line + 1, column: 1 };
            warnings.push(Finding::new(at, format!("{name} stays as it is: the metadata says no such address")));
        }
    }
    text
}
