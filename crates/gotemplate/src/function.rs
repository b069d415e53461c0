//! What a template may call beside Go's own functions.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::value::{Type, Value};

/// Why a function refuses its arguments: Go's `error`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FuncError(String);

impl FuncError {
    /// An error with that message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<String> for FuncError {
    fn from(message: String) -> Self {
        Self(message)
    }
}

impl From<&str> for FuncError {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

/// What a function takes. Calls are checked against it with Go's words, so a function sees only what it asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    params: Vec<Type>,
    variadic: Option<Type>,
}

impl Signature {
    /// Exactly these arguments.
    pub fn new(params: impl IntoIterator<Item = Type>) -> Self {
        Self { params: params.into_iter().collect(), variadic: None }
    }

    /// And any number of that type behind them.
    pub fn variadic(mut self, rest: Type) -> Self {
        self.variadic = Some(rest);
        self
    }

    /// The types of the arguments that must be there.
    pub fn params(&self) -> &[Type] {
        &self.params
    }

    /// The type of all arguments behind those, if there may be any.
    pub fn rest(&self) -> Option<&Type> {
        self.variadic.as_ref()
    }

    /// The type of the argument at that place.
    pub(crate) fn param(&self, place: usize) -> Option<&Type> {
        self.params.get(place).or(self.variadic.as_ref())
    }
}

/// As Go writes a function's type.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = self.params.iter().map(Type::to_string);
        let rest = self.variadic.iter().map(|rest| format!("...{rest}"));
        let params: Vec<_> = fixed.chain(rest).collect();
        write!(f, "func({}) interface {{}}", params.join(", "))
    }
}

type Body = dyn Fn(&[Value]) -> Result<Value, FuncError> + Send + Sync;

/// One function, or a method bound to its value.
#[derive(Clone)]
pub struct Function {
    signature: Arc<Signature>,
    body: Arc<Body>,
}

impl Function {
    /// A function that is called only with what its signature says.
    pub fn new(
        signature: Signature,
        body: impl Fn(&[Value]) -> Result<Value, FuncError> + Send + Sync + 'static,
    ) -> Self {
        Self { signature: Arc::new(signature), body: Arc::new(body) }
    }

    /// What it takes.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Calls it; the caller has checked the arguments.
    pub(crate) fn call(&self, args: &[Value]) -> Result<Value, FuncError> {
        (self.body)(args)
    }
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.signature)
    }
}

/// Functions by name. One that is called as one of Go's own replaces that.
#[derive(Debug, Clone, Default)]
pub struct Functions(BTreeMap<String, Function>);

impl Functions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function, or replaces the one of that name.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        signature: Signature,
        body: impl Fn(&[Value]) -> Result<Value, FuncError> + Send + Sync + 'static,
    ) {
        self.add(name, Function::new(signature, body));
    }

    /// Adds a function, or replaces the one of that name.
    pub fn add(&mut self, name: impl Into<String>, function: Function) {
        self.0.insert(name.into(), function);
    }

    /// The function of that name.
    pub fn get(&self, name: &str) -> Option<&Function> {
        self.0.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
