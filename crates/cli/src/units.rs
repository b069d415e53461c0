//! From arguments to units in the cluster: what is known, what to read from disk, what is wrong with it.
//!
//! Everything is found and checked before anything is submitted.

use std::path::{Path, PathBuf};

use flota_api::v1::{DesiredState, Unit, UnitOption};
use flota_api::{ClientError, Condition};
use flota_unit::{Diagnostic, MAX_UNIT_FILE_BYTES, Requirements, UnitFile, UnitName};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{
    context::{Context, MAX_AT_ONCE, file_of, retrieving},
    exit::Exit,
    failure::Failure,
};

/// A unit that a verb was given, with what is to be done about its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The unit.
    pub name: UnitName,
    /// What becomes of its file.
    pub action: Action,
    /// It runs on every machine that fits.
    pub global: bool,
    /// What it should be at present; none if it is new.
    pub desired: Option<DesiredState>,
    /// The tag that it was read with: what is decided here holds only while nobody changes it.
    pub tag: Option<String>,
}

/// What becomes of a unit's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The cluster has the unit; its file stays.
    Keep,
    /// The cluster does not have it.
    Create(UnitFile),
    /// The cluster has another file for it, and `--replace` was given.
    Replace(UnitFile),
}

/// Finds out what each argument means: a unit of the cluster, a file, a template of the cluster, a template file, in
/// this order. `replace` gives the desired states in which a unit's file may be replaced.
///
/// Says all that is wrong with the files and fails if anything is, before anything is changed.
pub async fn plan(
    context: &mut Context<'_, '_>,
    arguments: &[String],
    names: &[UnitName],
    replace: Option<&[DesiredState]>,
) -> Result<Vec<Planned>, Failure> {
    let (mut planned, mut exit) = (Vec::new(), Exit::SUCCESS);
    let client = context.client.clone();
    let mut known = stream::iter(names.iter().map(|name| client.tagged_unit(name.as_str()))).buffered(MAX_AT_ONCE);
    for (argument, name) in arguments.iter().zip(names) {
        let source = Source { argument: Path::new(argument), name };
        let Some(known) = known.next().await else { break };
        match source.plan(context, known, replace).await {
            Ok(unit) if planned.contains(&unit) => {}
            Ok(unit) => planned.push(unit),
            Err(Problem::File(text)) => {
                context.printer.say(text.trim_end());
                exit = exit.or(Exit::BAD_UNIT_FILE);
            }
            Err(Problem::Other(failure)) => {
                context.printer.say(&failure.message);
                if let Some(hint) = &failure.hint {
                    context.printer.say(&format!("hint: {hint}"));
                }
                // Without a daemon the other units cannot be looked at.
                if failure.exit == Exit::UNAVAILABLE {
                    return Err(Failure::said(failure.exit));
                }
                exit = exit.or(failure.exit);
            }
        }
    }
    if exit == Exit::SUCCESS {
        return Ok(planned);
    }
    if arguments.len() > 1 {
        context.printer.say("nothing was submitted");
    }
    Err(Failure::said(exit))
}

/// Submits what the cluster does not have. A new unit is inactive, a replaced one gets the state `desired`.
pub async fn submit(context: &Context<'_, '_>, planned: &[Planned], desired: DesiredState) -> Result<(), Failure> {
    let requests = planned.iter().map(|unit| submit_one(context, unit, desired));
    stream::iter(requests).buffered(MAX_AT_ONCE).try_collect().await
}

async fn submit_one(context: &Context<'_, '_>, unit: &Planned, desired: DesiredState) -> Result<(), Failure> {
    let (file, desired) = match &unit.action {
        Action::Keep => return Ok(()),
        Action::Create(file) => (file, DesiredState::Inactive),
        Action::Replace(file) => (file, desired),
    };
    let body = Unit {
        name: unit.name.to_string(),
        options: options_of(file),
        desired_state: Some(desired),
        ..Unit::default()
    };
    let condition = match (&unit.action, &unit.tag) {
        (Action::Create(_), _) => Condition::Absent,
        (_, Some(tag)) => Condition::Unchanged(tag),
        (_, None) => Condition::None,
    };
    match context.client.put_unit_if(&body, condition).await {
        Err(ClientError::Api { code: 412, .. }) => overtaken(context, &unit.name, file).await,
        other => other.map_err(|error| Failure::request(&format!("Error creating units: unit {}", unit.name), &error)),
    }
}

/// Somebody else changed the unit since it was looked at. If they gave it the same file, all is well.
async fn overtaken(context: &Context<'_, '_>, name: &UnitName, file: &UnitFile) -> Result<(), Failure> {
    let known = context.known_unit(name).await?;
    if known.as_ref().and_then(file_of).is_some_and(|theirs| theirs.hash() == file.hash()) {
        return Ok(());
    }
    let text = format!(
        "Error creating units: unit {name} was changed by somebody else in this moment; nothing was overwritten"
    );
    let program = context.style.program();
    Err(Failure::new(Exit::FAILURE, text).with_hint(format!("look at it with: {program} cat {name}; then try again")))
}

