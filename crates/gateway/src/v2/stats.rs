//! The counters of `/v2/stats/store`.

use std::sync::atomic::{AtomicU64, Ordering};

use super::request::{Change, Removal, Verb};

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub enum Counter {
    Get,
    Set,
    Delete,
    Update,
    Create,
    Swap,
    CompareAndDelete,
    /// What came to its end.
    Expired,
}

const COUNTERS: usize = 8;

/// How often requests were carried out, and refused.
#[derive(Default)]
pub struct Stats {
    done: [AtomicU64; COUNTERS],
    refused: [AtomicU64; COUNTERS],
}

impl Counter {
    /// Of a write.
    pub fn of_change(change: &Change) -> Counter {
        match change.verb {
            Verb::Set => Counter::Set,
            Verb::Update => Counter::Update,
            Verb::Create | Verb::Append => Counter::Create,
            Verb::Swap(_) => Counter::Swap,
        }
    }

    /// Of a removal.
    pub fn of_removal(removal: &Removal) -> Counter {
        if removal.condition.is_some() { Counter::CompareAndDelete } else { Counter::Delete }
    }
}

impl Stats {
    /// Counts what was carried out.
    pub fn count(&self, counter: Counter) {
        self.done[counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a result.
    pub fn count_result<T, E>(&self, counter: Counter, result: &Result<T, E>) {
        let counters = if result.is_ok() { &self.done } else { &self.refused };
        counters[counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// As etcd shows them.
    pub fn show(&self, watchers: usize) -> String {
        let done = |counter: Counter| self.done[counter as usize].load(Ordering::Relaxed);
        let pair = |name: &str, counter: Counter| {
            let refused = self.refused[counter as usize].load(Ordering::Relaxed);
            format!("\"{name}Success\":{},\"{name}Fail\":{refused}", done(counter))
        };
        format!(
            "{{{},{},{},{},{},{},{},\"expireCount\":{},\"watchers\":{watchers}}}",
            pair("gets", Counter::Get),
            pair("sets", Counter::Set),
            pair("delete", Counter::Delete),
            pair("update", Counter::Update),
            pair("create", Counter::Create),
            pair("compareAndSwap", Counter::Swap),
            pair("compareAndDelete", Counter::CompareAndDelete),
            done(Counter::Expired),
        )
    }
}
