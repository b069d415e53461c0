//! Flota's own JSON: the configuration files that confd keeps, on all machines.

use std::fmt;

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

impl fmt::Display for ConfState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::ReloadFailed => "reload-failed",
            Self::Unattended => "unattended",
        })
    }
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

/// What a process tells of a directory of resources that it keeps, to its machine's daemon: the body of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfSource {
    /// The directory.
    pub source: String,
    /// Its resources; none: it keeps it no more.
    pub resources: Vec<ConfGroup>,
}

/// The configuration files of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfMachine {
    /// Its id.
    pub machine: String,
    /// By directory.
    pub sources: Vec<ConfSource>,
    /// Why what it tells cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The configuration files of all machines that live and tell of some, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfList {
    /// The machines.
    pub machines: Vec<ConfMachine>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_shape() {
        let group = ConfGroup {
            resource: "nginx.toml".into(),
            state: ConfState::ReloadFailed,
            revision: 7,
            error: Some("exit 1".into()),
            files: vec!["/etc/nginx/nginx.conf".into()],
        };
        let source = ConfSource { source: "/etc/confd".into(), resources: vec![group] };
        let machine = ConfMachine { machine: "f1ee".into(), sources: vec![source], problem: None };
        let json = concat!(
            r#"{"machines":[{"machine":"f1ee","sources":[{"source":"/etc/confd","resources":[{"resource":"nginx.toml","#,
            r#""state":"reload-failed","revision":7,"error":"exit 1","files":["/etc/nginx/nginx.conf"]}]}]}]}"#
        );
        let list = ConfList { machines: vec![machine] };
        assert_eq!(serde_json::to_string(&list).unwrap(), json);
        assert_eq!(serde_json::from_str::<ConfList>(json).unwrap(), list);
        assert_eq!(format!("{:<14}|", ConfState::Ok), "ok            |");
    }
}
