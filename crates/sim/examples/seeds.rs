//! Runs a range of seeds: `seeds FIRST COUNT [MACHINES [FAULTS]]`. Prints the first violation, with what led to it, and fails then.

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::process::ExitCode;

use flota_sim::{Script, run};

fn main() -> ExitCode {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let [first, count, rest @ ..] = numbers.as_slice() else {
        println!("usage: seeds FIRST COUNT [MACHINES [FAULTS]]");
        return ExitCode::from(2);
    };
    let number = |at: usize, default: u32| rest.get(at).and_then(|n| u32::try_from(*n).ok()).unwrap_or(default);
    let script = Script::default();
    let script = Script { machines: number(0, script.machines), faults: number(1, script.faults), ..script };
    let mut actions = 0;
    for seed in *first..first.saturating_add(*count) {
        match run(seed, &script) {
            Ok(summary) => actions += summary.actions,
            Err(violation) => {
                println!("{violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{count} worlds, {actions} things that happened in them, every promise held");
    ExitCode::SUCCESS
}
