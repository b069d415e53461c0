//! The lab's bridge on the host, and cut cables.

use std::net::Ipv4Addr;
use std::path::Path;

use serde::Deserialize;

use crate::config::{LabName, Subnet};
use crate::error::{LabError, Result};
use crate::files;
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

/// Removes bridge, firewall rule and tables; what is not there is fine.
pub(crate) fn remove(lab: &LabName) -> Result<()> {
    let bridge = lab.bridge();
    // A cable outlives its machine while anything is left in the machine's network, such as a hung `nsenter`.
    let cables = files::names_in(Path::new("/sys/class/net"))?;
    for interface in cables.iter().filter(|name| name.starts_with(&lab.cable("m"))).chain([&bridge]) {
        if exists(interface) {
            run(&mut command("ip", ["link", "delete", interface]))?;
        }
    }
    for table in tables(lab)? {
        delete_table(&table)?;
    }
    if let Some(rule) = forward_rule(lab)
        && succeeds(&mut iptables("-C", &rule))?
    {
        run(&mut iptables("-D", &rule))?;
    }
    Ok(())
}

/// Whether bridge or tables are there.
pub(crate) fn is_there(lab: &LabName) -> Result<bool> {
    Ok(exists(&lab.bridge()) || !tables(lab)?.is_empty())
}

/// What is wrong with a machine's cable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CableFault {
    /// Nothing passes.
    Cut,
    /// Nothing reaches the machine; what it says is heard.
    Deaf,
    /// Nothing that it says is heard; all reaches it.
    Mute,
    /// So many frames of a hundred are lost, each way.
    Lossy(u8),
}

/// Gives the machine's cable that fault in place of any other, at one stroke; that holds over its reboots.
pub(crate) fn damage(lab: &LabName, machine: &str, fault: CableFault) -> Result<()> {
    if let CableFault::Lossy(percent @ 101..) = fault {
        return Err(LabError::Config { what: "loss", value: percent.to_string(), why: "must be 0 to 100 percent" });
    }
    let name = lab.nft_table(machine);
    // Declared, so that there is one to delete.
    let script =
        format!("table bridge {name}\ndelete table bridge {name}\n{}", table(&name, &rules(lab, machine, fault)));
    run_with_input(&mut command("nft", ["-f", "-"]), &script)?;
    Ok(())
}

/// Undoes [`damage`]; a whole cable stays whole.
pub(crate) fn heal(lab: &LabName, machine: &str) -> Result<()> {
    delete_table(&lab.nft_table(machine))
}

/// Whether the machine's cable has a fault.
pub(crate) fn is_faulty(lab: &LabName, machine: &str) -> Result<bool> {
    Ok(succeeds(&mut command("nft", ["list", "table", "bridge", &lab.nft_table(machine)]))?)
}

/// What drops frames, by the side of the bridge where they meet it: those from the machine, and those to it.
fn rules(lab: &LabName, machine: &str, fault: CableFault) -> [String; 2] {
    let cable = lab.cable(machine);
    let (from, to, how) = match fault {
        CableFault::Cut => (true, true, String::new()),
        CableFault::Deaf => (false, true, String::new()),
        CableFault::Mute => (true, false, String::new()),
        CableFault::Lossy(percent) => (true, true, format!("numgen random mod 100 < {percent} ")),
    };
    let rule = |side: &str, drop: bool| if drop { format!("{side} \"{cable}\" {how}drop") } else { String::new() };
    [rule("iifname", from), rule("oifname", to)]
}

fn table(name: &str, [from, to]: &[String; 2]) -> String {
    let chain = |hook: &str, rules: &[&String]| {
        let rules: Vec<&str> = rules.iter().map(|rule| rule.as_str()).filter(|rule| !rule.is_empty()).collect();
        format!("  chain {hook} {{\n    type filter hook {hook} priority 0\n    {}\n  }}\n", rules.join("\n    "))
    };
    let chains = [chain("forward", &[from, to]), chain("input", &[from]), chain("output", &[to])];
    format!("table bridge {name} {{\n{}}}\n", chains.concat())
}

/// The tables of all faulty cables of the lab.
fn tables(lab: &LabName) -> Result<Vec<String>> {
    let all = run(&mut command("nft", ["list", "tables", "bridge"]))?;
    let names = all.lines().filter_map(|line| line.trim().strip_prefix("table bridge "));
    Ok(names.filter(|name| name.starts_with(&lab.nft_tables())).map(str::to_owned).collect())
}

fn delete_table(name: &str) -> Result<()> {
    let script = format!("table bridge {name}\ndelete table bridge {name}\n");
    run_with_input(&mut command("nft", ["-f", "-"]), &script)?;
    Ok(())
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

    #[track_caller]
    fn check_rules(fault: CableFault, from: &str, to: &str) {
        let lab: LabName = "t-1".parse().unwrap();
        assert_eq!(rules(&lab, "m2", fault), [from, to]);
    }

    #[test]
    fn a_fault_drops_what_it_says() {
        let (from, to) = ("iifname \"vb-t-1-m2\" drop", "oifname \"vb-t-1-m2\" drop");
        check_rules(CableFault::Cut, from, to);
        check_rules(CableFault::Deaf, "", to);
        check_rules(CableFault::Mute, from, "");
        let lossy = |rule: &str| rule.replace("drop", "numgen random mod 100 < 20 drop");
        check_rules(CableFault::Lossy(20), &lossy(from), &lossy(to));
        let table = table("flota_lab_t_1.m2", &["A".to_owned(), String::new()]);
        assert_eq!(table.matches("    A\n").count(), 2, "{table}");
    }
}
