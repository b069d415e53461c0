//! A machine that is well, and what is told when one thing of it is not.

use std::net::{IpAddr, Ipv4Addr};

use super::examine;
use crate::*;

const NOW: i64 = 1_800_000_000;
const DAY: i64 = 24 * 60 * 60;
const ID: &str = "0123456789abcdef0123456789abcdef";

fn address(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn port(purpose: &'static str, setting: &'static str, address: &str, transport: Transport) -> Port {
    Port { purpose, setting, transport, address: address.parse().unwrap(), holder: Holder::Flota }
}

fn space(folder: &str) -> Space {
    let (bytes, inodes) = (20 << 30, 1_000_000);
    Space { folder: folder.to_owned(), bytes, free_bytes: bytes / 2, inodes, free_inodes: inodes / 2 }
}

fn peer() -> Peer {
    Peer {
        name: "5a8052f1.../10.0.0.2".to_owned(),
        port: Some("10.0.0.2:4002".to_owned()),
        alive: true,
        state: "ready".to_owned(),
        reach: Reach::Alive,
        ahead_ms: Some(20),
    }
}

fn certificate(issuer: Issuer, days: i64) -> Certificate {
    let validity = Validity { from: NOW - DAY, until: NOW + days * DAY };
    Certificate { path: "/pki/machine.pem".to_owned(), issuer, validity: Ok(Ok(validity)) }
}

/// A machine on which all is well, in a cluster with a second one.
fn healthy() -> Facts {
    let daemons =
        Daemons { version: "0.1.0".to_owned(), store_connected: true, has_leader: true, detail: None, frozen: None };
    let service = Service { load: "loaded".to_owned(), active: "active".to_owned(), enabled: "enabled".to_owned() };
    let bus = Bus { version: "257.9-1~deb13u1".to_owned(), state: "running".to_owned() };
    Facts {
        now: NOW,
        container: false,
        version: "0.1.0".to_owned(),
        kernel: Ok(Kernel { release: "6.12.48+deb13-amd64".to_owned(), has_modules: true, missing: Vec::new() }),
        cgroups: Ok(Cgroups { version: 2, controllers: ["cpu", "io", "memory", "pids"].map(str::to_owned).into() }),
        systemd: Ok(Systemd::Init(Ok(bus))),
        clock: Ok(Clock { synchronised: true, can_ntp: true, ntp: true }),
        engines: Ok(vec![Engine { name: "docker", answer: Ok(Ok("26.1.5".to_owned())) }]),
        security: Ok(Security { apparmor: true, apparmor_parser: true, selinux_enforces: false }),
        configuration: Ok(Ok(())),
        service: Ok(service),
        daemon: Ok(Daemon::Answers(daemons)),
        identity: Ok(Identity {
            machine_id: Ok(ID.to_owned()),
            announced: Some("10.0.0.1".to_owned()),
            addresses: vec![address(1)],
            configured: None,
        }),
        ports: Ok(vec![
            port("gateway", "gateway.listen", "127.0.0.1:4001", Transport::Tcp),
            port("peer", "peer.listen", "10.0.0.1:4002", Transport::Udp),
        ]),
        disk: Ok((Latency::of(vec![0.001; 100]), true)),
        spaces: Ok(vec![space("/var/lib/flota"), space("/var/lib/docker")]),
        names: Ok(Names {
            host: "m1".to_owned(),
            resolved: Ok(Ok(vec![address(1)])),
            servers: vec![NameServer { address: address(53), answers: true }],
        }),
        certificates: Ok(vec![certificate(Issuer::Own, 3000)]),
        store: Ok(Vec::new()),
        peers: Ok(vec![peer()]),
    }
}

/// What of a changed machine is not as it should be: level and check, words of what is told, words of what to do.
#[track_caller]
fn check(change: impl FnOnce(&mut Facts), expect: &[(Level, &str, &str, &str)]) {
    let mut facts = healthy();
    change(&mut facts);
    let findings: Vec<Finding> = examine(&facts).into_iter().filter(|it| it.level != Level::Ok).collect();
    assert_eq!(findings.len(), expect.len(), "{findings:#?}");
    for (finding, (level, check, what, mend)) in findings.iter().zip(expect) {
        assert_eq!((finding.level, finding.check), (*level, *check), "{finding:?}");
        assert!(finding.what.contains(what), "{finding:?} does not say `{what}`");
        assert!(finding.mend.clone().unwrap_or_default().contains(mend), "{finding:?} does not say to `{mend}`");
    }
}

fn daemon(facts: &mut Facts) -> &mut Daemons {
    match &mut facts.daemon {
        Ok(Daemon::Answers(daemon)) => daemon,
        other => panic!("{other:?}"),
    }
}

fn one_peer(facts: &mut Facts) -> &mut Peer {
    &mut facts.peers.as_mut().unwrap()[0]
}

fn one_port(facts: &mut Facts) -> &mut Port {
    &mut facts.ports.as_mut().unwrap()[0]
}

use Level::{Fail, Unknown, Warn};

#[test]
fn a_machine_that_is_well_has_one_good_word_for_each_check() {
    let findings = examine(&healthy());
    assert!(findings.iter().all(|finding| finding.level == Level::Ok && finding.mend.is_none()), "{findings:#?}");
    let checks: std::collections::BTreeSet<&str> = findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks.len(), 17, "{checks:?}");
    assert_eq!(worst(&findings), Level::Ok);
}

