//! `index`, `slice` and `len`.

use super::invoke::prepared;
use crate::exec::Operand;
use crate::function::FuncError;
use crate::value::{List, Type, Value};

/// `index x 1 2` is `x[1][2]`.
pub(super) fn index(item: &Operand, indexes: &[Operand]) -> Result<Operand, FuncError> {
    if item.get().is_none() {
        return Err("index of untyped nil".into());
    }
    let mut item = item.clone().unboxed();
    for index in indexes {
        item = match item.get() {
            None => return Err("index of nil pointer".into()),
            Some(Value::List(list)) => {
                let place = position(index, list.len())?;
                Operand::element(list, place).ok_or("reflect: slice index out of range")?
            }
            Some(Value::Str(text)) => {
                let place = position(index, text.len())?;
                let byte = text.get(place).ok_or("reflect: string index out of range")?;
                Operand::Plain(Value::Byte(*byte))
            }
            Some(Value::Map(map)) => match prepared(index, &Type::Str)? {
                Value::Str(key) => Operand::entry(map, &key).unwrap_or_else(|| Operand::zero(map.element())),
                _ => Operand::Missing,
            },
            Some(other) => return Err(format!("can't index item of type {}", other.type_name()).into()),
        };
    }
    Ok(item)
}

/// `slice x 1 2` is `x[1:2]`.
pub(super) fn slice(item: &Operand, indexes: &[Operand]) -> Result<Operand, FuncError> {
    let Some(value) = item.get() else { return Err("slice of untyped nil".into()) };
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()).into());
    }
    let len = match value {
        Value::Str(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::Str(text) => text.len(),
        Value::List(list) => list.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name()).into()),
    };
    let mut bounds = [0, len, len];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, len)?;
    }
    let [start, end, capacity] = bounds;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}").into());
    }
    if end > capacity {
        return Err(format!("invalid slice index: {end} > {capacity}").into());
    }
    Ok(Operand::Plain(match value {
        Value::List(list) => List::typed(list.go_type().clone(), list.items()[start..end].to_vec()).into(),
        Value::Str(text) => Value::Str(text[start..end].into()),
        other => other.clone(),
    }))
}

/// The number of elements, entries or bytes.
pub(super) fn len(item: &Operand) -> Result<i64, FuncError> {
    let len = match (item, item.get()) {
        (Operand::Missing, _) => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        (_, None) => return Err("len of nil pointer".into()),
        (_, Some(Value::Str(text))) => text.len(),
        (_, Some(Value::List(list))) => list.len(),
        (_, Some(Value::Map(map))) => map.len(),
        (_, Some(other)) => return Err(format!("len of type {}", other.type_name()).into()),
    };
    Ok(len as i64)
}

/// An index, up to the length.
fn position(index: &Operand, len: usize) -> Result<usize, FuncError> {
    let number = match index.get() {
        None => return Err("cannot index slice/array with nil".into()),
        Some(Value::Int(number)) => *number,
        Some(Value::Uint(number)) => *number as i64,
        Some(Value::Byte(number)) => i64::from(*number),
        Some(other) => return Err(format!("cannot index slice/array with type {}", other.type_name()).into()),
    };
    let place = usize::try_from(number).ok().filter(|place| *place <= len);
    place.ok_or_else(|| format!("index out of range: {number}").into())
}
