//! Unit files, kept as they were written and read as systemd reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::diagnostic::{Diagnostic, Findings, Span, shown};
use crate::hash::UnitHash;
use crate::lex::{self, BLANKS, LogicalLine, MAX_LINE_BYTES};

/// The largest unit file, in bytes: with its key and framing it fits one request to etcd (1.5 MiB), and it has
/// room for a line of [`MAX_LINE_BYTES`].
pub const MAX_UNIT_FILE_BYTES: usize = 1_200_000;

/// The most options a unit may have: what is kept for each of them is larger than its line.
pub const MAX_OPTIONS_PER_UNIT: usize = 65_536;

/// The longest section name, in bytes: it is repeated for each option below it.
pub const MAX_SECTION_NAME_BYTES: usize = 256;

/// One `Name=Value` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The section it stands in, without brackets.
    pub section: String,
    /// The option's name.
    pub name: String,
    /// The value. Where it is continued on further lines, `\` and the newline stay, and comment lines are left out.
    pub value: String,
    /// Where the name stands.
    pub span: Span,
    /// Where the value starts.
    pub value_span: Span,
}

/// A unit file: its text as written, and its options in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFile {
    text: String,
    entries: Vec<Entry>,
}

impl UnitFile {
    /// Reads a file that may not be UTF-8, which systemd would skip line by line.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        check_size(bytes.len())?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::parse(text),
            Err(error) => Err(vec![not_utf8(bytes, error.valid_up_to())]),
        }
    }

    /// Reads a unit file, or tells everything that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Vec<Diagnostic>> {
        check_size(text.len())?;
        let mut findings = Findings::new(text);
        check_lines(text, &mut findings);
        let mut reader = Reader { findings, section: None, entries: Vec::new(), headers: 0 };
        for line in lex::logical_lines(text) {
            reader.read(&line);
        }
        let file = Self { text: text.to_owned(), entries: reader.entries };
        let empty = file.entries.is_empty();
        let headers = reader.headers;
        let file = reader.findings.into_result(file)?;
        if empty {
            return Err(vec![empty_file(headers)]);
        }
        Ok(file)
    }

    /// Builds a unit file from options as section, name and value, in the order of [`UnitFile::canonical`].
    pub fn from_options(options: impl IntoIterator<Item = (String, String, String)>) -> Result<Self, Vec<Diagnostic>> {
        let mut problems = Vec::new();
        let mut checked = Vec::new();
        for (index, (section, name, value)) in options.into_iter().enumerate() {
            match checked_option(&section, &name, &value) {
                Ok(option) => checked.push(option),
                Err(message) if problems.len() < crate::MAX_DIAGNOSTICS => {
                    let number = index + 1;
                    problems.push(Diagnostic::whole_file(format!("option {number}: {message}")));
                }
                Err(_) => {}
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let text = write_canonical(
            checked.iter().map(|(section, name, value)| (section.as_str(), name.as_str(), value.as_str())),
        );
        Self::parse(&text)
    }

    /// The file exactly as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The options in the order of the file, duplicates kept.
    pub fn entries(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// Every value of an option in the order of the file.
    pub fn get_all<'a>(&'a self, section: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.entries
            .iter()
            .filter(move |entry| entry.section == section && entry.name == name)
            .map(|entry| entry.value.as_str())
    }

    /// The last value of an option, which is the one that counts for most of systemd's options.
    pub fn get_last(&self, section: &str, name: &str) -> Option<&str> {
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.section == section && entry.name == name)
            .map(|entry| entry.value.as_str())
    }

    /// The sections that hold options, each once, in the order of their first option.
    pub fn section_names(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.entries.iter().map(|entry| entry.section.as_str()).filter(|section| seen.insert(*section)).collect()
    }

    /// Whether the section is there and holds an option.
    pub fn has_section(&self, section: &str) -> bool {
        self.entries.iter().any(|entry| entry.section == section)
    }

    /// The file as fleet wrote it: each section once, options grouped below it, comments dropped. systemd reads it
    /// the same as the text.
    pub fn canonical(&self) -> String {
        write_canonical(
            self.entries.iter().map(|entry| (entry.section.as_str(), entry.name.as_str(), entry.value.as_str())),
        )
    }

    /// The identity of the content: comments and layout do not count.
    pub fn hash(&self) -> UnitHash {
        UnitHash::of(&self.canonical())
    }
}

/// Reads logical lines into entries.
struct Reader<'a> {
    findings: Findings<'a>,
    section: Option<String>,
    entries: Vec<Entry>,
    headers: usize,
}

