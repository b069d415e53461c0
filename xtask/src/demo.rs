//! `cargo xtask demo`: unit files in, containers on three Debian machines out, and one machine lost.
//!
//! May be interrupted and repeated at any point: each step makes what is missing and leaves what is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::http;
use crate::lab::{FIRST, Lab};
use crate::packages;
use crate::shell::{self, root};
use crate::steps::{Steps, pretty};

/// A lab of its own: the demo cuts the power of its machines.
const LAB: &str = "demo";
const SUBNET: &str = "10.78.1.0/24";
const UNIT_FILE: &str = "examples/web/web@.service";
const TEMPLATE: &str = "web@.service";

/// Each with the port that its unit file gives it.
const INSTANCES: [(&str, u16); 2] = [("web@1.service", 8081), ("web@2.service", 8082)];

/// How long a page may take: the unit is active when `docker run` runs, its server answers a moment later.
const PAGE_PATIENCE: Duration = Duration::from_secs(20);

/// How long a unit may take to move: the lease and the grace of its machine, and a container's start.
const MOVE_PATIENCE: Duration = Duration::from_secs(60);

/// Pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(200);

const NEXT: &str = "
What to try next, as root:

  PATH=$PWD/target/release:$PATH
  alias m1='flota lab exec --name demo m1 --'   # any machine answers for the whole cluster; m1 is one
  m1 flota list-units                 # what runs where
  m1 flota why web@1                  # and why there
  m1 flota status web@1               # systemctl status, from the machine that has it
  m1 flota journal web@2              # its log, likewise
  m1 flota start web@3                # no machine is free for a third one: it says so, and waits for one
  flota lab start --name demo LOST      # power for the lost machine: now web@3 starts
  m1 flota stop web@1                 # stays loaded; `start` starts it again
  flota lab exec --name demo m2       # a shell on m2: docker ps, systemctl status, flota help
  flota lab down --name demo          # takes the machines away; their Debian image stays in /var/cache/flota-lab

The unit file is examples/web/web@.service. `cargo xtask demo` again takes less than a minute.
";

/// Runs the demo, then tells its times and what to try.
pub fn run() -> Result<()> {
    let mut steps = Steps::new();
    let lost = demonstrate(&mut steps)?;
    steps.summary("demo done");
    print!("{}", NEXT.replace("LOST", &lost));
    Ok(())
}

/// The steps; the name of the machine that was lost.
fn demonstrate(steps: &mut Steps) -> Result<String> {
    if !packages::is_root()? {
        bail!("the demo makes machines with systemd-nspawn; run it as root");
    }
    steps.run("Debian packages", || packages::ensure(&[packages::BUILD, packages::LAB]))?;
    let lab = steps.run("build flota (release)", || Lab::build(LAB))?;
    steps.run("boot three Debian machines, one cluster", || {
        shell::run(&mut lab.verb("up", ["-n", "3", "--subnet", SUBNET]))
    })?;
    steps.run("container image flota/web:1 from Debian packages", || lab.load_web_image())?;
    steps.run("submit a unit file", || submit(&lab))?;
    steps.run("start two instances", || flota(&lab, &["start", "web@1", "web@2"]))?;
    steps.run("what runs where", || {
        flota(&lab, &["list-machines"])?;
        flota(&lab, &["list-units"])
    })?;
    let places = places(&lab)?;
    steps.run("a page from each, over HTTP from this host", || {
        INSTANCES.iter().try_for_each(|(unit, port)| page(&lab, unit, *port, place_of(&places, unit)?))
    })?;
    let (unit, port, lost) = victim(&places)?;
    steps
        .run(&format!("power off {lost}, which runs {unit}"), || shell::run(&mut lab.verb("kill", [lost.as_str()])))?;
    let found = steps.run(&format!("{unit} on another machine"), || wait_for_move(&lab, unit, &lost))?;
    steps.run("its page, from there", || {
        page(&lab, unit, port, &found)?;
        flota(&lab, &["list-machines"])?;
        flota(&lab, &["list-units"])?;
        flota(&lab, &["why", unit])
    })?;
    Ok(lost)
}

/// `flota` on the first machine, shown as one would type it there.
fn flota(lab: &Lab, args: &[&str]) -> Result<()> {
    println!("\n{FIRST}# flota {}", args.join(" "));
    shell::run(&mut lab.exec(FIRST, &[&["flota"], args].concat()))
}

