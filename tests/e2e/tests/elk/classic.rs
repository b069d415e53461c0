//! The unit files of 2014.

use std::collections::BTreeSet;
use std::time::Duration;

use flota_e2e::{eventually, with_elk_images};

use crate::application::{Application, SERVERS, server};
use crate::log_store;

#[test]
#[ignore = "needs root and lab machines; run by cargo xtask test"]
fn unit_files_of_2014_run_unmodified_and_find_each_other() {
    let cluster = with_elk_images();
    let application = Application::start(&cluster, "classic");
    let began = application.script().answered.last().copied().unwrap_or_default();

    let servers: BTreeSet<_> = SERVERS.iter().map(|port| application.place(&server(*port)).name).collect();
    assert_eq!(servers.len(), SERVERS.len(), "each server is on a machine of its own");
    for (unit, key) in
        [("elasticsearch", "/elasticsearch/host"), ("logstash", "/logstash/host"), ("nginx", "/nginx/host")]
    {
        let place = application.place(&format!("{unit}.service")).address.to_string();
        assert_eq!(application.key(key), Some(place), "{key}");
    }
    for port in SERVERS {
        let place = application.place(&server(port)).address;
        assert_eq!(application.key(&format!("/app/server/{port}")), Some(format!("{place}:{port}")));
    }
    for (name, begins) in [("certificate", "-----BEGIN CERTIFICATE"), ("private_key", "-----BEGIN PRIVATE KEY")] {
        let value = application.key(&format!("/logstash/ssl_{name}")).unwrap_or_default();
        assert!(value.starts_with(begins), "{name}: {value}");
    }

    // Some seconds of traffic.
    std::thread::sleep(Duration::from_secs(8));
    application.no_failure_since(began);
    application.all_logged(5);
    let by = log_store::servers(application.store()).unwrap();
    let (least, most) = (by.values().min().unwrap(), by.values().max().unwrap());
    assert!(least * 4 > *most, "not spread over the servers: {by:?}");

    let all: Vec<String> = SERVERS.iter().map(|port| format!("sinatra@{port}")).collect();
    let m1 = cluster.m1();
    m1.run(&format!("fleetctl stop test-script nginx {} logstash elasticsearch", all.join(" "))).ok();
    eventually("what was registered is gone", 20, || {
        let left = m1.run("ETCDCTL_API=2 etcdctl ls --recursive / | grep -E 'host|ssl|server/'");
        if left.stdout.is_empty() { Ok(()) } else { Err(left.to_string()) }
    });
}
