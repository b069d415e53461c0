//! From arguments to names of units: paths, short forms, and patterns over the units that the cluster has.

use std::collections::BTreeSet;

use flota_api::v1::{DesiredState, Unit};
use flota_unit::{Glob, NameError, UnitName};

use crate::{context::Context, exit::Exit, failure::Failure};

/// Which of the units that match a pattern are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// All.
    All,
    /// Those that are, or should be, on a machine.
    Placed,
}

/// The names that arguments mean; fails on the first that is none.
pub fn unit_names(arguments: &[String]) -> Result<Vec<UnitName>, Failure> {
    if arguments.is_empty() {
        return Err(no_units());
    }
    arguments.iter().map(|argument| unit_name(argument)).collect()
}

/// The name that an argument means.
pub fn unit_name(argument: &str) -> Result<UnitName, Failure> {
    UnitName::from_argument(argument).map_err(|error| {
        let failure = Failure::new(Exit::USAGE, format!("Invalid unit name \"{argument}\": {error}"));
        match error {
            NameError::Character('{' | '}' | ',') => {
                failure.with_hint("the shell makes names of braces only where they are not quoted: web@{1..3}.service")
            }
            NameError::Character('*' | '?' | '[' | ']') => {
                failure.with_hint("patterns are for units that the cluster has: stop, unload, destroy, restart, ...")
            }
            _ => failure,
        }
    })
}

/// The names that arguments mean, patterns included. A pattern that matches nothing is an error.
pub async fn select(context: &Context<'_, '_>, arguments: &[String], among: Among) -> Result<Vec<UnitName>, Failure> {
    if arguments.is_empty() {
        return Err(no_units());
    }
    if !arguments.iter().any(|argument| is_pattern(argument)) {
        return expand(arguments, &[], among);
    }
    let units = context.client.units().await;
    let units = units.map_err(|error| Failure::request("Error retrieving list of units from repository", &error))?;
    expand(arguments, &units, among)
}

fn expand(arguments: &[String], units: &[Unit], among: Among) -> Result<Vec<UnitName>, Failure> {
    let (mut names, mut seen) = (Vec::new(), BTreeSet::new());
    for argument in arguments {
        let found = if is_pattern(argument) { matching(argument, units, among)? } else { vec![unit_name(argument)?] };
        names.extend(found.into_iter().filter(|name| seen.insert(name.clone())));
    }
    Ok(names)
}

/// Whether an argument is a pattern over names.
pub fn is_pattern(argument: &str) -> bool {
    argument.contains(['*', '?', '['])
}

fn matching(pattern: &str, units: &[Unit], among: Among) -> Result<Vec<UnitName>, Failure> {
    let glob = |text: &str| {
        Glob::new(text).map_err(|error| Failure::new(Exit::USAGE, format!("Invalid pattern \"{pattern}\": {error}")))
    };
    let (whole, service) = (glob(pattern)?, glob(&format!("{pattern}.service"))?);
    let matching: Vec<&Unit> =
        units.iter().filter(|unit| whole.matches(&unit.name) || service.matches(&unit.name)).collect();
    if matching.is_empty() {
        return Err(Failure::new(Exit::FAILURE, format!("No unit matches \"{pattern}\"")));
    }
    let meant =
        |unit: &&Unit| among == Among::All || !matches!(unit.desired_state, None | Some(DesiredState::Inactive));
    matching.into_iter().filter(meant).map(|unit| unit_name(&unit.name)).collect()
}

/// The failure of a verb without any unit.
pub fn no_units() -> Failure {
    Failure::new(Exit::USAGE, "No units given")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_arguments() {
        #[track_caller]
        fn check(argument: &str, expected: &str) {
            assert_eq!(unit_name(argument).unwrap().as_str(), expected);
        }
        check("hello", "hello.service");
        check("hello.service", "hello.service");
        check("a/b/web@1", "web@1.service");
        check("/x/y.timer", "y.timer");
        check("foo.target", "foo.target");
        check("foo.slice", "foo.slice");
        check("foo.bar", "foo.bar.service");
        check("web@1.2", "web@1.2.service");
        assert_eq!(unit_names(&[]).unwrap_err().message, "No units given");
        assert!(unit_name("a b").unwrap_err().message.starts_with("Invalid unit name \"a b\": "));
    }

    #[test]
    fn braces_and_patterns_where_they_do_not_belong() {
        let failure = unit_name("foo@{1,3}.service").unwrap_err();
        assert_eq!(failure.message, "Invalid unit name \"foo@{1,3}.service\": invalid character '{' in unit name");
        assert!(failure.hint.unwrap().contains("where they are not quoted"));
        assert!(unit_name("web@*").unwrap_err().hint.unwrap().starts_with("patterns are for"));
    }

    #[test]
    fn patterns() {
        let unit = |name: &str, desired| Unit { name: name.into(), desired_state: Some(desired), ..Unit::default() };
        let units = [
            unit("web.socket", DesiredState::Loaded),
            unit("web@.service", DesiredState::Inactive),
            unit("web@1.service", DesiredState::Launched),
            unit("web@2.service", DesiredState::Launched),
        ];
        let expand = |arguments: &[&str], among| {
            let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
            let names = expand(&arguments, &units, among).map_err(|failure| failure.message)?;
            Ok::<_, String>(names.iter().map(UnitName::to_string).collect::<Vec<_>>().join(" "))
        };
        assert_eq!(expand(&["web@*"], Among::All).unwrap(), "web@.service web@1.service web@2.service");
        assert_eq!(expand(&["web@*"], Among::Placed).unwrap(), "web@1.service web@2.service");
        assert_eq!(expand(&["web@2", "web@?", "x"], Among::All).unwrap(), "web@2.service web@1.service x.service");
        assert_eq!(expand(&["web@[2-9].service"], Among::All).unwrap(), "web@2.service");
        assert_eq!(expand(&["*.socket"], Among::Placed).unwrap(), "web.socket");
        assert_eq!(expand(&["db*", "web@1"], Among::All).unwrap_err(), "No unit matches \"db*\"");
        assert!(expand(&["web[", "web@1"], Among::All).unwrap_err().starts_with("Invalid pattern \"web[\": "));
    }
}
