//! The parser's place in the tokens: a few may be given back, and messages name the line of the newest.

use super::{Parse, Parser};
use crate::error::ParseError;
use crate::lex::{Kind, Token};

/// What is known of the template that is being read.
pub(super) struct Scope<'t> {
    /// The newest token first; those before it only where they were given back.
    tokens: [Token<'t>; 3],
    /// How many of them are given back.
    back: usize,
    /// The variables that are declared here, with their dollar signs.
    pub(super) variables: Vec<String>,
    /// How many `range`s are around this place.
    pub(super) ranges: usize,
    /// The line where the action started that is being read.
    pub(super) action_line: Option<usize>,
}

impl Scope<'_> {
    pub(super) fn new() -> Self {
        Self {
            tokens: [Token::nothing(), Token::nothing(), Token::nothing()],
            back: 0,
            variables: vec!["$".to_owned()],
            ranges: 0,
            action_line: None,
        }
    }
}

impl<'t> Parser<'t> {
    pub(super) fn next(&mut self) -> Token<'t> {
        if self.scope.back > 0 {
            self.scope.back -= 1;
        } else {
            self.scope.tokens[0] = self.tokens.next().unwrap_or_else(Token::nothing);
        }
        self.scope.tokens[self.scope.back].clone()
    }

    /// Gives the last token back.
    pub(super) fn back(&mut self) {
        self.scope.back += 1;
    }

    /// Gives the newest token back, and this one before it.
    pub(super) fn back_2(&mut self, before: Token<'t>) {
        self.scope.tokens[1] = before;
        self.scope.back = 2;
    }

    /// Gives the newest token back, and those two before it.
    pub(super) fn back_3(&mut self, first: Token<'t>, second: Token<'t>) {
        self.scope.tokens[1] = second;
        self.scope.tokens[2] = first;
        self.scope.back = 3;
    }

    pub(super) fn peek(&mut self) -> &Token<'t> {
        if self.scope.back == 0 {
            self.next();
            self.scope.back = 1;
        }
        &self.scope.tokens[self.scope.back - 1]
    }

    pub(super) fn next_non_space(&mut self) -> Token<'t> {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    pub(super) fn peek_non_space(&mut self) -> Token<'t> {
        let token = self.next_non_space();
        self.back();
        token
    }

    pub(super) fn expect(&mut self, kind: Kind, context: &str) -> Parse<Token<'t>> {
        let token = self.next_non_space();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// Refuses a token, or says why there is none.
    pub(super) fn unexpected<T>(&self, token: &Token<'_>, context: &str) -> Parse<T> {
        if token.kind != Kind::Error {
            return self.fail(format!("unexpected {token} in {context}"));
        }
        let mut message = token.to_string();
        if let Some(line) = self.scope.action_line.filter(|line| *line != token.line) {
            // "unclosed action started at", not "unclosed action in action started at".
            let action = if message.ends_with(" action") { "" } else { " in action" };
            message = format!("{message}{action} started at {}:{line}", self.name);
        }
        self.fail(message)
    }

    /// An error at the newest token.
    pub(super) fn fail<T>(&self, message: String) -> Parse<T> {
        let newest = &self.scope.tokens[0];
        let line_start = self.text[..newest.pos].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        Err(ParseError { name: self.name.to_owned(), line: newest.line, column: newest.pos - line_start, message })
    }
}