impl Reader<'_> {
    fn read(&mut self, line: &LogicalLine<'_>) {
        if line.bytes() > MAX_LINE_BYTES && line.source.len() <= MAX_LINE_BYTES {
            self.findings.push(
                span(line.number, "", 0),
                format!("line and its continuation exceed {MAX_LINE_BYTES} bytes, systemd refuses such a file"),
                None,
            );
        }
        if line.first.trim_start_matches(BLANKS).starts_with('[') {
            self.read_header(line);
        } else {
            self.read_option(line);
        }
    }

    fn read_header(&mut self, line: &LogicalLine<'_>) {
        let start = line.source.find('[').unwrap_or(0);
        match section_name(line) {
            Ok(name) => {
                self.section = Some(name.to_owned());
                self.headers += 1;
            }
            Err(problem) => {
                let at = span(line.number, line.source, problem.offset);
                self.findings.push(at, problem.message, problem.hint);
                // The options below belong to the broken header: one complaint is enough.
                self.section = Some(shown(&line.source[start..]));
            }
        }
    }

    fn read_option(&mut self, line: &LogicalLine<'_>) {
        let name_start = line.source.len() - line.source.trim_start_matches(BLANKS).len();
        let at = span(line.number, line.source, name_start);
        let Some(section) = &self.section else {
            let hint = "start the file with a section such as [Unit] or [Service]".to_owned();
            self.findings.push(at, "text before the first section", Some(hint));
            return;
        };
        let Some(equals) = line.first.find('=') else {
            let hint = "write Name=Value, or start a comment with #".to_owned();
            self.findings.push(at, "option without \"=\"", Some(hint));
            return;
        };
        if self.entries.len() == MAX_OPTIONS_PER_UNIT {
            self.findings.push(at, format!("more than {MAX_OPTIONS_PER_UNIT} options"), None);
            return;
        }
        let name = line.first[..equals].trim_matches(BLANKS);
        if name.is_empty() {
            self.findings.push(at, "option without a name before \"=\"", None);
            return;
        }
        let first = &line.first[equals + 1..];
        let value_start = line.first.len() - first.trim_start_matches(BLANKS).len();
        let mut pieces = Vec::with_capacity(1 + line.rest.len());
        pieces.push(first);
        pieces.extend_from_slice(&line.rest);
        self.entries.push(Entry {
            section: section.clone(),
            name: name.to_owned(),
            value: lex::value(&pieces),
            span: at,
            value_span: span(line.number, line.source, value_start),
        });
    }
}

/// What is wrong with a section header, and where in its line.
struct HeaderProblem {
    offset: usize,
    message: String,
    hint: Option<String>,
}

fn section_name<'a>(line: &LogicalLine<'a>) -> Result<&'a str, HeaderProblem> {
    let start = line.source.find('[').unwrap_or(0);
    let problem = |offset: usize, message: &str, hint: Option<String>| {
        Err(HeaderProblem { offset, message: message.to_owned(), hint })
    };
    if !line.rest.is_empty() || line.first.len() != line.source.len() {
        return problem(line.first.len(), "section header cannot be continued on the next line", None);
    }
    let body = &line.source[start + 1..];
    let Some(close) = body.find(']') else {
        let name = body.trim_matches(BLANKS);
        let hint = is_section_name(name).then(|| format!("write [{name}]"));
        return problem(start, "section header is not closed by \"]\"", hint);
    };
    let (name, tail) = (&body[..close], &body[close + 1..]);
    if !lex::is_blank(tail) {
        let blanks = tail.len() - tail.trim_start_matches(BLANKS).len();
        let offset = start + 1 + close + 1 + blanks;
        let hint = "put it on its own line".to_owned();
        return problem(offset, "text after the section header", Some(hint));
    }
    if !is_section_name(name) {
        let trimmed = name.trim_matches(BLANKS);
        let hint = is_section_name(trimmed).then(|| format!("write [{trimmed}]"));
        return problem(start + 1, &format!("invalid section name \"{}\"", shown(name)), hint);
    }
    Ok(name)
}

/// systemd refuses control characters, quotes and backslashes, and knows no section with blanks around its name.
fn is_section_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_SECTION_NAME_BYTES
        && name.trim_matches(BLANKS) == name
        && !name.chars().any(|c| c.is_control() || matches!(c, '"' | '\'' | '\\' | '[' | ']'))
}

