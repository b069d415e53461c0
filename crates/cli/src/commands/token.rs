//! `token`: what lets machines join.

use std::time::{SystemTime, UNIX_EPOCH};

use flota_api::join::{TokenCreated, TokenRequest, TokenView};

use crate::{
    cli::{Format, TokenCreateArgs, TokenListArgs, TokenRevokeArgs, TokenVerb},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::table::{Field, Layout, render},
    style::Style,
};

/// Where machines join if nothing else is said: it need not be typed.
const DEFAULT_PORT: &str = ":4003";

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, verb: TokenVerb) -> Result<Exit, Failure> {
    match verb {
        TokenVerb::Create(arguments) => create(context, &arguments).await,
        TokenVerb::List(arguments) => list(context, &arguments).await,
        TokenVerb::Revoke(arguments) => revoke(context, &arguments).await,
    }
}

async fn create(context: &mut Context<'_, '_>, arguments: &TokenCreateArgs) -> Result<Exit, Failure> {
    let request = TokenRequest { ttl_seconds: arguments.ttl.into() };
    let created = context.client.create_token(&request).await;
    let created = created.map_err(|error| Failure::request("Error creating a token", &error))?;
    match arguments.print.output {
        Format::Json => context.printer.json(&created)?,
        Format::Text => {
            let left = span(u64::from(arguments.ttl));
            context
                .printer
                .say(&format!("for {left} this takes a new machine into the cluster; run it there, as root:"));
            context.printer.line(&join_command(&created))?;
        }
    }
    Ok(Exit::SUCCESS)
}

/// What to type on a new machine.
fn join_command(created: &TokenCreated) -> String {
    let address = created.address.strip_suffix(DEFAULT_PORT).unwrap_or(&created.address);
    format!("flota join {address} --token {}", created.token)
}

async fn list(context: &mut Context<'_, '_>, arguments: &TokenListArgs) -> Result<Exit, Failure> {
    let tokens = context.client.tokens().await;
    let tokens = tokens.map_err(|error| Failure::request("Error retrieving tokens", &error))?;
    match arguments.print.output {
        Format::Json => context.printer.json(&tokens)?,
        Format::Text => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
            context.printer.data(&table(&tokens, now)?)?;
        }
    }
    Ok(Exit::SUCCESS)
}

async fn revoke(context: &mut Context<'_, '_>, arguments: &TokenRevokeArgs) -> Result<Exit, Failure> {
    for token in &arguments.tokens {
        let id = token.split('.').next().unwrap_or_default();
        let revoked = context.client.revoke_token(id).await;
        revoked.map_err(|error| Failure::request("Error revoking a token", &error))?;
        context.printer.say(&format!("token {id} lets nobody in any more"));
    }
    Ok(Exit::SUCCESS)
}

/// One line of the list.
struct Row {
    token: String,
    ends: String,
}

const FIELDS: &[Field<Row>] = &[
    Field { name: "token", cell: |row, _| row.token.clone() },
    Field { name: "ends", cell: |row, _| row.ends.clone() },
];

fn table(tokens: &[TokenView], now: u64) -> Result<String, Failure> {
    let row = |token: &TokenView| Row {
        token: token.id.clone(),
        ends: format!("in {}", span(token.expires_unix_ms.saturating_sub(now) / 1000)),
    };
    let rows: Vec<Row> = tokens.iter().map(row).collect();
    render(FIELDS, Layout { fields: "token,ends", full: false, no_legend: false }, &rows, Style::Flota)
}

/// A span of seconds, in its two largest units.
fn span(seconds: u64) -> String {
    let units = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
    let Some(first) = units.iter().position(|(count, _)| *count > 0) else { return "0 s".to_owned() };
    let shown = units[first..].iter().take(2).filter(|(count, _)| *count > 0);
    shown.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_for_new_machines_has_no_more_than_it_needs() {
        let created = |address: &str| TokenCreated {
            id: "0000000a".to_owned(),
            token: "0000000a.S.A".to_owned(),
            address: address.to_owned(),
            expires_unix_ms: 0,
        };
        assert_eq!(join_command(&created("10.0.0.1:4003")), "flota join 10.0.0.1 --token 0000000a.S.A");
        assert_eq!(join_command(&created("10.0.0.1:5000")), "flota join 10.0.0.1:5000 --token 0000000a.S.A");
    }

    #[test]
    fn spans_are_read_at_a_glance() {
        for (seconds, text) in [(59, "59 s"), (3600, "1 h"), (5400, "1 h 30 min"), (90_061, "1 d 1 h"), (0, "0 s")] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn tokens_are_listed_by_name_without_their_secrets() {
        let token = TokenView { id: "0000000a".to_owned(), created_unix_ms: 0, expires_unix_ms: 3_600_000 };
        assert_eq!(table(&[token], 0).unwrap(), "TOKEN     ENDS\n0000000a  in 1 h\n");
    }
}
