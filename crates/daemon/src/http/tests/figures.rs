//! What a large cluster costs a client: measured, not judged, for the machine it runs on is anybody's.

use std::time::Instant;

use flota_api::Client;
use flota_api::v1::{DesiredState, Unit, UnitOption};
use flota_registry::TargetState::Launched;

use super::rig::Rig;

fn unit(name: &str) -> Unit {
    let option = |section: &str, name: &str, value: &str| UnitOption {
        section: section.to_owned(),
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let options = vec![
        option("Unit", "Description", name),
        option("Service", "ExecStart", "/bin/sleep 100"),
        option("Service", "Restart", "on-failure"),
        option("X-Fleet", "MachineMetadata", "disk=ssd"),
    ];
    let desired_state = Some(DesiredState::Launched);
    Unit { name: name.to_owned(), options, desired_state, ..Unit::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; run it optimised, with --ignored --nocapture"]
async fn figures_of_5000_units_on_50_machines() {
    const UNITS: u32 = 5000;
    const MACHINES: u32 = 50;
    let rig = Rig::start().await;
    let client = Client::new(format!("unix://{}", rig.socket.display()).parse().unwrap());
    let names: Vec<String> = (0..UNITS).map(|number| format!("unit{number:04}.service")).collect();
    let mut started = Instant::now();
    for (count, name) in names.iter().enumerate() {
        client.put_unit(&unit(name)).await.unwrap();
        if count == 999 {
            println!("1000 submits, one after the other: {:?}", started.elapsed());
        }
    }
    println!("5000 submits, one after the other: {:?}", started.elapsed());
    for (number, names) in (1..=MACHINES).zip(names.chunks(UNITS as usize / MACHINES as usize)) {
        rig.join(number, &[]).await;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        rig.schedule(number, &names.iter().map(|name| (*name, Launched)).collect::<Vec<_>>()).await;
        rig.report(number, &names).await;
    }
    let fresh = rig.second_api();
    let cold = Client::new(format!("unix://{}", fresh.display()).parse().unwrap());
    started = Instant::now();
    assert_eq!(cold.states(None, None).await.unwrap().len(), 5000);
    println!("states, first request of all: {:?}", started.elapsed());
    for _ in 0..3 {
        started = Instant::now();
        assert_eq!(cold.states(None, None).await.unwrap().len(), 5000);
        println!("states: {:?}", started.elapsed());
        started = Instant::now();
        assert_eq!(cold.units().await.unwrap().len(), 5000);
        println!("units: {:?}", started.elapsed());
        started = Instant::now();
        assert_eq!(cold.machines().await.unwrap().len(), 50);
        println!("machines: {:?}", started.elapsed());
        started = Instant::now();
        assert!(cold.unit(&names[77]).await.unwrap().is_some());
        println!("one unit: {:?}", started.elapsed());
    }
}