/// An option of the HTTP API in the form that the parser would give it.
fn checked_option(section: &str, name: &str, value: &str) -> Result<(String, String, String), String> {
    if !is_section_name(section) {
        return Err(format!("invalid section name \"{}\"", shown(section)));
    }
    let name = name.trim_matches(BLANKS);
    if name.is_empty() {
        return Err(format!("option without a name in [{section}]"));
    }
    if name.starts_with(['[', '#', ';']) || name.contains(['=', '\n', '\r', '\0']) {
        return Err(format!("invalid option name \"{}\" in [{section}]", shown(name)));
    }
    if value.contains('\0') {
        return Err(format!("value of {} in [{section}] contains a NUL byte", shown(name)));
    }
    let mut pieces = Vec::new();
    let value = value.trim_matches(BLANKS);
    let count = lex::lines_of_part(value).count();
    for (index, line) in lex::lines_of_part(value).enumerate() {
        if index > 0 && lex::is_comment(line.text) {
            continue;
        }
        match lex::continued(line.text) {
            Some(piece) if index + 1 < count => pieces.push(piece),
            None if index + 1 < count => {
                return Err(format!(
                    "value of {} in [{section}] contains a line end that no \"\\\" continues",
                    shown(name)
                ));
            }
            _ => pieces.push(line.text),
        }
    }
    Ok((section.to_owned(), name.to_owned(), lex::value(&pieces)))
}

fn write_canonical<'a>(options: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sections: Vec<(&str, String)> = Vec::new();
    for (section, name, value) in options {
        let place = *places.entry(section).or_insert_with(|| {
            sections.push((section, String::new()));
            sections.len() - 1
        });
        let body = &mut sections[place].1;
        // A backslash that is part of the value must not continue the line when it is written back.
        let guard = if lex::continued(value).is_some() { " " } else { "" };
        let _ = writeln!(body, "{name}={value}{guard}");
    }
    let blocks: Vec<String> = sections.into_iter().map(|(section, body)| format!("[{section}]\n{body}")).collect();
    blocks.join("\n")
}

/// The place of a byte of a line.
fn span(line: u32, text: &str, offset: usize) -> Span {
    let column = text.get(..offset).map_or(0, |before| before.chars().count()) as u32 + 1;
    Span { line, column }
}

fn check_size(bytes: usize) -> Result<(), Vec<Diagnostic>> {
    if bytes <= MAX_UNIT_FILE_BYTES {
        return Ok(());
    }
    let message = format!("unit file has {bytes} bytes, more than the {MAX_UNIT_FILE_BYTES} that a unit may have");
    let hint = "keep large data in a file of its own and let the unit name its path";
    Err(vec![Diagnostic::whole_file(message).with_hint(hint)])
}

/// What no line may have, comment or not.
fn check_lines(text: &str, findings: &mut Findings<'_>) {
    for line in lex::lines(text) {
        if line.text.len() > MAX_LINE_BYTES {
            let message =
                format!("line has {} bytes, more than the {MAX_LINE_BYTES} that systemd reads", line.text.len());
            findings.push(span(line.number, "", 0), message, None);
        }
        if let Some(offset) = line.text.find('\0') {
            let hint = "is this a text file in UTF-8?".to_owned();
            findings.push(span(line.number, line.text, offset), "NUL byte", Some(hint));
        }
    }
}

fn empty_file(headers: usize) -> Diagnostic {
    let message = if headers == 0 { "unit file is empty" } else { "unit file is empty: its sections hold no options" };
    Diagnostic::whole_file(message).with_hint("a service needs at least [Service] and ExecStart=")
}

fn not_utf8(bytes: &[u8], offset: usize) -> Diagnostic {
    // Everything before the bad byte is UTF-8; the marker stands for it and keeps an empty last line countable.
    let before = String::from_utf8_lossy(&bytes[..offset]);
    let marked = format!("{before}?");
    let (number, start) = lex::lines(&marked).last().map_or((1, ""), |line| (line.number, line.text));
    let tail = &bytes[offset..];
    let tail_end = tail.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(tail.len());
    let source = format!("{}{}", &start[..start.len().saturating_sub(1)], String::from_utf8_lossy(&tail[..tail_end]));
    Diagnostic {
        line: number,
        column: start.chars().count() as u32,
        message: format!("byte 0x{:02x} is not UTF-8", bytes[offset]),
        hint: Some("convert the file, for example: iconv -f latin1 -t utf-8".to_owned()),
        source_line: Some(source),
    }
}
