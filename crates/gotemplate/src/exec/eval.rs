//! Pipelines, commands and constants.

use super::at::At;
use super::operand::Operand;
use super::{Run, Step};
use crate::ast::{Command, Expr, Number, Pipe, Variable};

impl<'t> Run<'t> {
    /// Runs a pipeline and sets its variables.
    pub(super) fn pipe(&mut self, dot: &Operand, pipe: &'t Pipe) -> Step<Operand> {
        self.at = At::Pipe(pipe);
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(dot, command, value)?.unboxed());
        }
        let value = value.unwrap_or(Operand::Missing);
        for variable in &pipe.variables {
            if pipe.assign {
                self.assign(&variable.name, value.clone())?;
            } else {
                self.variables.push((&variable.name, value.clone()));
            }
        }
        Ok(value)
    }

    /// Sets the innermost variable of that name.
    pub(super) fn assign(&mut self, name: &str, value: Operand) -> Step<()> {
        match self.variables.iter_mut().rev().find(|(known, _)| *known == name) {
            Some((_, variable)) => {
                *variable = value;
                Ok(())
            }
            None => self.fail(format!("undefined variable: {name}")),
        }
    }

    /// Runs a command; `last` is what the command before it gave, which is its last argument.
    fn command(&mut self, dot: &Operand, command: &'t Command, last: Option<Operand>) -> Step<Operand> {
        self.step()?;
        match &command.first {
            Expr::Field(field) => {
                self.at = At::Expr(&command.first);
                self.fields(dot, dot.clone(), &field.names, At::Expr(&command.first), &command.args, last)
            }
            Expr::Chain(chain) => {
                self.at = At::Expr(&command.first);
                self.chain(dot, chain, &command.first, &command.args, last)
            }
            Expr::Function(function) => {
                self.at = At::Function(function);
                self.function(dot, function, At::Command(command), &command.args, last)
            }
            Expr::Pipe(pipe) => {
                self.no_arguments(command, last.as_ref())?;
                self.nested(|run| run.pipe(dot, pipe))
            }
            Expr::Variable(variable) => {
                self.at = At::Expr(&command.first);
                if variable.fields.is_empty() {
                    let value = self.variable(variable)?;
                    self.no_arguments(command, last.as_ref())?;
                    return Ok(value);
                }
                self.variable_fields(dot, variable, &command.first, &command.args, last)
            }
            constant => {
                self.at = At::Expr(constant);
                self.no_arguments(command, last.as_ref())?;
                match constant {
                    Expr::Dot { .. } => Ok(dot.clone()),
                    Expr::Nil { .. } => self.fail("nil is not a command".to_owned()),
                    constant => self.constant(constant),
                }
            }
        }
    }

    fn no_arguments(&self, command: &Command, last: Option<&Operand>) -> Step<()> {
        if command.args.is_empty() && last.is_none() {
            return Ok(());
        }
        // Its parentheses are not shown.
        let first = At::Expr(&command.first);
        self.fail(format!("can't give argument to non-function {first}"))
    }

    /// The value of a variable without fields.
    pub(super) fn variable(&self, variable: &Variable) -> Step<Operand> {
        match self.variables.iter().rev().find(|(name, _)| *name == variable.name) {
            Some((_, value)) => Ok(value.clone()),
            None => self.fail(format!("undefined variable: {}", variable.name)),
        }
    }

    /// A constant where nothing says what type it must have.
    pub(super) fn constant(&mut self, expr: &'t Expr) -> Step<Operand> {
        self.at = At::Expr(expr);
        match (expr.constant(), expr) {
            (Some(value), _) => Ok(Operand::of(value)),
            (None, Expr::Number(Number { text, .. })) => self.fail(format!("{text} overflows int")),
            (None, other) => self.fail(format!("can't evaluate command {other}")),
        }
    }
}
