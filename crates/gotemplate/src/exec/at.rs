//! The part of a template that runs, for Go's error messages.

use std::fmt;

use crate::ast::{Action, Command, Expr, Function, Invoke, Node, Pipe};

/// A part of the tree. Go names in its messages the last part that it began to evaluate.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'t> {
    Start,
    Action(&'t Action),
    Invoke(&'t Invoke),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Function(&'t Function),
    Expr(&'t Expr),
    /// A part of which Go keeps only the place.
    Node(&'t Node),
}

impl At<'_> {
    /// Where it starts: bytes from the start of the text.
    pub(super) fn pos(&self) -> usize {
        match self {
            Self::Start => 0,
            Self::Action(action) => action.pos,
            Self::Invoke(invoke) => invoke.pos,
            Self::Pipe(pipe) => pipe.pos,
            Self::Command(command) => command.pos,
            Self::Function(function) => function.pos,
            Self::Expr(expr) => expr.pos(),
            Self::Node(node) => node.pos(),
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => Ok(()),
            Self::Action(action) => write!(f, "{action}"),
            Self::Invoke(invoke) => write!(f, "{invoke}"),
            // Without parentheses, also where it stands in some.
            Self::Pipe(pipe) => write!(f, "{pipe}"),
            Self::Expr(Expr::Pipe(pipe)) => write!(f, "{pipe}"),
            Self::Command(command) => write!(f, "{command}"),
            Self::Function(function) => f.write_str(&function.name),
            Self::Expr(expr) => write!(f, "{expr}"),
            Self::Node(node) => f.write_str(node.keyword()),
        }
    }
}
