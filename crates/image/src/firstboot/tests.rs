//! The corpus: user-data as people have it, what it makes of a machine, and what is said of it.

use std::fs;
use std::path::Path;

use super::*;

const CLOUD_CONFIG: &str = r"#cloud-config
hostname: node1
fqdn: node1.example.org
ssh_authorized_keys:
  - ssh-ed25519 AAAAC3 default
users:
  - default
  - name: ann
    gecos: Ann A.
    groups: [docker, sudo]
    sudo: ALL=(ALL) NOPASSWD:ALL
    ssh_authorized_keys: [ssh-ed25519 AAAAC3 ann]
write_files:
  - path: /etc/app/secret
    permissions: '0600'
    owner: root:root
    encoding: b64
    content: aGVsbG8K
  - path: /etc/motd
    content: |
      welcome
    append: true
flota:
  address: 192.0.2.11
  metadata: {rack: r1, disk: ssd}
  join:
    address: 192.0.2.1
    token: 5f0c21d7.2v1.x
";

const COREOS: &str = "#cloud-config

coreos:
  etcd:
    name: node1
    discovery: https://discovery.etcd.io/<token>
    addr: $private_ipv4:4001
    peer-addr: $private_ipv4:7001
    snapshot: true
  fleet:
    public-ip: $private_ipv4
    metadata: region=us-west,disk=ssd
    verbosity: 2
  update:
    reboot-strategy: best-effort
  units:
    - name: etcd.service
      command: start
    - name: fleet.service
      command: start
    - name: docker-tcp.socket
      command: start
      enable: true
      content: |
        [Socket]
        ListenStream=2375
    - name: docker.service
      drop-ins:
        - name: 50-opts.conf
          content: |
            [Service]
            Environment=A=b
ssh_authorized_keys:
  - ssh-rsa AAAAB3 core
";

/// A machine in a directory; the programs that it was to run.
fn machine(
    user_data: &str,
    meta_data: &str,
) -> (tempfile::TempDir, Vec<String>, Vec<String>, Result<(), FirstbootError>) {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in [
        (
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\ncore:x:1000:1000::/home/core:/bin/bash\nann:x:1001:1001::/home/ann:/bin/sh\n",
        ),
        ("etc/hosts", "127.0.0.1 localhost\n"),
        ("etc/motd", "Debian\n"),
    ] {
        fs::create_dir_all(root.path().join("etc")).unwrap();
        fs::write(root.path().join(path), text).unwrap();
    }
    let told = Told { place: "test".to_owned(), user_data: user_data.into(), meta_data: meta_data.to_owned() };
    let (mut said, mut ran) = (Vec::new(), Vec::new());
    let result = follow(root.path(), &told, "core", &mut |line| said.push(line.to_owned()), &mut |line| {
        ran.push(line.join(" "));
        Ok(())
    });
    (root, said, ran, result)
}

