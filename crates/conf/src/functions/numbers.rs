//! Functions of whole numbers.

use flota_gotemplate::{FuncError, Functions, List, Signature, Type, Value};

use super::arguments::{error, int, strings, utf8};

/// Longest list that `seq` makes.
const MAX_SEQ: i64 = 1_000_000;

/// Adds them; they wrap around as Go's.
pub(super) fn add(functions: &mut Functions) {
    type Operation = fn(i64, i64) -> Result<i64, FuncError>;
    let operations: [(&str, Operation); 5] = [
        ("add", |a, b| Ok(a.wrapping_add(b))),
        ("sub", |a, b| Ok(a.wrapping_sub(b))),
        ("mul", |a, b| Ok(a.wrapping_mul(b))),
        ("div", |a, b| if b == 0 { Err(by_zero()) } else { Ok(a.wrapping_div(b)) }),
        ("mod", |a, b| if b == 0 { Err(by_zero()) } else { Ok(a.wrapping_rem(b)) }),
    ];
    for (name, operation) in operations {
        functions.insert(name, Signature::new([Type::Int, Type::Int]), move |args| {
            operation(int(args, 0), int(args, 1)).map(Value::from)
        });
    }
    functions.insert("seq", Signature::new([Type::Int, Type::Int]), |args| {
        let (first, last) = (int(args, 0), int(args, 1));
        if last.saturating_sub(first) >= MAX_SEQ {
            return Err(error(format!("more than {MAX_SEQ} numbers")));
        }
        Ok(List::new(Type::Int, (first..=last).map(Value::from).collect()).into())
    });
    functions.insert("atoi", strings(1), |args| {
        let text = utf8(args, 0);
        let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse::<i64>() {
            Ok(number) if is_number => Ok(number.into()),
            _ if is_number => Err(error(format!("strconv.Atoi: parsing {text:?}: value out of range"))),
            _ => Err(error(format!("strconv.Atoi: parsing {text:?}: invalid syntax"))),
        }
    });
    functions.insert("parseBool", strings(1), |args| match utf8(args, 0).as_str() {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true.into()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false.into()),
        other => Err(error(format!("strconv.ParseBool: parsing {other:?}: invalid syntax"))),
    });
}

fn by_zero() -> FuncError {
    error("runtime error: integer divide by zero")
}