#[test]
fn the_machine_below() {
    let old = "5.10.0-30-amd64".to_owned();
    check(|f| f.kernel.as_mut().unwrap().release = old, &[(Warn, "kernel", "older than 6.1", "linux-image")]);
    check(
        |f| f.kernel = Ok(Kernel { release: "6.12.1".into(), has_modules: false, missing: vec!["overlay".into()] }),
        &[(Warn, "kernel", "the modules of the running 6.12.1 are gone", "reboot")],
    );
    check(|f| f.cgroups.as_mut().unwrap().version = 1, &[(Warn, "cgroup", "version 1", "unified_cgroup_hierarchy=0")]);
    check(
        |f| assert!(f.cgroups.as_mut().unwrap().controllers.remove("memory")),
        &[(Warn, "cgroup", "MemoryMax=", "cgroup_enable=memory")],
    );
    check(|f| f.systemd = Ok(Systemd::NotInit("tini".into())), &[(Fail, "systemd", "tini", "systemd-sysv")]);
    check(
        |f| f.systemd = Ok(Systemd::Init(Err("no such file".into()))),
        &[(Fail, "systemd", "over D-Bus: no such file", "dbus.socket")],
    );
    let old = Bus { version: "247.3-7".into(), state: "running".into() };
    check(|f| f.systemd = Ok(Systemd::Init(Ok(old))), &[(Warn, "systemd", "older than 252", "Debian 12")]);
}

#[test]
fn the_clock() {
    let clock = |synchronised, can_ntp, ntp| Ok(Clock { synchronised, can_ntp, ntp });
    check(
        |f| f.clock = clock(false, false, false),
        &[(Warn, "clock", "not synchronised", "install systemd-timesyncd")],
    );
    check(|f| f.clock = clock(false, true, false), &[(Warn, "clock", "not synchronised", "set-ntp true")]);
    check(|f| f.clock = clock(false, true, true), &[(Warn, "clock", "not synchronised", "timesync-status")]);
    check(|f| one_peer(f).ahead_ms = Some(-7_300), &[(Warn, "clock", "7.3 s ahead of the clock of 5a80", "both")]);
    check(|f| one_peer(f).ahead_ms = Some(61_000), &[(Fail, "clock", "61.0 s behind the clock of 5a80", "both")]);
    check(|f| one_peer(f).ahead_ms = None, &[]);
}

