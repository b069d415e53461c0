//! What the `[X-Fleet]` and `[X-Flota]` sections of a unit ask of its placement.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Findings, Span, shown};
use crate::file::{Entry, UnitFile};
use crate::glob::Glob;
use crate::lex::BLANKS;
use crate::name::{NameError, UnitName};
use crate::options::{Field, FleetSection, OptionName, SectionMeaning};
use crate::specifier::Specifiers;

/// How many values the fleet sections of one unit may hold: each is tested against every other unit and machine.
pub const MAX_VALUES_PER_UNIT: usize = 256;

/// The longest single value, in bytes: room for any name, pattern or label, and a bound on what specifiers add.
const MAX_VALUE_BYTES: usize = 1024;

/// How many leading characters of a machine ID may stand for the whole.
const SHORT_MACHINE_ID_CHARS: usize = 8;

/// What a unit asks of its placement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// The one machine it may run on, by full ID or the first eight characters.
    pub machine_id: Option<String>,
    /// The units that must be on the same machine, all of them.
    pub machine_of: BTreeSet<UnitName>,
    /// The metadata a machine must have: one of the values of each key.
    pub machine_metadata: BTreeMap<String, BTreeSet<String>>,
    /// The units that must not be on the same machine.
    pub conflicts: Vec<Glob>,
    /// The units that leave the machine which this one takes.
    pub replaces: Vec<Glob>,
    /// Whether it runs on every machine that fits.
    pub global: bool,
    /// Whether it must never run twice: its machine gives it up before another one may have it.
    #[serde(default)]
    pub exclusive: bool,
}

impl Requirements {
    /// Reads the fleet sections of a unit's file.
    ///
    /// A template is checked as any of its instances would be; what it returns has an empty `%i`, without the
    /// values that mean nothing then. A unit of a kind that systemd loads from no file is refused as a whole.
    pub fn from_unit(name: &UnitName, file: &UnitFile) -> Result<Self, Vec<Diagnostic>> {
        if let Some(why) = name.kind().refusal() {
            return Err(vec![Diagnostic::whole_file(format!("{name} cannot run anywhere: {why}"))]);
        }
        let probe = name.instantiate("i").ok();
        let mut reader = Reader::new(Specifiers::of(probe.as_ref().unwrap_or(name)), file);
        reader.read(file);
        reader.check_combinations();
        if !name.is_template() {
            reader.check_peers();
        }
        let requirements = reader.findings.into_result(reader.requirements)?;
        if probe.is_none() {
            return Ok(requirements);
        }
        let mut template = Reader::new(Specifiers::of(name), file);
        template.read(file);
        Ok(template.requirements)
    }

    /// Whether the unit may run on the machine with this full ID.
    pub fn matches_machine_id(&self, id: &str) -> bool {
        self.machine_id
            .as_ref()
            .is_none_or(|wanted| wanted == id || id.get(..SHORT_MACHINE_ID_CHARS) == Some(wanted.as_str()))
    }

    /// Whether a machine with this metadata has what the unit asks for.
    pub fn matches_metadata(&self, metadata: &BTreeMap<String, String>) -> bool {
        self.machine_metadata.iter().all(|(key, values)| metadata.get(key).is_some_and(|value| values.contains(value)))
    }

    /// Whether a `Conflicts` pattern names the other unit. A unit never conflicts with itself: that is the caller's
    /// to exclude, and so is asking the other unit too.
    pub fn conflicts_with(&self, other: &UnitName) -> bool {
        self.conflicts.iter().any(|glob| glob.matches(other.as_str()))
    }

    /// Whether a `Replaces` pattern names the other unit.
    pub fn replaces_unit(&self, other: &UnitName) -> bool {
        self.replaces.iter().any(|glob| glob.matches(other.as_str()))
    }
}

/// A message and a hint about one value.
struct Problem {
    message: String,
    hint: Option<String>,
}

