//! The steps of a template: text, actions, branches, loops, other templates.

use std::slice;

use super::at::At;
use super::operand::Operand;
use super::{Run, Step};
use crate::ast::{Action, Branch, Invoke, Node};
use crate::fmt::{print, quote, with_verb};
use crate::value::Value;

/// How a list of steps ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// With its last step.
    Next,
    Break,
    Continue,
}

impl<'t> Run<'t> {
    pub(super) fn list(&mut self, dot: &Operand, nodes: &'t [Node]) -> Step<Flow> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Operand, node: &'t Node) -> Step<Flow> {
        self.step()?;
        match node {
            Node::Text(text) => {
                self.at = At::Node(node);
                self.write(text)?;
            }
            Node::Action(action) => self.action(dot, action)?,
            Node::Invoke(invoke) => self.nested(|run| run.invoke(dot, invoke))?,
            Node::Break { .. } => return Ok(Flow::Break),
            Node::Continue { .. } => return Ok(Flow::Continue),
            Node::If(branch) => return self.nested(|run| run.scope(|run| run.branch(dot, branch, false))),
            Node::With(branch) => return self.nested(|run| run.scope(|run| run.branch(dot, branch, true))),
            Node::Range(branch) => return self.nested(|run| run.scope(|run| run.range(dot, branch))),
        }
        Ok(Flow::Next)
    }

    /// Runs something whose variables end with it.
    fn scope<T>(&mut self, run: impl FnOnce(&mut Self) -> Step<T>) -> Step<T> {
        let variables = self.variables.len();
        let result = run(self);
        self.variables.truncate(variables);
        result
    }

    fn action(&mut self, dot: &Operand, action: &'t Action) -> Step<()> {
        let value = self.pipe(dot, &action.pipe)?;
        if !action.pipe.variables.is_empty() {
            return Ok(());
        }
        self.at = At::Action(action);
        match value.printable().as_ref() {
            Value::Str(text) => self.write(text),
            Value::Func(function) => self.fail(format!("can't print {action} of type {}", function.signature())),
            value => self.write(&print(slice::from_ref(value))),
        }
    }

    fn branch(&mut self, dot: &Operand, branch: &'t Branch, with: bool) -> Step<Flow> {
        let value = self.pipe(dot, &branch.pipe)?;
        if value.is_true() {
            return self.list(if with { &value } else { dot }, &branch.list);
        }
        self.otherwise(dot, branch)
    }

    fn otherwise(&mut self, dot: &Operand, branch: &'t Branch) -> Step<Flow> {
        branch.otherwise.as_ref().map_or(Ok(Flow::Next), |list| self.list(dot, list))
    }

    fn range(&mut self, dot: &Operand, branch: &'t Branch) -> Step<Flow> {
        let over = self.pipe(dot, &branch.pipe)?.into_value();
        let count = match &over {
            Value::Nil => 0,
            Value::List(list) => list.len() as u64,
            Value::Map(map) => map.len() as u64,
            // Since Go 1.22.
            Value::Int(count) => u64::try_from(*count).unwrap_or(0),
            Value::Uint(count) => *count,
            Value::Byte(count) => u64::from(*count),
            other => return self.fail(format!("range can't iterate over {}", with_verb(other, 'v'))),
        };
        if count == 0 {
            return self.otherwise(dot, branch);
        }
        match &over {
            Value::List(list) => {
                for index in 0..list.len() {
                    let Some(element) = Operand::element(list, index) else { break };
                    if !self.round(branch, || Operand::Plain(Value::Int(index as i64)), element)? {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                for (key, value) in map.entries() {
                    let element = Operand::entry_value(map, value);
                    if !self.round(branch, || Operand::Plain(Value::Str(key.clone())), element)? {
                        break;
                    }
                }
            }
            number => {
                if branch.pipe.variables.len() > 1 {
                    let number = with_verb(number, 'v');
                    return self.fail(format!("can't use {number} to iterate over more than one variable"));
                }
                for index in 0..count {
                    let element = match number {
                        Value::Int(_) => Value::Int(index as i64),
                        Value::Byte(_) => Value::Byte(index as u8),
                        _ => Value::Uint(index),
                    };
                    if !self.round(branch, || Operand::Missing, Operand::Plain(element))? {
                        break;
                    }
                }
            }
        }
        Ok(Flow::Next)
    }

    /// One round of a loop; false if it was the last one.
    fn round(&mut self, branch: &'t Branch, index: impl FnOnce() -> Operand, element: Operand) -> Step<bool> {
        self.step()?;
        match branch.pipe.variables.as_slice() {
            [] => {}
            [value] => self.set_round(branch, &value.name, 1, element.clone())?,
            [key, value, ..] => {
                self.set_round(branch, &key.name, 2, index())?;
                self.set_round(branch, &value.name, 1, element.clone())?;
            }
        }
        Ok(self.scope(|run| run.list(&element, &branch.list))? != Flow::Break)
    }

    /// Sets a variable of a loop: the one that it declared, so far from the innermost one, or one that was there.
    fn set_round(&mut self, branch: &Branch, name: &str, from_top: usize, value: Operand) -> Step<()> {
        if branch.pipe.assign {
            return self.assign(name, value);
        }
        let place = self.variables.len().checked_sub(from_top);
        if let Some((_, variable)) = place.and_then(|place| self.variables.get_mut(place)) {
            *variable = value;
        }
        Ok(())
    }

    fn invoke(&mut self, dot: &Operand, invoke: &'t Invoke) -> Step<()> {
        self.at = At::Invoke(invoke);
        let Some(tree) = self.parsed.trees.get(&invoke.name) else {
            return self.fail(format!("template {} not defined", quote(&invoke.name)));
        };
        let max = self.options.max_template_depth;
        if self.templates == max {
            return self.fail(format!("exceeded maximum template depth ({max})"));
        }
        let dot = match &invoke.pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Operand::Missing,
        };
        // It sees no variables of its caller, and an error in it names it.
        let (at, caller) = (self.at, std::mem::replace(&mut self.tree, tree));
        let variables = std::mem::replace(&mut self.variables, vec![("$", dot.clone())]);
        self.templates += 1;
        self.list(&dot, &tree.root)?;
        self.templates -= 1;
        self.variables = variables;
        self.tree = caller;
        self.at = at;
        Ok(())
    }
}
