//! Ways to look that end in time, and say why nothing was to be seen.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use flota_doctor::{Blind, Look};
use tokio::process::Command;
use tokio::time::timeout;

/// How long anything may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Looks for at most five seconds; `what` is looked at.
pub async fn within<T>(what: &'static str, look: impl Future<Output = Look<T>>) -> Look<T> {
    timeout(LIMIT, look).await.unwrap_or(Err(Blind::Late(what, LIMIT.as_secs())))
}

/// The same for what blocks. A look that comes too late goes on in its thread, for as long as the program lives.
pub async fn blocking<T: Send + 'static>(
    what: &'static str,
    look: impl FnOnce() -> Look<T> + Send + 'static,
) -> Look<T> {
    let look = tokio::task::spawn_blocking(look);
    within(what, async { look.await.unwrap_or_else(|error| Err(Blind::Because(error.to_string()))) }).await
}

/// Whether an error, or what caused it, is a matter of permission.
pub fn is_denied(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
            return true;
        }
        next = error.source();
    }
    false
}

/// Why something at `path` was not to be seen.
pub fn blind(action: &str, path: &Path, error: &io::Error) -> Blind {
    if is_denied(error) {
        Blind::NotAllowed(format!("{action} {}", path.display()))
    } else {
        Blind::Because(format!("cannot {action} {}: {error}", path.display()))
    }
}

/// What a program prints; nothing where there is no such program.
pub async fn program(line: &[&str]) -> io::Result<Option<Output>> {
    let Some((name, arguments)) = line.split_first() else { return Ok(None) };
    let mut command = Command::new(name);
    command.args(arguments).env("LC_ALL", "C").stdin(Stdio::null()).kill_on_drop(true);
    match command.output().await {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The `NAME=VALUE` lines that a program of systemd's prints, as a look-up of values.
pub async fn properties(line: &[&str]) -> Look<impl Fn(&str) -> String + use<>> {
    let name = line.first().copied().unwrap_or_default().to_owned();
    let output = match program(line).await {
        Ok(Some(output)) => output,
        Ok(None) => return Err(Blind::Because(format!("there is no {name}"))),
        Err(error) => return Err(Blind::Because(format!("cannot run {name}: {error}"))),
    };
    if !output.status.success() {
        return Err(Blind::Because(format!("{name}: {}", last_line(&output.stderr))));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(move |wanted: &str| {
        let mut values = text.lines().filter_map(|line| line.split_once('='));
        values.find(|(name, _)| *name == wanted).map(|(_, value)| value.to_owned()).unwrap_or_default()
    })
}

/// The last words of a program.
pub fn last_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it does not say why").to_owned()
}