impl Problem {
    fn new(message: impl Into<String>, hint: &str) -> Self {
        Self { message: message.into(), hint: (!hint.is_empty()).then(|| hint.to_owned()) }
    }
}

/// One value of a list, and where it starts in the option's value, in bytes.
struct Item<'a> {
    text: &'a str,
    offset: usize,
}

/// Gathers the fleet options of one file.
struct Reader<'a> {
    specifiers: Specifiers<'a>,
    findings: Findings<'a>,
    requirements: Requirements,
    /// The machine IDs by the rank of the option that gave them.
    machine_ids: BTreeMap<usize, String>,
    /// Where each field got its last value.
    places: BTreeMap<Field, Span>,
    values: usize,
}

impl<'a> Reader<'a> {
    fn new(specifiers: Specifiers<'a>, file: &'a UnitFile) -> Self {
        Self {
            specifiers,
            findings: Findings::new(file.text()),
            requirements: Requirements::default(),
            machine_ids: BTreeMap::new(),
            places: BTreeMap::new(),
            values: 0,
        }
    }

    fn read(&mut self, file: &UnitFile) {
        let mut misspelt = BTreeSet::new();
        for entry in file.entries() {
            match SectionMeaning::of(&entry.section) {
                SectionMeaning::Ours(section) => self.read_entry(section, entry),
                SectionMeaning::Misspelt(meant) => {
                    if misspelt.insert(&entry.section) {
                        let message = format!("[{}] is not a section that Flota reads", shown(&entry.section));
                        self.findings.push(entry.span, message, Some(format!("did you mean [{meant}]?")));
                    }
                }
                SectionMeaning::Other => {}
            }
        }
        self.requirements.machine_id = self.machine_ids.values().next().cloned();
    }

    fn read_entry(&mut self, section: FleetSection, entry: &Entry) {
        let Some(option) = section.find(&entry.name) else {
            let message = format!("unknown option {} in [{}]", shown(&entry.name), shown(&entry.section));
            self.findings.push(entry.span, message, Some(section.hint(&entry.name)));
            return;
        };
        // Blanks of the same length keep the offsets right.
        let joined = entry.value.replace("\\\n", "  ");
        let joined = joined.trim_matches(BLANKS);
        if joined.is_empty() {
            self.reset(option);
            return;
        }
        let items = match items(joined, option.field) {
            Ok(items) => items,
            Err((offset, problem)) => {
                self.findings.push(place(entry, offset), problem.message, problem.hint);
                return;
            }
        };
        for item in items {
            if let Err((offset, problem)) = self.read_item(option, &item) {
                let at = place(entry, item.offset + offset);
                self.findings.push(at, problem.message, problem.hint);
            }
        }
        self.places.insert(option.field, entry.span);
    }

    fn read_item(&mut self, option: OptionName, item: &Item<'_>) -> Result<(), (usize, Problem)> {
        self.values += 1;
        if self.values > MAX_VALUES_PER_UNIT {
            let message = format!("more than {MAX_VALUES_PER_UNIT} values in the fleet sections");
            return Err((0, Problem::new(message, "a pattern can stand for many units")));
        }
        if item.text.len() > MAX_VALUE_BYTES {
            let message = format!("value has {} bytes, more than {MAX_VALUE_BYTES}", item.text.len());
            return Err((0, Problem::new(message, "")));
        }
        let value = self.specifiers.expand(item.text).map_err(|error| {
            let hint = "here %n, %N, %p and %i are known, and %% for a percent sign";
            (error.offset, Problem::new(error.to_string(), hint))
        })?;
        self.apply(option, &value).map_err(|problem| (0, problem))
    }

