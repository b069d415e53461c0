//! Tokens to trees.

mod control;
mod literal;
mod operand;
mod pipeline;
mod stream;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ast::{List, Node, Tree};
use crate::error::ParseError;
use crate::fmt::quote;
use crate::function::Functions;
use crate::lex::{Keywords, Kind, Token, lex};
use crate::options::Delimiters;
use stream::Scope;

/// How deep blocks and parentheses may be nested: each level takes stack, here and when it runs.
pub(crate) const MAX_NESTING: usize = 200;

/// What a text holds.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The text's own template and its definitions, by name.
    pub trees: BTreeMap<String, Arc<Tree>>,
    /// The names of all functions that are called; the tree points into it.
    pub functions: Vec<String>,
}

type Parse<T> = Result<T, ParseError>;

/// Reads a text.
pub(crate) fn parse(name: &str, text: &[u8], functions: &Functions, delimiters: &Delimiters) -> Parse<Parsed> {
    let keywords =
        Keywords { break_: functions.get("break").is_none(), continue_: functions.get("continue").is_none() };
    let mut parser = Parser {
        name,
        text,
        known: functions,
        tokens: lex(text, delimiters, keywords).into_iter(),
        scope: Scope::new(),
        nesting: 0,
        trees: BTreeMap::new(),
        called: Vec::new(),
    };
    parser.whole()?;
    Ok(Parsed { trees: parser.trees, functions: parser.called })
}

struct Parser<'t> {
    name: &'t str,
    text: &'t [u8],
    known: &'t Functions,
    tokens: std::vec::IntoIter<Token<'t>>,
    /// What is known of the template that is being read; a definition in it has its own.
    scope: Scope<'t>,
    nesting: usize,
    trees: BTreeMap<String, Arc<Tree>>,
    called: Vec<String>,
}

/// What a list of steps ended with.
enum End {
    End,
    /// Where an `else` was read up to.
    Else,
}

impl End {
    fn name(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        }
    }
}

/// One step, or what ends a list of them.
enum Item {
    Node(Node),
    End(End),
}

impl Parser<'_> {
    /// The text's own template, up to the end, and the definitions between.
    fn whole(&mut self) -> Parse<()> {
        let mut root = List::new();
        while self.peek().kind != Kind::Eof {
            if self.peek().kind == Kind::LeftDelim {
                let delim = self.next();
                if self.next_non_space().kind == Kind::Define {
                    self.separately(Self::definition)?;
                    continue;
                }
                self.back_2(delim);
            }
            match self.item()? {
                Item::Node(node) => root.push(node),
                Item::End(end) => return self.fail(format!("unexpected {}", end.name())),
            }
        }
        self.add(self.name.to_owned(), root)
    }

    /// `{{define "name"}} … {{end}}`; the keyword is read.
    fn definition(&mut self) -> Parse<()> {
        const CONTEXT: &str = "define clause";
        let token = self.next_non_space();
        let name = self.template_name(token, CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        let (root, end) = self.list()?;
        if matches!(end, End::Else) {
            return self.fail(format!("unexpected {} in {CONTEXT}", end.name()));
        }
        self.add(name, root)
    }

    /// Reads a part of the text that has variables, loops and a reading position for messages of its own.
    fn separately<T>(&mut self, read: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        let outer = std::mem::replace(&mut self.scope, Scope::new());
        let result = read(self);
        // After an error the inner scope is what the message was made from.
        self.scope = outer;
        result
    }

    /// Keeps a template. Of two with one name, one must be empty, and then the other one counts.
    fn add(&mut self, name: String, root: List) -> Parse<()> {
        match self.trees.get(&name) {
            Some(there) if !is_empty(&there.root) => {
                if is_empty(&root) {
                    return Ok(());
                }
                self.fail(format!("template: multiple definition of template {}", quote(&name)))
            }
            _ => {
                self.trees.insert(name.clone(), Arc::new(Tree { name, root }));
                Ok(())
            }
        }
    }

    /// Steps, up to an `end` or `else`.
    fn list(&mut self) -> Parse<(List, End)> {
        let mut list = List::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.item()? {
                Item::Node(node) => list.push(node),
                Item::End(end) => return Ok((list, end)),
            }
        }
        self.fail("unexpected EOF".to_owned())
    }

    /// Text or an action.
    fn item(&mut self) -> Parse<Item> {
        let token = self.next_non_space();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text.as_ref().into()))),
            Kind::LeftDelim => {
                self.scope.action_line = Some(token.line);
                let item = self.nested(Self::action)?;
                self.scope.action_line = None;
                Ok(item)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    /// Reads something that can contain itself.
    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.nesting == MAX_NESTING {
            return self.fail(format!("blocks and parentheses are nested deeper than {MAX_NESTING}"));
        }
        self.nesting += 1;
        let result = read(self);
        self.nesting -= 1;
        result
    }
}

/// Whether nothing but white space is in it.
fn is_empty(list: &[Node]) -> bool {
    list.iter().all(|node| matches!(node, Node::Text(text) if text.lossy().trim().is_empty()))
}