fn text(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_cloud_config_is_done() {
    let (root, said, ran, result) =
        machine(CLOUD_CONFIG, "instance-id: i-1\npublic-keys: [ssh-ed25519 AAAAC3 cloud]\n");
    result.unwrap();
    let root = root.path();
    assert_eq!(text(root, "etc/hostname"), "node1\n");
    assert_eq!(text(root, "etc/hosts"), "127.0.0.1 localhost\n127.0.1.1 node1.example.org node1\n");
    assert_eq!(text(root, "home/core/.ssh/authorized_keys"), "ssh-ed25519 AAAAC3 cloud\nssh-ed25519 AAAAC3 default\n");
    assert_eq!(text(root, "home/ann/.ssh/authorized_keys"), "ssh-ed25519 AAAAC3 ann\n");
    assert_eq!(text(root, "etc/sudoers.d/90-ann"), "ann ALL=(ALL) NOPASSWD:ALL\n");
    assert_eq!(text(root, "etc/app/secret"), "hello\n");
    assert_eq!(text(root, "etc/motd"), "Debian\nwelcome\n");
    let flota: toml::Table = text(root, "etc/flota/flota.toml").parse().unwrap();
    assert_eq!(flota["machine"]["metadata"]["rack"].as_str(), Some("r1"));
    let join = wanted_join(root).unwrap().unwrap();
    assert_eq!((join.address.as_str(), join.token.as_str()), ("192.0.2.1", "5f0c21d7.2v1.x"));
    forget_join(root).unwrap();
    assert_eq!(wanted_join(root).unwrap(), None);
    assert_eq!(ran[..2], ["hostname node1", "usermod --append --groups docker,sudo ann"]);
    assert!(!said.iter().any(|line| line.contains("warning") || line.contains("5f0c21d7")), "{said:?}");
}

#[test]
fn secrets_are_for_root_only() {
    use std::os::unix::fs::PermissionsExt;
    let (root, ..) = machine(CLOUD_CONFIG, "");
    for path in ["etc/app/secret", "var/lib/flota-firstboot/join.json", "home/core/.ssh/authorized_keys"] {
        let mode = fs::metadata(root.path().join(path)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{path}");
    }
}

#[test]
fn the_old_section_of_coreos_is_understood_where_it_has_a_meaning() {
    let (root, said, ran, result) = machine(COREOS, "local-ipv4: 10.0.0.4\n");
    result.unwrap();
    let root = root.path();
    let etcd = text(root, "etc/default/etcd");
    for line in [
        "ETCD_ADVERTISE_CLIENT_URLS=\"http://10.0.0.4:4001\"",
        "ETCD_LISTEN_CLIENT_URLS=\"http://0.0.0.0:4001\"",
        "ETCD_INITIAL_ADVERTISE_PEER_URLS=\"http://10.0.0.4:7001\"",
        "ETCD_DISCOVERY=\"https://discovery.etcd.io/<token>\"",
        "ETCD_NAME=\"node1\"",
    ] {
        assert!(etcd.lines().any(|found| found == line), "{line}: {etcd}");
    }
    let flota: toml::Table = text(root, "etc/flota/flota.toml").parse().unwrap();
    assert_eq!(flota["machine"]["address"].as_str(), Some("10.0.0.4"));
    assert_eq!(flota["machine"]["metadata"]["region"].as_str(), Some("us-west"));
    assert_eq!(text(root, "etc/environment"), "COREOS_PRIVATE_IPV4=\"10.0.0.4\"\n");
    assert!(text(root, "etc/systemd/system/docker.service.d/50-opts.conf").contains("Environment=A=b"));
    assert!(text(root, "etc/systemd/system/docker-tcp.socket").contains("ListenStream=2375"));
    let systemctl: Vec<&str> = ran.iter().filter_map(|line| line.strip_prefix("systemctl ")).collect();
    assert_eq!(
        systemctl,
        [
            "daemon-reload",
            "--no-block start etcd.service",
            "--no-block start flota.service",
            "enable docker-tcp.socket",
            "--no-block start docker-tcp.socket"
        ]
    );
    let warnings: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("warning: user-data:")).collect();
    assert_eq!(
        warnings,
        [
            "9:5: `coreos: etcd: snapshot` means nothing to etcd today",
            "13:5: `coreos: fleet: verbosity` means nothing here; `flota:` has the settings of flota.toml",
            "15:5: `coreos: update` means nothing here: Debian updates by packages",
        ]
    );
}

#[test]
fn a_second_time_changes_nothing() {
    let (root, ..) = machine(COREOS, "local-ipv4: 10.0.0.4\n");
    let paths =
        ["etc/default/etcd", "etc/flota/flota.toml", "etc/hosts", "home/core/.ssh/authorized_keys", "etc/environment"];
    let before = paths.map(|path| fs::read_to_string(root.path().join(path)).unwrap());
    let told =
        Told { place: "test".to_owned(), user_data: COREOS.into(), meta_data: "local-ipv4: 10.0.0.4\n".to_owned() };
    follow(root.path(), &told, "core", &mut |_| {}, &mut |_| Ok(())).unwrap();
    assert_eq!(paths.map(|path| fs::read_to_string(root.path().join(path)).unwrap()), before);
}

#[track_caller]
fn check_unreadable(user_data: &[u8], expect: &str) {
    let error = read(user_data, &MetaData::default()).unwrap_err().to_string();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn what_is_no_cloud_config_is_told_with_its_place() {
    check_unreadable(b"#cloud-config\nusers:\n  - name: a\n   groups: b\n", "4:4: not YAML");
    check_unreadable(b"#cloud-config\na: b: c\n", "2:5: not YAML");
    check_unreadable(b"#cloud-config\n- a\n- b\n", "2:1: must be a table of keys, not a list");
    check_unreadable(b"#!/bin/sh\necho\n", "1:1: is a script");
    check_unreadable(b"Content-Type: multipart/mixed; boundary=\"x\"\n", "1:1: has several parts");
    check_unreadable(b"\x1f\x8b\x08\x00", "1:1: is compressed");
    check_unreadable(b"\xff\xfe", "1:1: is not text");
    check_unreadable(b"hostname: a\n", "1:1: must begin with the line #cloud-config");
    check_unreadable(&[b"#cloud-config\n#".to_vec(), vec![b'a'; 1 << 20]].concat(), "more than");
    assert_eq!(read(b"", &MetaData::default()).unwrap(), UserData::default());
    assert_eq!(read(b"#cloud-config\n", &MetaData::default()).unwrap(), UserData::default());
}

#[track_caller]
fn check_warnings(body: &str, expect: &[&str]) {
    let (warnings, _) = check(format!("#cloud-config\n{body}").as_bytes(), "", "root").unwrap();
    let found: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(found, expect);
}

#[test]
fn what_is_not_understood_is_a_warning_with_its_place_and_the_nearest_name() {
    check_warnings("hostnam: a\n", &["2:1: #cloud-config knows no `hostnam`, did you mean `hostname`?"]);
    check_warnings("flota:\n  metdata: {a: b}\n", &["3:3: `flota` knows no `metdata`, did you mean `metadata`?"]);
    check_warnings("flota:\n  join: {address: a}\n", &["3:9: `flota: join` has no `token`"]);
    check_warnings(
        "runcmd:\n  - [ls]\n",
        &["3:3: `runcmd` is not done: a node runs what is in units; use `write_files`, or `coreos: units:`"],
    );
    check_warnings(
        "hostname: a_b\n",
        &["2:11: `hostname`: `a_b` is no host name: up to 64 letters, digits and `-`, with dots between"],
    );
    check_warnings(
        "write_files:\n- path: /a\n  permissions: 999\n- path: /b\n  encoding: gz\n- path: c\n- path: /d\n  content: '!'\n  encoding: b64\n",
        &[
            "3:3: the file `/a` is not written: `999` is no mode in octal digits, such as 0644",
            "5:3: the file `/b` is not written: encoding `gz` is none of b64, base64, text/plain",
            "7:3: `c` is no absolute path of a file without `..`",
            "8:3: the file `/d` is not written: its content is not base64: Invalid symbol 33, offset 0.",
        ],
    );
    check_warnings(
        "users: [{name: Ann}]\n",
        &["2:9: `Ann` is no user name: up to 32 of a-z, 0-9, `_` and `-`, a letter or `_` first"],
    );
    check_warnings(
        "coreos:\n  units:\n  - name: a.service\n    command: explode\n  - name: a\n",
        &[
            "4:5: `explode` is none of start, stop, reload, restart, try-restart, reload-or-restart, reload-or-try-restart",
            "6:5: `a` is no name of a unit, such as web.service",
        ],
    );
    check_warnings(
        "coreos:\n  fleet: {public-ip: $public_ipv4}\n",
        &["3:1: $public_ipv4 stays as it is: the metadata says no such address"],
    );
}

#[test]
fn user_data_that_cannot_be_read_leaves_a_machine_that_somebody_can_log_into() {
    let (root, _, _, result) =
        machine("#cloud-config\na: [\n", "local-hostname: node\npublic-keys: [ssh-ed25519 AAAAC3 me]\n");
    let error = result.unwrap_err();
    assert!(error.to_string().starts_with("user-data of test: 3:1: not YAML"), "{error}");
    assert_eq!(text(root.path(), "etc/hostname"), "node\n");
    assert_eq!(text(root.path(), "home/core/.ssh/authorized_keys"), "ssh-ed25519 AAAAC3 me\n");
}

#[test]
fn one_step_that_fails_keeps_no_other_from_being_done() {
    let data =
        "#cloud-config\nusers: [{name: zoe}]\nwrite_files: [{path: /etc/x, content: y}, {path: /etc/passwd/x}]\n";
    let (root, said, _, result) = machine(data, "");
    assert!(matches!(result, Err(FirstbootError::Steps(1))), "{result:?}");
    assert_eq!(text(root.path(), "etc/x"), "y");
    assert!(said.iter().any(|line| line.starts_with("failed: file /etc/passwd/x")), "{said:?}");
}

#[test]
fn without_user_data_a_first_boot_is_over() {
    let root = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    first_boot(root.path(), "root", &mut |line| said.push(line.to_owned())).unwrap();
    assert_eq!(said, ["no user-data: this machine stays as its image has it"]);
    assert!(root.path().join("var/lib/flota-firstboot/done").exists());
}
