//! `/metrics`: the numbers of etcd that dashboards and alerts are made of, as far as the store has them.

use std::fmt::{Display, Write};
use std::time::UNIX_EPOCH;

use tonic::Code;

use super::{CLUSTER_VERSION, ETCD_VERSION};
use crate::metrics::Histogram;
use crate::shared::Shared;

/// Kernel ticks in a second, as every Linux reports processor time.
const TICKS: f64 = 100.0;

/// Everything in Prometheus' text format.
pub(super) fn text(shared: &Shared) -> String {
    let mut page = Page { text: String::new() };
    server(&mut page, shared);
    data(&mut page, shared);
    calls(&mut page, shared);
    process(&mut page, shared);
    page.text
}

struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing into a string cannot fail; here and below.
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        let _ = writeln!(self.text, "{name} {value}");
    }

    /// A gauge of 1 that is there for its label.
    fn label(&mut self, name: &str, help: &str, label: &str, value: impl Display) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.text, "{name}{{{label}=\"{value}\"}} 1");
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let mut below = 0;
        for (class, counter) in histogram.classes.iter().enumerate() {
            below += counter.get();
            let limit = if class + 1 == histogram.classes.len() {
                "+Inf".to_owned()
            } else {
                (f64::from(1u32 << class) / 1000.0).to_string()
            };
            let _ = writeln!(self.text, "{name}_bucket{{le=\"{limit}\"}} {below}");
        }
        let _ = write!(self.text, "{name}_sum {}\n{name}_count {below}\n", histogram.sum());
    }
}

fn server(page: &mut Page, shared: &Shared) {
    let minor = CLUSTER_VERSION.rsplit_once('.').map_or(CLUSTER_VERSION, |(minor, _)| minor);
    page.label("etcd_cluster_version", "Which version is running.", "cluster_version", minor);
    page.label("etcd_server_version", "Which version is running.", "server_version", ETCD_VERSION);
    let id = format!("{:x}", shared.identity.member_id);
    page.label("etcd_server_id", "Server or member ID in hexadecimal format.", "server_id", id);
    page.gauge("etcd_server_has_leader", "Whether or not a leader exists.", 1);
    page.gauge("etcd_server_is_leader", "Whether or not this member is a leader.", 1);
    page.gauge("etcd_server_is_learner", "Whether or not this member is a learner.", 0);
    page.counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.", 1);
    let revision = shared.revision();
    page.gauge("etcd_server_proposals_committed_total", "The revision that is committed.", revision);
    page.gauge("etcd_server_proposals_applied_total", "The revision that is applied.", revision);
    page.counter("etcd_server_proposals_failed_total", "The number of failed proposals.", 0);
    page.gauge("etcd_server_proposals_pending", "Requests that wait for the disk.", shared.waiting());
    let quota = shared.config.quota_bytes;
    page.gauge("etcd_server_quota_backend_bytes", "Bytes of data past which only deletes are taken, 0 if none.", quota);
    let metrics = &shared.metrics;
    page.counter("etcd_server_health_success", "Successful health checks.", metrics.health_success.get());
    page.counter("etcd_server_health_failures", "Failed health checks.", metrics.health_failures.get());
}

fn data(page: &mut Page, shared: &Shared) {
    let (revision, compacted, keys, used) = {
        let state = shared.state();
        (state.revision(), state.compact_revision().max(0), state.keys(), state.bytes())
    };
    let metrics = &shared.metrics;
    let size = shared.sizes.total();
    for prefix in ["etcd_mvcc", "etcd_debugging_mvcc"] {
        page.counter(&format!("{prefix}_put_total"), "Puts, those in transactions included.", metrics.puts.get());
        page.counter(&format!("{prefix}_delete_total"), "Deleted keys.", metrics.deletes.get());
        page.gauge(&format!("{prefix}_db_total_size_in_bytes"), "Bytes on disk.", size);
    }
    let used = (used as u64).min(size);
    page.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Bytes of keys and values, history included.", used);
    page.counter("etcd_debugging_mvcc_total_put_size_in_bytes", "Bytes put.", metrics.put_bytes.get());
    let events = metrics.puts.get() + metrics.deletes.get();
    page.counter("etcd_debugging_mvcc_events_total", "Changes of keys.", events);
    page.gauge("etcd_debugging_mvcc_keys_total", "Keys.", keys);
    page.gauge("etcd_debugging_mvcc_current_revision", "The current revision.", revision);
    page.gauge("etcd_debugging_mvcc_compact_revision", "The revision up to which history is gone.", compacted);
    page.gauge("etcd_debugging_mvcc_watcher_total", "Watches.", shared.hub.count());
    page.counter("etcd_debugging_lease_granted_total", "Granted leases.", metrics.leases_granted.get());
    page.counter("etcd_debugging_lease_revoked_total", "Leases revoked or ended.", metrics.leases_revoked.get());
    let help = "How long writing and syncing a batch of requests takes.";
    page.histogram("etcd_disk_wal_fsync_duration_seconds", help, &metrics.sync);
}

fn calls(page: &mut Page, shared: &Shared) {
    let mut handled = String::new();
    page.head("grpc_server_started_total", "Calls begun.", "counter");
    for (path, kind, calls) in shared.metrics.calls() {
        let (service, method) = path[1..].split_once('/').unwrap_or((path, ""));
        let labels = format!("grpc_method=\"{method}\",grpc_service=\"{service}\",grpc_type=\"{kind}\"");
        let _ = writeln!(page.text, "grpc_server_started_total{{{labels}}} {}", calls.started.get());
        for (code, counter) in calls.handled.iter().enumerate().filter(|(_, counter)| counter.get() > 0) {
            let code = code_name(Code::from(code as i32));
            let count = counter.get();
            let _ = writeln!(handled, "grpc_server_handled_total{{grpc_code=\"{code}\",{labels}}} {count}");
        }
    }
    page.head("grpc_server_handled_total", "Calls ended, by code.", "counter");
    page.text.push_str(&handled);
}

/// Go's spelling.
fn code_name(code: Code) -> String {
    match code {
        Code::Ok => "OK".to_owned(),
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    }
}

fn process(page: &mut Page, shared: &Shared) {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let stat = read("stat");
    // The program's name, in parentheses, may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let cpu = (number(11) + number(12)) as f64 / TICKS;
    page.counter("process_cpu_seconds_total", "Processor time of user and system, in seconds.", cpu);
    page.gauge("process_virtual_memory_bytes", "Virtual memory.", number(20));
    let resident = number(21) * rustix::param::page_size() as u64;
    page.gauge("process_resident_memory_bytes", "Resident memory.", resident);
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    page.gauge("process_open_fds", "Open file descriptors.", open);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    page.gauge("process_max_fds", "Most file descriptors.", limit);
    let started = shared.metrics.started.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    page.gauge("process_start_time_seconds", "When the store was opened, in seconds since 1970.", started);
}
