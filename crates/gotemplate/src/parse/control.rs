//! Actions that are more than a pipeline: `if`, `range`, `with`, `template`, `block` and the rest.

use super::literal::unquote;
use super::{End, Item, Parse, Parser};
use crate::ast::{Action, Branch, Invoke, List, Node};
use crate::lex::{Kind, Token};

impl<'t> Parser<'t> {
    /// An action; its left delimiter is read.
    pub(super) fn action(&mut self) -> Parse<Item> {
        let token = self.next_non_space();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => {
                self.in_range("{{break}}")?;
                Node::Break { pos: token.pos }
            }
            Kind::Continue => {
                self.in_range("{{continue}}")?;
                Node::Continue { pos: token.pos }
            }
            Kind::Else => return self.else_().map(Item::End),
            Kind::End => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::End(End::End));
            }
            Kind::If => Node::If(self.branch(Kind::If)?),
            Kind::Range => Node::Range(self.branch(Kind::Range)?),
            Kind::Template => self.invoke()?,
            Kind::With => Node::With(self.branch(Kind::With)?),
            _ => {
                self.back();
                let pos = self.peek().pos;
                Node::Action(Action { pos, pipe: self.pipeline("command", Kind::RightDelim)? })
            }
        };
        Ok(Item::Node(node))
    }

    fn in_range(&mut self, what: &str) -> Parse<()> {
        self.expect(Kind::RightDelim, what)?;
        if self.scope.ranges == 0 {
            return self.fail(format!("{what} outside {{{{range}}}}"));
        }
        Ok(())
    }

    /// `else`, or the start of `else if` or `else with`, whose second word is left for [`Self::branch`].
    fn else_(&mut self) -> Parse<End> {
        if !matches!(self.peek_non_space().kind, Kind::If | Kind::With) {
            self.expect(Kind::RightDelim, "else")?;
        }
        Ok(End::Else)
    }

    /// `if`, `range` or `with`; the keyword is read.
    fn branch(&mut self, keyword: Kind) -> Parse<Branch> {
        let variables = self.scope.variables.len();
        let branch = self.branch_scope(keyword);
        self.scope.variables.truncate(variables);
        branch
    }

    fn branch_scope(&mut self, keyword: Kind) -> Parse<Branch> {
        let context = match keyword {
            Kind::If => "if",
            Kind::Range => "range",
            _ => "with",
        };
        let pipe = self.pipeline(context, Kind::RightDelim)?;
        let in_range = usize::from(keyword == Kind::Range);
        self.scope.ranges += in_range;
        let (list, end) = self.list()?;
        self.scope.ranges -= in_range;
        let otherwise = match end {
            End::End => None,
            End::Else => Some(self.otherwise(keyword)?),
        };
        Ok(Branch { pos: pipe.pos, pipe, list, otherwise })
    }

    /// What follows an `else`. `else if` is an `if` in the `else` that shares its `end`; so is, since Go 1.23, `else with`.
    fn otherwise(&mut self, keyword: Kind) -> Parse<List> {
        if keyword != Kind::Range && self.peek().kind == keyword {
            self.next();
            let branch = self.nested(|parser| parser.branch(keyword))?;
            return Ok(vec![if keyword == Kind::If { Node::If(branch) } else { Node::With(branch) }]);
        }
        let (list, end) = self.list()?;
        if matches!(end, End::Else) {
            return self.fail(format!("expected end; found {}", end.name()));
        }
        Ok(list)
    }

    /// `{{template "name" pipeline}}`; the keyword is read.
    fn invoke(&mut self) -> Parse<Node> {
        const CONTEXT: &str = "template clause";
        let token = self.next_non_space();
        let pos = token.pos;
        let name = self.template_name(token, CONTEXT)?;
        let pipe = if self.next_non_space().kind == Kind::RightDelim {
            None
        } else {
            self.back();
            Some(self.pipeline(CONTEXT, Kind::RightDelim)?)
        };
        Ok(Node::Invoke(Invoke { pos, name, pipe }))
    }

    /// `{{block "name" pipeline}} … {{end}}`: a definition, and its call.
    fn block(&mut self) -> Parse<Node> {
        const CONTEXT: &str = "block clause";
        let token = self.next_non_space();
        let pos = token.pos;
        let name = self.template_name(token, CONTEXT)?;
        let pipe = Some(self.pipeline(CONTEXT, Kind::RightDelim)?);
        let (root, end) = self.separately(Self::list)?;
        if matches!(end, End::Else) {
            return self.fail(format!("unexpected {} in {CONTEXT}", end.name()));
        }
        self.add(name.clone(), root)?;
        Ok(Node::Invoke(Invoke { pos, name, pipe }))
    }

    pub(super) fn template_name(&mut self, token: Token<'t>, context: &str) -> Parse<String> {
        if !matches!(token.kind, Kind::Str | Kind::RawString) {
            return self.unexpected(&token, context);
        }
        match unquote(&token.text) {
            Ok(name) => Ok(String::from_utf8_lossy(&name).into_owned()),
            Err(error) => self.fail(error),
        }
    }
}
