//! The `list-*` tables: chosen fields, a header, one line per row.

use crate::{
    cli::ListArgs,
    exit::Exit,
    failure::Failure,
    output::tabwriter::{Padding, align},
    style::Style,
};

/// Characters of a content hash that are shown unless `--full` is given.
const SHORT_HASH: usize = 7;

/// A column that `--fields` can name.
pub struct Field<R> {
    /// Its name in `--fields` and, in capitals, in the header.
    pub name: &'static str,
    /// The cell of a row; the flag asks for ids and hashes in full.
    pub cell: fn(&R, bool) -> String,
}

/// What a table shows.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// Field names with commas between.
    pub fields: &'a str,
    /// Ids and hashes in full.
    pub full: bool,
    /// No header.
    pub no_legend: bool,
}

impl<'a> Layout<'a> {
    /// As the arguments of a `list-*` verb say, with the fields that it shows by default.
    pub fn of(arguments: &'a ListArgs, default: &'a str) -> Self {
        let fields = arguments.fields.as_deref().unwrap_or(default);
        Self { fields, full: arguments.full, no_legend: arguments.no_legend }
    }
}

/// Renders `rows`. Fails on a field that is not in `known`, in fleet's words.
pub fn render<R>(known: &[Field<R>], layout: Layout<'_>, rows: &[R], style: Style) -> Result<String, Failure> {
    let fields = select(known, layout.fields)?;
    let mut text = String::new();
    if !layout.no_legend {
        push_line(&mut text, fields.iter().map(|field| field.name.to_uppercase()));
    }
    for row in rows {
        push_line(&mut text, fields.iter().map(|field| (field.cell)(row, layout.full)));
    }
    let padding = match style {
        Style::Flota => Padding::Spaces,
        Style::Fleetctl => Padding::Tabs,
    };
    Ok(align(&text, padding))
}

/// What an empty cell shows.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// A content hash as shown in lists.
pub fn short_hash(hash: &str, full: bool) -> String {
    match hash.char_indices().nth(SHORT_HASH) {
        Some((end, _)) if !full => hash[..end].to_owned(),
        _ => or_dash(hash),
    }
}

fn select<'a, R>(known: &'a [Field<R>], names: &str) -> Result<Vec<&'a Field<R>>, Failure> {
    if names.is_empty() {
        return Err(Failure::new(Exit::USAGE, "Must define output format"));
    }
    names
        .split(',')
        .map(|name| {
            known.iter().find(|field| field.name == name).ok_or_else(|| {
                let valid: Vec<&str> = known.iter().map(|field| field.name).collect();
                Failure::new(Exit::USAGE, format!("Invalid key in output format: \"{name}\""))
                    .with_hint(format!("the fields are {}", valid.join(", ")))
            })
        })
        .collect()
}

fn push_line(text: &mut String, cells: impl Iterator<Item = String>) {
    // A tab or a line end inside a cell would make cells of its own.
    let cells: Vec<String> = cells.map(|cell| cell.replace(['\t', '\n', '\r'], " ")).collect();
    text.push_str(&cells.join("\t"));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Field<(&str, &str)>] = &[
        Field { name: "unit", cell: |row, _| row.0.to_owned() },
        Field { name: "hash", cell: |row, full| if full { row.1.to_owned() } else { row.1[..3].to_owned() } },
    ];

    fn layout(fields: &str) -> Layout<'_> {
        Layout { fields, full: false, no_legend: false }
    }

    #[test]
    fn fields_in_the_order_asked_for() {
        let rows = [("a.service", "abcdef")];
        let text = render(KNOWN, layout("hash,unit"), &rows, Style::Fleetctl).unwrap();
        assert_eq!(text, "HASH\tUNIT\nabc\ta.service\n");
        let bare = Layout { full: true, no_legend: true, ..layout("hash,unit") };
        assert_eq!(render(KNOWN, bare, &rows, Style::Flota).unwrap(), "abcdef  a.service\n");
    }

    #[test]
    fn wrong_fields() {
        let error = render(KNOWN, layout("unit,foo"), &[], Style::Flota).unwrap_err();
        assert_eq!(error.message, "Invalid key in output format: \"foo\"");
        assert_eq!(error.hint.as_deref(), Some("the fields are unit, hash"));
        let error = render(KNOWN, layout(""), &[], Style::Flota).unwrap_err();
        assert_eq!(error.message, "Must define output format");
    }
}
