//! Any bytes as a template: refused, or run to an end within its bounds, the same each time.
#![no_main]

use std::sync::LazyLock;

use flota_gotemplate::{FuncError, Functions, Options, Signature, Template, Type, Value};
use libfuzzer_sys::fuzz_target;

/// Small bounds, so that running into them is quick.
const OPTIONS: Options = Options {
    missing_key: flota_gotemplate::MissingKey::Default,
    max_output_bytes: 1 << 16,
    max_template_depth: 20,
    max_steps: 5_000,
};

static FUNCTIONS: LazyLock<Functions> = LazyLock::new(|| {
    let mut functions = Functions::new();
    functions.insert("getv", Signature::new([Type::Str]).variadic(Type::Str), |args| Ok(args[0].clone()));
    functions.insert("list", Signature::new([]).variadic(Type::Any), |args| Ok(args.to_vec().into()));
    functions.insert("fail", Signature::new([]), |_| Err(FuncError::new("no")));
    functions.insert("add", Signature::new([Type::Int, Type::Int]), |args| {
        let sum = args.iter().filter_map(Value::as_int).fold(0, i64::wrapping_add);
        Ok(Value::Int(sum))
    });
    functions
});

static DOT: LazyLock<Value> = LazyLock::new(|| {
    let list = Value::from(vec![Value::Int(-1), Value::from("é"), Value::Float(0.1), Value::Nil, Value::Byte(65)]);
    let entries = [("list", list), ("text", Value::from("text")), ("no", Value::Nil), ("n", Value::Int(3))];
    Value::from(entries.into_iter().map(|(key, value)| (key.into(), value)).collect::<std::collections::BTreeMap<_, _>>())
});

fuzz_target!(|bytes: &[u8]| {
    match Template::parse("fuzz", bytes, &FUNCTIONS) {
        Err(error) => {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            assert!((1..=lines).contains(&error.line), "{error}");
        }
        Ok(template) => {
            let once = template.render(&DOT, &FUNCTIONS, &OPTIONS);
            assert_eq!(once, template.render(&DOT, &FUNCTIONS, &OPTIONS), "one template has one outcome");
            if let Ok(output) = once {
                assert!(output.len() <= OPTIONS.max_output_bytes);
            }
            drop(template.calls());
            drop(template.fields());
            // Without an action nothing is left out.
            if !bytes.windows(2).any(|pair| pair == b"{{") {
                assert_eq!(template.render(&DOT, &FUNCTIONS, &Options::default()).as_deref(), Ok(bytes));
            }
        }
    }
});
