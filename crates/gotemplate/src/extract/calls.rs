//! The calls in a text, with those arguments that are known.

use crate::ast::{Command, Expr, Function, Node, Pipe};
use crate::builtin::Builtin;
use crate::exec::{Operand, Source};
use crate::parse::Parsed;
use crate::value::{Str, Value};

/// An argument of a call, as far as it is known without running the template.
#[derive(Debug, Clone)]
pub enum Arg {
    /// A constant, also one that `print` or `printf` makes of constants.
    Literal(Value),
    /// A string that starts so, as `printf "/app/%s" .` does.
    Prefix(Str),
    /// Known only when the template runs.
    Dynamic,
}

/// A call of a function in a template's text.
#[derive(Debug, Clone)]
pub struct Call {
    /// The function's name.
    pub function: String,
    /// Its arguments, with what comes through a pipe as the last one.
    pub args: Vec<Arg>,
    /// The line, from 1.
    pub line: usize,
    /// The byte in the line, from 0.
    pub column: usize,
}

/// All calls.
pub(crate) fn calls(source: Source<'_>, parsed: &Parsed) -> Vec<Call> {
    let mut finder = Finder { source, calls: Vec::new() };
    for tree in parsed.trees.values() {
        finder.list(&tree.root);
    }
    finder.calls
}

struct Finder<'t> {
    source: Source<'t>,
    calls: Vec<Call>,
}

impl Finder<'_> {
    fn list(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Text(_) | Node::Break { .. } | Node::Continue { .. } => {}
                Node::Action(action) => drop(self.pipe(&action.pipe)),
                Node::Invoke(invoke) => drop(invoke.pipe.as_ref().map(|pipe| self.pipe(pipe))),
                Node::If(branch) | Node::With(branch) | Node::Range(branch) => {
                    self.pipe(&branch.pipe);
                    self.list(&branch.list);
                    self.list(branch.otherwise.as_deref().unwrap_or_default());
                }
            }
        }
    }

    /// Finds the calls of a pipeline, and says what it gives.
    fn pipe(&mut self, pipe: &Pipe) -> Arg {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, last));
        }
        last.unwrap_or(Arg::Dynamic)
    }

    fn command(&mut self, command: &Command, last: Option<Arg>) -> Arg {
        let mut args: Vec<Arg> = command.args.iter().map(|arg| self.expr(arg)).collect();
        args.extend(last);
        match &command.first {
            Expr::Function(function) => self.call(function, args),
            first => self.expr(first),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Arg {
        match expr {
            Expr::Pipe(pipe) => self.pipe(pipe),
            Expr::Function(function) => self.call(function, Vec::new()),
            Expr::Chain(chain) => {
                self.expr(&chain.of);
                Arg::Dynamic
            }
            constant => constant.constant().map_or(Arg::Dynamic, Arg::Literal),
        }
    }

    fn call(&mut self, function: &Function, args: Vec<Arg>) -> Arg {
        let result = match Builtin::named(&function.name) {
            Some(builtin @ (Builtin::Print | Builtin::Printf)) => folded(builtin, &args),
            _ => Arg::Dynamic,
        };
        let (line, column) = self.source.line_and_column(function.pos);
        self.calls.push(Call { function: function.name.clone(), args, line, column });
        result
    }
}

/// What `print` or `printf` gives for arguments that are known, or what that starts with.
fn folded(builtin: Builtin, args: &[Arg]) -> Arg {
    let operands: Option<Vec<Operand>> = args
        .iter()
        .map(|arg| match arg {
            Arg::Literal(value) => Some(Operand::of(value.clone())),
            Arg::Prefix(_) | Arg::Dynamic => None,
        })
        .collect();
    let is_text = matches!(args.first(), Some(Arg::Literal(Value::Str(_))));
    match operands {
        Some(operands) if is_text || builtin == Builtin::Print => {
            builtin.call(&operands).map_or(Arg::Dynamic, |text| Arg::Literal(text.into_value()))
        }
        _ => match args.first() {
            Some(Arg::Literal(Value::Str(text)) | Arg::Prefix(text)) if builtin == Builtin::Print => {
                Arg::Prefix(text.clone())
            }
            Some(Arg::Literal(Value::Str(format))) => {
                let text = format.split(|byte| *byte == b'%').next().unwrap_or_default();
                Arg::Prefix(text.into())
            }
            _ => Arg::Dynamic,
        },
    }
}
