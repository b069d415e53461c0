//! `/metrics`: what the daemon counts, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use super::Api;

/// Answers by status.
#[derive(Default)]
pub struct Requests(Mutex<BTreeMap<u16, u64>>);

impl Requests {
    pub fn count(&self, status: StatusCode) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(status.as_u16()).or_default() += 1;
    }
}

pub async fn show(State(api): State<Arc<Api>>) -> impl IntoResponse {
    let connected = api.link.borrow().is_some();
    let leads = api.leader.borrow().as_ref() == Some(&api.me);
    let mut text = String::new();
    gauge(&mut text, "flota_store_connected", "Whether the store is reached.", u64::from(connected));
    gauge(&mut text, "flota_leader", "Whether this machine decides on placement.", u64::from(leads));
    gauge(&mut text, "flota_schedule_generation", "The schedule that this machine holds.", *api.generation.borrow());
    // Only what is at hand: a scrape every few seconds must not keep the API's view of the cluster alive.
    if let Some(feed) = &*api.feed.lock().await {
        let view = feed.view();
        gauge(&mut text, "flota_units", "Units that the cluster knows.", view.snapshot.units().len() as u64);
        gauge(&mut text, "flota_machines", "Machines that live.", view.snapshot.machines().len() as u64);
    }
    gauge(&mut text, "flota_event_streams", "Clients of the event stream.", api.streams.open() as u64);
    text.push_str(
        "# HELP flota_api_requests_total Answers of the API by status.\n# TYPE flota_api_requests_total counter\n",
    );
    for (status, count) in &*api.requests.0.lock().unwrap_or_else(PoisonError::into_inner) {
        // Writing into a string has no way to fail.
        let _ = writeln!(text, "flota_api_requests_total{{code=\"{status}\"}} {count}");
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

fn gauge(text: &mut String, name: &str, help: &str, value: u64) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}
