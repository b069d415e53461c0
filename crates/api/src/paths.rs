//! Where each resource stands: the routes of the server and the request paths of the client.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Prefix of fleet's API.
pub const PREFIX: &str = "/fleet/v1";
/// The older prefix of the same resources, still used by old clients.
pub const LEGACY_PREFIX: &str = "/v1-alpha";

/// All units (GET). Relative to [`PREFIX`] or [`LEGACY_PREFIX`], like the routes below.
pub const UNITS: &str = "/units";
/// One unit (GET, PUT, DELETE): a route with one parameter.
pub const UNIT_ROUTE: &str = "/units/{name}";
/// What systemd says of all units (GET; `unitName` and `machineID` filter).
pub const STATES: &str = "/state";
/// What systemd says of one unit (GET): a route with one parameter.
pub const STATE_ROUTE: &str = "/state/{name}";
/// All machines (GET), and their metadata (PATCH).
pub const MACHINES: &str = "/machines";

/// What this API consists of, as Google's discovery document (GET).
pub const DISCOVERY: &str = "/discovery";

/// What happens in the cluster (GET), as server-sent events; Flota's own, absolute.
pub const EVENTS: &str = "/v1/events";
/// Counters for Prometheus (GET); absolute, as in fleet.
pub const METRICS: &str = "/metrics";
/// Why a unit is where it is (GET), Flota's own; absolute.
pub const WHY_ROUTE: &str = "/v1/units/{name}/why";
/// How the daemon is (GET), Flota's own; absolute.
pub const HEALTH: &str = "/v1/health";
/// Whether the store is believed (GET), and the word that it is to be (POST), Flota's own; absolute.
pub const TRUST: &str = "/v1/store/trust";
/// In each answer of a daemon that does not believe its store: why.
pub const FROZEN_HEADER: &str = "flota-frozen";

/// All machines that belong to the cluster (GET), Flota's own; absolute.
pub const ALL_MACHINES: &str = "/v1/machines";
/// One machine and what it holds (GET), and its removal (DELETE), Flota's own; absolute.
pub const MACHINE_ROUTE: &str = "/v1/machines/{name}";
/// What people ask of a machine (PUT, DELETE), Flota's own; absolute.
pub const CORDON_ROUTE: &str = "/v1/machines/{name}/cordon";

/// How this machine leaves its cluster (GET), and the order to do so (POST), Flota's own; absolute.
pub const LEAVE: &str = "/v1/leave";

/// Takes the daemon's machine into another cluster (POST), Flota's own; absolute.
pub const JOIN: &str = "/v1/join";
/// The tokens that let machines join (GET, POST), Flota's own; absolute.
pub const TOKENS: &str = "/v1/tokens";
/// One such token (DELETE), Flota's own; absolute.
pub const TOKEN_ROUTE: &str = "/v1/tokens/{name}";

/// The keys that units of this machine have registered (GET, PUT, DELETE), Flota's own; absolute.
pub const REGISTRATIONS: &str = "/v1/registrations";

/// The configuration files that confd keeps on all machines (GET), and what one of this machine tells (PUT), Flota's own; absolute.
pub const CONF: &str = "/v1/conf";

/// Query parameter that continues a list.
pub const QUERY_PAGE: &str = "nextPageToken";
/// Query parameter of [`EVENTS`]: the revision after which to begin.
pub const QUERY_SINCE: &str = "since";
/// Query parameters of DELETE on [`REGISTRATIONS`]: which key of which unit.
pub const QUERY_REGISTRATION: [&str; 2] = ["unit", "key"];
/// Query parameter of DELETE on [`MACHINE_ROUTE`]: also if the machine lives.
pub const QUERY_FORCE: &str = "force";
/// Query parameter of [`STATES`]: one unit only.
pub const QUERY_UNIT: &str = "unitName";
/// Query parameter of [`STATES`]: one machine only.
pub const QUERY_MACHINE: &str = "machineID";

/// What may stand as it is in a path segment or a query value (RFC 3986 "unreserved").
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The path of a unit.
pub fn unit(name: &str) -> String {
    format!("{PREFIX}{UNITS}/{}", escape(name))
}

/// The path of a unit's explanation.
pub fn why(name: &str) -> String {
    format!("/v1/units/{}/why", escape(name))
}

/// The path of a machine.
pub fn machine(id: &str) -> String {
    format!("{ALL_MACHINES}/{}", escape(id))
}

/// The path of what people ask of a machine.
pub fn cordon(id: &str) -> String {
    format!("{ALL_MACHINES}/{}/cordon", escape(id))
}

/// The path of a token.
pub fn token(id: &str) -> String {
    format!("{TOKENS}/{}", escape(id))
}

/// The path of one registration.
pub fn registration(unit: &str, key: &str) -> String {
    let [unit_query, key_query] = QUERY_REGISTRATION;
    format!("{REGISTRATIONS}?{unit_query}={}&{key_query}={}", escape(unit), escape(key))
}

/// A list's path with its non-empty query parameters.
pub fn list(resource: &str, query: &[(&str, &str)]) -> String {
    let mut path = format!("{PREFIX}{resource}");
    let mut separator = '?';
    for (key, value) in query.iter().filter(|(_, value)| !value.is_empty()) {
        path.push(separator);
        path.push_str(key);
        path.push('=');
        path.push_str(&escape(value));
        separator = '&';
    }
    path
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        assert_eq!(unit("web@1.service"), "/fleet/v1/units/web%401.service");
        assert_eq!(unit("a/../b?c"), "/fleet/v1/units/a%2F..%2Fb%3Fc");
        assert_eq!(why(r"dev-\x2d.mount"), "/v1/units/dev-%5Cx2d.mount/why");
    }

    #[test]
    fn lists_leave_out_what_is_empty() {
        assert_eq!(list(UNITS, &[(QUERY_PAGE, "")]), "/fleet/v1/units");
        assert_eq!(
            list(STATES, &[(QUERY_UNIT, "a b"), (QUERY_MACHINE, ""), (QUERY_PAGE, "ZAACAA==")]),
            "/fleet/v1/state?unitName=a%20b&nextPageToken=ZAACAA%3D%3D"
        );
    }
}
