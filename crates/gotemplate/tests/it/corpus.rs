//! The language beside what Go made of the same templates.

use flota_gotemplate::{Delimiters, MissingKey, Options, Template, Value};

use crate::cases::{Case, FILES, read};
use crate::functions::{functions, value};

fn render(case: &Case) -> Result<Vec<u8>, String> {
    let functions = functions();
    let dot = case.data.as_ref().map_or(Value::Nil, |data| value(&serde_json::from_str(data).unwrap()));
    let missing_key = match case.missing_key.as_deref() {
        Some("zero") => MissingKey::Zero,
        Some("error") => MissingKey::Error,
        _ => MissingKey::Default,
    };
    let Delimiters { left, right } = Delimiters::default();
    let delimiters = Delimiters { left: case.left.clone().unwrap_or(left), right: case.right.clone().unwrap_or(right) };
    let template = Template::parse_with("t", &case.template, &functions, &delimiters).map_err(|e| e.to_string())?;
    template.render(&dot, &functions, &Options { missing_key, ..Options::default() }).map_err(|e| e.to_string())
}

fn show(outcome: &Result<Vec<u8>, String>) -> String {
    match outcome {
        Ok(bytes) => format!("output {:?}", String::from_utf8_lossy(bytes)),
        Err(error) => format!("error  {error}"),
    }
}

#[test]
fn every_template_gives_what_go_gives() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (name, text) in FILES {
        for case in read(name, text).case {
            count += 1;
            let (want, got) = (case.outcome(), render(&case));
            if want != got {
                let (want, got) = (show(&want), show(&got));
                wrong.push(format!("{name}: {}\n  {}\n  want {want}\n  got  {got}", case.name, case.template));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count >= 400, "{count} cases");
}

#[test]
fn no_two_cases_have_one_name() {
    for (name, text) in FILES {
        let mut names: Vec<_> = read(name, text).case.into_iter().map(|case| case.name).collect();
        names.sort();
        for pair in names.windows(2) {
            assert_ne!(pair[0], pair[1], "{name}.toml");
        }
    }
}
