//! A resource with its templates: what it reads, and what becomes of it at one snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use flota_gotemplate::{Arg, Functions, MissingKey, Options, Str, Template, Value};

use crate::functions::{Memo, STORE_FUNCTIONS, bound, dot};
use crate::keys::{KeyPath, Reads, Scope, Snapshot, View};
use crate::resource::{Output, Reload, Resource};
use crate::templates::{Parsed, TemplateError, Templates};

/// A resource and its templates.
#[derive(Debug)]
pub struct Group {
    /// What the file says.
    pub resource: Resource,
    templates: Arc<Templates>,
    scopes: Vec<Arc<Scope>>,
}

impl Group {
    /// Groups of resources whose templates are in the same directory. Templates are read when they are needed.
    pub fn all(resources: Vec<Resource>, confdir: &Path) -> Vec<Group> {
        let templates = Arc::new(Templates::new(confdir.join("templates")));
        resources.into_iter().map(|resource| Group::new(resource, Arc::clone(&templates))).collect()
    }

    fn new(resource: Resource, templates: Arc<Templates>) -> Group {
        let scopes = resource.outputs.iter().map(|output| Arc::new(Scope::new(&output.prefix, &output.keys)));
        Group { templates, scopes: scopes.collect(), resource }
    }

    /// The resource's name for people: its file.
    pub fn name(&self) -> String {
        self.resource.file.display().to_string()
    }

    /// All reloads of its outputs, each once.
    pub fn reloads(&self) -> BTreeSet<Reload> {
        self.resource.outputs.iter().filter_map(|output| output.reload.clone()).collect()
    }

    /// Whether all files return when a reload fails.
    pub fn rolls_back(&self) -> bool {
        self.resource.outputs.iter().any(|output| output.rollback)
    }

    /// What has to be read from the store for it. Where a template does not say which keys it reads, all below its prefix.
    pub fn roots(&self) -> Vec<KeyPath> {
        let mut roots = BTreeSet::new();
        for (at, output) in self.resource.outputs.iter().enumerate() {
            if !output.keys.is_empty() {
                roots.extend(self.scopes[at].roots());
                continue;
            }
            match self.template(at) {
                Ok(parsed) if !parsed.by_dot => roots.extend(derived(&parsed.template, &output.prefix)),
                Ok(_) => roots.extend([output.prefix.clone()]),
                // It has to be mended first; what it will read then is asked again.
                Err(_) => {}
            }
        }
        roots.into_iter().collect()
    }

    /// Parses a template, or takes it as it was parsed before.
    pub fn parse(&self, at: usize) -> Result<Template, TemplateError> {
        Ok(self.template(at)?.template)
    }

    fn template(&self, at: usize) -> Result<Parsed, TemplateError> {
        self.templates.parse(&self.resource.outputs[at].src)
    }

    /// Renders one template. What it read is told even if it failed.
    pub fn render(
        &self,
        at: usize,
        snapshot: &Arc<Snapshot>,
        memo: &Arc<Memo>,
    ) -> (Reads, Result<Vec<u8>, TemplateError>) {
        let parsed = match self.template(at) {
            Ok(parsed) => parsed,
            // No key mends it.
            Err(error) => return (Reads::default(), Err(error)),
        };
        let view = Arc::new(View::new(Arc::clone(snapshot), Arc::clone(&self.scopes[at])));
        let functions = bound(Arc::clone(&view), Arc::clone(memo));
        let mut options = Options::default();
        let mut value = Value::Nil;
        if parsed.by_dot {
            value = dot(&view);
            // As in 2014, when a key that was not there was the end of the rendering.
            options.missing_key = MissingKey::Error;
        }
        let text = parsed.template.render(&value, &functions, &options);
        (view.reads(), text.map_err(TemplateError::from))
    }
}

/// The paths that a template reads below its prefix, as far as its text tells; the prefix itself where it does not.
fn derived(template: &Template, prefix: &KeyPath) -> BTreeSet<KeyPath> {
    let mut paths = BTreeSet::new();
    for call in template.calls().into_iter().filter(|call| STORE_FUNCTIONS.contains(&call.function.as_str())) {
        let path = match call.args.first() {
            Some(Arg::Literal(Value::Str(text))) if matches!(call.function.as_str(), "gets" | "getvs") => {
                Some(fixed_part(&text.lossy()))
            }
            Some(Arg::Literal(Value::Str(text))) => Some(text.lossy().into_owned()),
            Some(Arg::Prefix(start)) => Some(fixed_part(&start.lossy())),
            _ => None,
        };
        match path {
            Some(path) => paths.insert(prefix.join(&path)),
            None => return BTreeSet::from([prefix.clone()]),
        };
    }
    paths
}

