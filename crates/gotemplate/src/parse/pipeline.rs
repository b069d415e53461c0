//! Pipelines: variables, and commands that hand on what they give.

use super::{Parse, Parser};
use crate::ast::{Command, Expr, Pipe, Variable};
use crate::lex::{Kind, Token};

impl Parser<'_> {
    /// A pipeline and the token that ends it.
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Parse<Pipe> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe { pos, assign: false, variables: Vec::new(), commands: Vec::new() };
        while self.declaration(&mut pipe, context)? {}
        loop {
            let token = self.next_non_space();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::Str
                | Kind::Variable
                | Kind::LeftParen => {
                    self.back();
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        self.check(&pipe, context)?;
        Ok(pipe)
    }

    /// Reads `$x :=`, `$x =` or the first half of `$i, $x :=`; true if the other half must follow.
    fn declaration(&mut self, pipe: &mut Pipe, context: &str) -> Parse<bool> {
        let variable = self.peek_non_space();
        if variable.kind != Kind::Variable {
            return Ok(false);
        }
        self.next();
        let after = self.peek().clone();
        let next = self.peek_non_space();
        match next.kind {
            Kind::Assign | Kind::Declare => {
                pipe.assign = next.kind == Kind::Assign;
                self.next_non_space();
                self.declare(pipe, &variable);
                Ok(false)
            }
            Kind::Char if next.text.as_ref() == b"," => {
                self.next_non_space();
                self.declare(pipe, &variable);
                if context != "range" || pipe.variables.len() > 1 {
                    return self.fail(format!("too many declarations in {context}"));
                }
                match self.peek_non_space().kind {
                    Kind::Variable | Kind::RightDelim | Kind::RightParen => Ok(true),
                    _ => self.fail("range can only initialize variables".to_owned()),
                }
            }
            // It was an argument.
            _ if after.kind == Kind::Space => {
                self.back_3(variable, after);
                Ok(false)
            }
            _ => {
                self.back_2(variable);
                Ok(false)
            }
        }
    }

    fn declare(&mut self, pipe: &mut Pipe, token: &Token<'_>) {
        let name = String::from_utf8_lossy(&token.text).into_owned();
        self.scope.variables.push(name.clone());
        pipe.variables.push(Variable { pos: token.pos, name, fields: Vec::new() });
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Parse<()> {
        if pipe.commands.is_empty() {
            return self.fail(format!("missing value for {context}"));
        }
        // A constant cannot take what the command before it gives.
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            if matches!(
                command.first,
                Expr::Bool { .. } | Expr::Dot { .. } | Expr::Nil { .. } | Expr::Number(_) | Expr::Str(_)
            ) {
                return self.fail(format!("non executable command in pipeline stage {}", index + 1));
            }
        }
        Ok(())
    }

    /// Words, up to a `|`, which is read, or to what ends the pipeline, which is not.
    fn command(&mut self) -> Parse<Command> {
        let pos = self.peek_non_space().pos;
        let mut words = Vec::new();
        loop {
            self.peek_non_space();
            words.extend(self.operand()?);
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelim | Kind::RightParen => self.back(),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        let mut words = words.into_iter();
        match words.next() {
            Some(first) => Ok(Command { pos, first, args: words.collect() }),
            None => self.fail("empty command".to_owned()),
        }
    }
}
