//! Seeded worlds: whatever goes wrong, the promises hold, and in the end everything runs where it should.

use flota_sim::{Script, run};

/// Worlds of the default test run.
const SEEDS: u64 = 200;

#[test]
fn whatever_goes_wrong_healthy_units_run_on_and_in_the_end_everything_runs_once() {
    let (mut commits, mut starts) = (0, 0);
    for seed in 0..SEEDS {
        match run(seed, &Script::default()) {
            Ok(summary) => {
                commits += summary.commits;
                starts += summary.starts;
            }
            Err(violation) => panic!("{violation}"),
        }
    }
    assert!(commits > SEEDS * 5 && starts > SEEDS * 5, "worlds in which little happens: {commits}, {starts}");
}

#[test]
fn the_same_seed_gives_the_same_world() {
    for seed in 0..5 {
        let script = Script::default();
        assert_eq!(run(seed, &script).unwrap(), run(seed, &script).unwrap());
    }
}
