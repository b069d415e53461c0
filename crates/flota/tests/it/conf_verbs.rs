//! The verbs of `flota conf` that look and tell: what they print, and their exit codes.

use std::fs;

use crate::conf_rig::{Place, told};

/// Output without the directory of the test.
fn plain(place: &Place, text: &str) -> String {
    text.replace(place.path("").to_str().unwrap(), "DIR/")
}

#[test]
fn render_prints_what_templates_give_and_changes_nothing() {
    let place = Place::with_one("");
    place.resource("b.toml", "[template]\nsrc = \"b\"\ndest = \"OUT/b\"\n");
    place.template("b", "b\n");
    let (code, out, error) = told(place.flota("render", &[]));
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(plain(&place, &out), "==> DIR/out/a <==\nk is 1\n==> DIR/out/b <==\nb\n");
    assert_eq!(told(place.flota("render", &["OUT/b"])), (0, "b\n".to_owned(), String::new()));
    let (code, out, error) = told(place.flota("render", &["/none"]));
    assert_eq!((code, out.as_str(), error.as_str()), (1, "", "no template gives /none\n"));
    place.keys("other: 1");
    let (code, _, error) = told(place.flota("render", &["OUT/a"]));
    assert_eq!(code, 1);
    assert!(error.contains("template: a:1:7: executing \"a\" at <getv \"/k\">"), "{error}");
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn diff_ends_with_2_where_something_would_change_and_with_0_where_not() {
    let place = Place::with_one("mode = \"0640\"\n");
    fs::write(place.path("out/a"), "k is 0\n").unwrap();
    let (code, out, error) = told(place.flota("diff", &[]));
    assert_eq!((code, error.as_str()), (2, ""));
    assert_eq!(plain(&place, &out), "--- DIR/out/a\n+++ DIR/out/a\n@@ -1 +1 @@\n-k is 0\n+k is 1\n");
    assert_eq!(place.read("a"), "k is 0\n");
    fs::write(place.path("out/a"), "k is 1\n").unwrap();
    let (code, out, _) = told(place.flota("diff", &[]));
    assert_eq!((code, plain(&place, &out).as_str()), (2, "DIR/out/a: mode or owner differs\n"));
    assert_eq!(told(place.flota("run", &["--onetime"])).0, 0);
    assert_eq!(told(place.flota("diff", &[])), (0, String::new(), String::new()));
    place.keys("other: 1");
    assert_eq!(told(place.flota("diff", &[])).0, 1, "what cannot be rendered cannot be compared");
}

#[test]
fn lint_ends_with_1_only_for_errors_and_tells_their_places() {
    let place = Place::with_one("");
    assert_eq!(told(place.flota("lint", &[])), (0, String::new(), String::new()));
    place.template("a", "{{getv \"/k\"}}\n{{getv \"/k/z\"}}");
    let mock = place.path("keys.yaml").display().to_string();
    let (code, out, _) = told(place.flota("lint", &["--mock", &mock]));
    assert_eq!((code, plain(&place, &out).as_str()), (0, "DIR/templates/a:2: warning: there is no key `/k/z`\n"));
    place.template("a", "\n{{getw \"/k\"}}");
    let (code, out, _) = told(place.flota("lint", &[]));
    assert_eq!((code, plain(&place, &out).as_str()), (1, "DIR/templates/a:2: error: function \"getw\" not defined\n"));
    place.resource("a.toml", "[template]\nsrc = 1\n");
    assert_eq!(told(place.flota("lint", &[])).0, 1, "a resource that cannot be read");
}

#[test]
fn graph_shows_the_way_from_keys_to_the_reload() {
    let place = Place::with_one("prefix = \"/app\"\nreload_cmd = \"true\"\n");
    let (code, out, _) = told(place.flota("graph", &[]));
    assert_eq!((code, plain(&place, &out).as_str()), (0, "/app/k -> a -> DIR/out/a -> true\n"));
    let (code, out, _) = told(place.flota("graph", &["--output", "json"]));
    assert_eq!(code, 0);
    assert!(out.contains("\"keys\": [\n      \"/app/k\"\n    ]") && out.contains("\"reload\": \"true\""), "{out}");
}

#[test]
fn test_compares_each_case_with_what_is_expected() {
    let place = Place::with_one("");
    let case = |name: &str, expected: &str| {
        let dest = place.path("out/a");
        let file = place.path("cases").join(name).join("expected").join(dest.strip_prefix("/").unwrap());
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, expected).unwrap();
        fs::write(place.path("cases").join(name).join("keys.yaml"), "k: 1").unwrap();
    };
    let cases = place.path("cases").display().to_string();
    case("good", "k is 1\n");
    assert_eq!(told(place.flota("test", &[&cases])), (0, "good: ok\n1 passed, 0 failed\n".to_owned(), String::new()));
    case("bad", "k is 2\n");
    let (code, out, _) = told(place.flota("test", &[&cases]));
    assert_eq!(code, 1);
    assert!(out.starts_with("bad: FAILED\n") && out.contains("\n-k is 2\n+k is 1\n"), "{out}");
    assert!(out.ends_with("good: ok\n1 passed, 1 failed\n"), "{out}");
}

#[test]
fn status_tells_of_each_file_whether_it_is_in_line_and_why_not() {
    let place = Place::with_one("reload_cmd = \"test -e OUT/allowed\"\n");
    let status = || {
        let (code, out, _) = told(place.flota("status", &[]));
        (code, plain(&place, &out).lines().next().unwrap().to_owned())
    };
    assert_eq!(status(), (1, "differs        DIR/out/a".to_owned()));
    assert_eq!(told(place.flota("run", &["--onetime"])).0, 1, "the reload fails");
    assert_eq!(status(), (1, "reload-pending DIR/out/a".to_owned()));
    let (_, out, _) = told(place.flota("status", &["--output", "json"]));
    assert!(out.contains("\"state\": \"reload-pending\"") && out.contains("\"pending_reloads\": [\n"), "{out}");
    fs::write(place.path("out/allowed"), "").unwrap();
    assert_eq!(told(place.flota("run", &["--onetime"])).0, 0);
    assert_eq!(status(), (0, "ok             DIR/out/a".to_owned()));
    place.template("a", "{{getv \"/none\"}}");
    let (code, line) = status();
    assert_eq!(code, 1);
    assert!(line.starts_with("failed         DIR/out/a  template: a:1:2: executing"), "{line}");
}
