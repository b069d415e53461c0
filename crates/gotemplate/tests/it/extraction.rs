//! What a template reads, found without running it.

use flota_gotemplate::{Arg, Template};

use crate::functions::functions;

fn calls(text: &str) -> Vec<String> {
    let template = Template::parse("t", text, &functions()).unwrap();
    let show = |arg: &Arg| match arg {
        Arg::Literal(value) => format!("{value}"),
        Arg::Prefix(text) => format!("{text}..."),
        Arg::Dynamic => "?".to_owned(),
    };
    template
        .calls()
        .iter()
        .map(|call| {
            let args: Vec<_> = call.args.iter().map(show).collect();
            format!("{}:{} {}({})", call.line, call.column, call.function, args.join(", "))
        })
        .collect()
}

fn fields(text: &str) -> Vec<String> {
    let template = Template::parse("t", text, &functions()).unwrap();
    template.fields().iter().map(|path| format!("{}:{} {}", path.line, path.column, path.names.join("."))).collect()
}

#[test]
fn literal_arguments_are_known() {
    assert_eq!(calls("{{upper \"/a\"}}\n{{ add 1 2 }}"), ["1:2 upper(/a)", "2:3 add(1, 2)"]);
}

#[test]
fn what_comes_through_a_pipe_is_the_last_argument() {
    assert_eq!(calls(r#"{{"/a" | upper}}"#), ["1:9 upper(/a)"]);
    assert_eq!(calls(r#"{{.x | pair "/a"}}"#), ["1:7 pair(/a, ?)"]);
}

#[test]
fn texts_printed_from_constants_are_constants() {
    assert_eq!(
        calls(r#"{{upper (printf "/%s/%d" "a" 1)}}{{upper (print "/a" "/b")}}"#),
        ["1:9 printf(/%s/%d, a, 1)", "1:2 upper(/a/1)", "1:42 print(/a, /b)", "1:35 upper(/a/b)"]
    );
}

#[test]
fn a_text_that_is_known_in_part_is_a_prefix() {
    assert_eq!(calls(r#"{{upper (printf "/app/%s/x" .name)}}"#), ["1:9 printf(/app/%s/x, ?)", "1:2 upper(/app/...)"]);
    assert_eq!(calls(r#"{{upper (print "/app/" .name)}}"#), ["1:9 print(/app/, ?)", "1:2 upper(/app/...)"]);
    assert_eq!(calls(r#"{{.name | printf "/app/%s" | upper}}"#), ["1:10 printf(/app/%s, ?)", "1:29 upper(/app/...)"]);
}

#[test]
fn variables_and_fields_are_not_known() {
    assert_eq!(calls("{{$x := \"a\"}}{{upper $x}}{{upper .x}}"), ["1:15 upper(?)", "1:27 upper(?)"]);
}

#[test]
fn calls_in_branches_loops_and_definitions_are_found() {
    let text = r#"{{if upper "1"}}{{upper "2"}}{{else}}{{upper "3"}}{{end}}{{range upper "4"}}{{with upper "5"}}{{end}}{{end}}
{{define "d"}}{{upper "6"}}{{end}}{{template "d" upper "7"}}{{(upper "8").x}}{{$x := upper "9"}}"#;
    let mut found: Vec<_> = calls(text).into_iter().map(|call| call.split_once(' ').unwrap().1.to_owned()).collect();
    found.sort();
    assert_eq!(found, (1..=9).map(|n| format!("upper({n})")).collect::<Vec<_>>());
}

#[test]
fn fields_of_the_top_dot_are_found() {
    assert_eq!(fields("{{.a}} {{.b.c}}\n{{upper .d}}{{$.e}}"), ["1:2 a", "1:11 b.c", "2:8 d", "2:15 e"]);
}

#[test]
fn fields_of_another_dot_are_not() {
    let text = "{{range .list}}{{.inner}}{{$.outer}}{{else}}{{.none}}{{end}}{{with .w}}{{.inner}}{{end}}{{with .}}{{.same}}{{end}}";
    let names: Vec<_> = fields(text).into_iter().map(|path| path.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(names, ["list", "outer", "none", "w", "same"]);
}

#[test]
fn definitions_that_get_the_dot_are_followed() {
    let text = r#"{{define "same"}}{{.a}}{{template "same" .}}{{end}}{{define "other"}}{{.b}}{{end}}{{template "same" .}}{{template "other" .c}}"#;
    let names: Vec<_> = fields(text).into_iter().map(|path| path.split_once(' ').unwrap().1.to_owned()).collect();
    assert_eq!(names, ["a", "c"]);
}
