//! What a machine does at its first boot: it finds what its cloud tells it, and does that, once.

mod apply;
mod coreos;
mod metadata;
mod plan;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod userdata;

use std::io;
use std::path::{Path, PathBuf};

pub use self::apply::{forget_join, tell_at_login, wanted_join};
pub use self::metadata::MetaData;
pub use self::plan::{Step, plan};
pub use self::settings::JoinEntry;
use self::source::Told;
pub use self::userdata::{UserData, read};
use crate::document::Finding;
use crate::host::run::{command, run};
use crate::host::{HostError, files};

/// In the state's directory: the first boot is over.
const DONE: &str = "done";

/// Why a first boot did not do all that it was told. It is tried again at the next boot.
#[derive(Debug, thiserror::Error)]
pub enum FirstbootError {
    /// The user-data can't be read as such.
    #[error("user-data of {place}: {finding}")]
    UserData {
        /// Where it was found.
        place: String,
        /// What is wrong, and where.
        finding: Finding,
    },
    /// What a cloud says of a machine is never so much.
    #[error("{} is too large for user-data", .0.display())]
    TooLarge(PathBuf),
    /// OpenStack's service does not answer.
    #[error("no user-data from http://{address} after {seconds} s: {why}")]
    Service {
        /// Where it should be.
        address: String,
        /// How long was waited.
        seconds: u64,
        /// The last reason.
        why: String,
    },
    /// Some of it was not done; what, has been told.
    #[error("{0} of the steps failed")]
    Steps(usize),
    /// A file.
    #[error("can't {action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program or a file of the machine.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Finds what this machine is told and does it; each line of what happens goes to `say`. `default_user` is whom
/// user-data means when it names nobody.
pub fn first_boot(root: &Path, default_user: &str, say: &mut dyn FnMut(&str)) -> Result<(), FirstbootError> {
    match source::find(root)? {
        Some(told) => {
            follow(root, &told, default_user, say, &mut |line| run(&mut command(line[0], &line[1..])).map(drop))?;
        }
        None => say("no user-data: this machine stays as its image has it"),
    }
    files::write(&root.join(apply::STATE).join(DONE), b"", 0o644)?;
    Ok(())
}

fn follow(
    root: &Path,
    told: &Told,
    default_user: &str,
    say: &mut dyn FnMut(&str),
    run: apply::Run<'_>,
) -> Result<(), FirstbootError> {
    say(&format!("user-data: {}", told.place));
    let metadata = metadata::read(&told.meta_data).unwrap_or_else(|why| {
        say(&format!("warning: metadata: {why}"));
        MetaData::default()
    });
    // The name and the keys of the metadata count whatever the user-data is: somebody has to be able to log in.
    let (data, wrong) = match read(&told.user_data, &metadata) {
        Ok(data) => (data, None),
        Err(finding) => (UserData::default(), Some(FirstbootError::UserData { place: told.place.clone(), finding })),
    };
    for warning in &data.warnings {
        say(&format!("warning: user-data:{warning}"));
    }
    let steps = plan(&metadata, data, default_user);
    for step in &steps {
        say(&step.to_string());
    }
    let failed = apply::apply(root, &steps, run);
    for failure in &failed {
        say(&format!("failed: {failure}"));
    }
    match wrong {
        Some(error) => Err(error),
        None if failed.is_empty() => Ok(()),
        None => Err(FirstbootError::Steps(failed.len())),
    }
}

/// What user-data would do, without doing it: its warnings, then its steps.
pub fn check(user_data: &[u8], meta_data: &str, default_user: &str) -> Result<(Vec<Finding>, Vec<Step>), Finding> {
    let metadata = metadata::read(meta_data).unwrap_or_default();
    let mut data = read(user_data, &metadata)?;
    let warnings = std::mem::take(&mut data.warnings);
    Ok((warnings, plan(&metadata, data, default_user)))
}
