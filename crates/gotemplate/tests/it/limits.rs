//! Every bound is an error of the template, never a crash.

use flota_gotemplate::{Functions, Options, Template, Value};

use crate::functions::functions;

fn render(text: &str, options: &Options) -> Result<String, String> {
    let template = Template::parse("t", text, &functions()).map_err(|error| error.to_string())?;
    let output = template.render(&Value::Nil, &functions(), options).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(output).unwrap())
}

fn message(text: &str, options: &Options) -> String {
    render(text, options).unwrap_err().rsplit_once(">: ").unwrap().1.to_owned()
}

#[test]
fn output_is_bounded() {
    let options = Options { max_output_bytes: 10, ..Options::default() };
    assert_eq!(render("1234567890", &options).unwrap(), "1234567890");
    assert_eq!(message("12345678901", &options), "exceeded maximum output (10 bytes)");
    assert_eq!(message("{{range 6}}{{.}} {{end}}", &options), "exceeded maximum output (10 bytes)");
}

#[test]
fn strings_are_bounded() {
    let options = Options { max_output_bytes: 1000, ..Options::default() };
    let doubling = r#"{{$x := "x"}}{{range 100}}{{$x = print $x $x}}{{end}}"#;
    assert_eq!(message(doubling, &options), "error calling print: a string of more than 1000 bytes");
}

#[test]
fn steps_are_bounded() {
    let options = Options { max_steps: 1000, ..Options::default() };
    assert_eq!(message("{{range 100000}}{{end}}", &options), "exceeded maximum number of steps (1000)");
    let million = "{{range 1000}}{{range 1000}}{{end}}{{end}}";
    assert_eq!(message(million, &options), "exceeded maximum number of steps (1000)");
    assert_eq!(render(million, &Options::default()).unwrap(), "");
}

#[test]
fn templates_that_call_themselves_end() {
    let text = r#"{{define "r"}}{{template "r" .}}{{end}}{{template "r" .}}"#;
    assert_eq!(message(text, &Options::default()), "exceeded maximum template depth (100)");
    let few = Options { max_template_depth: 3, ..Options::default() };
    let error = render(text, &few).unwrap_err();
    assert!(error.starts_with(r#"template: t:1:25: executing "r" at <{{template "r" .}}>: exceeded"#), "{error}");
}

#[test]
fn templates_that_call_themselves_in_deep_blocks_end() {
    let blocks = 50;
    let text = format!(
        r#"{{{{define "r"}}}}{}{{{{template "r" .}}}}{}{{{{end}}}}{{{{template "r" .}}}}"#,
        "{{if 1}}".repeat(blocks),
        "{{end}}".repeat(blocks)
    );
    assert_eq!(message(&text, &Options::default()), "exceeded maximum depth (600)");
}

#[test]
fn nesting_is_bounded_when_parsing() {
    let nested = |depth: usize| format!("{}x{}", "{{if 1}}".repeat(depth), "{{end}}".repeat(depth));
    assert_eq!(render(&nested(199), &Options::default()).unwrap(), "x");
    let error = "template: t:1: blocks and parentheses are nested deeper than 200";
    assert_eq!(render(&nested(201), &Options::default()).unwrap_err(), error);
    let parentheses = |depth: usize| format!("{{{{{}1{}}}}}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(render(&parentheses(199), &Options::default()).unwrap(), "1");
    assert_eq!(render(&parentheses(100_000), &Options::default()).unwrap_err(), error);
    let chain = format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(100_000));
    assert_eq!(render(&chain, &Options::default()).unwrap_err(), error);
}

#[test]
fn values_are_not_nested_without_end() {
    let text = "{{$x := 0}}{{range 1000000}}{{$x = anys $x}}{{end}}";
    let error = "error calling anys: a value that is nested deeper than 200";
    assert_eq!(message(text, &Options::default()), error);
    let fine = render("{{$x := 0}}{{range 200}}{{$x = anys $x}}{{end}}{{len (print $x)}}", &Options::default());
    assert_eq!(fine.unwrap(), "401");
}

#[test]
fn data_that_is_nested_too_deep_is_refused() {
    let mut value = Value::Int(1);
    for _ in 0..201 {
        value = vec![value].into();
    }
    let template = Template::parse("t", "{{.}}", &Functions::new()).unwrap();
    let error = template.render(&value, &Functions::new(), &Options::default()).unwrap_err();
    assert_eq!(error.message, "the data is nested deeper than 200");
}

#[test]
fn a_function_that_is_gone_when_rendering_is_an_error() {
    let template = Template::parse("t", "{{upper \"x\"}}", &functions()).unwrap();
    let error = template.render(&Value::Nil, &Functions::new(), &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), r#"template: t:1:2: executing "t" at <upper>: "upper" is not a defined function"#);
}

#[test]
fn functions_called_break_and_continue_take_the_keywords_place() {
    let mut functions = functions();
    functions.add("break", functions.get("nothing").unwrap().clone());
    functions.add("len", functions.get("upper").unwrap().clone());
    let template = Template::parse("t", "{{break}} {{len \"x\"}}", &functions).unwrap();
    let output = template.render(&Value::Nil, &functions, &Options::default()).unwrap();
    assert_eq!(output, b"<no value> X");
}

#[test]
fn parse_errors_have_a_column() {
    let error = Template::parse("t", "ab\n  {{nosuch}}", &Functions::new()).unwrap_err();
    assert_eq!((error.line, error.column), (2, 4));
}
