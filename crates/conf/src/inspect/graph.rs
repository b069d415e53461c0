//! Which keys lead to which files, and what happens then.

use std::path::PathBuf;

use serde::Serialize;

use super::lint::reads_of;
use crate::group::Group;

/// One way from keys to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// Keys and patterns, with the prefix. `*` alone: whatever the template asks for.
    pub keys: Vec<String>,
    /// The template.
    pub template: PathBuf,
    /// The file.
    pub file: PathBuf,
    /// What has it taken, if anything does.
    pub reload: Option<String>,
    /// The resource that says so.
    pub resource: PathBuf,
}

/// All ways of these groups, in their order.
pub fn graph(groups: &[Group]) -> Vec<Edge> {
    let mut edges = Vec::new();
    for group in groups {
        for (at, output) in group.resource.outputs.iter().enumerate() {
            let mut keys: Vec<String> = match group.parse(at) {
                Ok(template) => reads_of(&template).into_iter().map(|read| read.shown(&output.prefix)).collect(),
                Err(_) => Vec::new(),
            };
            if keys.is_empty() {
                keys.extend(output.keys.iter().map(|key| output.prefix.join(key.as_str()).to_string()));
            }
            keys.sort();
            keys.dedup();
            edges.push(Edge {
                keys,
                template: output.src.clone(),
                file: output.dest.clone(),
                reload: output.reload.as_ref().map(ToString::to_string),
                resource: group.resource.file.clone(),
            });
        }
    }
    edges
}
