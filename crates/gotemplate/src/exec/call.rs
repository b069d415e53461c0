//! Calls: arguments, their types, and what a function gives.

use super::at::At;
use super::operand::Operand;
use super::{Callee, Run, Step};
use crate::ast::{Expr, Function as Named};
use crate::builtin::Builtin;
use crate::fmt::quote;
use crate::function::{FuncError, Function};
use crate::value::{MAX_VALUE_DEPTH, Type, Value};

/// What `reflect.Value` is to Go: a builtin takes anything, as it is.
static ANYTHING: Type = Type::Any;

impl<'t> Run<'t> {
    /// A function by its name; an error of its own is one of `at`.
    pub(super) fn function(
        &mut self,
        dot: &Operand,
        named: &'t Named,
        at: At<'t>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Step<Operand> {
        match self.callees.get(named.place) {
            Some(Callee::Given(function)) => self.call(dot, function, &named.name, at, args, last),
            Some(Callee::Builtin(builtin @ (Builtin::And | Builtin::Or))) => {
                self.arity(&named.name, builtin.fixed(), builtin.is_variadic(), args.len(), last.is_some())?;
                self.short_circuit(dot, *builtin == Builtin::Or, args, last)
            }
            Some(Callee::Builtin(builtin)) => {
                self.arity(&named.name, builtin.fixed(), builtin.is_variadic(), args.len(), last.is_some())?;
                let operands = self.arguments(dot, |place| Some(builtin.param(place)), args, last)?;
                let result = builtin.call(&operands);
                self.checked(&named.name, at, result)
            }
            Some(Callee::Gone) | None => self.fail(format!("{} is not a defined function", quote(&named.name))),
        }
    }

    /// A function or method of the crate's user.
    pub(super) fn call(
        &mut self,
        dot: &Operand,
        function: &Function,
        name: &str,
        at: At<'t>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Step<Operand> {
        let signature = function.signature();
        self.arity(name, signature.params().len(), signature.rest().is_some(), args.len(), last.is_some())?;
        let operands = self.arguments(dot, |place| signature.param(place), args, last)?;
        let values: Vec<Value> = operands.into_iter().map(Operand::into_value).collect();
        let result = function.call(&values).map(Operand::of);
        self.checked(name, at, result)
    }

    fn arity(&self, name: &str, fixed: usize, variadic: bool, args: usize, last: bool) -> Step<()> {
        let count = args + usize::from(last);
        if variadic && count < fixed {
            // Go leaves out what comes through the pipe here, and only here.
            return self.fail(format!("wrong number of args for {name}: want at least {fixed} got {args}"));
        }
        if !variadic && count != fixed {
            return self.fail(format!("wrong number of args for {name}: want {fixed} got {count}"));
        }
        Ok(())
    }

