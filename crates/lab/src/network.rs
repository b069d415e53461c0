//! The lab's bridge on the host, and cut cables.

use std::net::Ipv4Addr;
use std::path::Path;

use serde::Deserialize;

use crate::config::{LabName, Subnet};
use crate::error::{LabError, Result};
use crate::run::{command, output, run, run_with_input, succeeds};

/// One line of `ip -json route`.
#[derive(Debug, Deserialize)]
struct Route {
    dst: String,
    #[serde(default)]
    dev: String,
}

/// Makes the bridge with the host's address on it, unless it is so.
pub(crate) fn ensure_bridge(lab: &LabName, subnet: Subnet) -> Result<()> {
    let bridge = lab.bridge();
    let routes = run(&mut command("ip", ["-json", "-4", "route"]))?;
    refuse_overlap(subnet, &bridge, &routes)?;
    if !exists(&bridge) {
        run(&mut command("ip", ["link", "add", &bridge, "type", "bridge"]))?;
    }
    let address = format!("{}/24", subnet.host());
    run(&mut command("ip", ["address", "replace", &address, "dev", &bridge]))?;
    run(&mut command("ip", ["link", "set", &bridge, "up"]))?;
    if let Some(rule) = forward_rule(lab) {
        let [check, insert] = ["-C", "-I"].map(|verb| iptables(verb, &rule));
        if !succeeds(&mut { check })? {
            run(&mut { insert })?;
        }
    }
    Ok(())
}

/// Removes bridge, firewall rule and table; what is not there is fine.
pub(crate) fn remove(lab: &LabName) -> Result<()> {
    let bridge = lab.bridge();
    if exists(&bridge) {
        run(&mut command("ip", ["link", "delete", &bridge]))?;
    }
    if has_table(lab)? {
        run(&mut command("nft", ["delete", "table", "bridge", &lab.nft_table()]))?;
    }
    if let Some(rule) = forward_rule(lab)
        && succeeds(&mut iptables("-C", &rule))?
    {
        run(&mut iptables("-D", &rule))?;
    }
    Ok(())
}

/// Whether bridge or table are there.
pub(crate) fn is_there(lab: &LabName) -> Result<bool> {
    Ok(exists(&lab.bridge()) || has_table(lab)?)
}

/// Drops every frame to and from the machine's cable; that holds over its reboots.
pub(crate) fn cut(lab: &LabName, machine: &str) -> Result<()> {
    if !has_table(lab)? {
        run_with_input(&mut command("nft", ["-f", "-"]), &table(lab))?;
    }
    run(&mut command("nft", element("add", lab, machine))).map(drop)
}

/// Undoes [`cut`]; a whole cable stays whole.
pub(crate) fn heal(lab: &LabName, machine: &str) -> Result<()> {
    if !has_table(lab)? {
        return Ok(());
    }
    // Deleting an element that is not there is an error to nft, adding one that is there is not.
    run(&mut command("nft", element("add", lab, machine)))?;
    run(&mut command("nft", element("delete", lab, machine))).map(drop)
}

/// Whether the machine's cable is cut.
pub(crate) fn is_cut(lab: &LabName, machine: &str) -> Result<bool> {
    Ok(has_table(lab)? && succeeds(&mut command("nft", element("get", lab, machine)))?)
}

fn element(verb: &str, lab: &LabName, machine: &str) -> [String; 6] {
    let cable = format!("{{ \"{}\" }}", lab.cable(machine));
    [verb, "element", "bridge", &lab.nft_table(), "cut", &cable].map(str::to_owned)
}

fn table(lab: &LabName) -> String {
    format!(
        "table bridge {} {{
  set cut {{ type ifname; }}
  chain forward {{ type filter hook forward priority 0; iifname @cut drop; oifname @cut drop; }}
  chain input {{ type filter hook input priority 0; iifname @cut drop; }}
  chain output {{ type filter hook output priority 0; oifname @cut drop; }}
}}
",
        lab.nft_table()
    )
}

fn has_table(lab: &LabName) -> Result<bool> {
    succeeds(&mut command("nft", ["list", "table", "bridge", &lab.nft_table()]))
}

fn exists(interface: &str) -> bool {
    Path::new("/sys/class/net").join(interface).exists()
}

/// Where bridged frames pass iptables, and Docker on the host set its policy to drop, machines would
/// not hear each other. None where iptables does not see bridged frames or is not there.
fn forward_rule(lab: &LabName) -> Option<Vec<String>> {
    let switch = std::fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables").ok()?;
    let there = output(&mut command("iptables", ["--version"])).is_ok();
    let bridge = lab.bridge();
    (switch.trim() == "1" && there)
        .then(|| ["FORWARD", "-i", &bridge, "-o", &bridge, "-j", "ACCEPT"].map(str::to_owned).into())
}

fn iptables(verb: &str, rule: &[String]) -> std::process::Command {
    let mut iptables = command("iptables", ["--wait", verb]);
    iptables.args(rule);
    iptables
}

/// Another interface with the lab's addresses would swallow its traffic.
fn refuse_overlap(subnet: Subnet, bridge: &str, routes: &str) -> Result<()> {
    let routes: Vec<Route> = serde_json::from_str(routes)
        .map_err(|error| LabError::io("understand", "ip -json route")(std::io::Error::from(error)))?;
    let other = routes
        .into_iter()
        .find(|route| route.dev != bridge && parse(&route.dst).is_some_and(|(a, prefix)| subnet.overlaps(a, prefix)));
    match other {
        None => Ok(()),
        Some(route) => {
            Err(LabError::SubnetInUse { subnet: subnet.to_string(), route: route.dst, interface: route.dev })
        }
    }
}

/// None for `default`, which overlaps nothing in earnest.
fn parse(destination: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = destination.split_once('/').unwrap_or((destination, "32"));
    Some((address.parse().ok()?, prefix.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(routes: &str, expect: Option<&str>) {
        let subnet: Subnet = "10.78.0.0/24".parse().unwrap();
        let answer = refuse_overlap(subnet, "flab-x", routes);
        assert_eq!(answer.err().map(|error| error.to_string()).as_deref(), expect);
    }

    #[test]
    fn a_subnet_in_use_is_refused() {
        check(r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"}]"#, None);
        check(r#"[{"dst":"10.78.0.0/24","dev":"flab-x"},{"dst":"10.79.0.0/24","dev":"eth1"}]"#, None);
        check(
            r#"[{"dst":"10.0.0.0/8","dev":"tun0"}]"#,
            Some("subnet 10.78.0.0/24 overlaps 10.0.0.0/8 on interface tun0; choose another subnet for this lab"),
        );
        check(
            r#"[{"dst":"10.78.0.40","dev":"eth1"}]"#,
            Some("subnet 10.78.0.0/24 overlaps 10.78.0.40 on interface eth1; choose another subnet for this lab"),
        );
    }

    #[test]
    fn nft_commands_name_the_cable() {
        let lab: LabName = "t-1".parse().unwrap();
        assert_eq!(element("add", &lab, "m2").join(" "), "add element bridge flota_lab_t_1 cut { \"vb-t-1-m2\" }");
        assert!(table(&lab).starts_with("table bridge flota_lab_t_1 {"));
    }
}
