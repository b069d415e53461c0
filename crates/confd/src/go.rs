//! Go's ways to write flags, as clap reads them.

use std::ffi::OsString;

use clap::builder::BoolishValueParser;
use clap::{Arg, ArgAction, Command};

/// Go's flags can all be given as `--flag=true` and `--flag=false`.
pub fn go_flag(flag: Arg) -> Arg {
    if !matches!(flag.get_action(), ArgAction::SetTrue) {
        return flag;
    }
    flag.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .value_parser(BoolishValueParser::new())
        .default_value("false")
        .default_missing_value("true")
        .value_name("BOOL")
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// Go's ways to write flags as the one that clap reads: `-f v`, `--f v`, `-f=v` and `--f=v` all become `--f=v`.
pub fn go_flags(command: &Command, arguments: &[OsString]) -> Vec<OsString> {
    let mut flags = Vec::new();
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let Some(name) = argument.to_str().and_then(flag_name) else {
            // Not a flag: everything after it is not one either.
            flags.push(argument.clone());
            flags.extend(rest.cloned());
            break;
        };
        let mut flag = OsString::from(format!("--{name}"));
        let known = command
            .get_arguments()
            .find(|arg| arg.get_long_and_visible_aliases().is_some_and(|all| all.contains(&name)));
        if let Some(value) =
            known.filter(|arg| matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)).and_then(|_| rest.next())
        {
            flag.push("=");
            flag.push(value);
        }
        flags.push(flag);
    }
    flags
}

/// `name` or `name=value` without its dashes; `-h` stays itself, as the name `help`.
fn flag_name(argument: &str) -> Option<&str> {
    let name = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
    match name {
        "" => None,
        "h" => Some("help"),
        name => Some(name),
    }
}
