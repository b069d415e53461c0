//! Mistakes that can be seen without a store.

use std::fmt;
use std::path::{Path, PathBuf};

use flota_gotemplate::{Arg, Template, Value};

use crate::functions::STORE_FUNCTIONS;
use crate::group::{Group, check_line};
use crate::keys::{KeyPath, Snapshot};
use crate::resource::Output;
use crate::templates::TemplateError;

/// A mistake, or what looks like one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub path: PathBuf,
    /// The line, if one is to blame.
    pub line: Option<usize>,
    /// What.
    pub message: String,
    /// Whether it cannot work; otherwise it is only suspicious.
    pub is_error: bool,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_error { "error" } else { "warning" };
        match self.line {
            Some(line) => write!(f, "{}:{line}: {kind}: {}", self.path.display(), self.message),
            None => write!(f, "{}: {kind}: {}", self.path.display(), self.message),
        }
    }
}

/// One reading of keys in a template's text.
pub(super) struct Reading {
    function: String,
    /// None: known only when the template runs.
    key: Option<String>,
    line: usize,
}

impl Reading {
    /// With the prefix, for people.
    pub fn shown(&self, prefix: &KeyPath) -> String {
        match &self.key {
            None => "*".to_owned(),
            Some(key) if prefix.as_str() == "/" => key.clone(),
            Some(key) => format!("{prefix}{key}"),
        }
    }
}

/// All readings of a template, those by its dot excepted.
pub(super) fn reads_of(template: &Template) -> Vec<Reading> {
    let calls = template.calls().into_iter().filter(|call| STORE_FUNCTIONS.contains(&call.function.as_str()));
    let readings = calls.map(|call| {
        let key = match call.args.first() {
            Some(Arg::Literal(Value::Str(text))) => Some(text.lossy().into_owned()),
            Some(Arg::Prefix(start)) => Some(format!("{start}*")),
            _ => None,
        };
        Reading { function: call.function, key, line: call.line }
    });
    readings.collect()
}

/// Looks at all templates. With `keys`, also for keys that a template cannot do without and that are not there.
pub fn lint(groups: &[Group], confdir: &Path, keys: Option<&Snapshot>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in groups {
        for (at, output) in group.resource.outputs.iter().enumerate() {
            let error =
                |message: String| Finding { path: group.resource.file.clone(), line: None, message, is_error: true };
            if let Err(wrong) = check_line(output, Path::new("/staged")) {
                findings.push(error(format!("check_cmd: {wrong}")));
            }
            match group.parse(at) {
                Ok(template) => of_template(&mut findings, group, output, confdir, &template, keys),
                Err(TemplateError::Parse(wrong)) => findings.push(Finding {
                    path: confdir.join("templates").join(&output.src),
                    line: Some(wrong.line),
                    message: wrong.message,
                    is_error: true,
                }),
                Err(other) => findings.push(error(flota_etcd::chain(&other))),
            }
        }
    }
    findings
}

fn of_template(
    findings: &mut Vec<Finding>,
    group: &Group,
    output: &Output,
    confdir: &Path,
    template: &Template,
    keys: Option<&Snapshot>,
) {
    let path = confdir.join("templates").join(&output.src);
    let readings = reads_of(template);
    let mut tell = |path: &Path, line, is_error, message| {
        findings.push(Finding { path: path.to_owned(), line, message, is_error });
    };
    for reading in &readings {
        let Some(key) = reading.key.as_deref().filter(|key| !key.contains(['*', '?', '[', '\\'])) else { continue };
        if !key.starts_with('/') && !matches!(reading.function.as_str(), "ls" | "lsdir") {
            tell(
                &path,
                Some(reading.line),
                true,
                format!("key `{key}` does not begin with a slash: nothing has that name"),
            );
            continue;
        }
        if !output.keys.is_empty() && !output.keys.iter().any(|declared| declared.covers(key)) {
            tell(&path, Some(reading.line), true, format!("key `{key}` is not among the keys of {}", group.name()));
        } else if let Some(keys) = keys
            && matches!(reading.function.as_str(), "get" | "getv")
            && keys.get(output.prefix.join(key).as_str()).is_none()
        {
            tell(&path, Some(reading.line), false, format!("there is no key `{key}`"));
        }
    }
    let knows_all = readings.iter().all(|reading| reading.key.is_some()) && template.fields().is_empty();
    for declared in output.keys.iter().filter(|_| knows_all) {
        let is_read = readings.iter().filter_map(|reading| reading.key.as_deref()).any(|key| {
            let fixed = key.find(['*', '?', '[', '\\']).map_or(key, |meta| &key[..meta]);
            declared.covers(key)
                || KeyPath::new(fixed).covers(declared.as_str())
                || declared.covers(fixed.trim_end_matches('/'))
        });
        if !is_read {
            tell(&group.resource.file, None, false, format!("key `{declared}` is read by no template"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::graph;
    use crate::resource::from_text;
    use std::fs;

    fn group(dir: &Path, template: &str, rest: &str) -> Vec<Group> {
        fs::create_dir_all(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/a.tmpl"), template).unwrap();
        let text = format!("[template]\nsrc = \"a.tmpl\"\ndest = \"/etc/a\"\n{rest}");
        Group::all(vec![from_text(&dir.join("a.toml"), &text, None).unwrap()], dir)
    }

    fn findings(template: &str, rest: &str, keys: Option<&Snapshot>) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let found = lint(&group(dir.path(), template, rest), dir.path(), keys);
        let strip = |finding: Finding| finding.to_string().replace(&format!("{}/", dir.path().display()), "");
        found.into_iter().map(strip).collect()
    }

    #[test]
    fn mistakes_are_found_without_a_store() {
        assert_eq!(findings("a\n{{nosuch}}", "", None), ["templates/a.tmpl:2: error: function \"nosuch\" not defined"]);
        assert_eq!(
            findings("{{getv \"/b\"}}{{getv \"c\"}}", "keys = [\"/a\", \"/b\"]", None),
            [
                "templates/a.tmpl:1: error: key `c` does not begin with a slash: nothing has that name",
                "a.toml: warning: key `/a` is read by no template",
            ]
        );
        let foreign = findings("{{getv \"/c\"}}", "keys = [\"/a\"]", None);
        assert!(foreign[0].starts_with("templates/a.tmpl:1: error: key `/c` is not among the keys"), "{foreign:?}");
        assert_eq!(findings("{{range gets \"/up/*\"}}{{end}}", "keys = [\"/up\"]", None), Vec::<String>::new());
        assert!(findings("", "check_cmd = \"{{.src\"", None)[0].starts_with("a.toml: error: check_cmd:"));
    }

    #[test]
    fn keys_that_are_not_there_are_found_with_a_file_of_keys() {
        let keys = Snapshot::new(1, [("/p/a", "1")]);
        let found = findings("{{getv \"/a\"}}{{getv \"/b\"}}", "prefix = \"/p\"", Some(&keys));
        assert_eq!(found, ["templates/a.tmpl:1: warning: there is no key `/b`"]);
    }

    #[test]
    fn the_graph_leads_from_keys_to_reloads() {
        let dir = tempfile::tempdir().unwrap();
        let groups = group(dir.path(), "{{getv \"/a\"}}{{gets \"/up/*\"}}", "prefix = \"/p\"\nreload_unit = \"nginx\"");
        let edges = graph(&groups);
        assert_eq!(edges[0].keys, ["/p/a", "/p/up/*"]);
        assert_eq!(edges[0].reload.as_deref(), Some("reload nginx.service"));
    }
}