#[test]
fn what_runs_containers() {
    check(|f| f.engines = Ok(Vec::new()), &[(Warn, "containers", "neither", "docker.io")]);
    let engine = |answer| Ok(vec![Engine { name: "docker", answer }]);
    check(
        |f| f.engines = engine(Ok(Err("connection refused".into()))),
        &[(Warn, "containers", "docker does not answer: connection refused", "systemctl start docker")],
    );
    check(
        |f| f.engines = engine(Err(Blind::Late("docker", 5))),
        &[(Warn, "containers", "no answer within 5 s", "systemctl start docker")],
    );
    check(
        |f| f.engines = engine(Err(Blind::NotAllowed("ask docker".into()))),
        &[(Unknown, "containers", "only root can ask docker", "sudo flota doctor")],
    );
    check(
        |f| f.security.as_mut().unwrap().apparmor_parser = false,
        &[(Fail, "security", "apparmor_parser", "apt-get install apparmor")],
    );
    check(|f| f.security.as_mut().unwrap().selinux_enforces = true, &[(Warn, "security", "SELinux", "setenforce 0")]);
}

#[test]
fn the_daemon_and_its_service() {
    let service = |load: &str, active: &str, enabled: &str| {
        Ok(Service { load: load.into(), active: active.into(), enabled: enabled.into() })
    };
    let stopped = |f: &mut Facts| {
        f.service = service("loaded", "inactive", "enabled");
        f.daemon = Ok(Daemon::Silent("flota.service is inactive".into()));
        f.ports.as_mut().unwrap().iter_mut().for_each(|port| port.holder = Holder::Nobody);
    };
    check(
        stopped,
        &[
            (Fail, "service", "inactive", "systemctl enable --now flota.socket flota.service"),
            (Fail, "daemon", "does not answer: flota.service is inactive", "systemctl start flota.socket"),
        ],
    );
    check(|f| f.service = service("loaded", "activating", "enabled"), &[(Fail, "service", "activating", "journalctl")]);
    check(|f| f.service = service("masked", "inactive", "masked"), &[(Fail, "service", "masked", "unmask")]);
    check(|f| f.service = service("loaded", "active", "disabled"), &[(Warn, "service", "at boot", "systemctl enable")]);
    check(|f| f.service = service("not-found", "inactive", ""), &[(Warn, "service", "by hand", "package")]);
    check(|f| daemon(f).version = "0.0.9".into(), &[(Warn, "daemon", "it is flota 0.0.9", "restart flota")]);
    check(|f| daemon(f).frozen = Some("it is older".into()), &[(Fail, "daemon", "older", "flota store accept")]);
    check(|f| daemon(f).has_leader = false, &[(Warn, "daemon", "no leader", "flota list-machines")]);
    check(
        |f| {
            daemon(f).store_connected = false;
            daemon(f).detail = Some("the store is out of reach".into());
        },
        &[(Fail, "daemon", "out of reach", "journalctl")],
    );
    check(|f| f.daemon = Ok(Daemon::Left("it has left".into())), &[(Warn, "daemon", "left", "flota join")]);
    let broken = Ok(Err("unknown key `stroe` in line 3".into()));
    check(|f| f.configuration = broken, &[(Fail, "configuration", "stroe", "restart flota")]);
}

#[test]
fn two_machines_with_one_id() {
    let identity = |f: &mut Facts| f.identity.as_mut().unwrap().announced = Some("10.0.0.9".to_owned());
    check(identity, &[(Fail, "machine-id", "10.0.0.9: another machine has the same one", "rm /etc/machine-id")]);
    // Behind NAT, or by a name: as people said.
    check(
        |f| {
            identity(f);
            f.identity.as_mut().unwrap().configured = Some("10.0.0.9".to_owned());
        },
        &[],
    );
    check(|f| f.identity.as_mut().unwrap().announced = Some("m1.example".to_owned()), &[]);
    let none = Err("/etc/machine-id is empty".to_owned());
    check(|f| f.identity.as_mut().unwrap().machine_id = none, &[(Fail, "machine-id", "empty", "machine-id-setup")]);
}

