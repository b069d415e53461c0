//! `call`: a function that is a value.

use crate::exec::Operand;
use crate::function::{FuncError, Signature};
use crate::value::{Type, Value};

pub(super) fn call(function: &Operand, args: &[Operand]) -> Result<Operand, FuncError> {
    let function = match function.get() {
        None => return Err("call of nil".into()),
        Some(Value::Func(function)) => function,
        Some(other) => return Err(format!("non-function of type {}", other.type_name()).into()),
    };
    let signature = function.signature();
    check_count(signature, args.len())?;
    let mut values = Vec::with_capacity(args.len());
    for (place, arg) in args.iter().enumerate() {
        let ty = signature.param(place).unwrap_or(&Type::Any);
        values.push(prepared(arg, ty).map_err(|error| format!("arg {place}: {error}"))?);
    }
    function.call(&values).map(Operand::of)
}

fn check_count(signature: &Signature, got: usize) -> Result<(), FuncError> {
    let want = signature.params().len();
    match signature.rest() {
        Some(_) if got < want => Err(format!("wrong number of args: got {got} want at least {want}").into()),
        None if got != want => Err(format!("wrong number of args: got {got} want {want}").into()),
        _ => Ok(()),
    }
}

/// A value as the type that is wanted; integers of one kind may stand for those of another.
pub(super) fn prepared(arg: &Operand, ty: &Type) -> Result<Value, FuncError> {
    let Some(value) = arg.get() else {
        if ty.can_be_nil() {
            return Ok(Operand::zero(ty).into_value());
        }
        return Err(format!("value is nil; should be of type {ty}").into());
    };
    let integer = match value {
        Value::Int(int) => *int,
        Value::Uint(uint) => *uint as i64,
        Value::Byte(byte) => i64::from(*byte),
        _ => 0,
    };
    match (value.go_type(), ty) {
        (_, Type::Any) => Ok(value.clone()),
        (Some(own), ty) if own == *ty => Ok(value.clone()),
        (Some(own), Type::Int) if own.is_integer() => Ok(Value::Int(integer)),
        (Some(own), Type::Uint) if own.is_integer() => Ok(Value::Uint(integer as u64)),
        (Some(own), Type::Byte) if own.is_integer() => Ok(Value::Byte(integer as u8)),
        _ => Err(format!("value has type {}; should be {ty}", value.type_name()).into()),
    }
}
