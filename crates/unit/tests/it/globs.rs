//! Patterns: the rules of Go's `path.Match`.

use flota_unit::{Glob, GlobError, MAX_GLOB_BYTES};

#[test]
fn matching() {
    let cases = [
        ("abc", "abc", true),
        ("abc", "ab", false),
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
        ("*", "abc", true),
        ("*c", "abc", true),
        ("a*", "abc", true),
        ("a*", "ab/c", false),
        ("a*/b", "abc/b", true),
        ("a*/b", "a/c/b", false),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
        ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
        ("a*b?c*x", "abxbbxdbxebxczzx", true),
        ("a*b?c*x", "abxbbxdbxebxczzy", false),
        ("ab[c]", "abc", true),
        ("ab[b-d]", "abc", true),
        ("ab[e-g]", "abc", false),
        ("ab[^c]", "abc", false),
        ("ab[^e-g]", "abc", true),
        ("a\\*b", "a*b", true),
        ("a\\*b", "ab", false),
        ("a?b", "a\u{263a}b", true),
        ("a[^a]b", "a\u{263a}b", true),
        ("a???b", "a\u{263a}b", false),
        ("[a-\u{3b6}]*", "\u{3b1}", true),
        ("*[a-\u{3b6}]", "A", false),
        ("a?b", "a/b", false),
        ("[\\]a]", "]", true),
        ("[\\-]", "-", true),
        ("[x\\-]", "x", true),
        ("[x\\-]", "z", false),
        ("[\\-x]", "a", false),
        ("[d-a]", "b", false),
        ("*x", "xxx", true),
        ("web@*", "web@1.service", true),
        ("web@*.service", "web@.service", true),
        ("fo[a-z].*", "foo.service", true),
        ("db.service", "dbxservice", false),
    ];
    for (pattern, name, expected) in cases {
        let glob = Glob::new(pattern).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(glob.matches(name), expected, "{pattern:?} on {name:?}");
    }
}

#[test]
fn malformed() {
    for (pattern, expected) in [
        ("[]a]", "pattern \"[]a]\" has a malformed character class"),
        ("[-]", "pattern \"[-]\" has a malformed character class"),
        ("[x-]", "pattern \"[x-]\" has a malformed character class"),
        ("[-x]", "pattern \"[-x]\" has a malformed character class"),
        ("[a-b-c]", "pattern \"[a-b-c]\" has a malformed character class"),
        ("[", "pattern \"[\" has \"[\" without \"]\""),
        ("[^", "pattern \"[^\" has \"[\" without \"]\""),
        ("[^bc", "pattern \"[^bc\" has \"[\" without \"]\""),
        ("a[", "pattern \"a[\" has \"[\" without \"]\""),
        ("a\\", "pattern \"a\\\\\" ends in a backslash"),
        ("[a\\", "pattern \"[a\\\\\" ends in a backslash"),
    ] {
        assert_eq!(Glob::new(pattern).expect_err(pattern).to_string(), expected);
    }
    let long = "a".repeat(MAX_GLOB_BYTES + 1);
    assert_eq!(Glob::new(&long), Err(GlobError::TooLong(MAX_GLOB_BYTES + 1)));
}

#[test]
fn many_stars_cost_little() {
    let glob = Glob::new(&"a*".repeat(MAX_GLOB_BYTES / 2)).expect("pattern");
    for _ in 0..1000 {
        assert!(!glob.matches(&"a".repeat(256)));
    }
    let glob = Glob::new(&format!("{}b", "*a".repeat(100))).expect("pattern");
    for _ in 0..1000 {
        assert!(!glob.matches(&"a".repeat(256)));
    }
}

#[test]
fn text_decides_order_and_serde() {
    let glob = Glob::new("web@*").expect("pattern");
    assert_eq!(glob.to_string(), "web@*");
    assert!(glob < Glob::new("web@?").expect("pattern"));
    assert_eq!(serde_json::to_string(&glob).expect("json"), "\"web@*\"");
    assert_eq!(serde_json::from_str::<Glob>("\"web@*\"").expect("json"), glob);
    assert!(serde_json::from_str::<Glob>("\"[\"").is_err());
}
