//! The files that make the common image one certain machine, as pure text.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::config::{Base, Subnet};
use crate::pki::Identity;
use crate::registry;
use crate::ssh::SshKeys;
use crate::state::{LabState, MachineRecord};

/// The unit files that the Debian package ships, too.
const FLOTA_SERVICE: &str = include_str!("../../../dist/systemd/flota.service");
const FLOTA_SOCKET: &str = include_str!("../../../dist/systemd/flota.socket");

/// The port of the store, the embedded one and etcd.
const STORE_PORT: u16 = 2379;

/// The port at which the members of etcd talk to each other.
const ETCD_PEER_PORT: u16 = 2380;

/// What a lab adds to Debian's unit of etcd: the key stays root's, a member that waits for the others does not hold up
/// the boot, and one that finds its address not there yet tries again.
const ETCD_DROP_IN: &str = "[Service]
Type=exec
StateDirectory=etcd
StateDirectoryMode=0700
LoadCredential=key.pem:/etc/flota/pki/machine-key.pem
Environment=ETCD_KEY_FILE=%d/key.pem ETCD_PEER_KEY_FILE=%d/key.pem
Restart=always
RestartSec=1

[Unit]
StartLimitIntervalSec=0
";

/// Racks that machines are spread over in their metadata, so that placement by it can be tried.
const RACKS: u8 = 3;

/// A file of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MachineFile {
    /// Relative to the machine's root.
    pub(crate) path: &'static str,
    pub(crate) mode: u32,
    pub(crate) content: String,
}

fn file(path: &'static str, mode: u32, content: impl Into<String>) -> MachineFile {
    MachineFile { path, mode, content: content.into() }
}

/// Who the machine is: identity, network, ssh, docker.
pub(crate) fn machine_files(lab: &LabState, machine: &MachineRecord, ssh: &SshKeys) -> Vec<MachineFile> {
    let subnet = lab.subnet;
    let address = subnet.machine(machine.index);
    let mut files = vec![
        file("etc/machine-id", 0o444, format!("{}\n", machine.machine_id)),
        file("etc/hostname", 0o644, format!("{}\n", machine.name())),
        file("etc/hosts", 0o644, hosts(lab)),
        file("etc/systemd/network/10-host0.network", 0o644, network(subnet, address)),
        file("etc/docker/daemon.json", 0o644, docker(subnet, machine.index)),
        file("root/.ssh/authorized_keys", 0o600, ssh.user_public.clone()),
        file("root/.ssh/id_ed25519", 0o600, ssh.user.clone()),
        file("etc/ssh/ssh_host_ed25519_key", 0o600, ssh.host.clone()),
        file("etc/ssh/ssh_host_ed25519_key.pub", 0o644, ssh.host_public.clone()),
        file("etc/ssh/ssh_known_hosts", 0o644, known_hosts(subnet, ssh)),
    ];
    if machine.base == Base::Node {
        // Units of 2015 read these, and call an etcdctl that knew the API of version 2 only.
        let environment = format!("COREOS_PUBLIC_IPV4={address}\nCOREOS_PRIVATE_IPV4={address}\nETCDCTL_API=2\n");
        files.push(file("etc/environment", 0o644, environment));
    }
    files
}

/// What Flota needs on the machine beside its program.
pub(crate) fn flota_files(lab: &LabState, machine: &MachineRecord, identity: &Identity) -> Vec<MachineFile> {
    vec![
        file("etc/systemd/system/flota.service", 0o644, FLOTA_SERVICE),
        file("etc/systemd/system/flota.socket", 0o644, FLOTA_SOCKET),
        file("etc/flota/flota.toml", 0o644, flota_toml(lab, machine.index)),
        file("etc/flota/pki/ca.pem", 0o644, identity.authority.clone()),
        file("etc/flota/pki/machine.pem", 0o644, identity.certificate.clone()),
        file("etc/flota/pki/machine-key.pem", 0o600, identity.key.clone()),
    ]
}