/// The directory that everything with this beginning or pattern is in.
fn fixed_part(pattern: &str) -> String {
    let fixed = pattern.find(['*', '?', '[', '\\']).map_or(pattern, |meta| &pattern[..meta]);
    fixed[..fixed.rfind('/').map_or(0, |slash| slash + 1)].to_owned()
}

/// The line of a check with the staged file in it.
pub fn check_line(output: &Output, staged: &Path) -> Result<Option<String>, TemplateError> {
    let Some(line) = &output.check else { return Ok(None) };
    let template = Template::parse("checkcmd", line, &Functions::new())?;
    let src = BTreeMap::from([(Str::from("src"), Value::from(staged.to_string_lossy().into_owned()))]);
    let text = template.render(&src.into(), &Functions::new(), &Options::default())?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::resource::from_text;

    /// A group of one template in a directory of its own.
    fn group(dir: &Path, template: &str, rest: &str) -> Group {
        fs::create_dir_all(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/a.tmpl"), template).unwrap();
        let text = format!("[template]\nsrc = \"a.tmpl\"\ndest = \"{}/out\"\n{rest}", dir.display());
        Group::all(vec![from_text(&dir.join("a.toml"), &text, None).unwrap()], dir).remove(0)
    }

    fn rendered(template: &str, rest: &str, pairs: &[(&str, &str)]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let snapshot = Arc::new(Snapshot::new(1, pairs.iter().copied()));
        let (_, text) = group(dir.path(), template, rest).render(0, &snapshot, &Arc::default());
        text.map(|text| String::from_utf8(text).unwrap()).map_err(|error| error.to_string())
    }

    fn roots(template: &str, rest: &str) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        group(dir.path(), template, rest).roots().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn keys_are_derived_from_the_template_where_the_resource_names_none() {
        let template =
            r#"{{getv "/a/b"}}{{range gets "/up/*/x"}}{{end}}{{ls "/dir"}}{{getv (printf "/app/%s" (getenv "X"))}}"#;
        assert_eq!(roots(template, ""), ["/a/b", "/app", "/dir", "/up"]);
        assert_eq!(roots(template, "prefix = \"/p\""), ["/p/a/b", "/p/app", "/p/dir", "/p/up"]);
        assert_eq!(roots(r#"{{getv (getv "/x")}}"#, "prefix = \"/p\""), ["/p"]);
        assert_eq!(roots(r#"{{getv "/x"}}"#, "keys = [\"/other\"]"), ["/other"]);
        assert_eq!(roots("no keys", ""), Vec::<String>::new());
    }

    #[test]
    fn templates_of_2014_have_all_keys_as_their_dot() {
        let pairs = [("/app/elasticsearch/host", "10.0.0.1"), ("/app/server/1", "a:1"), ("/app/server/2", "b:2")];
        let template =
            "{{ .elasticsearch_host }} {{ range $server := .server }}{{ $server.Key }}={{ $server.Value }};{{ end }}";
        let rest = "prefix = \"/app\"\nkeys = [\"/elasticsearch/host\", \"/server\"]";
        assert_eq!(rendered(template, rest, &pairs).unwrap(), "10.0.0.1 1=a:1;2=b:2;");
        let error = rendered(template, rest, &pairs[1..]).unwrap_err();
        assert!(error.contains("elasticsearch_host"), "{error}");
    }

    #[test]
    fn errors_of_templates_have_their_place() {
        let error = rendered("a\n{{getv \"/none\"}}", "keys = [\"/\"]", &[]).unwrap_err();
        let wanted = "template: a.tmpl:2:2: executing \"a.tmpl\" at <getv \"/none\">: error calling getv: key does not exist: /none";
        assert_eq!(error, wanted);
        let error = rendered("\n{{nosuch}}", "", &[]).unwrap_err();
        assert_eq!(error, "template: a.tmpl:2: function \"nosuch\" not defined");
    }

    #[test]
    fn a_check_has_the_staged_file_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let group = group(dir.path(), "", "check_cmd = \"nginx -t -c {{.src}}\"");
        let line = check_line(&group.resource.outputs[0], Path::new("/etc/.x")).unwrap();
        assert_eq!(line.as_deref(), Some("nginx -t -c /etc/.x"));
    }
}
