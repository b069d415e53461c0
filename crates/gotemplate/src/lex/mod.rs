//! Text to tokens.

mod action;
mod number;
mod token;

pub(crate) use action::{Keywords, lex};
pub(crate) use token::{Kind, Token};
