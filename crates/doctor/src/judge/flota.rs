//! Flota on the machine: its id, its configuration, its service and its daemon.

use std::net::IpAddr;

use crate::{Daemon, Daemons, Facts, Finding, Identity};

/// The daemon's last words.
const LOG: &str = "journalctl -u flota -n 20";

pub(super) fn identity(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "machine-id";
    let identity = match &facts.identity {
        Ok(identity) => identity,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    let id = match &identity.machine_id {
        Ok(id) => id,
        Err(why) => return vec![Finding::fail(CHECK, why, "systemd-machine-id-setup && systemctl restart flota")],
    };
    if let Some(elsewhere) = twin(identity) {
        let what = format!("the cluster has this machine's id at {elsewhere}: another machine has the same one");
        let mend = "rm /etc/machine-id && systemd-machine-id-setup && reboot, on the one that was copied";
        return vec![Finding::fail(CHECK, what, mend)];
    }
    vec![Finding::ok(CHECK, id)]
}

/// The address that this machine's id has in the cluster, if it is not this machine's.
fn twin(identity: &Identity) -> Option<&str> {
    let announced = identity.announced.as_deref()?;
    if identity.configured.as_deref() == Some(announced) {
        return None;
    }
    // A name is only announced where it is configured, which may have changed since.
    let address: IpAddr = announced.parse().ok()?;
    (!identity.addresses.contains(&address)).then_some(announced)
}

pub(super) fn configuration(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "configuration";
    vec![match &facts.configuration {
        Ok(Ok(())) => Finding::ok(CHECK, "can be read"),
        // The daemon has no command of its own for this: it starts, or says why not.
        Ok(Err(why)) => Finding::fail(CHECK, why, "mend it, then: systemctl restart flota"),
        Err(why) => Finding::blind(CHECK, why),
    }]
}

pub(super) fn service(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "service";
    let service = match &facts.service {
        Ok(service) => service,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    let answers = matches!(facts.daemon, Ok(Daemon::Answers(_)));
    let state = format!("flota.service is {}, {}", service.active, service.enabled);
    vec![match (service.load.as_str(), service.active.as_str()) {
        ("not-found", _) if answers => {
            let mend = "install the package, so that the daemon starts at boot";
            Finding::warn(CHECK, "there is no flota.service: the daemon was started by hand", mend)
        }
        ("not-found", _) => Finding::fail(CHECK, "there is no flota.service", "install the package flota"),
        ("masked", _) => Finding::fail(CHECK, "flota.service is masked", "systemctl unmask --now flota"),
        (_, "failed" | "activating") => Finding::fail(CHECK, state, LOG),
        (_, "active") if service.enabled == "disabled" => {
            let what = "flota.service is active, but does not start at boot";
            Finding::warn(CHECK, what, "systemctl enable flota.socket flota.service")
        }
        (_, "active" | "reloading") => Finding::ok(CHECK, state),
        _ => Finding::fail(CHECK, state, "systemctl enable --now flota.socket flota.service"),
    }]
}

pub(super) fn daemon(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "daemon";
    let daemon = match &facts.daemon {
        Err(why) => return vec![Finding::blind(CHECK, why)],
        Ok(Daemon::Silent(why)) => {
            let mend = "systemctl start flota.socket flota.service";
            return vec![Finding::fail(CHECK, format!("it does not answer: {why}"), mend)];
        }
        Ok(Daemon::Left(why)) => {
            let mend = "flota join ADDRESS --token TOKEN (flota token create, on a machine of the cluster, prints it)";
            return vec![Finding::warn(CHECK, why, mend)];
        }
        Ok(Daemon::Answers(daemon)) => daemon,
    };
    let mut findings = Vec::new();
    if daemon.version != facts.version {
        let what = format!("it is flota {}, this program is {}", daemon.version, facts.version);
        findings.push(Finding::warn(CHECK, what, "systemctl restart flota (no unit stops)"));
    }
    findings.extend(troubles(CHECK, daemon));
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, format!("flota {} answers and reaches its store", daemon.version)));
    }
    findings
}

fn troubles(check: &'static str, daemon: &Daemons) -> Option<Finding> {
    if let Some(why) = &daemon.frozen {
        let what = format!("it takes no orders from its store, units run on: {why}");
        return Some(Finding::fail(check, what, "flota store accept, if the store is the right one (docs/trust.md)"));
    }
    let detail = || daemon.detail.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    if !daemon.store_connected {
        return Some(Finding::fail(check, format!("it does not reach its store{}", detail()), LOG));
    }
    if daemon.detail.is_some() {
        return Some(Finding::warn(check, format!("all is not well{}", detail()), LOG));
    }
    if !daemon.has_leader {
        return Some(Finding::warn(check, "it knows no leader: nothing is placed", "flota list-machines"));
    }
    None
}