    fn apply(&mut self, option: OptionName, value: &str) -> Result<(), Problem> {
        match option.field {
            Field::MachineId => self.add_machine_id(option, value)?,
            Field::MachineOf => {
                let peer = value.parse().map_err(|error| bad_peer(value, error))?;
                self.requirements.machine_of.insert(peer);
            }
            Field::MachineMetadata => {
                let (key, wanted) = metadata(value)?;
                self.requirements.machine_metadata.entry(key.to_owned()).or_default().insert(wanted.to_owned());
            }
            Field::Conflicts => self.requirements.conflicts.push(glob(value)?),
            Field::Replaces => self.requirements.replaces.push(glob(value)?),
            Field::Global => self.requirements.global = truth(option, value)?,
            Field::Exclusive => self.requirements.exclusive = truth(option, value)?,
        }
        Ok(())
    }

    fn add_machine_id(&mut self, option: OptionName, value: &str) -> Result<(), Problem> {
        if value.is_empty() || value.contains(char::is_whitespace) {
            return Err(Problem::new(format!("invalid machine ID \"{}\"", shown(value)), "a machine ID has no blanks"));
        }
        match self.machine_ids.get(&option.rank) {
            Some(first) if first != value => {
                let message = format!("{} names two machines: {} and {}", option.name, shown(first), shown(value));
                Err(Problem::new(message, "a unit is bound to one machine: keep one of them"))
            }
            _ => {
                self.machine_ids.insert(option.rank, value.to_owned());
                Ok(())
            }
        }
    }

    /// systemd's rule: an empty value takes back what came before.
    fn reset(&mut self, option: OptionName) {
        match option.field {
            Field::MachineId => {
                self.machine_ids.remove(&option.rank);
            }
            Field::MachineOf => self.requirements.machine_of.clear(),
            Field::MachineMetadata => self.requirements.machine_metadata.clear(),
            Field::Conflicts => self.requirements.conflicts.clear(),
            Field::Replaces => self.requirements.replaces.clear(),
            Field::Global => self.requirements.global = false,
            Field::Exclusive => self.requirements.exclusive = false,
        }
    }

    /// Options that exclude each other, in the order and the words of fleet; what fleet did not know comes last.
    fn check_combinations(&mut self) {
        let wanted = &self.requirements;
        let id = (Field::MachineId, "MachineID", wanted.machine_id.is_some());
        let peers = (Field::MachineOf, "Peers", !wanted.machine_of.is_empty());
        let conflicts = (Field::Conflicts, "Conflicts", !wanted.conflicts.is_empty());
        let replaces = (Field::Replaces, "Replaces", !wanted.replaces.is_empty());
        let global = (Field::Global, "Global", wanted.global);
        let exclusive = (Field::Exclusive, "Exclusive", wanted.exclusive);
        let pairs = [
            (id, peers),
            (id, conflicts),
            (id, global),
            (id, replaces),
            (global, peers),
            (global, replaces),
            (conflicts, replaces),
            (global, exclusive),
        ];
        for ((_, first, has_first), (field, second, has_second)) in pairs {
            if has_first && has_second {
                let hint = (field == Field::MachineOf).then(|| "peers are what MachineOf names".to_owned());
                let at = self.places.get(&field).copied().unwrap_or_default();
                self.findings.push(at, format!("{first} cannot be used with {second}"), hint);
            }
        }
    }

    fn check_peers(&mut self) {
        let wanted = &self.requirements;
        for peer in &wanted.machine_of {
            let conflicts = wanted.conflicts.iter().map(|glob| (Field::Conflicts, "conflict", glob));
            let replaces = wanted.replaces.iter().map(|glob| (Field::Replaces, "replace", glob));
            for (field, word, glob) in conflicts.chain(replaces) {
                if glob.matches(peer.as_str()) {
                    let message = format!("unresolvable requirements: peer \"{peer}\" matches {word} \"{glob}\"");
                    let at = self.places.get(&field).copied().unwrap_or_default();
                    self.findings.push(at, message, None);
                }
            }
        }
    }
}

/// The values that one line gives: a list of quoted strings, else one value; `Conflicts` also splits at blanks.
fn items(value: &str, field: Field) -> Result<Vec<Item<'_>>, (usize, Problem)> {
    let items = if value.starts_with('"') { quoted_items(value)? } else { vec![Item { text: value, offset: 0 }] };
    if field != Field::Conflicts {
        return Ok(items);
    }
    Ok(items.iter().flat_map(words).collect())
}

