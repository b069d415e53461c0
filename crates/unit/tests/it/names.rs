//! Unit names: fleet's accepted and refused ones, and their parts.

use flota_unit::{MAX_UNIT_NAME_BYTES, UnitHash, UnitKind, UnitName};

fn name(text: &str) -> UnitName {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn accepted_names() {
    for kind in UnitKind::ALL {
        name(&format!("foo.{kind}"));
    }
    for text in [
        "foo.bar.service",
        "foo@.service",
        "foo@bar@baz.service",
        "foo@1.socket",
        "foo@1.path",
        "foo@1.target",
        "foo@1.timer",
        "a:b-c_d.e\\x2df@g.service",
        "0.service",
        "--.service",
        "...service",
    ] {
        name(text);
    }
}

#[test]
fn refused_names_with_fleets_words() {
    let long = format!("{}.service", "a".repeat(MAX_UNIT_NAME_BYTES - 7));
    let cases = [
        ("", "unit name cannot be empty"),
        (long.as_str(), "unit name exceeds maximum length (256)"),
        ("foo", "unit name must contain \".\""),
        ("foo.", "unit name cannot end in \".\""),
        ("..", "unit name cannot end in \".\""),
        ("foo.foo", "invalid unit type: \"foo\""),
        ("foo.Service", "invalid unit type: \"Service\""),
        ("foo.service ", "invalid unit type: \"service \""),
        ("foo@.mount", "invalid unit type for template: \"mount\""),
        ("foo@1.slice", "invalid unit type for template: \"slice\""),
        ("foo%.service", "invalid character '%' in unit name"),
        ("foo bar.service", "invalid character ' ' in unit name"),
        ("../foo.service", "invalid character '/' in unit name"),
        ("fo\0o.service", "invalid character '\\0' in unit name"),
        ("caf\u{e9}.service", "invalid character '\u{e9}' in unit name"),
        ("foo@{1,3}.service", "invalid character '{' in unit name"),
        ("@foo.service", "unit name cannot start in \"@\""),
        ("@.service", "unit name cannot start in \"@\""),
        (".service", "unit name cannot start in its suffix \".service\""),
    ];
    for (text, expected) in cases {
        let error = text.parse::<UnitName>().expect_err(text);
        assert_eq!(error.to_string(), expected, "{text}");
    }
}

#[test]
fn a_name_of_the_greatest_length_is_accepted() {
    let longest = format!("{}.service", "a".repeat(MAX_UNIT_NAME_BYTES - 8));
    assert_eq!(name(&longest).as_str().len(), MAX_UNIT_NAME_BYTES);
}

#[test]
fn parts() {
    // name, stem, prefix, instance, template
    let cases = [
        ("foo.service", "foo", "foo", None, None),
        ("foo.bar.service", "foo.bar", "foo.bar", None, None),
        ("foo@.service", "foo@", "foo", Some(""), None),
        ("foo@1.service", "foo@1", "foo", Some("1"), Some("foo@.service")),
        ("foo@a.b.timer", "foo@a.b", "foo", Some("a.b"), Some("foo@.timer")),
        ("foo@bar@baz.service", "foo@bar@baz", "foo", Some("bar@baz"), Some("foo@.service")),
        ("foo.1@.service", "foo.1@", "foo.1", Some(""), None),
    ];
    for (text, stem, prefix, instance, template) in cases {
        let unit = name(text);
        assert_eq!(unit.stem(), stem, "{text}");
        assert_eq!(unit.prefix(), prefix, "{text}");
        assert_eq!(unit.instance(), instance, "{text}");
        assert_eq!(unit.template(), template.map(name), "{text}");
        assert_eq!(unit.is_template(), instance == Some(""), "{text}");
        assert_eq!(unit.is_instance(), template.is_some(), "{text}");
    }
    assert_eq!(name("foo@1.timer").kind(), UnitKind::Timer);
}

#[test]
fn arguments() {
    let cases = [
        ("hello", "hello.service"),
        ("hello.service", "hello.service"),
        ("./units/hello.service", "hello.service"),
        ("/tmp/hello", "hello.service"),
        ("foo.target", "foo.target"),
        ("foo.bar", "foo.bar.service"),
        ("web@1", "web@1.service"),
        ("web@", "web@.service"),
    ];
    for (argument, expected) in cases {
        assert_eq!(UnitName::from_argument(argument), Ok(name(expected)), "{argument}");
    }
    for argument in ["", "/", "units/", ".", "..", "a/..", "a\0b", "a b"] {
        assert!(UnitName::from_argument(argument).is_err(), "{argument:?}");
    }
}

#[test]
fn instances_come_from_templates_only() {
    let template = name("web@.service");
    assert_eq!(template.instantiate("1"), Ok(name("web@1.service")));
    assert_eq!(template.instantiate("a@b"), Ok(name("web@a@b.service")));
    let message = |unit: &UnitName, instance: &str| unit.instantiate(instance).expect_err(instance).to_string();
    assert_eq!(message(&template, ""), "instance of \"web@.service\" cannot be empty");
    assert_eq!(message(&template, "a/b"), "invalid character '/' in unit name");
    assert_eq!(message(&name("web.service"), "1"), "\"web.service\" is not a template");
    assert_eq!(message(&name("web@1.service"), "2"), "\"web@1.service\" is not a template");
}

#[test]
fn serde_validates() {
    let unit: UnitName = serde_json::from_str("\"web@1.service\"").expect("valid");
    assert_eq!(serde_json::to_string(&unit).expect("string"), "\"web@1.service\"");
    let error = serde_json::from_str::<UnitName>("\"../web.service\"").expect_err("path");
    assert!(error.to_string().contains("invalid character '/'"), "{error}");
}

#[test]
fn hashes() {
    let text = "1c6fb6f3684bafb0c173d8b8b957ceff031180c1";
    let hash: UnitHash = text.parse().expect("hash");
    assert_eq!(hash.to_string(), text);
    assert_eq!(hash.short(), "1c6fb6f");
    assert_eq!(text.to_uppercase().parse(), Ok(hash));
    assert_eq!(serde_json::to_string(&hash).expect("json"), format!("\"{text}\""));
    for bad in ["", "1c6fb6f", &text[1..], &format!("{text}0"), &text.replace('1', "g"), &"\u{e9}".repeat(20)] {
        assert!(bad.parse::<UnitHash>().is_err(), "{bad}");
        assert!(serde_json::from_str::<UnitHash>(&format!("\"{bad}\"")).is_err(), "{bad}");
    }
}
