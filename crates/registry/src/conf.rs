//! What machines say of the configuration files that confd keeps on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How the files of a resource are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfState {
    /// In place, and taken.
    Ok,
    /// Something is to be done, or under way.
    Pending,
    /// They could not be rendered, checked or put in place: the old ones are there.
    Failed,
    /// In place, but a reload failed.
    ReloadFailed,
    /// The process that kept them died.
    Unattended,
}

/// A resource: files that change together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfGroup {
    /// Its name.
    pub resource: String,
    /// How its files are.
    pub state: ConfState,
    /// The store's revision that the files in place were made of; 0 where keys have none.
    #[serde(default)]
    pub revision: i64,
    /// What went wrong last, while it is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The files.
    pub files: Vec<String>,
}

/// All that confd keeps on a machine, at [`crate::Key::Conf`], for as long as the machine's lease lives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfReport {
    /// The resources by the directory that they are from: several processes may keep several directories.
    pub sources: BTreeMap<String, Vec<ConfGroup>>,
}
