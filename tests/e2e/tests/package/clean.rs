//! From a fresh stock Debian without Docker to the first unit, as the README has it.

use std::time::Instant;

use flota_e2e::{Stock, StockMachine, full_length, packages, texts};
use flota_lab::Suite;

const TRIXIE: StockMachine = StockMachine { suite: Suite::Trixie, packages: &[] };

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test --e2e"]
fn a_stock_machine_without_docker_runs_its_first_unit_after_one_installation() {
    if !full_length() {
        return;
    }
    let stock = Stock::boot("clean", "10.78.247.0/24", &[TRIXIE]);
    let node = stock.m(1);
    stock.copy(&packages().own, 1);
    node.run("command -v docker podman").code(127);
    node.write("sleep@.service", texts::SLEEP);
    let began = Instant::now();
    node.run_within(600, "apt-get --quiet update").ok();
    let updated = began.elapsed();
    // What a stock Debian does without being told; machines of a lab are told not to.
    let install = "apt-get --quiet --yes --option APT::Install-Recommends=true install ./flota_*.deb";
    node.run_within(600, &format!("DEBIAN_FRONTEND=noninteractive {install}")).ok();
    let installed = began.elapsed();
    node.run("flota start sleep@1").ok();
    let running = began.elapsed();
    assert_eq!(node.ask("systemctl is-active sleep@1"), "active");
    assert!(node.ask("docker version --format '{{.Server.Version}}'").contains('.'));
    println!(
        "lists after {:.1} s, installed with Docker after {:.1} s, first unit running after {:.1} s",
        updated.as_secs_f32(),
        installed.as_secs_f32(),
        running.as_secs_f32()
    );
}