/// A member of etcd, with TLS to clients and to the other members.
pub(crate) fn etcd_files(lab: &LabState, machine: &MachineRecord) -> Vec<MachineFile> {
    vec![
        file("etc/default/etcd", 0o644, etcd_environment(lab, machine)),
        file("etc/systemd/system/etcd.service.d/lab.conf", 0o644, ETCD_DROP_IN),
    ]
}

fn etcd_environment(lab: &LabState, machine: &MachineRecord) -> String {
    let url = |index: u8, port: u16| format!("https://{}:{port}", lab.subnet.machine(index));
    let members: Vec<String> = (1..=lab.etcd_members).map(|n| format!("m{n}={}", url(n, ETCD_PEER_PORT))).collect();
    let (clients, peers) = (url(machine.index, STORE_PORT), url(machine.index, ETCD_PEER_PORT));
    let mut text = format!(
        "ETCD_NAME={}
ETCD_DATA_DIR=/var/lib/etcd/lab
ETCD_LISTEN_CLIENT_URLS={clients}
ETCD_ADVERTISE_CLIENT_URLS={clients}
ETCD_LISTEN_PEER_URLS={peers}
ETCD_INITIAL_ADVERTISE_PEER_URLS={peers}
ETCD_INITIAL_CLUSTER={}
ETCD_INITIAL_CLUSTER_TOKEN=lab
",
        machine.name(),
        members.join(",")
    );
    for side in ["ETCD_", "ETCD_PEER_"] {
        let _ = writeln!(text, "{side}TRUSTED_CA_FILE=/etc/flota/pki/ca.pem");
        let _ = writeln!(text, "{side}CERT_FILE=/etc/flota/pki/machine.pem");
        let _ = writeln!(text, "{side}CLIENT_CERT_AUTH=true");
    }
    text
}

fn hosts(lab: &LabState) -> String {
    let mut text = format!("127.0.0.1 localhost\n{} host {}\n", lab.subnet.host(), registry::NAME);
    for machine in &lab.machines {
        let _ = writeln!(text, "{} {}", lab.subnet.machine(machine.index), machine.name());
    }
    text
}

fn network(subnet: Subnet, address: Ipv4Addr) -> String {
    format!(
        "[Match]
Name=host0

[Network]
Address={address}/24
Gateway={}
LinkLocalAddressing=no
",
        subnet.host()
    )
}

/// Containers of each machine have a network of their own, so that an address tells its machine.
fn docker(subnet: Subnet, index: u8) -> String {
    format!(
        r#"{{
  "bip": "172.20.{index}.1/24",
  "storage-driver": "overlay2",
  "insecure-registries": ["{}:{port}", "{name}:{port}"]
}}
"#,
        subnet.host(),
        name = registry::NAME,
        port = registry::PORT,
    )
}

fn known_hosts(subnet: Subnet, ssh: &SshKeys) -> String {
    let network = subnet.host().to_string();
    let network = network.trim_end_matches('1');
    format!("m*,{network}* {}\n", ssh.host_public.trim_end())
}

