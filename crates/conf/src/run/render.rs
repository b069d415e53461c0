//! Renderings of many groups from one snapshot, on all processors.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::apply::{StageError, Staged, compare, stage, unified};
use crate::functions::Memo;
use crate::group::Group;
use crate::keys::{Reads, Snapshot};
use crate::plan::GroupId;
use crate::templates::TemplateError;

/// Groups that one more thread is worth.
const GROUPS_PER_THREAD: usize = 4;

/// What is done with what was rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// What differs is staged.
    Stage,
    /// What differs is told, and nothing is written.
    Tell,
}

/// Why a group has no new files.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// A file.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// A file that is not as it should be.
#[derive(Debug)]
pub struct Difference {
    /// Which.
    pub dest: PathBuf,
    /// As `diff -u` writes it; empty if only mode or owner differ.
    pub diff: String,
}

/// The files of a group that differ from what they should be.
#[derive(Debug, Default)]
pub struct Differing {
    /// The new ones, each with its output's place in the resource.
    pub staged: Vec<(usize, Staged)>,
    /// What was only told.
    pub told: Vec<Difference>,
}

/// What became of a group.
#[derive(Debug)]
pub struct Rendered {
    /// Which.
    pub id: GroupId,
    /// What its templates read.
    pub reads: Reads,
    /// The files that differ.
    pub result: Result<Differing, RenderError>,
}

/// Renders groups from one snapshot; lists of keys that several templates ask for are made once.
pub fn render_all(groups: &[Group], ids: &[GroupId], snapshot: &Arc<Snapshot>, mode: Mode) -> Vec<Rendered> {
    let memo = Arc::new(Memo::default());
    let one = |id: &GroupId| render(&groups[id.0], *id, snapshot, &memo, mode);
    let processors = if ids.len() > GROUPS_PER_THREAD {
        std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
    } else {
        1
    };
    let threads = processors.min(ids.len().div_ceil(GROUPS_PER_THREAD));
    if threads <= 1 {
        return ids.iter().map(one).collect();
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(ids.len())));
    let work = || {
        while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
            let rendered = one(id);
            done.lock().unwrap_or_else(PoisonError::into_inner).push(rendered);
        }
    };
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|rendered| rendered.id);
    done
}

fn render(group: &Group, id: GroupId, snapshot: &Arc<Snapshot>, memo: &Arc<Memo>, mode: Mode) -> Rendered {
    let mut reads = Reads::default();
    let mut differing = Differing::default();
    let mut failure = None;
    for (at, output) in group.resource.outputs.iter().enumerate() {
        let (read, text) = group.render(at, snapshot, memo);
        reads.merge(&read);
        let one = || -> Result<(), RenderError> {
            let text = text?;
            let compared = compare(output, &text)?;
            if compared.find.is_none() {
                return Ok(());
            }
            match mode {
                Mode::Stage => differing.staged.push((at, stage(&compared, &text)?)),
                Mode::Tell => {
                    differing.told.push(Difference { diff: unified(&compared.dest, &text), dest: output.dest.clone() });
                }
            }
            Ok(())
        };
        // The others are rendered all the same: what they read matters, too.
        if let Err(error) = one() {
            failure.get_or_insert(error);
        }
    }
    let result = failure.map_or(Ok(differing), Err);
    Rendered { id, reads, result }
}
