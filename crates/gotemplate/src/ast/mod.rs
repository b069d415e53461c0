//! The tree of a template.

mod write;

use crate::value::{Str, Value};

/// The text's own template, or a `define` in it.
#[derive(Debug)]
pub(crate) struct Tree {
    pub name: String,
    pub root: List,
}

/// What is run one after the other.
pub(crate) type List = Vec<Node>;

/// One step of a template. Positions are bytes from the start of the text.
#[derive(Debug)]
pub(crate) enum Node {
    Text(Str),
    Action(Action),
    If(Branch),
    With(Branch),
    Range(Branch),
    Invoke(Invoke),
    Break { pos: usize },
    Continue { pos: usize },
}

/// `{{ pipeline }}`.
#[derive(Debug)]
pub(crate) struct Action {
    pub pos: usize,
    pub pipe: Pipe,
}

/// `if`, `with` or `range`, with its `else`.
#[derive(Debug)]
pub(crate) struct Branch {
    pub pos: usize,
    pub pipe: Pipe,
    pub list: List,
    pub otherwise: Option<List>,
}

/// `{{template "name" pipeline}}`, or what is left of a `block`.
#[derive(Debug)]
pub(crate) struct Invoke {
    pub pos: usize,
    pub name: String,
    pub pipe: Option<Pipe>,
}

/// Commands, each of which gets what the one before gave, and variables that get what the last one gives.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub pos: usize,
    /// Whether the variables are there already: `=` instead of `:=`.
    pub assign: bool,
    pub variables: Vec<Variable>,
    pub commands: Vec<Command>,
}

/// A value, or a function or method and its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    pub pos: usize,
    pub first: Expr,
    pub args: Vec<Expr>,
}

/// A word of a command.
#[derive(Debug)]
pub(crate) enum Expr {
    Dot { pos: usize },
    Nil { pos: usize },
    Bool { pos: usize, value: bool },
    Number(Number),
    Str(Text),
    Field(Field),
    Variable(Variable),
    Chain(Box<Chain>),
    Function(Function),
    Pipe(Box<Pipe>),
}

/// A number, as every type that can hold it: what it becomes depends on what it is an argument of.
#[derive(Debug)]
pub(crate) struct Number {
    pub pos: usize,
    pub text: String,
    pub int: Option<i64>,
    pub uint: Option<u64>,
    pub float: Option<f64>,
}

/// A string constant.
#[derive(Debug)]
pub(crate) struct Text {
    pub pos: usize,
    /// As it was written.
    pub quoted: Str,
    pub value: Value,
}

/// `.a.b`.
#[derive(Debug)]
pub(crate) struct Field {
    pub pos: usize,
    pub names: Vec<String>,
}

/// `$x.a.b`.
#[derive(Debug)]
pub(crate) struct Variable {
    pub pos: usize,
    /// With its dollar sign.
    pub name: String,
    pub fields: Vec<String>,
}

/// `(pipeline).a.b`, or `function.a.b`.
#[derive(Debug)]
pub(crate) struct Chain {
    pub pos: usize,
    pub of: Expr,
    pub fields: Vec<String>,
}

/// A function's name.
#[derive(Debug)]
pub(crate) struct Function {
    pub pos: usize,
    pub name: String,
    /// Its place in the template's list of all functions that it calls.
    pub place: usize,
}

impl Expr {
    pub(crate) fn pos(&self) -> usize {
        match self {
            Self::Dot { pos } | Self::Nil { pos } | Self::Bool { pos, .. } => *pos,
            Self::Number(number) => number.pos,
            Self::Str(text) => text.pos,
            Self::Field(field) => field.pos,
            Self::Variable(variable) => variable.pos,
            Self::Chain(chain) => chain.pos,
            Self::Function(function) => function.pos,
            Self::Pipe(pipe) => pipe.pos,
        }
    }

    /// The value of a constant, where nothing says what type it must have.
    pub(crate) fn constant(&self) -> Option<Value> {
        match self {
            Self::Bool { value, .. } => Some(Value::Bool(*value)),
            Self::Str(text) => Some(text.value.clone()),
            Self::Number(number) => number.ideal(),
            _ => None,
        }
    }
}

impl Number {
    /// Its value where nothing says what type it must have; none if it is too large for an `int`.
    pub(crate) fn ideal(&self) -> Option<Value> {
        let hex = self.text.starts_with("0x") || self.text.starts_with("0X");
        let hex = hex && !self.text.contains(['p', 'P']);
        let rune = self.text.starts_with('\'');
        match self.float {
            Some(float) if !hex && !rune && self.text.contains(['.', 'e', 'E', 'p', 'P']) => Some(Value::Float(float)),
            _ => self.int.map(Value::Int),
        }
    }
}

impl Node {
    /// Where it starts; text has no place that anybody asks for.
    pub(crate) fn pos(&self) -> usize {
        match self {
            Self::Text(_) => 0,
            Self::Action(action) => action.pos,
            Self::If(branch) | Self::With(branch) | Self::Range(branch) => branch.pos,
            Self::Invoke(invoke) => invoke.pos,
            Self::Break { pos } | Self::Continue { pos } => *pos,
        }
    }

    /// What kind of step it is.
    pub(crate) fn keyword(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Action(_) => "action",
            Self::If(_) => "if",
            Self::With(_) => "with",
            Self::Range(_) => "range",
            Self::Invoke(_) => "template",
            Self::Break { .. } => "break",
            Self::Continue { .. } => "continue",
        }
    }
}
