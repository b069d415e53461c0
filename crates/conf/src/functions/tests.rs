//! Each function in a template, with what confd gives for it.

use std::sync::Arc;

use flota_gotemplate::{Options, Template, Value};

use super::{bound, dot, unbound};
use crate::keys::{KeyPath, Scope, Snapshot, View};

fn view() -> Arc<View> {
    let pairs = [
        ("/db/host", "h"),
        ("/db/port", "1"),
        ("/up/b", "x"),
        ("/up/a/c", "y"),
        ("/up/dd", "a"),
        ("/json", "{\"a\": [1, null]}"),
    ];
    let scope = Scope::new(&KeyPath::new("/"), &[]);
    Arc::new(View::new(Arc::new(Snapshot::new(1, pairs)), Arc::new(scope)))
}

fn render(text: &str) -> Result<String, String> {
    let template = Template::parse("t", text, &unbound()).map_err(|error| error.to_string())?;
    let rendered = template.render(&Value::Nil, &bound(view(), Arc::default()), &Options::default());
    rendered.map(|text| String::from_utf8(text).unwrap()).map_err(|error| error.to_string())
}

#[track_caller]
fn check(rows: &[(&str, &str)]) {
    for (text, wanted) in rows {
        assert_eq!(render(text).unwrap_or_else(|error| panic!("{text}: {error}")), *wanted, "{text}");
    }
}

#[track_caller]
fn fails(rows: &[(&str, &str)]) {
    for (text, wanted) in rows {
        let error = render(text).unwrap_err();
        assert!(error.ends_with(wanted), "{text}: {error}");
    }
}