/// Copies the unit file to the first machine and submits it; what an earlier demo left is taken away first.
fn submit(lab: &Lab) -> Result<()> {
    for unit in [INSTANCES[0].0, INSTANCES[1].0, TEMPLATE] {
        // That there is none is the usual case, and no error worth telling.
        shell::output(&mut lab.exec(FIRST, &["flota", "destroy", unit]))?;
    }
    let path = root().join(UNIT_FILE);
    let file = File::open(&path).with_context(|| format!("can't open {}", path.display()))?;
    shell::run(lab.exec(FIRST, &["sh", "-c", &format!("cat > {TEMPLATE}")]).stdin(file))?;
    flota(lab, &["submit", TEMPLATE])?;
    flota(lab, &["cat", TEMPLATE])
}

/// The machine of each unit that is active.
fn places(lab: &Lab) -> Result<BTreeMap<String, String>> {
    let active = lab.states()?.into_iter().filter(|state| state.active == "active");
    Ok(active.map(|state| (state.unit, state.machine)).collect())
}

fn place_of<'a>(places: &'a BTreeMap<String, String>, unit: &str) -> Result<&'a str> {
    places.get(unit).map(String::as_str).with_context(|| format!("{unit} is not active"))
}

/// An instance whose machine can be lost: not the one with the store, without which nothing would be placed anew.
fn victim(places: &BTreeMap<String, String>) -> Result<(&'static str, u16, String)> {
    for (unit, port) in INSTANCES {
        let machine = place_of(places, unit)?;
        if machine != FIRST {
            return Ok((unit, port, machine.to_owned()));
        }
    }
    bail!("both instances are on {FIRST}, in spite of `Conflicts=web@*`")
}

/// Fetches the unit's page from the machine and shows it. It must come from that machine.
fn page(lab: &Lab, unit: &str, port: u16, machine: &str) -> Result<()> {
    let running: BTreeMap<String, Ipv4Addr> = lab.running()?;
    let address = running.get(machine).with_context(|| format!("{machine} does not run"))?;
    let address = SocketAddr::from((*address, port));
    let began = Instant::now();
    loop {
        match http::get(address) {
            Ok(answer) if answer.status == 200 && answer.body.contains(&format!("machine {machine}")) => {
                println!("    {unit:14} http://{address}/  {}", answer.body.trim());
                return Ok(());
            }
            Ok(answer) if began.elapsed() > PAGE_PATIENCE => {
                bail!("{unit} on {machine} answers with {}: {}", answer.status, answer.body.trim())
            }
            Err(error) if began.elapsed() > PAGE_PATIENCE => return Err(error),
            Ok(_) | Err(_) => sleep(LOOK_EVERY),
        }
    }
}

/// Waits until the unit is active on a machine other than the lost one; tells what happens meanwhile.
fn wait_for_move(lab: &Lab, unit: &str, lost: &str) -> Result<String> {
    let began = Instant::now();
    let mut told = String::new();
    while began.elapsed() < MOVE_PATIENCE {
        let alive = lab.members()?.values().any(|machine| machine == lost);
        let place = lab.states()?.into_iter().find(|state| state.unit == unit && state.machine != lost);
        let now = match place {
            Some(state) if state.active == "active" => {
                println!("    {:>7}  {unit} is active on {}", pretty(began.elapsed()), state.machine);
                return Ok(state.machine);
            }
            _ if alive => format!("the cluster waits for {lost}: its lease has not ended"),
            Some(state) if state.machine != "?" => format!("{unit} is {} on {}", state.active, state.machine),
            _ => format!("{lost} is gone; a short grace, for it could come back"),
        };
        if now != told {
            println!("    {:>7}  {now}", pretty(began.elapsed()));
            told = now;
        }
        sleep(LOOK_EVERY);
    }
    bail!("{unit} did not come up elsewhere within {}", pretty(MOVE_PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(first: &str, second: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("web@1.service".into(), first.into()), ("web@2.service".into(), second.into())])
    }

    #[test]
    fn the_machine_with_the_store_keeps_its_power() {
        assert_eq!(victim(&places("m1", "m3")).unwrap(), ("web@2.service", 8082, "m3".to_owned()));
        assert_eq!(victim(&places("m2", "m1")).unwrap(), ("web@1.service", 8081, "m2".to_owned()));
        assert_eq!(victim(&places("m3", "m2")).unwrap(), ("web@1.service", 8081, "m3".to_owned()));
        assert!(victim(&places("m1", "m1")).is_err());
        assert!(victim(&BTreeMap::new()).is_err());
    }

    #[test]
    fn the_ports_are_those_of_the_unit_file() {
        let text = std::fs::read_to_string(root().join(UNIT_FILE)).unwrap();
        assert!(text.contains("--publish 808%i:80"), "{text}");
        for (unit, port) in INSTANCES {
            let instance = unit.trim_start_matches("web@").trim_end_matches(".service");
            assert_eq!(port.to_string(), format!("808{instance}"));
        }
    }
}
