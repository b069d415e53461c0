//! How machines are named in output: `f1ee0100.../10.1.1.1`.

use std::collections::BTreeMap;

use flota_api::{Client, v1::Machine};

/// Characters of a machine id that are shown unless `--full` is given.
pub const SHORT_ID: usize = 8;

/// The machines of the cluster by id, for names in output.
#[derive(Debug, Clone, Default)]
pub struct Machines(BTreeMap<String, Machine>);

impl Machines {
    /// Asks the daemon. Without an answer the names have no addresses, which is no reason to fail.
    pub async fn fetch(client: &Client) -> Self {
        Self::new(client.machines().await.unwrap_or_default())
    }

    /// From a list of machines.
    pub fn new(machines: Vec<Machine>) -> Self {
        Self(machines.into_iter().map(|machine| (machine.id.clone(), machine)).collect())
    }

    /// The address of a machine, if it is known.
    pub fn address(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(|machine| machine.primary_ip.as_str()).filter(|address| !address.is_empty())
    }

    /// The name of a machine: its id, short unless `full`, and its address. `-` for none.
    pub fn legend(&self, id: &str, full: bool) -> String {
        legend(id, self.address(id).unwrap_or_default(), full)
    }
}

/// The name of a machine whose address is at hand.
pub fn legend(id: &str, address: &str, full: bool) -> String {
    if id.is_empty() {
        return "-".to_owned();
    }
    let id = short_id(id, full);
    if address.is_empty() { id } else { format!("{id}/{address}") }
}

/// A machine id as shown in lists.
pub fn short_id(id: &str, full: bool) -> String {
    match id.char_indices().nth(SHORT_ID) {
        Some((end, _)) if !full => format!("{}...", &id[..end]),
        _ => id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let id = "f1ee0100aaaabbbbccccddddeeeeffff";
        assert_eq!(legend(id, "10.1.1.1", false), "f1ee0100.../10.1.1.1");
        assert_eq!(legend(id, "", false), "f1ee0100...");
        assert_eq!(legend(id, "10.1.1.1", true), format!("{id}/10.1.1.1"));
        assert_eq!(legend("", "10.1.1.1", false), "-");
        assert_eq!(short_id("f1ee0100", false), "f1ee0100");
    }
}
