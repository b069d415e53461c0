//! The same application as one writes it today.

use std::time::{Duration, Instant};

use flota_e2e::{Cluster, eventually, full_length, with_elk_images};

use crate::application::{Application, SERVERS, server, tell};

/// How long nginx may take to follow, in seconds.
const FOLLOWS: f64 = 2.0;

/// How long the application may take to be whole after a machine was lost, in seconds.
const WHOLE: f64 = 20.0;

/// What a busy host may add in the default run, as a factor.
const SLACK: f64 = 4.0;

#[track_caller]
fn in_budget(what: &str, took: Duration, budget: f64) {
    tell(&format!("elk: {what}: {:.1} s of {budget} s", took.as_secs_f64()));
    let bound = if full_length() { budget } else { budget * SLACK };
    assert!(took.as_secs_f64() <= bound, "{what}: {took:?}");
}

/// Waits until nginx passes requests to that server, or does not any more.
#[track_caller]
fn nginx_follows(application: &Application<'_>, port: u16, there: bool) {
    let nginx = application.place("nginx.service");
    let began = Instant::now();
    eventually("nginx follows", 30, || {
        let servers = nginx.run("docker exec nginx grep -o ':50[0-9][0-9] ' /etc/nginx/nginx.conf");
        let found = servers.stdout.contains(&format!(":{port} "));
        if servers.code == 0 && found == there { Ok(()) } else { Err(servers.to_string()) }
    });
    in_budget(&format!("nginx follows server {port}"), began.elapsed(), FOLLOWS);
}

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn servers_come_and_go_and_machines_are_lost_while_requests_run() {
    let cluster = with_elk_images();
    let application = Application::start(&cluster, "today");
    let began = application.script().answered.last().copied().unwrap_or_default();

    cluster.m1().run("flota start sinatra@5005").ok();
    nginx_follows(&application, 5005, true);
    // Also while it is stopped: its key goes first.
    cluster.m1().run("flota stop --no-block sinatra@5001").ok();
    eventually("the key of 5001 is gone", 10, || match application.key("/app/server/5001") {
        None => Ok(()),
        Some(value) => Err(value),
    });
    nginx_follows(&application, 5001, false);
    cluster.m1().run("flota destroy sinatra@5001").ok();
    std::thread::sleep(Duration::from_secs(3));
    application.no_failure_since(began);
    application.all_logged(5);

    lose_the_machine_of(&cluster, &application, "nginx.service");
    cluster.power_on();
    cluster.together();
    lose_the_machine_of(&cluster, &application, "logstash.service");
    cluster.power_on();
    cluster.together();
}

/// Cuts the power of a unit's machine: everything is whole on the others soon, and nothing of the dead is left.
#[track_caller]
fn lose_the_machine_of(cluster: &Cluster, application: &Application<'_>, unit: &str) {
    let lost = application.place(unit);
    assert_ne!(lost.name, application.place("elasticsearch.service").name, "the log store would be lost with it");
    cluster.lab().kill(lost.name).unwrap();
    let began = Instant::now();
    eventually("all units are elsewhere", 80, || {
        let asked = cluster.asked();
        let list = asked.run("flota list-units --no-legend --full --fields unit,machine,active,sub");
        let good = |row: &&str| row.ends_with("  active  running") && !row.contains(lost.id);
        let rows: Vec<&str> = list.stdout.lines().collect();
        if rows.len() == 4 + SERVERS.len() && rows.iter().all(good) { Ok(()) } else { Err(list.to_string()) }
    });
    eventually("requests are answered", 60, || {
        let script = application.script();
        if script.answered.len() > 5 && script.answered.last() > script.failed.keys().last() {
            Ok(())
        } else {
            Err(format!("{:?}", script.failed))
        }
    });
    application.goes_on_counting(60);
    in_budget(&format!("whole without {}, which ran {unit}", lost.name), began.elapsed(), WHOLE);
    let dead = lost.address.to_string();
    eventually("no key of the dead is left", 20, || {
        let mut keys = vec!["/nginx/host".to_owned(), "/logstash/host".to_owned()];
        keys.extend([5000, 5002, 5003, 5004, 5005].map(|port| format!("/app/server/{port}")));
        let old: Vec<_> =
            keys.iter().filter(|key| application.key(key).is_none_or(|value| value.contains(&dead))).collect();
        if old.is_empty() { Ok(()) } else { Err(format!("{old:?}")) }
    });
    let place = application.place(&server(5005));
    assert_ne!(place.name, lost.name);
}
