//! What holds for every text.

use flota_gotemplate::{Options, Template, Value};
use proptest::prelude::*;

use crate::functions::functions;

fn options() -> Options {
    Options { max_output_bytes: 1 << 16, max_steps: 10_000, ..Options::default() }
}

/// Pieces that make actions more often than chance does.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "{{",
        "}}",
        "{{- ",
        " -}}",
        "{{end}}",
        "{{else}}",
        "{{if ",
        "{{range ",
        "{{with ",
        "{{define \"a\"}}",
        "{{template \"a\"",
        "{{block \"b\" ",
        "{{break}}",
        "{{continue}}",
        "$x",
        " := ",
        " = ",
        "|",
        "(",
        ")",
        ".",
        ".a",
        "$",
        "\"s\"",
        "`r`",
        "'c'",
        "1",
        "-2.5",
        "0x1p3",
        " ",
        "\n",
        "printf ",
        "\"%*d %[2]v\" ",
        "index ",
        "print ",
        "eq ",
        "anys ",
        "upper ",
        "nil",
        "true",
        "/*",
        "*/",
        ",",
        "é",
    ]);
    prop_oneof![8 => words.prop_map(str::to_owned), 1 => ".{0,6}"]
}

/// Text without braces, and actions that print nothing.
fn silent_list() -> impl Strategy<Value = Vec<(String, &'static str)>> {
    let action = prop::sample::select(vec![
        "{{/* c */}}",
        "{{\"\"}}",
        "{{$x := 1}}",
        "{{if 0}}no{{end}}",
        "{{range .x}}no{{end}}",
        "{{define \"d\"}}no{{end}}",
        "{{with .x}}no{{end}}",
    ]);
    // One definition at most: two of a name are an error.
    prop::collection::vec(("[^{}]{0,8}", action), 0..12)
        .prop_filter("one definition", |list| list.iter().filter(|(_, action)| action.contains("define")).count() < 2)
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".*") {
        check(&text);
    }

    #[test]
    fn any_mixture_of_words_is_read_or_refused(pieces in prop::collection::vec(piece(), 0..40)) {
        check(&pieces.concat());
    }

    #[test]
    fn every_byte_outside_of_actions_is_written(list in silent_list()) {
        let text: String = list.iter().flat_map(|(text, action)| [text.as_str(), action]).collect();
        let plain: String = list.iter().map(|(text, _)| text.as_str()).collect();
        let template = Template::parse("t", &text, &functions()).unwrap();
        prop_assert_eq!(template.render(&Value::Nil, &functions(), &options()).unwrap(), plain.into_bytes());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(template) = Template::parse("t", &bytes, &functions()) {
            drop(template.render(&Value::Nil, &functions(), &options()));
        }
    }

    #[test]
    fn any_format_prints(format in "[%+# 0-9.*\\[\\]a-zA-Z]{0,12}", number in any::<i64>(), float in any::<f64>(), text in ".{0,8}") {
        let operands = Value::from(vec![Value::from(number), Value::from(float), Value::from(text), Value::from(format)]);
        let template = "{{printf (index . 3) (index . 0) (index . 1) (index . 2) .}}";
        let template = Template::parse("t", template, &functions()).unwrap();
        prop_assert!(template.render(&operands, &functions(), &Options::default()).is_ok());
    }
}

/// A text is read or refused, and what is read runs within its bounds, the same each time.
fn check(text: &str) {
    match Template::parse("t", text, &functions()) {
        Err(error) => assert!(error.line >= 1 && error.line <= text.split('\n').count(), "{error}"),
        Ok(template) => {
            let once = template.render(&Value::Nil, &functions(), &options());
            assert_eq!(once, template.render(&Value::Nil, &functions(), &options()));
            template.calls();
            template.fields();
        }
    }
}