fn quoted_items(value: &str) -> Result<Vec<Item<'_>>, (usize, Problem)> {
    let hint = "write a list as \"one\" \"two\"";
    let mut items = Vec::new();
    let mut offset = 0;
    while offset < value.len() {
        let rest = &value[offset..];
        let Some(body) = rest.strip_prefix('"') else {
            return Err((offset, Problem::new("text outside of quotes in a quoted list", hint)));
        };
        let Some(end) = body.find('"') else {
            return Err((offset, Problem::new("quote is not closed", hint)));
        };
        if body[..end].trim().is_empty() {
            return Err((offset, Problem::new("empty value in a quoted list", hint)));
        }
        items.push(Item { text: &body[..end], offset: offset + 1 });
        let tail = &body[end + 1..];
        let next = tail.trim_start();
        if !tail.is_empty() && next.len() == tail.len() {
            return Err((value.len() - tail.len(), Problem::new("no blank after a closing quote", hint)));
        }
        offset = value.len() - next.len();
    }
    Ok(items)
}

fn words<'a>(item: &Item<'a>) -> Vec<Item<'a>> {
    let mut words = Vec::new();
    let mut offset = item.offset;
    for text in item.text.split(BLANKS) {
        if !text.is_empty() {
            words.push(Item { text, offset });
        }
        // Every blank is one byte.
        offset += text.len() + 1;
    }
    words
}

/// Where a byte of a value stands; the start of the value when it runs over several lines.
fn place(entry: &Entry, offset: usize) -> Span {
    let mut span = entry.value_span;
    if let (false, Some(before)) = (entry.value.contains('\n'), entry.value.get(..offset)) {
        span.column += before.chars().count() as u32;
    }
    span
}

fn bad_peer(value: &str, error: NameError) -> Problem {
    let hint = match &error {
        NameError::NoSuffix => format!("did you mean {value}.service?"),
        NameError::Character('*' | '?' | '[') => "MachineOf takes exact names, not patterns".to_owned(),
        NameError::Character(' ' | '\t' | ',') => {
            "write one MachineOf line for each unit, or a list as \"one\" \"two\"".to_owned()
        }
        _ => String::new(),
    };
    Problem::new(error.to_string(), &hint)
}

fn metadata(value: &str) -> Result<(&str, &str), Problem> {
    let problem = || {
        let hint = "write key=value, and several as \"key=value\" \"other=value\"";
        Problem::new(format!("malformed machine metadata \"{}\"", shown(value)), hint)
    };
    let (key, wanted) = value.split_once('=').ok_or_else(problem)?;
    let has_outer_blanks = |text: &str| text.trim_matches(BLANKS) != text;
    if key.is_empty() || wanted.is_empty() || wanted.contains('=') || has_outer_blanks(key) || has_outer_blanks(wanted)
    {
        return Err(problem());
    }
    Ok((key, wanted))
}

fn glob(value: &str) -> Result<Glob, Problem> {
    if value.contains(|c: char| c.is_whitespace() || matches!(c, '"' | ',')) {
        let hint = "write one line for each pattern, or a list as \"one\" \"two\"";
        return Err(Problem::new(format!("pattern \"{}\" can match no unit name", shown(value)), hint));
    }
    Glob::new(value).map_err(|error| Problem::new(error.to_string(), "patterns know *, ?, [a-z], [^a-z] and \\"))
}

fn truth(option: OptionName, value: &str) -> Result<bool, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "on" | "t" => Ok(true),
        "false" | "no" | "0" | "off" | "f" => Ok(false),
        _ => Err(Problem::new(
            format!("{} is neither true nor false: \"{}\"", option.name, shown(value)),
            &format!("write {0}=true or {0}=false", option.name),
        )),
    }
}
