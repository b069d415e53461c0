//! confd's functions beside what Go made of the same templates (`crates/gotemplate/tests/oracle` wrote the expectations).

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use flota_gotemplate::{Options, Template, Value};
use serde::Deserialize;

use super::{bound, unbound};
use crate::keys::{KeyPath, Scope, Snapshot, View};

const CORPUS: &str = include_str!("../../../gotemplate/tests/confd/functions.toml");
/// Set where the environment is the corpus's.
const INSIDE: &str = "FLOTA_TEST_CORPUS";

#[derive(Deserialize)]
struct Corpus {
    store: BTreeMap<String, String>,
    env: BTreeMap<String, String>,
    case: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    template: String,
    want: Option<String>,
    want_hex: Option<String>,
    error: Option<String>,
}

impl Case {
    fn outcome(&self) -> Result<Vec<u8>, String> {
        match (&self.want, &self.want_hex, &self.error) {
            (Some(text), None, None) => Ok(text.clone().into_bytes()),
            (None, Some(hex), None) => {
                let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                Ok((0..hex.len()).step_by(2).map(byte).collect())
            }
            (None, None, Some(error)) => Err(error.clone()),
            _ => panic!("{}: one of want, want_hex and error", self.name),
        }
    }

    fn render(&self, view: &Arc<View>) -> Result<Vec<u8>, String> {
        let template = Template::parse("t", &self.template, &unbound()).map_err(|error| error.to_string())?;
        let rendered = template.render(&Value::Nil, &bound(view.clone(), Arc::default()), &Options::default());
        rendered.map_err(|error| error.to_string())
    }
}

#[test]
fn every_function_gives_what_go_gives() {
    let corpus: Corpus = toml::from_str(CORPUS).unwrap();
    if std::env::var_os(INSIDE).is_none() {
        let this = ["--exact", "functions::corpus::every_function_gives_what_go_gives"];
        let mut inside = Command::new(std::env::current_exe().unwrap());
        let ran = inside.args(this).env(INSIDE, "1").envs(&corpus.env).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let scope = Scope::new(&KeyPath::new("/"), &[]);
    let pairs = corpus.store.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let view = Arc::new(View::new(Arc::new(Snapshot::new(1, pairs)), Arc::new(scope)));
    let mut wrong = Vec::new();
    for case in &corpus.case {
        let (want, got) = (case.outcome(), case.render(&view));
        if want != got {
            let show = |outcome: &Result<Vec<u8>, String>| match outcome {
                Ok(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
                Err(error) => format!("error {error}"),
            };
            let (want, got) = (show(&want), show(&got));
            wrong.push(format!("{}: {}\n  want {want}\n  got  {got}", case.name, case.template));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(corpus.case.len() >= 100);
}
