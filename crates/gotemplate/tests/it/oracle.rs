//! Go itself says whether the corpus tells the truth of it. `UPDATE_EXPECT=1` writes down what Go says.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "Go is another program, and the corpus is files; the crate under test stays pure"
)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::cases::{Corpus, unhex};

/// What Debian's Go makes of the cases, in their order.
fn ask_go(corpus: &Corpus) -> Vec<Result<Vec<u8>, String>> {
    let wire: Vec<_> = corpus
        .case
        .iter()
        .map(|case| {
            let data: Option<serde_json::Value> = case
                .data
                .as_ref()
                .or(corpus.data.as_ref())
                .map(|data| serde_json::from_str(data).expect("data is JSON"));
            json!({
                "name": case.name, "template": case.template, "data": data, "missing_key": case.missing_key,
                "left": case.left, "right": case.right, "store": corpus.store, "env": corpus.env,
                "confd": corpus.store.is_some(),
            })
        })
        .collect();
    let mut go = Command::new("go")
        .args(["run", "main.go", "confd.go"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle"))
        .env("GO111MODULE", "off")
        .env("GOCACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("go-cache"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("go starts (Debian's golang-go)");
    let request = serde_json::to_vec(&wire).unwrap();
    go.stdin.take().unwrap().write_all(&request).expect("go reads the cases");
    let output = go.wait_with_output().unwrap();
    assert!(output.status.success(), "the oracle failed: {}", output.status);
    let results: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    results
        .iter()
        .map(|result| match result["error"].as_str() {
            Some("") => Ok(unhex(result["want_hex"].as_str().unwrap())),
            Some(error) => Err(error.to_owned()),
            None => panic!("{result}"),
        })
        .collect()
}

/// Where cases are: of the language, and of confd's functions, which crate `conf` has.
fn corpora() -> Vec<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files = Vec::new();
    for dir in ["corpus", "confd"] {
        let entries = std::fs::read_dir(tests.join(dir)).expect("a corpus");
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
}

#[test]
#[ignore = "needs Debian's golang-go"]
fn go_gives_what_the_corpus_says() {
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    for path in corpora() {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut corpus: Corpus = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let outcomes = ask_go(&corpus);
        for (case, outcome) in corpus.case.iter_mut().zip(outcomes) {
            if !case.is_for_go() {
                continue;
            }
            if update {
                case.set_outcome(outcome);
            } else if case.outcome() != outcome {
                wrong.push(format!("{}: {}: Go gives {outcome:?}", path.display(), case.name));
            }
        }
        if update {
            std::fs::write(&path, toml::to_string(&corpus).unwrap()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
