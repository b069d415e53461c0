//! Running a template: Go's evaluation, with bounds.

mod at;
mod call;
mod chain;
mod eval;
mod operand;
mod walk;

use std::sync::Arc;

use crate::ast::Tree;
use crate::builtin::Builtin;
use crate::error::RunError;
use crate::function::{Function, Functions};
use crate::options::Options;
use crate::parse::Parsed;
use crate::value::{MAX_VALUE_DEPTH, Value};
use at::At;
pub(crate) use operand::Operand;

/// How many blocks, parentheses and templates are run inside of each other at most: each takes stack.
const MAX_RUN_DEPTH: usize = 600;

/// What a text was parsed from, for positions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'t> {
    pub name: &'t str,
    pub text: &'t [u8],
}

impl Source<'_> {
    /// The line, from 1, and the byte in it, from 0, of a byte of the text.
    pub(crate) fn line_and_column(&self, pos: usize) -> (usize, usize) {
        let before = &self.text[..pos.min(self.text.len())];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        (before.split(|byte| *byte == b'\n').count(), before.len() - line_start)
    }
}

/// Runs a template.
pub(crate) fn render(
    source: Source<'_>,
    parsed: &Parsed,
    dot: &Value,
    functions: &Functions,
    options: &Options,
) -> Result<Vec<u8>, RunError> {
    let Some(tree) = parsed.trees.get(source.name) else { return Ok(Vec::new()) };
    let callees: Vec<_> = parsed.functions.iter().map(|name| Callee::named(name, functions)).collect();
    let mut run = Run {
        source,
        parsed,
        callees: &callees,
        options,
        tree,
        at: At::Start,
        variables: Vec::new(),
        out: Vec::new(),
        steps: 0,
        depth: 0,
        templates: 0,
    };
    let result = run.whole(Operand::of(dot.clone()).unboxed());
    match result {
        Ok(()) => Ok(run.out),
        Err(error) => Err(*error),
    }
}

/// What a name of a function stands for.
enum Callee<'t> {
    Given(&'t Function),
    Builtin(Builtin),
    /// It was there when the template was parsed.
    Gone,
}

impl<'t> Callee<'t> {
    fn named(name: &str, functions: &'t Functions) -> Self {
        match functions.get(name) {
            Some(function) => Self::Given(function),
            None => Builtin::named(name).map_or(Self::Gone, Self::Builtin),
        }
    }
}

/// The error is boxed: what succeeds, which is nearly everything, shall not carry its size.
type Step<T> = Result<T, Box<RunError>>;

/// One run.
struct Run<'t> {
    source: Source<'t>,
    parsed: &'t Parsed,
    /// What the template's functions are, by their places.
    callees: &'t [Callee<'t>],
    options: &'t Options,
    /// The template that runs.
    tree: &'t Arc<Tree>,
    /// The part of it that runs, for messages.
    at: At<'t>,
    /// The innermost variable last.
    variables: Vec<(&'t str, Operand)>,
    out: Vec<u8>,
    steps: u64,
    depth: usize,
    templates: usize,
}

impl Run<'_> {
    fn whole(&mut self, dot: Operand) -> Step<()> {
        if dot.depth() > MAX_VALUE_DEPTH {
            return self.fail(format!("the data is nested deeper than {MAX_VALUE_DEPTH}"));
        }
        let tree = self.tree;
        self.variables.push(("$", dot.clone()));
        self.list(&dot, &tree.root).map(drop)
    }

    /// Counts a step.
    fn step(&mut self) -> Step<()> {
        self.steps += 1;
        if self.steps > self.options.max_steps {
            return self.fail(format!("exceeded maximum number of steps ({})", self.options.max_steps));
        }
        Ok(())
    }

    /// Runs something that can contain itself.
    fn nested<T>(&mut self, run: impl FnOnce(&mut Self) -> Step<T>) -> Step<T> {
        if self.depth == MAX_RUN_DEPTH {
            return self.fail(format!("exceeded maximum depth ({MAX_RUN_DEPTH})"));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    /// Writes output.
    fn write(&mut self, bytes: &[u8]) -> Step<()> {
        if bytes.len() > self.options.max_output_bytes.saturating_sub(self.out.len()) {
            return self.fail(format!("exceeded maximum output ({} bytes)", self.options.max_output_bytes));
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// An error at the part that runs.
    fn fail<T>(&self, message: String) -> Step<T> {
        let (line, column) = self.source.line_and_column(self.at.pos());
        Err(Box::new(RunError {
            name: self.source.name.to_owned(),
            line,
            column,
            template: self.tree.name.clone(),
            node: self.at.to_string(),
            message,
        }))
    }
}
