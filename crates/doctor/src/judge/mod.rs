//! From facts to findings: one function a check.

mod certificates;
mod disk;
mod flota;
mod host;
mod network;
#[cfg(test)]
mod tests;

use crate::{Facts, Finding};

/// Examines a machine; each check tells at least one finding.
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let checks: [fn(&Facts) -> Vec<Finding>; 17] = [
        host::kernel,
        host::cgroups,
        host::systemd,
        host::clock,
        host::containers,
        host::security,
        flota::identity,
        flota::configuration,
        flota::service,
        flota::daemon,
        network::ports,
        network::names,
        network::store,
        network::peers,
        certificates::certificates,
        disk::latency,
        disk::space,
    ];
    checks.into_iter().flat_map(|check| check(facts)).collect()
}