/// Machine 1 has the store and all others join it; or each uses all members of etcd.
fn flota_toml(lab: &LabState, index: u8) -> String {
    let address = lab.subnet.machine(index);
    let url = |index: u8| format!("\"https://{}:{STORE_PORT}\"", lab.subnet.machine(index));
    let store = match lab.etcd_members {
        0 if index == 1 => format!("listen = [\"unix:/run/flota/store.sock\", {}]", url(1)),
        0 => format!("endpoints = [{}]", url(1)),
        members => format!("endpoints = [{}]", (1..=members).map(url).collect::<Vec<_>>().join(", ")),
    };
    format!(
        r#"[machine]
address = "{address}"
metadata = {{ machine = "m{index}", rack = "r{}" }}

[store]
{store}

[tls]
ca = "/etc/flota/pki/ca.pem"
cert = "/etc/flota/pki/machine.pem"
key = "/etc/flota/pki/machine-key.pem"
"#,
        (index - 1) % RACKS + 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Store;
    use std::path::Path;

    fn lab() -> LabState {
        let mut lab = LabState::new("10.78.0.0/24".parse().unwrap());
        lab.grow(2, Path::new("/image"), Base::Node).unwrap();
        lab
    }

    #[test]
    fn the_first_machine_has_the_store_and_the_second_joins() {
        assert_eq!(
            flota_toml(&lab(), 1),
            r#"[machine]
address = "10.78.0.11"
metadata = { machine = "m1", rack = "r1" }

[store]
listen = ["unix:/run/flota/store.sock", "https://10.78.0.11:2379"]

[tls]
ca = "/etc/flota/pki/ca.pem"
cert = "/etc/flota/pki/machine.pem"
key = "/etc/flota/pki/machine-key.pem"
"#
        );
        let second = flota_toml(&lab(), 2);
        assert!(second.contains("\nendpoints = [\"https://10.78.0.11:2379\"]\n"), "{second}");
        assert!(second.contains("address = \"10.78.0.12\""), "{second}");
        assert!(!second.contains("listen"), "{second}");
    }

    #[test]
    fn a_member_of_etcd_knows_the_others_and_every_machine_knows_the_members() {
        let mut lab = LabState::new("10.78.0.0/24".parse().unwrap());
        lab.found(Store::Etcd, 4);
        lab.grow(4, Path::new("/image"), Base::Node).unwrap();
        let text = etcd_environment(&lab, &lab.machines[1]);
        assert!(text.starts_with("ETCD_NAME=m2\n"), "{text}");
        assert!(text.contains("\nETCD_LISTEN_CLIENT_URLS=https://10.78.0.12:2379\n"), "{text}");
        let members = "m1=https://10.78.0.11:2380,m2=https://10.78.0.12:2380,m3=https://10.78.0.13:2380";
        assert!(text.contains(&format!("\nETCD_INITIAL_CLUSTER={members}\n")), "{text}");
        assert!(text.contains("\nETCD_PEER_CLIENT_CERT_AUTH=true\n"), "{text}");
        let endpoints =
            r#"endpoints = ["https://10.78.0.11:2379", "https://10.78.0.12:2379", "https://10.78.0.13:2379"]"#;
        for index in [1, 4] {
            assert!(flota_toml(&lab, index).contains(endpoints));
        }
    }

    #[test]
    fn machines_know_each_other() {
        assert_eq!(hosts(&lab()), "127.0.0.1 localhost\n10.78.0.1 host registry\n10.78.0.11 m1\n10.78.0.12 m2\n");
    }

    #[test]
    fn docker_json_is_json() {
        let value: serde_json::Value = serde_json::from_str(&docker(lab().subnet, 7)).unwrap();
        assert_eq!(value["bip"], "172.20.7.1/24");
    }

    #[test]
    fn secrets_are_for_root_only() {
        let lab = lab();
        let keys = SshKeys {
            user: "SECRET".into(),
            user_public: "ssh-ed25519 U x\n".into(),
            host: "SECRET".into(),
            host_public: "ssh-ed25519 H x\n".into(),
        };
        let identity = Identity { authority: "CA".into(), certificate: "C".into(), key: "SECRET".into() };
        let machine = &lab.machines[0];
        let mut files = machine_files(&lab, machine, &keys);
        files.extend(flota_files(&lab, machine, &identity));
        for file in files.iter().filter(|file| file.content.contains("SECRET")) {
            assert_eq!(file.mode, 0o600, "{}", file.path);
        }
        let hosts = files.iter().find(|file| file.path.ends_with("known_hosts")).unwrap();
        assert_eq!(hosts.content, "m*,10.78.0.* ssh-ed25519 H x\n");
    }
}
