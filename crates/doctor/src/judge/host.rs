//! The machine below Flota: kernel, control groups, systemd, clock, what runs containers.

use crate::{Blind, Clock, Engine, Facts, Finding, Systemd};

/// What Debian 12 has: the oldest that Flota is tested with.
const OLDEST_KERNEL: (u32, u32) = (6, 1);
/// What Debian 12 has.
const OLDEST_SYSTEMD: u32 = 252;
/// What limits in unit files work by.
const CONTROLLERS: [(&str, &str); 3] = [("cpu", "CPUQuota="), ("memory", "MemoryMax="), ("pids", "TasksMax=")];
/// Clocks that differ by more let machines refuse each other's certificates and tokens: joining is refused from here on.
const CLOCKS_APART_MS: u64 = 60_000;
/// Clocks that are kept differ by less.
const CLOCKS_DIFFER_MS: u64 = 5_000;

pub(super) fn kernel(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "kernel";
    let kernel = match &facts.kernel {
        Ok(kernel) => kernel,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    let upgrade = if facts.container { "upgrade the host" } else { "apt-get install linux-image-amd64 && reboot" };
    let mut findings = Vec::new();
    if version(&kernel.release).is_some_and(|version| version < OLDEST_KERNEL) {
        let (major, minor) = OLDEST_KERNEL;
        let what = format!("{} is older than {major}.{minor}, the oldest that Flota is tested with", kernel.release);
        findings.push(Finding::warn(CHECK, what, upgrade));
    }
    // A container has the modules that its host has loaded; which others it could have is not to be seen.
    if !kernel.missing.is_empty() && !facts.container {
        let missing = kernel.missing.join(", ");
        findings.push(if kernel.has_modules {
            Finding::warn(CHECK, format!("{} lacks {missing}, which containers need", kernel.release), upgrade)
        } else {
            let what = format!("{missing} cannot be loaded: the modules of the running {} are gone", kernel.release);
            Finding::warn(CHECK, what, "reboot")
        });
    }
    if findings.is_empty() { vec![Finding::ok(CHECK, &kernel.release)] } else { findings }
}

/// The first two numbers of a version.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

pub(super) fn cgroups(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "cgroup";
    let cgroups = match &facts.cgroups {
        Ok(cgroups) => cgroups,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    if cgroups.version != 2 {
        let mend = "remove systemd.unified_cgroup_hierarchy=0 from the kernel's command line and reboot";
        return vec![Finding::warn(CHECK, "control groups are of version 1, which systemd gives up", mend)];
    }
    let lacks = CONTROLLERS.into_iter().filter(|(controller, _)| !cgroups.controllers.contains(*controller));
    let findings: Vec<Finding> = lacks
        .map(|(controller, option)| {
            let what = format!("version 2 without the controller {controller}: {option} of units has no effect");
            let mend = match (facts.container, controller) {
                (true, _) => format!("hand {controller} down to this container on its host"),
                (false, "memory") => {
                    "add cgroup_enable=memory to the kernel's command line (/etc/default/grub) and reboot".to_owned()
                }
                (false, _) => "boot Debian's kernel: apt-get install linux-image-amd64 && reboot".to_owned(),
            };
            Finding::warn(CHECK, what, mend)
        })
        .collect();
    if findings.is_empty() { vec![Finding::ok(CHECK, "version 2")] } else { findings }
}

pub(super) fn systemd(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "systemd";
    let bus = match &facts.systemd {
        Err(why) => return vec![Finding::blind(CHECK, why)],
        Ok(Systemd::NotInit(name)) => {
            let what = format!("process 1 is {name}: there is no systemd to start units");
            return vec![Finding::fail(CHECK, what, "apt-get install systemd-sysv && reboot")];
        }
        Ok(Systemd::Init(Err(why))) => {
            let what = format!("systemd does not answer over D-Bus: {why}");
            return vec![Finding::fail(CHECK, what, "apt-get install dbus; systemctl start dbus.socket")];
        }
        Ok(Systemd::Init(Ok(bus))) => bus,
    };
    let number: Option<u32> = bus.version.split(|c: char| !c.is_ascii_digit()).next().and_then(|it| it.parse().ok());
    if number.is_some_and(|number| number < OLDEST_SYSTEMD) {
        let what = format!("{} is older than {OLDEST_SYSTEMD}, the oldest that Flota is tested with", bus.version);
        return vec![Finding::warn(CHECK, what, "upgrade to Debian 12 or later")];
    }
    match bus.state.as_str() {
        "maintenance" | "stopping" | "offline" => {
            vec![Finding::warn(CHECK, format!("{}, {}", bus.version, bus.state), "systemctl default")]
        }
        // Whatever unit failed is not Flota's affair; that one did is worth a word.
        "degraded" => vec![Finding::ok(CHECK, format!("{}, degraded (systemctl --failed)", bus.version))],
        state => vec![Finding::ok(CHECK, format!("{}, {state}", bus.version))],
    }
}

pub(super) fn clock(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "clock";
    let mut findings = Vec::new();
    match &facts.clock {
        Err(why) => findings.push(Finding::blind(CHECK, why)),
        Ok(Clock { synchronised: true, .. }) => {}
        Ok(Clock { can_ntp, ntp, .. }) => {
            let mend = match (facts.container, can_ntp, ntp) {
                (true, ..) => "timedatectl set-ntp true, on the host",
                (false, false, _) => "apt-get install systemd-timesyncd",
                (false, true, false) => "timedatectl set-ntp true",
                (false, true, true) => "timedatectl timesync-status; is a time server within reach?",
            };
            findings.push(Finding::warn(CHECK, "nobody keeps the clock: it is not synchronised", mend));
        }
    }
    let mut compared = 0;
    for peer in facts.peers.iter().flatten() {
        let Some(ahead) = peer.ahead_ms else { continue };
        compared += 1;
        let apart = ahead.unsigned_abs();
        let side = if ahead > 0 { "behind" } else { "ahead of" };
        let what = format!("{}.{} s {side} the clock of {}", apart / 1000, apart % 1000 / 100, peer.name);
        let mend = "timedatectl set-ntp true, on both machines";
        if apart >= CLOCKS_APART_MS {
            findings.push(Finding::fail(CHECK, format!("{what}: certificates and tokens are misjudged"), mend));
        } else if apart >= CLOCKS_DIFFER_MS {
            findings.push(Finding::warn(CHECK, what, mend));
        }
    }
    if findings.is_empty() {
        let compared = if compared > 0 { format!(", as {compared} other machines have it") } else { String::new() };
        findings.push(Finding::ok(CHECK, format!("synchronised{compared}")));
    }
    findings
}

pub(super) fn containers(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "containers";
    let engines = match &facts.engines {
        Ok(engines) => engines,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    if engines.is_empty() {
        let what = "neither docker nor podman is there: units that run containers fail";
        return vec![Finding::warn(CHECK, what, "apt-get install docker.io, or podman")];
    }
    engines.iter().map(|engine| one_engine(CHECK, engine)).collect()
}

fn one_engine(check: &'static str, engine: &Engine) -> Finding {
    let silent = |why: &str| {
        let mend = match engine.name {
            "docker" => "systemctl start docker; journalctl -u docker -n 20",
            _ => "podman info; then podman system migrate, or podman system reset",
        };
        Finding::warn(check, format!("{} does not answer: {why}", engine.name), mend)
    };
    match &engine.answer {
        Ok(Ok(version)) => Finding::ok(check, format!("{} {version}", engine.name)),
        Ok(Err(why)) => silent(why),
        Err(late @ Blind::Late(..)) => silent(&late.to_string()),
        Err(why) => Finding::blind(check, why),
    }
}

pub(super) fn security(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "security";
    let security = match &facts.security {
        Ok(security) => security,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    let has_docker = facts.engines.iter().flatten().any(|engine| engine.name == "docker");
    let mut findings = Vec::new();
    // Docker then refuses to start any container. In a container it does not look.
    if security.apparmor && !security.apparmor_parser && has_docker && !facts.container {
        let what = "AppArmor is on, but docker cannot load its profile: there is no apparmor_parser";
        findings.push(Finding::fail(CHECK, what, "apt-get install apparmor && systemctl restart docker"));
    }
    if security.selinux_enforces {
        let what = "SELinux enforces a policy; Flota ships none and is not tested with one";
        findings.push(Finding::warn(CHECK, what, "setenforce 0, or allow what ausearch -m avc -c flota shows"));
    }
    if findings.is_empty() { vec![Finding::ok(CHECK, "nothing stands in the way")] } else { findings }
}
