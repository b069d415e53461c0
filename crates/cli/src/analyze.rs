//! Asks this machine's `systemd-analyze verify` about new unit files, while the cluster is at work on them.
//!
//! Its complaints are warnings: the machine that runs the unit may have another systemd, and other programs.

use std::{collections::BTreeSet, path::Path, process::Stdio, time::Duration};

use flota_unit::UnitFile;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{
    context::{Context, command},
    output::printer::Printer,
    units::{Action, Planned},
};

/// How long it may take; usually 50 ms.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most files of one command that are looked at; instances of one template count once.
const MAX_FILES: usize = 64;
/// Most complaints that are shown.
const MAX_COMPLAINTS: usize = 40;
/// What a template is called while it is looked at.
const INSTANCE: &str = "instance";
/// Complaints that are about this machine and what is on it, not about the file.
const ELSEWHERE: [&str; 2] = [" is not executable: ", " not loaded, "];

/// A check that is under way.
pub struct Analysis {
    child: Child,
    directory: tempfile::TempDir,
    names: Vec<String>,
}

/// Begins to check the files that will be submitted. Nothing if there are none, or if it cannot be done here.
pub fn begin(context: &Context<'_, '_>, planned: &[Planned]) -> Option<Analysis> {
    let files = distinct(planned);
    if files.is_empty() {
        return None;
    }
    let directory = tempfile::Builder::new().prefix("flota-").tempdir().ok()?;
    let mut line = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--"].map(str::to_owned).to_vec();
    for (name, file) in &files {
        let path = directory.path().join(name);
        std::fs::write(&path, file.text()).ok()?;
        line.push(path.to_str()?.to_owned());
    }
    let child = quiet(command(&line, context.path.as_ref())).spawn().ok()?;
    Some(Analysis { child, directory, names: files.into_iter().map(|(name, _)| name).collect() })
}

fn quiet(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env_remove("SYSTEMD_LOG_LEVEL").env_remove("SYSTEMD_LOG_TARGET").env_remove("SYSTEMD_COLORS");
    command
}

/// The files to look at, each text once, under names that systemd can load.
fn distinct(planned: &[Planned]) -> Vec<(String, &UnitFile)> {
    let mut seen = BTreeSet::new();
    planned
        .iter()
        .filter_map(|unit| match &unit.action {
            Action::Keep => None,
            Action::Create(file) | Action::Replace(file) => Some((&unit.name, file)),
        })
        .filter(|(name, file)| seen.insert((name.prefix().to_owned(), name.kind(), file.hash())))
        .map(|(name, file)| match name.instantiate(INSTANCE) {
            Ok(instance) => (instance.to_string(), file),
            Err(_) => (name.to_string(), file),
        })
        .take(MAX_FILES)
        .collect()
}

impl Analysis {
    /// Waits for the end of the check and says what it found.
    pub async fn tell(self, printer: &mut Printer<'_>) {
        let Ok(Ok(output)) = timeout(PATIENCE, self.child.wait_with_output()).await else { return };
        for line in complaints(&String::from_utf8_lossy(&output.stderr), self.directory.path(), &self.names) {
            printer.say(&format!("WARNING: systemd-analyze: {line}"));
        }
    }
}

/// The lines that are about the files, without the directory that they lay in.
fn complaints(text: &str, directory: &Path, names: &[String]) -> Vec<String> {
    let prefix = format!("{}/", directory.display());
    text.lines()
        .map(|line| line.replace(&prefix, ""))
        // Whatever does not begin with a file's name is about other units, or about systemd-analyze itself.
        .filter(|line| {
            let line = line.strip_prefix("Unit ").unwrap_or(line);
            names.iter().any(|name| line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with([':', ' '])))
        })
        .filter(|line| !ELSEWHERE.iter().any(|elsewhere| line.contains(elsewhere)))
        .take(MAX_COMPLAINTS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(name: &str, text: &str) -> Planned {
        let file = UnitFile::parse(text).unwrap();
        Planned { name: name.parse().unwrap(), action: Action::Create(file), global: false, desired: None, tag: None }
    }

    #[test]
    fn each_text_once_under_a_name_that_systemd_loads() {
        let text = "[Service]\nExecStart=/bin/true\n";
        let mut units = vec![
            planned("web@.service", text),
            planned("web@1.service", text),
            planned("a.service", text),
            planned("web@2.service", "[Service]\nExecStart=/bin/false\n"),
            planned("b.service", text),
        ];
        units[4].action = Action::Keep;
        let names: Vec<String> = distinct(&units).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["web@instance.service", "a.service", "web@2.service"]);
    }

    #[test]
    fn only_what_is_about_the_file() {
        let text = "\
            /t/web@1.service:5: Unknown key 'ExecStrt' in section [Service], ignoring.\n\
            web@1.service: Command /no/such is not executable: No such file or directory\n\
            /lib/systemd/system/other.service:3: Unknown key name 'X' in section 'Unit', ignoring.\n\
            s.socket: service s.service not loaded, socket cannot be started.\n\
            web@1.service: Service has more than one ExecStart= setting. Refusing.\n\
            Unit web@1.service has a bad unit file setting.\n\
            systemd-analyze: unrecognized option '--recursive-errors=no'\n";
        let names = ["web@1.service".to_owned(), "s.socket".to_owned()];
        let expected = [
            "web@1.service:5: Unknown key 'ExecStrt' in section [Service], ignoring.",
            "web@1.service: Service has more than one ExecStart= setting. Refusing.",
            "Unit web@1.service has a bad unit file setting.",
        ];
        assert_eq!(complaints(text, Path::new("/t"), &names), expected);
    }
}
