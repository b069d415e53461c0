//! The fields that a template reads of the dot that it is rendered with.

use std::collections::BTreeSet;

use crate::ast::{Branch, Command, Expr, Node, Pipe};
use crate::exec::Source;
use crate::parse::Parsed;

/// A chain of fields of the dot that a template is rendered with: `.a.b`, or `$.a.b`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath {
    /// The names of the fields.
    pub names: Vec<String>,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 0.
    pub column: usize,
}

/// All such chains, also those in definitions that the dot is handed to as it is.
pub(crate) fn fields(source: Source<'_>, parsed: &Parsed) -> Vec<FieldPath> {
    let mut finder = Finder { source, parsed, entered: BTreeSet::new(), found: Vec::new() };
    finder.template(source.name);
    finder.found
}

struct Finder<'t> {
    source: Source<'t>,
    parsed: &'t Parsed,
    /// The templates that get the dot as it is and were looked at.
    entered: BTreeSet<String>,
    found: Vec<FieldPath>,
}

impl Finder<'_> {
    fn template(&mut self, name: &str) {
        if self.entered.insert(name.to_owned())
            && let Some(tree) = self.parsed.trees.get(name)
        {
            self.list(&tree.root, true);
        }
    }

    /// `top` says that the dot is the one that the template is rendered with.
    fn list(&mut self, nodes: &[Node], top: bool) {
        for node in nodes {
            match node {
                Node::Text(_) | Node::Break { .. } | Node::Continue { .. } => {}
                Node::Action(action) => self.pipe(&action.pipe, top),
                Node::Invoke(invoke) => {
                    if let Some(pipe) = &invoke.pipe {
                        self.pipe(pipe, top);
                        if is_top(pipe, top) {
                            self.template(&invoke.name);
                        }
                    }
                }
                Node::If(branch) => self.branch(branch, top, top),
                Node::With(branch) => self.branch(branch, top, top && is_top(&branch.pipe, top)),
                Node::Range(branch) => self.branch(branch, top, false),
            }
        }
    }

    fn branch(&mut self, branch: &Branch, top: bool, inside: bool) {
        self.pipe(&branch.pipe, top);
        self.list(&branch.list, inside);
        self.list(branch.otherwise.as_deref().unwrap_or_default(), top);
    }

    fn pipe(&mut self, pipe: &Pipe, top: bool) {
        for command in &pipe.commands {
            self.expr(&command.first, top);
            command.args.iter().for_each(|arg| self.expr(arg, top));
        }
    }

    fn expr(&mut self, expr: &Expr, top: bool) {
        match expr {
            Expr::Field(field) if top => self.push(expr, &field.names),
            Expr::Variable(variable) if variable.name == "$" && !variable.fields.is_empty() => {
                self.push(expr, &variable.fields);
            }
            Expr::Chain(chain) => self.expr(&chain.of, top),
            Expr::Pipe(pipe) => self.pipe(pipe, top),
            _ => {}
        }
    }

    fn push(&mut self, expr: &Expr, names: &[String]) {
        let (line, column) = self.source.line_and_column(expr.pos());
        self.found.push(FieldPath { names: names.to_vec(), line, column });
    }
}

/// Whether a pipeline gives the dot that the template is rendered with.
fn is_top(pipe: &Pipe, top: bool) -> bool {
    match pipe.commands.as_slice() {
        [Command { first: Expr::Dot { .. }, args, .. }] => top && args.is_empty(),
        [Command { first: Expr::Variable(variable), args, .. }] => {
            variable.name == "$" && variable.fields.is_empty() && args.is_empty()
        }
        _ => false,
    }
}