#[test]
fn ports_and_who_has_them() {
    let other = |unit: Option<&str>| Holder::Other { program: "nginx".into(), pid: 71, unit: unit.map(str::to_owned) };
    check(
        |f| one_port(f).holder = other(Some("nginx.service")),
        &[(
            Fail,
            "ports",
            "127.0.0.1:4001 (gateway) is held by nginx (process 71)",
            "systemctl stop nginx.service, or",
        )],
    );
    check(|f| one_port(f).holder = other(None), &[(Fail, "ports", "nginx", "kill 71, or set gateway.listen")]);
    check(|f| one_port(f).holder = Holder::Nobody, &[(Fail, "ports", "does not listen at 127.0.0.1:4001", "restart")]);
    check(|f| one_port(f).holder = Holder::Somebody, &[]);
    let down = |f: &mut Facts| f.daemon = Err(Blind::NotAllowed("ask the daemon".into()));
    check(
        |f| {
            down(f);
            one_port(f).holder = Holder::Somebody;
        },
        &[(Unknown, "daemon", "ask the daemon", "sudo"), (Unknown, "ports", "see who holds 127.0.0.1:4001", "sudo")],
    );
}

#[test]
fn names_and_who_tells_them() {
    let names = |f: &mut Facts, servers: &[bool]| {
        let servers = servers.iter().map(|answers| NameServer { address: address(53), answers: *answers }).collect();
        f.names.as_mut().unwrap().servers = servers;
    };
    check(|f| names(f, &[]), &[(Warn, "names", "no name server is configured", "nameserver ADDRESS")]);
    check(|f| names(f, &[false, true]), &[(Warn, "names", "delay every question: 10.0.0.53", "resolvectl")]);
    check(|f| names(f, &[false]), &[(Fail, "names", "no name server answers (10.0.0.53)", "/etc/resolv.conf")]);
    check(
        |f| f.names.as_mut().unwrap().resolved = Ok(Err("name or service not known".into())),
        &[(Warn, "names", "own name m1 stands for no address", "echo '127.0.1.1 m1' >> /etc/hosts")],
    );
}

#[test]
fn the_store_elsewhere() {
    let member = |endpoint: &str, reached: Result<(), &str>| StoreMember {
        endpoint: endpoint.to_owned(),
        reached: reached.map_err(str::to_owned),
    };
    let (good, bad) = (member("https://a:2379", Ok(())), member("https://b:2379", Err("connection refused")));
    check(|f| f.store = Ok(vec![good.clone()]), &[]);
    check(|f| f.store = Ok(vec![good.clone(), bad.clone()]), &[(Warn, "store", "https://b:2379: connection", "port")]);
    check(|f| f.store = Ok(vec![bad.clone()]), &[(Fail, "store", "cannot be reached: https://b:2379", "systemctl")]);
}

#[test]
fn the_other_machines() {
    check(|f| f.peers = Ok(Vec::new()), &[]);
    check(|f| one_peer(f).reach = Reach::Silent, &[(Fail, "machines", "cannot be asked at 10.0.0.2:4002", "open TCP")]);
    check(|f| one_peer(f).reach = Reach::NoDaemon, &[(Fail, "machines", "cannot be asked at 10.0.0.2:4002", "open")]);
    check(|f| one_peer(f).reach = Reach::NoPort, &[(Warn, "machines", "no port to be asked at", "[peer]")]);
    let lost = |f: &mut Facts| {
        let peer = one_peer(f);
        (peer.alive, peer.state, peer.reach, peer.ahead_ms) = (false, "lost".to_owned(), Reach::Silent, None);
    };
    check(lost, &[(Warn, "machines", "5a8052f1.../10.0.0.2 is lost", "flota remove-machine")]);
}

