//! The text of one resource file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::mode::parse_mode;
use super::owner;
use super::reload::{Reload, UnitAction, parse_signal};
use crate::document::{FileError, Located, Source, Table, parse};
use crate::keys::KeyPath;

/// How long a check may take by default.
pub const DEFAULT_CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a reload may take by default.
pub const DEFAULT_RELOAD_TIMEOUT: Duration = Duration::from_secs(60);
/// What `action` may be.
pub const ACTIONS: [&str; 3] = ["reload", "restart", "try-restart"];
/// Most templates in one file: they commit together.
const MAX_OUTPUTS: usize = 1000;

/// One resource file: its outputs commit together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The file that says so.
    pub file: PathBuf,
    /// What becomes of it, in the file's order.
    pub outputs: Vec<Output>,
}

/// One template and its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The template, below `templates/`.
    pub src: PathBuf,
    /// The file.
    pub dest: PathBuf,
    /// Under which all keys lie; the template sees them without it.
    pub prefix: KeyPath,
    /// The keys that it may read, each with all below it, without the prefix. Empty: what the template reads.
    pub keys: Vec<KeyPath>,
    /// Permissions; none: as the file has them, else 0644.
    pub mode: Option<u32>,
    /// The owner's number; none: who runs this.
    pub uid: Option<u32>,
    /// The group's number; none: the group of who runs this.
    pub gid: Option<u32>,
    /// A line for the shell that says whether the staged file, `{{.src}}`, is good.
    pub check: Option<String>,
    /// How long it may take.
    pub check_timeout: Duration,
    /// What has the service take the file.
    pub reload: Option<Reload>,
    /// How long it may take.
    pub reload_timeout: Duration,
    /// Least time between two reloads.
    pub min_reload_interval: Duration,
    /// All files of the group return to what they were if a reload fails.
    pub rollback: bool,
}

/// Reads a resource. `prefix` is the one of the command line, which counts instead of the resource's own.
pub fn from_text(path: &Path, text: &str, prefix: Option<&str>) -> Result<Resource, FileError> {
    let source = Source { path, text };
    let parsed = parse(source)?;
    for (name, _) in &parsed {
        if !name.get_ref().eq_ignore_ascii_case("template") {
            let message = format!("there is no table `{}` in a resource, only [template]", name.get_ref());
            return Err(source.error(&name.span(), message));
        }
    }
    let missing = || source.error(&(0..0), "there is no [template]");
    let (_, templates) = parsed.iter().next().ok_or_else(missing)?;
    let mut outputs = Vec::new();
    match templates.get_ref() {
        DeValue::Table(table) => outputs.push(output(Table::new(source, "[template]", table)?, prefix)?),
        DeValue::Array(tables) if (1..=MAX_OUTPUTS).contains(&tables.len()) => {
            for table in tables {
                let DeValue::Table(fields) = table.get_ref() else {
                    return Err(source.error(&table.span(), "`template` is a table or several"));
                };
                outputs.push(output(Table::new(source, "[[template]]", fields)?, prefix)?);
            }
        }
        DeValue::Array(_) => return Err(source.error(&templates.span(), format!("1 to {MAX_OUTPUTS} templates"))),
        _ => return Err(source.error(&templates.span(), "`template` is a table")),
    }
    for (at, output) in outputs.iter().enumerate() {
        if outputs[..at].iter().any(|other| other.dest == output.dest) {
            let message = format!("two templates have the same dest, {}", output.dest.display());
            return Err(source.error(&templates.span(), message));
        }
    }
    Ok(Resource { file: path.to_owned(), outputs })
}

fn output(mut table: Table<'_>, prefix: Option<&str>) -> Result<Output, FileError> {
    let source = table.source;
    let src = table.needed("src")?;
    let dest = table.needed("dest")?;
    let own_prefix = table.string("prefix")?.map(|text| text.value);
    let keys = table.strings("keys")?.unwrap_or_default();
    let (uid, gid) = owners(&mut table)?;
    let mode = match table.string("mode")? {
        Some(text) if !text.value.is_empty() => {
            Some(parse_mode(&text.value).map_err(|why| source.error(&text.at, why))?)
        }
        _ => None,
    };
    let reload = reload(&mut table)?;
    let output = Output {
        src: below_templates(source, &src)?,
        dest: absolute(source, &dest)?,
        prefix: KeyPath::new(prefix.or(own_prefix.as_deref()).unwrap_or("/")),
        keys: keys.iter().map(|key| KeyPath::new(key)).collect(),
        mode,
        uid,
        gid,
        check: table.string("check_cmd")?.map(|text| text.value).filter(|line| !line.is_empty()),
        check_timeout: table.duration("check_timeout")?.unwrap_or(DEFAULT_CHECK_TIMEOUT),
        reload,
        reload_timeout: table.duration("reload_timeout")?.unwrap_or(DEFAULT_RELOAD_TIMEOUT),
        min_reload_interval: table.duration("min_reload_interval")?.unwrap_or(Duration::ZERO),
        rollback: table.boolean("rollback")?.unwrap_or(false),
    };
    table.finish()?;
    Ok(output)
}

