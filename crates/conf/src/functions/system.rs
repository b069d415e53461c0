//! Functions that look at the machine: environment, files, time.

use std::path::Path;
use std::sync::Arc;

use flota_gotemplate::{Functions, Signature, Type, Value};

use super::arguments::{strings, utf8};
use super::time::Moment;

/// Adds them.
pub(super) fn add(functions: &mut Functions) {
    functions.insert("getenv", strings(1).variadic(Type::Str), |args| {
        // A name with a `=` or a zero byte has no variable, and the system's own function would not bear it.
        let name = utf8(args, 0);
        let valid = !name.is_empty() && !name.contains(['=', '\0']);
        let value = valid.then(|| std::env::var_os(&name)).flatten().filter(|value| !value.is_empty());
        match (value, args.get(1)) {
            (Some(value), _) => Ok(value.to_string_lossy().into_owned().into()),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Ok("".into()),
        }
    });
    functions.insert("fileExists", strings(1), |args| Ok(Path::new(&utf8(args, 0)).exists().into()));
    functions.insert("hostname", Signature::new([]), |_| Ok(hostname().into()));
    functions
        .insert("datetime", Signature::new([]), |_| Ok(Value::Object(Arc::new(Moment(jiff::ZonedDateTime::now())))));
}

/// The machine's name.
pub fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The time as log lines have it.
pub fn timestamp() -> String {
    super::layout::format(&jiff::ZonedDateTime::now(), "2006-01-02T15:04:05Z07:00")
}
