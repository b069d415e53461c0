//! Go's own functions.

mod collection;
mod compare;
mod escape;
mod invoke;

use crate::exec::Operand;
use crate::fmt::{print, printf, println};
use crate::function::FuncError;
use crate::value::{Type, Value};

/// A function that every template can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Builtin {
    And,
    Or,
    Not,
    Call,
    Html,
    Index,
    Slice,
    Js,
    Len,
    Print,
    Printf,
    Println,
    UrlQuery,
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
    Ne,
}

impl Builtin {
    /// The function of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            "call" => Self::Call,
            "html" => Self::Html,
            "index" => Self::Index,
            "slice" => Self::Slice,
            "js" => Self::Js,
            "len" => Self::Len,
            "print" => Self::Print,
            "printf" => Self::Printf,
            "println" => Self::Println,
            "urlquery" => Self::UrlQuery,
            "eq" => Self::Eq,
            "ge" => Self::Ge,
            "gt" => Self::Gt,
            "le" => Self::Le,
            "lt" => Self::Lt,
            "ne" => Self::Ne,
            _ => return None,
        })
    }

    /// How many arguments there must be.
    pub(crate) fn fixed(self) -> usize {
        match self {
            Self::Html | Self::Js | Self::Print | Self::Println | Self::UrlQuery => 0,
            Self::Ge | Self::Gt | Self::Le | Self::Lt | Self::Ne => 2,
            _ => 1,
        }
    }

    /// Whether there may be more.
    pub(crate) fn is_variadic(self) -> bool {
        !matches!(self, Self::Not | Self::Len | Self::Ge | Self::Gt | Self::Le | Self::Lt | Self::Ne)
    }

    /// The type of an argument.
    pub(crate) fn param(self, place: usize) -> &'static Type {
        if self == Self::Printf && place == 0 { &Type::Str } else { &Type::Any }
    }

    /// Calls it. The number of arguments is checked.
    pub(crate) fn call(self, args: &[Operand]) -> Result<Operand, FuncError> {
        let (first, rest) = match args {
            [first, rest @ ..] => (first, rest),
            [] => (&Operand::Missing, args),
        };
        Ok(match self {
            // They do not evaluate all of their arguments, so they are not called like others.
            Self::And | Self::Or => first.clone(),
            Self::Not => truth(!first.is_true()),
            Self::Call => invoke::call(first, rest)?,
            Self::Html => text(escape::html(&escape::joined(args))),
            Self::Js => text(escape::js(&escape::joined(args))),
            Self::UrlQuery => text(escape::url_query(&escape::joined(args))),
            Self::Index => collection::index(first, rest)?,
            Self::Slice => collection::slice(first, rest)?,
            Self::Len => Operand::Plain(Value::Int(collection::len(first)?)),
            Self::Print => text(print(&values(args))),
            Self::Println => text(println(&values(args))),
            Self::Printf => match first.get() {
                Some(Value::Str(format)) => text(printf(format, &values(rest))),
                _ => return Err("a format that is no string".into()),
            },
            Self::Eq => truth(compare::eq(first, rest)?),
            Self::Ne => truth(!compare::eq(first, rest)?),
            Self::Lt => truth(compare::lt(first, &args[1])?),
            Self::Le => truth(compare::le(first, &args[1])?),
            Self::Gt => truth(!compare::le(first, &args[1])?),
            Self::Ge => truth(!compare::lt(first, &args[1])?),
        })
    }
}

fn truth(value: bool) -> Operand {
    Operand::Plain(Value::Bool(value))
}

fn text(bytes: Vec<u8>) -> Operand {
    Operand::Plain(Value::Str(bytes.into()))
}

fn values(args: &[Operand]) -> Vec<Value> {
    args.iter().cloned().map(Operand::into_value).collect()
}
