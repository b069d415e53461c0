//! The words of a command: constants, fields, variables, functions, parentheses.

use super::literal::{number, unquote};
use super::{Parse, Parser};
use crate::ast::{Chain, Expr, Field, Function, Text, Variable};
use crate::builtin::Builtin;
use crate::fmt::quote;
use crate::lex::{Kind, Token};
use crate::value::Value;

impl Parser<'_> {
    /// A word and the fields behind it, if the next token starts one.
    pub(super) fn operand(&mut self) -> Parse<Option<Expr>> {
        let Some(mut expr) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(expr));
        }
        let pos = self.peek().pos;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            fields.push(field_name(&self.next()));
        }
        match &mut expr {
            Expr::Field(field) => {
                field.pos = pos;
                field.names.append(&mut fields);
            }
            Expr::Variable(variable) => {
                variable.pos = pos;
                variable.fields.append(&mut fields);
            }
            Expr::Bool { .. } | Expr::Str(_) | Expr::Number(_) | Expr::Nil { .. } | Expr::Dot { .. } => {
                return self.fail(format!("unexpected . after term {}", quote(&expr.to_string())));
            }
            Expr::Chain(_) | Expr::Function(_) | Expr::Pipe(_) => {
                expr = Expr::Chain(Box::new(Chain { pos, of: expr, fields }));
            }
        }
        Ok(Some(expr))
    }

    fn term(&mut self) -> Parse<Option<Expr>> {
        let token = self.next_non_space();
        let pos = token.pos;
        Ok(Some(match token.kind {
            Kind::Identifier => Expr::Function(self.function(&token)?),
            Kind::Dot => Expr::Dot { pos },
            Kind::Nil => Expr::Nil { pos },
            Kind::Variable => Expr::Variable(self.variable(&token)?),
            Kind::Field => Expr::Field(Field { pos, names: vec![field_name(&token)] }),
            Kind::Bool => Expr::Bool { pos, value: token.text.as_ref() == b"true" },
            Kind::CharConstant | Kind::Complex | Kind::Number => match number(&token) {
                Ok(number) => Expr::Number(number),
                Err(message) => return self.fail(message),
            },
            Kind::LeftParen => {
                let pipe = self.nested(|parser| parser.pipeline("parenthesized pipeline", Kind::RightParen))?;
                Expr::Pipe(Box::new(pipe))
            }
            Kind::Str | Kind::RawString => match unquote(&token.text) {
                Ok(text) => Expr::Str(Text { pos, quoted: token.text.as_ref().into(), value: Value::Str(text.into()) }),
                Err(message) => return self.fail(message),
            },
            _ => {
                self.back();
                return Ok(None);
            }
        }))
    }

    fn function(&mut self, token: &Token<'_>) -> Parse<Function> {
        let name = String::from_utf8_lossy(&token.text).into_owned();
        if self.known.get(&name).is_none() && Builtin::named(&name).is_none() {
            return self.fail(format!("function {} not defined", quote(&name)));
        }
        let place = self.called.iter().position(|called| *called == name).unwrap_or(self.called.len());
        if place == self.called.len() {
            self.called.push(name.clone());
        }
        Ok(Function { pos: token.pos, name, place })
    }

    fn variable(&mut self, token: &Token<'_>) -> Parse<Variable> {
        let name = String::from_utf8_lossy(&token.text).into_owned();
        if !self.scope.variables.contains(&name) {
            return self.fail(format!("undefined variable {}", quote(&name)));
        }
        Ok(Variable { pos: token.pos, name, fields: Vec::new() })
    }
}

/// A field's name without its dot.
fn field_name(token: &Token<'_>) -> String {
    let text = String::from_utf8_lossy(&token.text);
    text.strip_prefix('.').unwrap_or(&text).to_owned()
}
