//! Ports, names, the store's members, and the cluster's other machines.

use crate::{Blind, Daemon, Facts, Finding, Holder, Port, Reach, Transport};

pub(super) fn ports(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "ports";
    let ports = match &facts.ports {
        Ok(ports) => ports,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    let runs = matches!(facts.daemon, Ok(Daemon::Answers(_)));
    let wrong: Vec<Finding> = ports.iter().filter_map(|port| wrong_port(CHECK, port, runs)).collect();
    if !wrong.is_empty() {
        return wrong;
    }
    let what = if ports.iter().all(|port| port.holder == Holder::Nobody) { "free" } else { "Flota's" };
    let names: Vec<String> = ports.iter().map(name).collect();
    let told = if names.is_empty() { "none needed".to_owned() } else { format!("{what}: {}", names.join(", ")) };
    vec![Finding::ok(CHECK, told)]
}

fn wrong_port(check: &'static str, port: &Port, runs: bool) -> Option<Finding> {
    match &port.holder {
        Holder::Nobody if runs => {
            let what = format!("the daemon does not listen at {}, as it is configured to", name(port));
            Some(Finding::fail(check, what, "systemctl restart flota (no unit stops); then journalctl -u flota -n 20"))
        }
        Holder::Other { program, pid, unit } => {
            let what = format!("{} is held by {program} (process {pid})", name(port));
            let stop = unit.as_ref().map_or_else(|| format!("kill {pid}"), |unit| format!("systemctl stop {unit}"));
            let mend = format!("{stop}, or set {} in /etc/flota/flota.toml", port.setting);
            Some(Finding::fail(check, what, mend))
        }
        Holder::Somebody if !runs => {
            let what = format!("see who holds {}", name(port));
            Some(Finding::blind(check, &Blind::NotAllowed(what)))
        }
        Holder::Nobody | Holder::Flota | Holder::Somebody => None,
    }
}

fn name(port: &Port) -> String {
    let transport = match port.transport {
        Transport::Tcp => "",
        Transport::Udp => "/udp",
    };
    format!("{}{transport} ({})", port.address, port.purpose)
}

pub(super) fn names(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "names";
    let names = match &facts.names {
        Ok(names) => names,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    let mut findings = Vec::new();
    let host = &names.host;
    let unknown = |why: &str| {
        let what = format!("this machine's own name {host} stands for no address: {why}");
        Finding::warn(CHECK, what, format!("echo '127.0.1.1 {host}' >> /etc/hosts"))
    };
    match &names.resolved {
        Ok(Ok(_)) => {}
        Ok(Err(why)) => findings.push(unknown(why)),
        Err(late @ Blind::Late(..)) => findings.push(unknown(&late.to_string())),
        Err(why) => findings.push(Finding::blind(CHECK, why)),
    }
    let silent: Vec<String> =
        names.servers.iter().filter(|server| !server.answers).map(|server| server.address.to_string()).collect();
    let look = "resolvectl status, or cat /etc/resolv.conf, and name a server that answers";
    if names.servers.is_empty() {
        let what = "no name server is configured: names that are not in /etc/hosts are unknown";
        findings.push(Finding::warn(CHECK, what, "echo 'nameserver ADDRESS' >> /etc/resolv.conf"));
    } else if silent.len() == names.servers.len() {
        let what = format!("no name server answers ({}): images cannot be pulled by name", silent.join(", "));
        findings.push(Finding::fail(CHECK, what, look));
    } else if !silent.is_empty() {
        let what = format!("name servers that do not answer delay every question: {}", silent.join(", "));
        findings.push(Finding::warn(CHECK, what, look));
    }
    if findings.is_empty() {
        let servers: Vec<String> = names.servers.iter().map(|server| server.address.to_string()).collect();
        let what = format!("{host} stands for an address; names are told by {}", servers.join(", "));
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}

pub(super) fn store(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "store";
    let members = match &facts.store {
        Ok(members) => members,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    if members.is_empty() {
        return vec![Finding::ok(CHECK, "in this machine's daemon")];
    }
    let lost: Vec<String> = members
        .iter()
        .filter_map(|member| member.reached.as_ref().err().map(|why| format!("{}: {why}", member.endpoint)))
        .collect();
    let mend = "systemctl status flota (or etcd) there; is its port open towards this machine?";
    vec![if lost.is_empty() {
        let names: Vec<&str> = members.iter().map(|member| member.endpoint.as_str()).collect();
        Finding::ok(CHECK, format!("can be reached: {}", names.join(", ")))
    } else if lost.len() < members.len() {
        Finding::warn(CHECK, format!("not all members can be reached: {}", lost.join("; ")), mend)
    } else {
        Finding::fail(CHECK, format!("cannot be reached: {}", lost.join("; ")), mend)
    }]
}

pub(super) fn peers(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "machines";
    let peers = match &facts.peers {
        Ok(peers) => peers,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    let mut findings = Vec::new();
    for peer in peers {
        let port = peer.port.as_deref().unwrap_or_default();
        match peer.reach {
            Reach::Alive => {}
            _ if !peer.alive => {
                let what = format!("{} is {}", peer.name, peer.state);
                findings.push(Finding::warn(
                    CHECK,
                    what,
                    "systemctl status flota, there; flota remove-machine, if it is gone for good",
                ));
            }
            Reach::NoPort => {
                let what = format!("{} has no port to be asked at: its lease alone tells whether it lives", peer.name);
                findings.push(Finding::warn(CHECK, what, "take `listen = \"off\"` out of [peer] there"));
            }
            Reach::NoDaemon | Reach::Silent => {
                let what = format!("{} lives, but cannot be asked at {port} from here", peer.name);
                let mend = format!("open TCP and UDP to {port} between the machines (nft list ruleset)");
                findings.push(Finding::fail(CHECK, what, mend));
            }
        }
    }
    if findings.is_empty() {
        let what = match peers.len() {
            0 => "there is no other one".to_owned(),
            count => format!("all {count} others answer"),
        };
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}