/// `src` names a file below `templates/`.
fn below_templates(source: Source<'_>, src: &Located<String>) -> Result<PathBuf, FileError> {
    // confd joins the two, so that a leading slash means nothing.
    let path = PathBuf::from(src.value.trim_start_matches('/'));
    if path.components().any(|part| part == std::path::Component::ParentDir) {
        return Err(source.error(&src.at, "`src` leads out of the directory of templates"));
    }
    Ok(path)
}

fn absolute(source: Source<'_>, dest: &Located<String>) -> Result<PathBuf, FileError> {
    let path = PathBuf::from(&dest.value);
    if path.file_name().is_none() || dest.value.ends_with('/') {
        return Err(source.error(&dest.at, "`dest` names no file"));
    }
    Ok(path)
}

fn owners(table: &mut Table<'_>) -> Result<(Option<u32>, Option<u32>), FileError> {
    let source = table.source;
    let mut numbers = [None, None];
    for (at, name) in ["uid", "gid"].into_iter().enumerate() {
        if let Some(number) = table.integer(name)? {
            // confd has -1 stand for "not given".
            let refused = || source.error(&number.at, format!("`{name}` is a number of a user or group"));
            numbers[at] = match number.value {
                -1 => None,
                value => Some(u32::try_from(value).map_err(|_| refused())?),
            };
        }
    }
    type Find = fn(&str) -> Result<u32, owner::OwnerError>;
    let by_name: [(&'static str, &str, Find); 2] = [("owner", "uid", owner::user), ("group", "gid", owner::group)];
    for (at, (name, number, find)) in by_name.into_iter().enumerate() {
        if let Some(text) = table.string(name)? {
            if numbers[at].is_some() {
                return Err(source.error(&text.at, format!("`{name}` and `{number}` say the same thing; give one")));
            }
            numbers[at] = Some(find(&text.value).map_err(|why| source.error(&text.at, why.to_string()))?);
        }
    }
    Ok((numbers[0], numbers[1]))
}

fn reload(table: &mut Table<'_>) -> Result<Option<Reload>, FileError> {
    let source = table.source;
    let command = table.string("reload_cmd")?.filter(|text| !text.value.is_empty());
    let unit = table.string("reload_unit")?;
    let action = table.string("action")?;
    let signal = match table.string("signal")? {
        None => None,
        Some(text) => match parse_signal(&text.value) {
            Some(number) => Some(Located { value: number, at: text.at }),
            None => return Err(source.error(&text.at, format!("\"{}\" is no signal for a service", text.value))),
        },
    };
    if let (Some(_), Some(unit)) = (&command, &unit) {
        return Err(source.error(&unit.at, "`reload_cmd` and `reload_unit` exclude each other"));
    }
    if let (Some(_), Some(signal)) = (&command, &signal) {
        return Err(source.error(&signal.at, "`reload_cmd` and `signal` exclude each other"));
    }
    if let (Some(action), Some(_)) = (&action, &signal) {
        return Err(source.error(&action.at, "`action` and `signal` exclude each other"));
    }
    if let (Some(action), None) = (&action, &unit) {
        return Err(source.error(&action.at, "`action` is for `reload_unit`"));
    }
    Ok(match (command, unit, signal) {
        (Some(command), _, _) => Some(Reload::Command(command.value)),
        (None, Some(unit), Some(signal)) => {
            Some(Reload::UnitSignal { name: unit_name(source, &unit)?, signal: signal.value })
        }
        (None, Some(unit), None) => {
            let action = match action.as_ref().map(|text| text.value.as_str()) {
                None | Some("reload") => UnitAction::Reload,
                Some("restart") => UnitAction::Restart,
                Some("try-restart") => UnitAction::TryRestart,
                Some(_) => {
                    let at = action.map_or(0..0, |text| text.at);
                    return Err(source.error(&at, format!("`action` is one of {}", ACTIONS.join(", "))));
                }
            };
            Some(Reload::Unit { name: unit_name(source, &unit)?, action })
        }
        (None, None, Some(signal)) => Some(Reload::ChildSignal { signal: signal.value }),
        (None, None, None) => None,
    })
}

/// A unit's name as systemctl completes it.
fn unit_name(source: Source<'_>, unit: &Located<String>) -> Result<String, FileError> {
    let name = if unit.value.contains('.') { unit.value.clone() } else { format!("{}.service", unit.value) };
    name.parse::<flota_unit::UnitName>()
        .map(|_| name)
        .map_err(|why| source.error(&unit.at, format!("`reload_unit`: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Resource, String> {
        from_text(Path::new("r.toml"), text, None).map_err(|error| error.to_string())
    }

    fn one(rest: &str) -> Result<Output, String> {
        let resource = read(&format!("[template]\nsrc = \"a.tmpl\"\ndest = \"/etc/a\"\n{rest}"))?;
        Ok(resource.outputs.into_iter().next().unwrap())
    }

    #[test]
    fn a_resource_of_confds_is_read_as_it_was() {
        let output = one("keys = [\"/db\", \"upstream/\"]\nprefix = \"prod\"\nmode = \"0600\"\nuid = 0\ngid = 0\n\
             check_cmd = \"true {{.src}}\"\nreload_cmd = \"true\"");
        let output = output.unwrap();
        assert_eq!(output.keys, [KeyPath::new("/db"), KeyPath::new("/upstream")]);
        assert_eq!(output.prefix, KeyPath::new("/prod"));
        assert_eq!((output.mode, output.uid, output.gid), (Some(0o600), Some(0), Some(0)));
        assert_eq!(output.check.as_deref(), Some("true {{.src}}"));
        assert_eq!(output.reload, Some(Reload::Command("true".to_owned())));
        assert_eq!(output.check_timeout, DEFAULT_CHECK_TIMEOUT);
    }

    #[test]
    fn the_prefix_of_the_command_line_counts_instead_of_the_resources() {
        let text = "[template]\nsrc = \"a\"\ndest = \"/a\"\nprefix = \"/own\"";
        let resource = from_text(Path::new("r.toml"), text, Some("given")).unwrap();
        assert_eq!(resource.outputs[0].prefix, KeyPath::new("/given"));
    }

    #[test]
    fn owner_and_group_are_names() {
        let output = one("owner = \"root\"\ngroup = \"root\"").unwrap();
        assert_eq!((output.uid, output.gid), (Some(0), Some(0)));
        assert!(one("owner = \"nobody-has-this\"").unwrap_err().contains("r.toml:4:9: there is no user"));
        assert!(one("owner = \"root\"\nuid = 0").unwrap_err().contains("say the same thing"));
    }

    #[test]
    fn several_templates_are_one_group() {
        let table = |name| format!("[[template]]\nsrc = \"{name}\"\ndest = \"/{name}\"\n");
        let resource = read(&(table("a") + &table("b"))).unwrap();
        assert_eq!(resource.outputs.len(), 2);
        assert!(read(&(table("a") + &table("a"))).unwrap_err().contains("same dest"));
    }

    #[test]
    fn unknown_keys_are_errors_with_the_nearest_name() {
        let error = one("relod_cmd = \"x\"").unwrap_err();
        assert_eq!(error, "r.toml:4:1: [template] knows no `relod_cmd`, did you mean `reload_cmd`?");
        assert!(read("[tmplate]\n").unwrap_err().contains("only [template]"));
        assert!(read("").unwrap_err().contains("there is no [template]"));
    }

    #[test]
    fn a_mode_is_octal_and_nothing_else() {
        assert_eq!(one("mode = \"644\"").unwrap().mode, Some(0o644));
        assert_eq!(one("mode = \"\"").unwrap().mode, None);
        assert!(one("mode = \"u+x\"").unwrap_err().contains("r.toml:4:8"));
    }

    #[test]
    fn src_and_dest_are_needed_and_lead_somewhere() {
        assert!(read("[template]\ndest = \"/a\"").unwrap_err().contains("no `src`"));
        assert!(read("[template]\nsrc = \"a\"").unwrap_err().contains("no `dest`"));
        assert!(read("[template]\nsrc = \"a\"\ndest = \"\"").unwrap_err().contains("empty"));
        assert!(read("[template]\nsrc = \"../a\"\ndest = \"/a\"").unwrap_err().contains("leads out"));
        assert!(read("[template]\nsrc = \"a\"\ndest = \"/etc/\"").unwrap_err().contains("names no file"));
    }

    #[test]
    fn reloads_by_systemd_and_by_signal() {
        let unit = |name: &str, action| Some(Reload::Unit { name: name.to_owned(), action });
        assert_eq!(one("reload_unit = \"nginx\"").unwrap().reload, unit("nginx.service", UnitAction::Reload));
        let restart = one("reload_unit = \"a.socket\"\naction = \"try-restart\"").unwrap().reload;
        assert_eq!(restart, unit("a.socket", UnitAction::TryRestart));
        let signal = one("reload_unit = \"nginx\"\nsignal = \"HUP\"").unwrap().reload;
        assert_eq!(signal, Some(Reload::UnitSignal { name: "nginx.service".to_owned(), signal: 1 }));
        assert_eq!(one("signal = \"SIGHUP\"").unwrap().reload, Some(Reload::ChildSignal { signal: 1 }));
        for wrong in [
            "reload_cmd = \"x\"\nreload_unit = \"a\"",
            "reload_cmd = \"x\"\nsignal = \"HUP\"",
            "action = \"reload\"",
            "reload_unit = \"a\"\naction = \"explode\"",
            "reload_unit = \"a\"\naction = \"reload\"\nsignal = \"HUP\"",
            "reload_unit = \"../a\"",
            "signal = \"LOUD\"",
        ] {
            assert!(one(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_have_bounds_of_their_own() {
        let output = one("check_timeout = \"500ms\"\nreload_timeout = 5\nmin_reload_interval = \"2s\"").unwrap();
        assert_eq!(output.check_timeout, Duration::from_millis(500));
        assert_eq!(output.reload_timeout, Duration::from_secs(5));
        assert_eq!(output.min_reload_interval, Duration::from_secs(2));
    }
}
