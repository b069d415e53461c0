//! `lab fault`: what goes wrong on a machine of the lab, and its mending.

use std::io;
use std::time::Duration;

use flota_lab::{CableFault, Lab};

use super::{failure, name_flag, open};
use crate::{
    cli::{LabCutArgs, LabDelayArgs, LabFaultVerb, LabMachineArg},
    exit::Exit,
    failure::Failure,
    output::printer::Printer,
};

/// Runs the verb.
pub fn run(printer: &mut Printer<'_>, verb: LabFaultVerb) -> Result<Exit, Failure> {
    match verb {
        LabFaultVerb::Cut(arguments) => damage(printer, &arguments.at, cut(&arguments))?,
        LabFaultVerb::Loss(arguments) => damage(printer, &arguments.at, CableFault::Lossy(arguments.percent))?,
        LabFaultVerb::Heal(at) => at_machine(&at, Lab::heal)?,
        LabFaultVerb::Delay(arguments) => delay(printer, &arguments)?,
        LabFaultVerb::Freeze(at) => at_machine(&at, Lab::freeze)?,
        LabFaultVerb::Thaw(at) => at_machine(&at, Lab::thaw)?,
        LabFaultVerb::Pause(arguments) => at_machine(&arguments.at, |lab, on| lab.pause(on, &arguments.unit))?,
        LabFaultVerb::Resume(arguments) => at_machine(&arguments.at, |lab, on| lab.resume(on, &arguments.unit))?,
        LabFaultVerb::SlowDisk(arguments) => {
            let writes = Some(arguments.writes).filter(|writes| *writes > 0);
            at_machine(&arguments.at, |lab, on| lab.slow_disk(on, writes))?;
        }
    }
    Ok(Exit::SUCCESS)
}

fn at_machine(at: &LabMachineArg, act: impl FnOnce(&Lab, &str) -> flota_lab::Result<()>) -> Result<(), Failure> {
    act(&open(&at.name.lab)?, &at.machine).map_err(failure)
}

fn cut(arguments: &LabCutArgs) -> CableFault {
    match (arguments.deaf, arguments.mute) {
        (true, _) => CableFault::Deaf,
        (_, true) => CableFault::Mute,
        _ => CableFault::Cut,
    }
}

fn damage(printer: &mut Printer<'_>, at: &LabMachineArg, fault: CableFault) -> Result<(), Failure> {
    at_machine(at, |lab, machine| lab.damage(machine, fault))?;
    let lab = name_flag(&at.name.lab);
    printer.say(&format!("mend it with: flota lab fault heal{lab} {}", at.machine));
    Ok(())
}

/// The delay is this program's own work: it lasts as long as it runs.
fn delay(printer: &mut Printer<'_>, arguments: &LabDelayArgs) -> Result<(), Failure> {
    let (machine, time) = (&arguments.at.machine, Duration::from_millis(arguments.milliseconds));
    let _delay = open(&arguments.at.name.lab)?.delay(machine, time).map_err(failure)?;
    printer.say(&format!("packets of {machine} are late; the end of the input ends that (Ctrl-D)"));
    // An input that can't be read has ended, too.
    io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
    Ok(())
}
