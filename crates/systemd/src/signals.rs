//! Hints from systemd that something changed, in a bounded queue that never makes the connection wait.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// Units with an unread hint. Above this the hints are dropped and one [`Signal::Lagged`] takes their place.
pub const MAX_PENDING_SIGNALS: usize = 1024;

const UNIT_PATH_PREFIX: &str = "/org/freedesktop/systemd1/unit/";

/// A hint. It carries no state: read the state with [`crate::Systemd::states`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// Something about this unit changed, perhaps more than once.
    UnitChanged(String),
    /// systemd has read all unit files again, whoever asked for it.
    Reloaded,
    /// Too much changed: read everything again.
    Lagged,
}

/// The receiving end of the hints of one connection. It ends when the connection is lost.
#[derive(Debug)]
pub struct Signals(Arc<Queue>);

impl Signals {
    /// The next hint; `None` when the connection is lost and nothing is pending. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Signal> {
        loop {
            let changed = self.0.changed.notified();
            {
                let mut pending = self.0.lock();
                if let Some(signal) = pending.pop() {
                    return Some(signal);
                }
                if pending.closed {
                    return None;
                }
            }
            changed.await;
        }
    }

    /// The next hint that is already here, if any: lets a caller gather a burst into one pass.
    pub fn try_recv(&mut self) -> Option<Signal> {
        self.0.lock().pop()
    }
}

/// Shared by the task that reads the bus and by [`Signals`].
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pending: Mutex<Pending>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    closed: bool,
    lagged: bool,
    reloaded: bool,
    order: VecDeque<String>,
    known: HashSet<String>,
}

impl Pending {
    fn pop(&mut self) -> Option<Signal> {
        if std::mem::take(&mut self.lagged) {
            return Some(Signal::Lagged);
        }
        if std::mem::take(&mut self.reloaded) {
            return Some(Signal::Reloaded);
        }
        let unit = self.order.pop_front()?;
        self.known.remove(&unit);
        Some(Signal::UnitChanged(unit))
    }
}

impl Queue {
    pub(crate) fn receiver(self: &Arc<Self>) -> Signals {
        Signals(Arc::clone(self))
    }

    pub(crate) fn unit_changed(&self, unit: String) {
        let mut pending = self.lock();
        // Lagged, not yet read, already covers whatever comes now.
        if pending.lagged || pending.known.contains(&unit) {
            return;
        }
        if pending.order.len() == MAX_PENDING_SIGNALS {
            pending.order.clear();
            pending.known.clear();
            pending.lagged = true;
        } else {
            pending.known.insert(unit.clone());
            pending.order.push_back(unit);
        }
        drop(pending);
        self.changed.notify_one();
    }

    pub(crate) fn reloaded(&self) {
        self.lock().reloaded = true;
        self.changed.notify_one();
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        // Every change above leaves the queue whole, so a panicking holder does no harm.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The unit that an object path stands for; `None` when it is no unit's path.
pub(crate) fn unit_of_path(path: &str) -> Option<String> {
    unescape_label(path.strip_prefix(UNIT_PATH_PREFIX)?)
}

/// Undoes systemd's escaping of object path labels: `_40` is `@`, a lone `_` is the empty string.
fn unescape_label(label: &str) -> Option<String> {
    if label == "_" {
        return Some(String::new());
    }
    let mut bytes = label.bytes();
    let mut name = Vec::with_capacity(label.len());
    while let Some(byte) = bytes.next() {
        match byte {
            b'_' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                name.push((high * 16 + low) as u8);
            }
            byte if byte.is_ascii_alphanumeric() => name.push(byte),
            _ => return None,
        }
    }
    String::from_utf8(name).ok()
}

/// The object path of a unit, as systemd writes it: everything but letters and digits is escaped, and so is a leading digit.
#[cfg(feature = "fake")]
pub(crate) fn path_of_unit(unit: &str) -> String {
    use std::fmt::Write as _;

    let mut path = UNIT_PATH_PREFIX.to_owned();
    if unit.is_empty() {
        path.push('_');
    }
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(path, "_{byte:02x}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, unit: Option<&str>) {
        assert_eq!(unit_of_path(&format!("{UNIT_PATH_PREFIX}{path}")).as_deref(), unit);
    }

    #[test]
    fn paths_are_decoded_as_systemd_encodes_them() {
        check("dbus_2eservice", Some("dbus.service"));
        check("web_401_2eservice", Some("web@1.service"));
        check("system_2dflota_5cx2dprobe_2eslice", Some(r"system-flota\x2dprobe.slice"));
        check("_30a_2eservice", Some("0a.service"));
        check("a_5fb_3ac_2eservice", Some("a_b:c.service"));
        check("_", Some(""));
        check("a_", None);
        check("a_4", None);
        check("a_zz", None);
        check("a/b", None);
        check("a_ff", None);
        assert_eq!(unit_of_path("/org/freedesktop/systemd1/job/7"), None);
        assert_eq!(unit_of_path("/org/freedesktop/systemd1"), None);
    }

    #[cfg(feature = "fake")]
    #[test]
    fn encoding_and_decoding_are_inverse() {
        for unit in ["dbus.service", "web@1.service", r"a\x2db_c.mount", "0.slice", "", "-.mount"] {
            assert_eq!(unit_of_path(&path_of_unit(unit)).as_deref(), Some(unit));
        }
    }

    #[test]
    fn a_closed_queue_is_read_to_its_end() {
        let queue = Arc::new(Queue::default());
        queue.unit_changed("a.service".to_owned());
        queue.close();
        let mut signals = queue.receiver();
        assert_eq!(signals.try_recv(), Some(Signal::UnitChanged("a.service".to_owned())));
        assert!(queue.lock().closed);
    }

    #[test]
    fn overflow_keeps_a_reload_and_stays_bounded() {
        let queue = Arc::new(Queue::default());
        queue.reloaded();
        for n in 0..=MAX_PENDING_SIGNALS * 2 {
            queue.unit_changed(format!("{n}.service"));
        }
        assert!(queue.lock().order.is_empty());
        let mut signals = queue.receiver();
        let read: Vec<_> = std::iter::from_fn(|| signals.try_recv()).collect();
        assert_eq!(read, [Signal::Lagged, Signal::Reloaded]);
    }
}
