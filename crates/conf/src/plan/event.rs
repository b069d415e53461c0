//! What happens, and what is to be done about it.

use crate::keys::Reads;
use crate::resource::Reload;

/// A resource's place in the list of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub usize);

/// Milliseconds since some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// So much later.
    #[must_use]
    pub fn plus(self, milliseconds: u64) -> Millis {
        Millis(self.0.saturating_add(milliseconds))
    }
}

/// What became of a rendering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rendering {
    /// All files are as they should be.
    Same,
    /// New files lie ready.
    Staged,
    /// A template failed, or a file could not be staged.
    Failed,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// These keys have other values, or came, or went.
    Changed(Vec<String>),
    /// Anything may have changed: all keys were read again, or the interval passed.
    Everything,
    /// The groups' renderings ended, with what they read.
    Rendered(Vec<(GroupId, Rendering, Reads)>),
    /// The checks of a group ended.
    Checked(GroupId, bool),
    /// The groups' files are in place, or as they were.
    Committed(Vec<(GroupId, bool)>),
    /// A life begins: everything is to be looked at, and these groups owe reloads from an earlier life.
    Begin(Vec<GroupId>),
    /// A reload ended.
    Reloaded(Reload, bool),
    /// The files of groups are as they were before the commit, or as far as that went.
    RolledBack(Reload),
    /// Time passed.
    Tick,
    /// Begin nothing more.
    Stop,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Render these from the newest snapshot, and stage what differs.
    Render(Vec<GroupId>),
    /// Run the checks of what is staged.
    Check(GroupId),
    /// Throw away what is staged.
    Discard(GroupId),
    /// Put in place what is staged, all or none of each group, and remember what it owes.
    Commit(Vec<GroupId>),
    /// Carry out a reload.
    Reload(Reload),
    /// Put the files of these groups back to what they were, because this reload failed.
    RollBack(Reload, Vec<GroupId>),
    /// Nothing is owed for this group any more: forget what would undo its commit.
    Settle(GroupId),
}