    fn arguments<'f>(
        &mut self,
        dot: &Operand,
        param: impl Fn(usize) -> Option<&'f Type>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Step<Vec<Operand>> {
        let mut operands = Vec::with_capacity(args.len() + 1);
        for (place, arg) in args.iter().enumerate() {
            operands.push(self.argument(dot, Some(param(place).unwrap_or(&ANYTHING)), arg)?);
        }
        if let Some(last) = last {
            operands.push(self.validated(last, Some(param(args.len()).unwrap_or(&ANYTHING)))?);
        }
        Ok(operands)
    }

    /// `and` and `or` evaluate no more than they must.
    fn short_circuit(&mut self, dot: &Operand, or: bool, args: &'t [Expr], last: Option<Operand>) -> Step<Operand> {
        let mut value = Operand::Missing;
        for arg in args {
            value = self.argument(dot, Some(&ANYTHING), arg)?;
            if value.is_true() == or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// What a function gave, if it is neither an error nor too much.
    fn checked(&mut self, name: &str, at: At<'t>, result: Result<Operand, FuncError>) -> Step<Operand> {
        let result = result.and_then(|value| match value.get() {
            Some(Value::Str(text)) if text.len() > self.options.max_output_bytes => {
                Err(FuncError::new(format!("a string of more than {} bytes", self.options.max_output_bytes)))
            }
            Some(inner) if inner.depth() > MAX_VALUE_DEPTH => {
                Err(FuncError::new(format!("a value that is nested deeper than {MAX_VALUE_DEPTH}")))
            }
            _ => Ok(value),
        });
        result.or_else(|error| {
            self.at = at;
            self.fail(format!("error calling {name}: {error}"))
        })
    }

    /// An argument, as the type that is wanted; without one, as it is.
    pub(super) fn argument(&mut self, dot: &Operand, ty: Option<&Type>, expr: &'t Expr) -> Step<Operand> {
        self.at = At::Expr(expr);
        let value = match expr {
            Expr::Dot { .. } => dot.clone(),
            Expr::Nil { .. } => match ty {
                Some(ty) if !ty.can_be_nil() => return self.fail(format!("cannot assign nil to {ty}")),
                _ => Operand::Missing,
            },
            Expr::Field(field) => self.fields(dot, dot.clone(), &field.names, At::Expr(expr), &[], None)?,
            Expr::Variable(variable) if variable.fields.is_empty() => self.variable(variable)?,
            Expr::Variable(variable) => self.variable_fields(dot, variable, expr, &[], None)?,
            Expr::Pipe(pipe) => self.nested(|run| run.pipe(dot, pipe))?,
            Expr::Function(function) => self.function(dot, function, At::Function(function), &[], None)?,
            Expr::Chain(chain) => self.chain(dot, chain, expr, &[], None)?,
            constant => return self.typed_constant(ty.unwrap_or(&ANYTHING), constant),
        };
        self.validated(value, ty)
    }

    /// A constant as the type that is wanted.
    fn typed_constant(&mut self, ty: &Type, expr: &'t Expr) -> Step<Operand> {
        let (kind, value) = match (ty, expr) {
            (Type::Any, _) => return self.constant(expr),
            (Type::Bool, Expr::Bool { value, .. }) => ("", Some(Value::Bool(*value))),
            (Type::Bool, _) => ("bool", None),
            (Type::Int, Expr::Number(number)) => ("integer", number.int.map(Value::Int)),
            (Type::Int, _) => ("integer", None),
            (Type::Uint, Expr::Number(number)) => ("unsigned integer", number.uint.map(Value::Uint)),
            (Type::Byte, Expr::Number(number)) => ("unsigned integer", number.uint.map(|uint| Value::Byte(uint as u8))),
            (Type::Uint | Type::Byte, _) => ("unsigned integer", None),
            (Type::Float, Expr::Number(number)) => ("float", number.float.map(Value::Float)),
            (Type::Float, _) => ("float", None),
            (Type::Str, Expr::Str(text)) => ("", Some(text.value.clone())),
            (Type::Str, _) => ("string", None),
            (Type::List(_) | Type::Map(_) | Type::Named(_), _) => {
                return self.fail(format!("can't handle {expr} for arg of type {ty}"));
            }
        };
        match value {
            Some(value) => Ok(Operand::Plain(value)),
            None => self.fail(format!("expected {kind}; found {expr}")),
        }
    }

    /// A value, if it is of the type that is wanted.
    fn validated(&self, value: Operand, ty: Option<&Type>) -> Step<Operand> {
        let Some(ty) = ty.filter(|ty| **ty != Type::Any) else { return Ok(value) };
        match value.get() {
            None if matches!(value, Operand::Boxed(_)) => {
                self.fail(format!("wrong type for value; expected {ty}; got {}", Type::Any))
            }
            None if ty.can_be_nil() => Ok(Operand::zero(ty)),
            None => self.fail(format!("invalid value; expected {ty}")),
            Some(inner) if inner.go_type().as_ref() == Some(ty) => Ok(value),
            Some(inner) => self.fail(format!("wrong type for value; expected {ty}; got {}", inner.type_name())),
        }
    }
}
