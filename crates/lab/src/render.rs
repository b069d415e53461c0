//! The files that make the common image one certain machine, as pure text.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::config::Subnet;
use crate::pki::Identity;
use crate::ssh::SshKeys;
use crate::state::{LabState, MachineRecord};

/// The unit files that the Debian package ships, too.
const FLOTA_SERVICE: &str = include_str!("../../../dist/systemd/flota.service");
const FLOTA_SOCKET: &str = include_str!("../../../dist/systemd/flota.socket");

/// The port of the embedded store.
const STORE_PORT: u16 = 2379;

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
    vec![
        file("etc/machine-id", 0o444, format!("{}\n", machine.machine_id)),
        file("etc/hostname", 0o644, format!("{}\n", machine.name())),
        file("etc/hosts", 0o644, hosts(lab)),
        // Units of 2015 read these.
        file("etc/environment", 0o644, format!("COREOS_PUBLIC_IPV4={address}\nCOREOS_PRIVATE_IPV4={address}\n")),
        file("etc/systemd/network/10-host0.network", 0o644, network(subnet, address)),
        file("etc/docker/daemon.json", 0o644, docker(subnet, machine.index)),
        file("root/.ssh/authorized_keys", 0o600, ssh.user_public.clone()),
        file("root/.ssh/id_ed25519", 0o600, ssh.user.clone()),
        file("etc/ssh/ssh_host_ed25519_key", 0o600, ssh.host.clone()),
        file("etc/ssh/ssh_host_ed25519_key.pub", 0o644, ssh.host_public.clone()),
        file("etc/ssh/ssh_known_hosts", 0o644, known_hosts(subnet, ssh)),
    ]
}

/// What Flota needs on the machine beside its program.
pub(crate) fn flota_files(lab: &LabState, machine: &MachineRecord, identity: &Identity) -> Vec<MachineFile> {
    vec![
        file("etc/systemd/system/flota.service", 0o644, FLOTA_SERVICE),
        file("etc/systemd/system/flota.socket", 0o644, FLOTA_SOCKET),
        file("etc/flota/flota.toml", 0o644, flota_toml(lab.subnet, machine.index)),
        file("etc/flota/pki/ca.pem", 0o644, identity.authority.clone()),
        file("etc/flota/pki/machine.pem", 0o644, identity.certificate.clone()),
        file("etc/flota/pki/machine-key.pem", 0o600, identity.key.clone()),
    ]
}

fn hosts(lab: &LabState) -> String {
    let mut text = format!("127.0.0.1 localhost\n{} host\n", lab.subnet.host());
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
  "insecure-registries": ["{}:5000"]
}}
"#,
        subnet.host()
    )
}

fn known_hosts(subnet: Subnet, ssh: &SshKeys) -> String {
    let network = subnet.host().to_string();
    let network = network.trim_end_matches('1');
    format!("m*,{network}* {}\n", ssh.host_public.trim_end())
}

/// Machine 1 has the store, all others join it.
fn flota_toml(subnet: Subnet, index: u8) -> String {
    let address = subnet.machine(index);
    let store = format!("https://{}:{STORE_PORT}", subnet.machine(1));
    let store = if index == 1 {
        format!("listen = [\"unix:/run/flota/store.sock\", \"{store}\"]")
    } else {
        format!("endpoints = [\"{store}\"]")
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
    use std::path::Path;

    fn lab() -> LabState {
        let mut lab = LabState::new("10.78.0.0/24".parse().unwrap());
        lab.grow(2, Path::new("/image")).unwrap();
        lab
    }

    #[test]
    fn the_first_machine_has_the_store_and_the_second_joins() {
        let subnet = lab().subnet;
        assert_eq!(
            flota_toml(subnet, 1),
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
        let second = flota_toml(subnet, 2);
        assert!(second.contains("\nendpoints = [\"https://10.78.0.11:2379\"]\n"), "{second}");
        assert!(second.contains("address = \"10.78.0.12\""), "{second}");
        assert!(!second.contains("listen"), "{second}");
    }

    #[test]
    fn machines_know_each_other() {
        assert_eq!(hosts(&lab()), "127.0.0.1 localhost\n10.78.0.1 host\n10.78.0.11 m1\n10.78.0.12 m2\n");
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