#[test]
fn functions_of_keys() {
    check(&[
        (r#"{{getv "/db/host"}} {{getv "/none" "d"}}"#, "h d"),
        (r#"{{get "/db/host"}} {{(get "/db/port").Value}}"#, "{/db/host h} 1"),
        (r#"{{range gets "/db/*"}}{{.Key}}={{.Value}};{{end}}{{len (gets "/none/*")}}"#, "/db/host=h;/db/port=1;0"),
        (r#"{{getvs "/up/*"}}"#, "[a x]"),
        (r#"{{exists "/db/host"}} {{exists "/db"}}"#, "true false"),
        (r#"{{ls "/up"}} {{ls "/db/host"}} {{ls "/none"}} {{ls "/"}}"#, "[a b dd] [host] [] [db json up]"),
        (r#"{{lsdir "/up"}} {{lsdir "/"}}"#, "[a] [db up]"),
    ]);
    fails(&[
        (r#"{{getv "/none"}}"#, "error calling getv: key does not exist: /none"),
        (r#"{{get "/none"}}"#, "error calling get: key does not exist: /none"),
        (r#"{{gets "/["}}"#, "error calling gets: syntax error in pattern"),
    ]);
}

#[test]
fn functions_of_texts() {
    check(&[
        (r#"{{base "/a/b"}} {{dir "/a/b"}} {{base ""}}"#, "b /a ."),
        (r#"{{split "a:b" ":"}} {{len (split "" ":")}} {{split "ab" ""}}"#, "[a b] 1 [a b]"),
        (r#"{{join (split "a:b" ":") ","}}"#, "a,b"),
        (r#"{{toUpper "aé"}} {{toLower "AÉ"}}"#, "AÉ aé"),
        (r#"{{contains "abc" "b"}} {{replace "aaa" "a" "b" 2}} {{replace "aaa" "a" "b" -1}}"#, "true bba bbb"),
        (r#"{{trimSuffix "a.conf" ".conf"}} {{trimSuffix "a" "b"}} {{trimPrefix "xa" "x"}}"#, "a a a"),
        (
            r#"{{indent 2 "a\nb"}}{{nindent 1 "c"}} {{quote "a"}} {{squote "a"}} {{repeat 2 "ab"}} {{nospace " a b"}}"#,
            "  a\n  b\n c \"a\" 'a' abab ab",
        ),
    ]);
}

#[test]
fn functions_of_order() {
    check(&[
        (r#"{{range reverse (gets "/db/*")}}{{.Key}} {{end}}"#, "/db/port /db/host "),
        (r#"{{reverse (split "a:b" ":")}}"#, "[b a]"),
        (r#"{{sortByLength (split "ccc:a:bb" ":")}}"#, "[a bb ccc]"),
        (r#"{{range sortKVByLength (gets "/up/*")}}{{.Key}} {{end}}"#, "/up/b /up/dd "),
    ]);
    fails(&[(r#"{{sortKVByLength (split "a" ":")}}"#, "sortKVByLength takes what gets gives")]);
}

#[test]
fn functions_of_data() {
    check(&[
        (
            r#"{{$x := json "{\"a\": 1000000, \"b\": {\"c\": \"d\"}}"}}{{$x.a}} {{$x.b.c}} {{$x.none}}"#,
            "1e+06 d <no value>",
        ),
        (r#"{{range jsonArray "[1, \"a\"]"}}{{.}};{{end}}"#, "1;a;"),
        (r#"{{$m := map "a" 1 "b" "c"}}{{$m.a}} {{$m.b}}"#, "1 c"),
        (r#"{{base64Encode "a"}} {{base64Decode "YQ=="}}"#, "YQ== a"),
        (r#"{{toJson (dict "a" (list 1 "b"))}} {{(fromJson "[3]")}}"#, "{\"a\":[1,\"b\"]} [3]"),
        (
            r#"{{default "d" ""}} {{coalesce "" "c"}} {{ternary "y" "n" true}} {{empty ""}} {{hasKey (dict "a" 1) "a"}} {{keys (dict "a" 1)}}"#,
            "d c y true true [a]",
        ),
    ]);
    fails(&[
        (r#"{{json "[]"}}"#, "cannot unmarshal array into Go value of type map[string]interface {}"),
        (r#"{{map "a"}}"#, "invalid map call"),
        ("{{map 1 2}}", "map keys must be strings"),
        (r#"{{base64Decode "a!=="}}"#, "illegal base64 data at input byte 1"),
    ]);
}

#[test]
fn functions_of_numbers() {
    check(&[
        (
            "{{add 1 2}} {{sub 1 2}} {{mul 2 3}} {{div 7 2}} {{mod 7 2}} {{seq 1 3}} {{seq 3 1}}",
            "3 -1 6 3 1 [1 2 3] []",
        ),
        (r#"{{atoi "-5"}} {{parseBool "T"}}"#, "-5 true"),
    ]);
    fails(&[
        ("{{div 1 0}}", "integer divide by zero"),
        (r#"{{atoi "x"}}"#, "strconv.Atoi: parsing \"x\": invalid syntax"),
        (r#"{{parseBool "x"}}"#, "strconv.ParseBool: parsing \"x\": invalid syntax"),
    ]);
}

#[test]
fn functions_of_the_machine() {
    check(&[
        (r#"{{getenv "FLOTA_NO_SUCH_VARIABLE" "d"}}{{getenv "FLOTA_NO_SUCH_VARIABLE"}}"#, "d"),
        (r#"{{fileExists "/proc/self"}} {{fileExists "/none"}}"#, "true false"),
        (
            r#"{{lookupIPV4 "127.0.0.1"}} {{lookupIPV6 "::1"}} {{lookupIP "127.0.0.1"}}"#,
            "[127.0.0.1] [::1] [127.0.0.1]",
        ),
        (r#"{{len (lookupIPV4 "::1")}}"#, "0"),
    ]);
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(render("{{hostname}}").unwrap(), name.trim());
    let year = render(r#"{{datetime.Format "2006"}} {{datetime.UTC.Year}}"#).unwrap();
    let (a, b) = year.split_once(' ').unwrap();
    assert!(a.len() == 4 && b.parse::<i32>().unwrap() >= 2026, "{year}");
}

#[test]
fn a_directory_is_a_list_in_the_dot_of_2014() {
    let template =
        Template::parse("t", "{{ .db_host }} {{ range .up }}{{ .Key }}={{ .Value }};{{ end }}", &unbound()).unwrap();
    let view = view();
    let text = template.render(&dot(&view), &bound(view, Arc::default()), &Options::default()).unwrap();
    assert_eq!(String::from_utf8(text).unwrap(), "h b=x;dd=a;");
}