#[test]
fn certificates_that_end() {
    let one = |issuer, days| Ok(vec![certificate(issuer, days)]);
    check(|f| f.certificates = one(Issuer::Own, 90), &[]);
    check(|f| f.certificates = one(Issuer::Own, 89), &[(Warn, "certificates", "ends in 89 days", "restart flota")]);
    check(|f| f.certificates = one(Issuer::Token, -2), &[(Fail, "certificates", "ended 2 days ago", "flota join")]);
    check(|f| f.certificates = one(Issuer::People, -2), &[(Fail, "certificates", "ended", "replace /pki/machine.pem")]);
    check(|f| f.now = NOW - 3 * DAY, &[(Fail, "certificates", "good only in 3 days", "timedatectl set-ntp true")]);
    let broken = |f: &mut Facts| f.certificates.as_mut().unwrap()[0].validity = Ok(Err("no certificate".into()));
    check(broken, &[(Fail, "certificates", "/pki/machine.pem: no certificate", "restart flota")]);
}

#[test]
fn the_disk() {
    let disk = |seconds: f64, has_store: bool| Ok((Latency::of(vec![seconds; 100]), has_store));
    check(|f| f.disk = disk(0.02, true), &[(Warn, "disk", "fdatasync of a hundred takes 20 ms", "flota store check")]);
    check(|f| f.disk = disk(1.5, true), &[(Fail, "disk", "takes 1500 ms", "flota store check")]);
    check(|f| f.disk = disk(0.02, false), &[]);
    let space = |change: fn(&mut Space)| move |f: &mut Facts| change(&mut f.spaces.as_mut().unwrap()[0]);
    check(space(|s| s.free_bytes = 800 << 20), &[(Warn, "space", "/var/lib/flota: 800 MiB of", "du -xh")]);
    check(space(|s| s.free_bytes = 1 << 20), &[(Fail, "space", "/var/lib/flota: 1 MiB of", "du -xh")]);
    check(space(|s| s.free_inodes = 7), &[(Fail, "space", "7 of 1000000 files", "find /var/lib/flota")]);
    check(space(|s| s.free_inodes = 40_000), &[(Warn, "space", "40000 of 1000000 files", "du -xh")]);
    check(space(|s| (s.inodes, s.free_inodes) = (0, 0)), &[]);
    check(
        |f| f.spaces.as_mut().unwrap()[1].free_bytes = 0,
        &[(Fail, "space", "/var/lib/docker: 0 MiB", "docker system prune")],
    );
}

#[test]
fn a_container_is_not_blamed_for_its_host() {
    let kernel = Kernel { release: "6.18.0".into(), has_modules: false, missing: vec!["overlay".into()] };
    check(
        |f| {
            f.container = true;
            f.kernel = Ok(kernel);
            f.cgroups.as_mut().unwrap().controllers.clear();
            f.clock = Ok(Clock { synchronised: false, can_ntp: false, ntp: false });
            f.security.as_mut().unwrap().apparmor_parser = false;
        },
        &[
            (Warn, "cgroup", "CPUQuota=", "on its host"),
            (Warn, "cgroup", "MemoryMax=", "on its host"),
            (Warn, "cgroup", "TasksMax=", "on its host"),
            (Warn, "clock", "not synchronised", "on the host"),
        ],
    );
}

#[test]
fn who_may_look_at_nothing_is_told_so_and_nothing_is_wrong() {
    fn blind<T>() -> Look<T> {
        Err(Blind::NotAllowed("look".to_owned()))
    }
    let facts = Facts {
        kernel: blind(),
        cgroups: blind(),
        systemd: blind(),
        clock: blind(),
        engines: blind(),
        security: blind(),
        configuration: blind(),
        service: blind(),
        daemon: blind(),
        identity: blind(),
        ports: blind(),
        disk: blind(),
        spaces: blind(),
        names: blind(),
        certificates: blind(),
        store: blind(),
        peers: blind(),
        ..healthy()
    };
    let findings = examine(&facts);
    assert_eq!(findings.len(), 17);
    assert!(findings.iter().all(|finding| finding.level == Unknown && finding.mend.is_some()), "{findings:#?}");
}
