//! Which unit this process is part of, by its control group.

use flota_unit::{UnitKind, UnitName};

use crate::{exit::Exit, failure::Failure};

/// The unit of this process.
pub fn calling_unit() -> Result<UnitName, Failure> {
    const PATH: &str = "/proc/self/cgroup";
    let text = std::fs::read_to_string(PATH)
        .map_err(|error| Failure::new(Exit::FAILURE, format!("cannot read {PATH}: {error}")))?;
    unit_of(&text).map_err(|why| {
        Failure::new(Exit::USAGE, format!("--lease unit: {why}"))
            .with_hint("name the unit whose life the key is to share: --lease unit:NAME")
    })
}

/// The unit that a process with these control groups is part of; why none otherwise. Processes of `ExecStartPost=` and the
/// like are in a group below their unit's.
fn unit_of(cgroups: &str) -> Result<UnitName, String> {
    let group = |prefix: &str| cgroups.lines().find_map(|line| line.strip_prefix(prefix));
    let unified = group("0::").and_then(first_unit);
    let legacy =
        || cgroups.lines().find_map(|line| line.split_once(":name=systemd:")).and_then(|(_, path)| first_unit(path));
    let Some(unit) = unified.or_else(legacy) else {
        return Err("this is not typed in a unit of this machine's systemd".to_owned());
    };
    let name = unit.as_str();
    match unit.kind() {
        UnitKind::Scope if name.starts_with("session-") => {
            Err(format!("this is typed in a login session ({name}), not in a service"))
        }
        UnitKind::Scope if name == "init.scope" => Err("this is not typed in a unit, but in systemd itself".to_owned()),
        UnitKind::Service if name.starts_with("user@") => {
            Err(format!("this is typed in a unit of a user's own systemd ({name}), whose units cannot be followed"))
        }
        _ => Ok(unit),
    }
}

/// The first part of a path that is a unit with processes. A name that could be a kernel file has `_` in front.
fn first_unit(path: &str) -> Option<UnitName> {
    let names = path.split('/').map(|part| part.strip_prefix('_').unwrap_or(part));
    names.filter_map(|part| part.parse::<UnitName>().ok()).find(|unit| unit.kind() != UnitKind::Slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cgroups: &str, expected: Result<&str, &str>) {
        match (unit_of(cgroups), expected) {
            (Ok(unit), Ok(expected)) => assert_eq!(unit.as_str(), expected, "{cgroups}"),
            (Err(why), Err(words)) => assert!(why.contains(words), "{cgroups}: {why}"),
            (other, _) => panic!("{cgroups}: {other:?}"),
        }
    }

    #[test]
    fn processes_of_units() {
        check("0::/system.slice/web.service\n", Ok("web.service"));
        check("0::/system.slice/system-web.slice/web@1.service/.control\n", Ok("web@1.service"));
        check("0::/system.slice/web.service/control\n", Ok("web.service"));
        check("0::/system.slice/docker-0a1b.scope/init\n", Ok("docker-0a1b.scope"));
        check("0::/_cpu.service\n", Ok("cpu.service"));
        check(
            "12:pids:/system.slice/x.service\n1:name=systemd:/system.slice/web.service/control\n0::/\n",
            Ok("web.service"),
        );
    }

    #[test]
    fn processes_outside_of_units() {
        check("0::/\n", Err("not typed in a unit"));
        check("0::/../../lab/m1\n", Err("not typed in a unit"));
        check("", Err("not typed in a unit"));
        check("0::/init.scope\n", Err("systemd itself"));
        check("0::/user.slice/user-0.slice/session-3.scope\n", Err("login session (session-3.scope)"));
        check("0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.service\n", Err("user's own systemd"));
    }
}
