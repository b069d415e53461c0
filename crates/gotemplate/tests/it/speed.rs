//! How long a large file takes.

use std::time::{Duration, Instant};

use flota_gotemplate::{List, Options, Template, Type, Value};

use crate::functions::{functions, pair};

/// What a build without optimization, on a busy machine, must stay below; a release build takes a few milliseconds.
const MAX: Duration = Duration::from_secs(2);

#[test]
#[expect(clippy::disallowed_methods, reason = "it measures the time of a rendering and tells it")]
fn ten_thousand_keys_render_quickly() {
    let pairs: Vec<_> = (0..10_000).map(|n| pair(&format!("/app/{n:05}"), &format!("10.0.0.{n}:8080"))).collect();
    let dot = Value::from(List::new(Type::named("main.KVPair"), pairs));
    let template = Template::parse(
        "t",
        "{{range $i, $kv := .}}{{if $i}},{{end}}\n  {{.Key}} = {{printf \"%q\" $kv.Value}}{{end}}\n",
        &functions(),
    );
    let template = template.unwrap();
    let plain = Template::parse("t", "{{range .}}{{.Key}}={{.Value}}\n{{end}}", &functions()).unwrap();
    for (name, template) in [("plain", plain), ("with printf and variables", template)] {
        let times: Vec<_> = (0..5)
            .map(|_| {
                let start = Instant::now();
                let output = template.render(&dot, &functions(), &Options::default()).unwrap();
                assert_eq!(output.split(|byte| *byte == b'=').count(), 10_001);
                start.elapsed()
            })
            .collect();
        let best = times.into_iter().min().unwrap();
        println!("10,000 keys {name}: {best:?}");
        assert!(best < MAX, "{best:?}");
    }
}
