//! `eq`, `lt` and the functions made of them.

use std::sync::Arc;

use crate::exec::Operand;
use crate::fmt::with_verb;
use crate::function::FuncError;
use crate::value::{Object, Value};

const INCOMPATIBLE: &str = "incompatible types for comparison";
const BAD_TYPE: &str = "invalid type for comparison";

/// What can be compared: one basic type with itself, and integers with integers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Basic<'v> {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    Str(&'v [u8]),
}

impl<'v> Basic<'v> {
    fn of(value: &'v Value) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Uint(value) => Self::Uint(*value),
            Value::Byte(value) => Self::Uint(u64::from(*value)),
            Value::Float(value) => Self::Float(*value),
            Value::Str(value) => Self::Str(value),
            Value::Nil | Value::List(_) | Value::Map(_) | Value::Object(_) | Value::Func(_) => return None,
        })
    }
}

/// Whether the first equals any of the others.
pub(super) fn eq(first: &Operand, others: &[Operand]) -> Result<bool, FuncError> {
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        if equal(first.get(), other.get())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(one: Option<&Value>, other: Option<&Value>) -> Result<bool, FuncError> {
    let (one, other) = match (one, other) {
        (Some(one), Some(other)) => (one, other),
        (one, other) => return Ok(one.is_none() && other.is_none()),
    };
    match (Basic::of(one), Basic::of(other)) {
        (Some(Basic::Int(int)), Some(Basic::Uint(uint))) | (Some(Basic::Uint(uint)), Some(Basic::Int(int))) => {
            Ok(u64::try_from(int) == Ok(uint))
        }
        (Some(one), Some(other)) if std::mem::discriminant(&one) == std::mem::discriminant(&other) => Ok(one == other),
        (None, None) => equal_composite(one, other),
        _ => Err(INCOMPATIBLE.into()),
    }
}

fn equal_composite(one: &Value, other: &Value) -> Result<bool, FuncError> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => equal_objects(one, other),
        (Value::List(_), Value::List(_)) | (Value::Map(_), Value::Map(_)) | (Value::Func(_), Value::Func(_)) => {
            Err(format!("non-comparable type {}: {}", with_verb(other, 's'), other.type_name()).into())
        }
        _ => Err(format!(
            "non-comparable types {}: {}, {}: {}",
            with_verb(one, 's'),
            one.type_name(),
            other.type_name(),
            with_verb(other, 'v')
        )
        .into()),
    }
}

/// Structs are equal if their types and all their fields are.
fn equal_objects(one: &Arc<dyn Object>, other: &Arc<dyn Object>) -> Result<bool, FuncError> {
    if Arc::ptr_eq(one, other) {
        return Ok(true);
    }
    let (fields, other_fields) = (one.fields(), other.fields());
    if one.type_name() != other.type_name() || fields.len() != other_fields.len() {
        return Ok(false);
    }
    for ((_, one), (_, other)) in fields.iter().zip(&other_fields) {
        if !equal(Operand::of(one.clone()).get(), Operand::of(other.clone()).get())? {
            return Ok(false);
        }
    }
    // Two values that show no fields are not known to be equal.
    Ok(!fields.is_empty())
}

/// Whether the first is less than the other.
pub(super) fn lt(one: &Operand, other: &Operand) -> Result<bool, FuncError> {
    let one = one.get().and_then(Basic::of).ok_or(BAD_TYPE)?;
    let other = other.get().and_then(Basic::of).ok_or(BAD_TYPE)?;
    match (one, other) {
        (Basic::Int(int), Basic::Uint(uint)) => Ok(i128::from(int) < i128::from(uint)),
        (Basic::Uint(uint), Basic::Int(int)) => Ok(i128::from(uint) < i128::from(int)),
        (Basic::Int(one), Basic::Int(other)) => Ok(one < other),
        (Basic::Uint(one), Basic::Uint(other)) => Ok(one < other),
        (Basic::Float(one), Basic::Float(other)) => Ok(one < other),
        (Basic::Str(one), Basic::Str(other)) => Ok(one < other),
        (Basic::Bool(_), Basic::Bool(_)) => Err(BAD_TYPE.into()),
        _ => Err(INCOMPATIBLE.into()),
    }
}

/// Whether the first is less than the other or equal to it.
pub(super) fn le(one: &Operand, other: &Operand) -> Result<bool, FuncError> {
    Ok(lt(one, other)? || equal(one.get(), other.get())?)
}
