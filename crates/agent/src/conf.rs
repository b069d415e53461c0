//! How this machine's configuration files are, as the processes that keep them tell.
//!
//! A process tells for one directory of resources; the last one that told for a directory counts. A process that dies
//! leaves its files unattended, which stays told until another one takes the directory over, or says that nobody keeps it.

use std::collections::BTreeMap;

use flota_registry::codec::{CodecError, decode, encode};
use flota_registry::{ConfGroup, ConfReport, ConfState};
use serde::{Deserialize, Serialize};

/// Most bytes of what a machine tells, as the store has it.
pub const MAX_BYTES: usize = 256 << 10;

/// A process of this boot: its id may come again, but not with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The kernel's number of it; from Linux 6.9 on no other process of the boot has the same.
    pub number: u64,
}

/// More than a machine may tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("with it this machine would tell {bytes} bytes of its configuration files, {MAX_BYTES} are the most")]
pub struct TooMuch {
    /// How much it would be.
    pub bytes: usize,
}

/// What is told of one directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    process: Process,
    #[serde(default)]
    died: bool,
    groups: Vec<ConfGroup>,
}

/// What all processes tell; also as the daemon's successor of the same boot reads it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    sources: BTreeMap<String, Source>,
}

impl Files {
    /// Takes in what a process tells of a directory; of no resources: that it keeps it no more. Where that
    /// would be too much it is refused, and what was told of the directory before is forgotten, for it is true no more.
    pub fn tell(&mut self, source: &str, process: Process, groups: Vec<ConfGroup>) -> Result<(), TooMuch> {
        if groups.is_empty() {
            // A process that ends does not speak for one that has taken over.
            if self.sources.get(source).is_some_and(|known| known.process == process) {
                self.sources.remove(source);
            }
            return Ok(());
        }
        self.sources.insert(source.to_owned(), Source { process, died: false, groups });
        let bytes = encode(&self.report()).len();
        if bytes <= MAX_BYTES {
            return Ok(());
        }
        self.sources.remove(source);
        Err(TooMuch { bytes })
    }

    /// A process is no more.
    pub fn died(&mut self, process: Process) {
        for source in self.sources.values_mut().filter(|source| source.process == process) {
            source.died = true;
        }
    }

    /// The processes that are to be watched.
    pub fn processes(&self) -> Vec<Process> {
        self.sources.values().filter(|source| !source.died).map(|source| source.process).collect()
    }

    /// What the cluster is told.
    pub fn report(&self) -> ConfReport {
        let groups = |source: &Source| {
            let state = |group: &ConfGroup| if source.died { ConfState::Unattended } else { group.state };
            source.groups.iter().map(|group| ConfGroup { state: state(group), ..group.clone() }).collect()
        };
        ConfReport { sources: self.sources.iter().map(|(name, source)| (name.clone(), groups(source))).collect() }
    }

    /// As a successor reads it.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// What a predecessor wrote.
    pub fn decode(bytes: &[u8]) -> Result<Files, CodecError> {
        decode(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Process = Process { pid: 7, number: 100 };
    const SECOND: Process = Process { pid: 7, number: 200 };

    fn group(resource: &str, state: ConfState) -> ConfGroup {
        let files = vec![format!("/etc/{resource}")];
        ConfGroup { resource: resource.to_owned(), state, revision: 3, error: None, files }
    }

    fn states(files: &Files) -> Vec<(String, ConfState)> {
        let report = files.report();
        let all = report.sources.into_iter().flat_map(|(source, groups)| {
            groups.into_iter().map(move |group| (format!("{source}/{}", group.resource), group.state))
        });
        all.collect()
    }

    #[test]
    fn a_process_that_dies_leaves_its_files_unattended_until_another_one_keeps_them() {
        let mut files = Files::default();
        files.tell("/a", FIRST, vec![group("x", ConfState::Ok), group("y", ConfState::Failed)]).unwrap();
        files.tell("/b", Process { pid: 8, number: 1 }, vec![group("z", ConfState::Ok)]).unwrap();
        files.died(FIRST);
        let unattended = ConfState::Unattended;
        let expected = [("/a/x", unattended), ("/a/y", unattended), ("/b/z", ConfState::Ok)];
        assert_eq!(states(&files), expected.map(|(name, state)| (name.to_owned(), state)));
        assert_eq!(files.processes(), [Process { pid: 8, number: 1 }]);
        files.tell("/a", SECOND, vec![group("x", ConfState::Ok)]).unwrap();
        assert_eq!(states(&files)[0], ("/a/x".to_owned(), ConfState::Ok));
        assert_eq!(states(&files).len(), 2, "what it does not keep any more is gone");
    }

    #[test]
    fn a_process_that_ends_takes_back_what_it_told_and_not_what_its_successor_tells() {
        let mut files = Files::default();
        files.tell("/a", FIRST, vec![group("x", ConfState::Ok)]).unwrap();
        files.tell("/a", SECOND, vec![group("x", ConfState::Ok)]).unwrap();
        files.tell("/a", FIRST, Vec::new()).unwrap();
        files.died(FIRST);
        assert_eq!(states(&files), [("/a/x".to_owned(), ConfState::Ok)]);
        files.tell("/a", SECOND, Vec::new()).unwrap();
        assert_eq!(files, Files::default());
    }

    #[test]
    fn of_a_directory_that_is_too_much_nothing_is_told_rather_than_what_is_not_true_any_more() {
        let mut files = Files::default();
        files.tell("/a", FIRST, vec![group("x", ConfState::Ok)]).unwrap();
        let before = files.clone();
        let many = (0..2000).map(|at| group(&format!("{at:0>80}"), ConfState::Ok)).collect::<Vec<_>>();
        assert!(files.tell("/b", FIRST, many.clone()).unwrap_err().bytes > MAX_BYTES);
        assert_eq!(files, before);
        assert!(files.tell("/a", FIRST, many).is_err());
        assert_eq!(files, Files::default());
    }

    #[test]
    fn a_successor_knows_what_was_told() {
        let mut files = Files::default();
        files.tell("/a", FIRST, vec![group("x", ConfState::Ok)]).unwrap();
        files.died(FIRST);
        assert_eq!(Files::decode(&files.encode()).unwrap(), files);
    }
}
