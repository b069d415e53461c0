//! `kv watch`: changes as they happen, over broken connections too.

use std::{ffi::OsString, process::Stdio, time::Duration};

use etcd_client::{Error, Event, EventType, WatchOptions, WatchResponse, WatchStream};
use serde::Serialize;
use tokio::{io::AsyncWriteExt, process::Command};

use super::KvContext;
use crate::{
    cli::{Format, KvWatchArgs},
    exit::Exit,
    failure::Failure,
    kv::{Pair, Range, Store, call_failed, error_text, shown},
    output::printer::Printer,
    run::{interrupted, unread},
};

const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// A change as JSON.
#[derive(Serialize)]
struct Change {
    event: &'static str,
    #[serde(flatten)]
    pair: Pair,
}

/// Runs the verb.
pub async fn run(context: &mut KvContext<'_, '_, '_>, arguments: &KvWatchArgs) -> Result<Exit, Failure> {
    let store = context.store().await?;
    tokio::select! {
        failure = follow(&store, context.inner.printer, arguments) => failure,
        () = interrupted() => Ok(Exit::SUCCESS),
        () = unread(), if arguments.exec.is_empty() => Ok(Exit::SUCCESS),
    }
}

/// Where a watch is.
struct Place {
    /// The first revision that was not told of; 0 before the store said where it is.
    next: i64,
    /// Whether the store has ever answered.
    began: bool,
}

/// Watches for ever; returns only with what went wrong.
async fn follow(store: &Store, printer: &mut Printer<'_>, arguments: &KvWatchArgs) -> Result<Exit, Failure> {
    let mut place = Place { next: arguments.rev.unwrap_or(0), began: false };
    let mut wait = RETRY_FIRST;
    loop {
        let before = place.next;
        let ended = match open(store, arguments, place.next).await {
            Ok(stream) => read(stream, printer, arguments, &mut place).await?,
            Err(error) => Some(error),
        };
        if let Some(error) = ended {
            if !place.began || is_refusal(&error) {
                return Err(call_failed(store, || format!("cannot watch {}", arguments.key))(error));
            }
            if wait == RETRY_FIRST || place.next > before {
                printer.say(&format!("{}; watching again from revision {}", error_text(error), place.next));
            }
        }
        if place.next > before {
            wait = RETRY_FIRST;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

async fn open(store: &Store, arguments: &KvWatchArgs, from: i64) -> Result<WatchStream, Error> {
    let range = if arguments.prefix { Range::prefix(arguments.key.as_bytes()) } else { Range::key(&arguments.key) };
    let mut options = WatchOptions::new().with_start_revision(from).with_progress_notify();
    if let Some(end) = range.end {
        options = options.with_range(end);
    }
    let mut client = store.client.watch_client();
    store.call(client.watch(range.start, Some(options))).await
}

/// Tells of changes until the stream ends; none where it ended without an error.
async fn read(
    mut stream: WatchStream,
    printer: &mut Printer<'_>,
    arguments: &KvWatchArgs,
    place: &mut Place,
) -> Result<Option<Error>, Failure> {
    loop {
        let response = match stream.message().await {
            Ok(Some(response)) => response,
            Ok(None) => return Ok(None),
            Err(error) => return Ok(Some(error)),
        };
        if response.compact_revision() > 0 {
            skip_compacted(&response, printer, arguments, place)?;
            return Ok(None);
        }
        if response.canceled() {
            return Err(Failure::new(
                Exit::FAILURE,
                format!("cannot watch {}: {}", arguments.key, response.cancel_reason()),
            ));
        }
        place.began = true;
        for event in response.events() {
            tell(event, printer, arguments).await?;
        }
        let last = response.events().iter().filter_map(Event::kv).map(etcd_client::KeyValue::mod_revision).max();
        let told = last.or_else(|| response.header().map(etcd_client::ResponseHeader::revision));
        // A watch of the future is told where the store is, which is before it.
        place.next = place.next.max(told.map_or(0, |revision| revision + 1)).max(1);
    }
}

/// History ends before the place: at the first try that is the answer, later it is said and the watch goes on.
fn skip_compacted(
    response: &WatchResponse,
    printer: &mut Printer<'_>,
    arguments: &KvWatchArgs,
    place: &mut Place,
) -> Result<(), Failure> {
    let oldest = response.compact_revision();
    let gone = format!("history before revision {oldest} is compacted");
    if !place.began {
        return Err(Failure::new(
            Exit::FAILURE,
            format!("cannot watch {} from revision {}: {gone}", arguments.key, place.next),
        ));
    }
    printer.say(&format!("{gone}: changes since revision {} cannot be told; watching from there", place.next));
    place.next = oldest;
    Ok(())
}

/// Whether trying again is of no use.
fn is_refusal(error: &Error) -> bool {
    use tonic::Code::{InvalidArgument, PermissionDenied, Unauthenticated, Unimplemented};
    matches!(error, Error::GRpcStatus(status)
        if matches!(status.code(), InvalidArgument | PermissionDenied | Unauthenticated | Unimplemented))
}

async fn tell(event: &Event, printer: &mut Printer<'_>, arguments: &KvWatchArgs) -> Result<(), Failure> {
    let Some(pair) = event.kv() else { return Ok(()) };
    let put = event.event_type() == EventType::Put;
    if !arguments.exec.is_empty() {
        return exec(&arguments.exec, put, pair, printer).await;
    }
    match arguments.print.output {
        Format::Json => {
            printer.json_line(&Change { event: if put { "put" } else { "delete" }, pair: Pair::new(pair, put) })?;
        }
        Format::Text if put => printer.line(&format!("put     {}  {}", shown(pair.key()), shown(pair.value())))?,
        Format::Text => printer.line(&format!("delete  {}", shown(pair.key())))?,
    }
    Ok(())
}

/// Runs the command for one change and waits for its end. One that fails is told of, and the watch goes on.
async fn exec(
    line: &[OsString],
    put: bool,
    pair: &etcd_client::KeyValue,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let Some((program, rest)) = line.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    command.args(rest).stdin(Stdio::piped()).kill_on_drop(true);
    command.env("FLOTA_KV_EVENT", if put { "put" } else { "delete" });
    command.env("FLOTA_KV_REVISION", pair.mod_revision().to_string());
    command.env("FLOTA_KV_KEY", shown(pair.key()));
    command.env_remove("FLOTA_KV_VALUE");
    if let Some(text) = std::str::from_utf8(pair.value()).ok().filter(|text| put && !text.contains('\0')) {
        command.env("FLOTA_KV_VALUE", text);
    }
    let shown = program.to_string_lossy().into_owned();
    let mut child =
        command.spawn().map_err(|error| Failure::new(Exit::FAILURE, format!("cannot run {shown}: {error}")))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input is as good as any.
        let _ = stdin.write_all(pair.value()).await;
    }
    match child.wait().await {
        Ok(status) if status.success() => {}
        Ok(status) => printer.say(&format!("{shown}: {status}")),
        Err(error) => printer.say(&format!("{shown}: {error}")),
    }
    Ok(())
}