/// A file's lines as the API carries them.
pub fn options_of(file: &UnitFile) -> Vec<UnitOption> {
    file.entries()
        .map(|entry| UnitOption {
            section: entry.section.clone(),
            name: entry.name.clone(),
            value: entry.value.clone(),
        })
        .collect()
}

/// Whether a unit's file says that it runs on every machine that fits.
pub fn is_global(unit: &Unit) -> bool {
    let name = unit.name.parse::<UnitName>().ok();
    let requirements = name.zip(file_of(unit)).map(|(name, file)| Requirements::from_unit(&name, &file));
    matches!(requirements, Some(Ok(requirements)) if requirements.global)
}

enum Problem {
    /// Rendered diagnostics of a unit file.
    File(String),
    Other(Failure),
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// One argument: where its file may be, and the unit that it names.
struct Source<'a> {
    argument: &'a Path,
    name: &'a UnitName,
}

impl Source<'_> {
    /// What the argument means, where the cluster `knows` this of the unit.
    async fn plan(
        &self,
        context: &mut Context<'_, '_>,
        knows: Result<Option<(Unit, Option<String>)>, ClientError>,
        replace: Option<&[DesiredState]>,
    ) -> Result<Planned, Problem> {
        if let Some((known, tag)) = knows.map_err(|error| retrieving(self.name, &error))? {
            return Ok(Planned { tag, ..self.plan_known(context, &known, replace)? });
        }
        if let Some((path, file)) = self.read_beside(self.name)? {
            return self.plan_new(&path, file);
        }
        let Some(template) = self.name.template() else {
            let text = format!("Error creating units: unable to find Unit({}) in Registry or on filesystem", self.name);
            return Err(Failure::new(Exit::FAILURE, text).into());
        };
        let known = context.client.unit(template.as_str()).await.map_err(|error| retrieving(&template, &error))?;
        if let Some(file) = known.as_ref().and_then(file_of) {
            return self.plan_new(Path::new(template.as_str()), file);
        }
        if let Some((path, file)) = self.read_beside(&template)? {
            return self.plan_new(&path, file);
        }
        let text = "Error creating units: unable to find template Unit";
        let text = format!("{text}({template}) in Registry or on filesystem");
        Err(Failure::new(Exit::FAILURE, text).into())
    }

    fn plan_new(&self, path: &Path, file: UnitFile) -> Result<Planned, Problem> {
        let requirements = Requirements::from_unit(self.name, &file).map_err(|found| rendered(path, &found))?;
        Ok(Planned {
            name: self.name.clone(),
            action: Action::Create(file),
            global: requirements.global,
            desired: None,
            tag: None,
        })
    }

    fn plan_known(
        &self,
        context: &mut Context<'_, '_>,
        known: &Unit,
        replace: Option<&[DesiredState]>,
    ) -> Result<Planned, Problem> {
        let mut planned = Planned {
            name: self.name.clone(),
            action: Action::Keep,
            global: is_global(known),
            desired: known.desired_state,
            tag: None,
        };
        let local = match self.read_beside(self.name)? {
            None => match self.name.template() {
                Some(template) => self.read_beside(&template)?,
                None => None,
            },
            found => found,
        };
        let Some((path, local)) = local else { return Ok(planned) };
        if file_of(known).is_some_and(|file| file.hash() == local.hash()) {
            if replace.is_some() {
                context.printer.say(&format!("Found same Unit({}) in Registry, nothing to do", self.name));
            }
            return Ok(planned);
        }
        let state = known.desired_state.unwrap_or(DesiredState::Inactive);
        match replace {
            None => context.printer.say(&format!(
                "WARNING: Unit {} in registry differs from local unit file {}. Add --replace to override.",
                self.name,
                path.display()
            )),
            Some(allowed) if !allowed.contains(&state) => {
                let text =
                    format!("can not replace Unit({}) in state '{state}', use the appropriate command", self.name);
                return Err(Failure::new(Exit::FAILURE, text).into());
            }
            Some(_) => {
                let checked = self.plan_new(&path, local)?;
                if let Action::Create(file) = checked.action {
                    planned.action = Action::Replace(file);
                }
                planned.global = checked.global;
            }
        }
        Ok(planned)
    }

    /// Reads the file `name` in the directory of the argument, if there is one.
    fn read_beside(&self, name: &UnitName) -> Result<Option<(PathBuf, UnitFile)>, Problem> {
        let path = self.argument.with_file_name(name.as_str());
        let Some(bytes) = read(&path)? else { return Ok(None) };
        match UnitFile::parse_bytes(&bytes) {
            Ok(file) => Ok(Some((path, file))),
            Err(found) => Err(rendered(&path, &found)),
        }
    }
}

/// Reads no more than is needed to see that a file is too long.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    use std::io::{ErrorKind, Read};
    let limit = MAX_UNIT_FILE_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let result = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    match result {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(Problem::File(format!("{}: error: cannot read unit file: {error}", path.display()))),
    }
}

fn rendered(path: &Path, found: &[Diagnostic]) -> Problem {
    let path = path.display().to_string();
    Problem::File(found.iter().map(|diagnostic| diagnostic.render(&path)).collect::<String>())
}
