//! The machine where Ansible runs, and what a playbook told there.

use std::collections::BTreeMap;
use std::time::Instant;

use flota_e2e::{Node, Ran};

/// Seconds that a playbook may take for five machines on a busy host.
const PLAYBOOK: u32 = 900;

/// What a playbook did to one machine, as its last lines tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recap {
    /// Tasks that changed something.
    pub changed: u32,
    /// Tasks that failed, or that could not reach the machine.
    pub failed: u32,
}

/// A playbook that ran.
pub struct Played {
    ran: Ran,
    /// By the machine's name.
    pub recap: BTreeMap<String, Recap>,
    /// Its time in seconds.
    pub took: f64,
}

/// Runs `ansible-playbook` with these words; the collection is installed there.
#[track_caller]
pub fn play(controller: &Node<'_>, words: &str) -> Played {
    let began = Instant::now();
    // Without colours, and with errors as one line of text.
    let line = format!(
        "ANSIBLE_PIPELINING=1 ANSIBLE_NOCOLOR=1 ANSIBLE_FORCE_COLOR=0 COLUMNS=4000 ansible-playbook {words} 2>&1"
    );
    let ran = controller.run_within(PLAYBOOK, &line);
    let recap = ran.stdout.lines().filter_map(recap).collect();
    Played { ran, recap, took: began.elapsed().as_secs_f64() }
}

impl Played {
    /// No task failed.
    #[track_caller]
    pub fn ok(self) -> Played {
        self.ran.ok();
        self
    }

    /// It failed, and told this on its way.
    #[track_caller]
    pub fn refused(self, told: &str) -> Played {
        assert_ne!(self.ran.code, 0, "{}", self.ran);
        self.ran.out_has(told);
        self
    }

    /// It changed nothing on any machine.
    #[track_caller]
    pub fn nothing_changed(self) -> Played {
        assert!(self.recap.values().all(|recap| recap.changed == 0), "{:#?}\n{}", self.recap, self.ran);
        self
    }

    /// How many tasks changed something, on each machine.
    pub fn changed(&self) -> String {
        let each: Vec<String> = self.recap.iter().map(|(name, recap)| format!("{name} {}", recap.changed)).collect();
        each.join(", ")
    }
}

/// A line such as `m1 : ok=40 changed=24 unreachable=0 failed=0 skipped=9 rescued=0 ignored=0`.
fn recap(line: &str) -> Option<(String, Recap)> {
    let (name, counts) = line.split_once(" : ").filter(|(_, counts)| counts.contains("unreachable="))?;
    let count = |key: &str| -> Option<u32> {
        counts.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
    };
    let failed = count("failed")? + count("unreachable")?;
    Some((name.trim().to_owned(), Recap { changed: count("changed")?, failed }))
}
