//! Fields and methods.

use super::at::At;
use super::operand::Operand;
use super::{Run, Step};
use crate::ast::{Chain, Expr, Variable};
use crate::fmt::quote;
use crate::options::MissingKey;
use crate::value::Value;

impl<'t> Run<'t> {
    /// `(pipeline).a.b`; the fields get what is in the parentheses.
    pub(super) fn chain(
        &mut self,
        dot: &Operand,
        chain: &'t Chain,
        expr: &'t Expr,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Step<Operand> {
        if matches!(chain.of, Expr::Nil { .. }) {
            return self.fail(format!("indirection through explicit nil in {chain}"));
        }
        let receiver = self.argument(dot, None, &chain.of)?;
        self.fields(dot, receiver, &chain.fields, At::Expr(expr), args, last)
    }

    /// `$x.a.b`.
    pub(super) fn variable_fields(
        &mut self,
        dot: &Operand,
        variable: &'t Variable,
        expr: &'t Expr,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Step<Operand> {
        let receiver = self.variable(variable)?;
        self.fields(dot, receiver, &variable.fields, At::Expr(expr), args, last)
    }

    /// `.a.b.c` of a receiver. If `c` is a method it gets the arguments.
    pub(super) fn fields(
        &mut self,
        dot: &Operand,
        receiver: Operand,
        names: &'t [String],
        at: At<'t>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Step<Operand> {
        let Some((final_name, inner)) = names.split_last() else { return Ok(receiver) };
        let mut receiver = receiver;
        for name in inner {
            receiver = self.field(dot, receiver, name, at, &[], None)?;
        }
        self.field(dot, receiver, final_name, at, args, last)
    }

    fn field(
        &mut self,
        dot: &Operand,
        receiver: Operand,
        name: &'t str,
        at: At<'t>,
        args: &'t [Expr],
        last: Option<Operand>,
    ) -> Step<Operand> {
        let has_arguments = !args.is_empty() || last.is_some();
        match receiver.get() {
            None if matches!(receiver, Operand::Missing) => {
                if self.options.missing_key == MissingKey::Error {
                    return self.fail(format!("nil data; no entry for key {}", quote(name)));
                }
                Ok(Operand::Missing)
            }
            None => self.fail(format!("nil pointer evaluating {}.{name}", receiver.static_type())),
            Some(Value::Map(_)) if has_arguments => self.fail(format!("{name} is not a method but has arguments")),
            Some(Value::Map(map)) => match Operand::entry(map, name.as_bytes()) {
                Some(value) => Ok(value),
                None => match self.options.missing_key {
                    MissingKey::Default => Ok(Operand::Missing),
                    MissingKey::Zero => Ok(Operand::zero(map.element())),
                    MissingKey::Error => self.fail(format!("map has no entry for key {}", quote(name))),
                },
            },
            Some(Value::Object(object)) => {
                if let Some(method) = object.method(name) {
                    return self.call(dot, &method, name, at, args, last);
                }
                match object.field(name) {
                    Some(_) if has_arguments => {
                        self.fail(format!("{name} has arguments but cannot be invoked as function"))
                    }
                    Some(value) => Ok(Operand::of(value)),
                    None => self.no_field(&receiver, name),
                }
            }
            Some(_) => self.no_field(&receiver, name),
        }
    }

    fn no_field<T>(&self, receiver: &Operand, name: &str) -> Step<T> {
        self.fail(format!("can't evaluate field {name} in type {}", receiver.static_type()))
    }
}
