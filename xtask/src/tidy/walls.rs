//! The walls: a PURE crate depends on PURE crates and on a few libraries that do no IO, and its clippy.toml says so; `confd` links
//! nothing of the daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Breach;
use crate::shell;

/// Crates without IO, clock, environment and randomness, as folders of `crates/`.
const PURE: &[&str] = &["unit", "registry", "engine", "agent", "mvcc", "bolt", "gotemplate", "doctor"];

/// What a PURE crate may use beside PURE crates.
const ALLOWED: &[&str] = &["bytes", "serde", "serde_json", "sha1", "strsim", "thiserror"];

/// What must not come in through a library either.
const BANNED: &[&str] = &[
    "axum",
    "etcd-client",
    "getrandom",
    "hyper",
    "mio",
    "nix",
    "rand",
    "rustix",
    "rustls",
    "socket2",
    "tempfile",
    "tokio",
    "tonic",
    "tracing-subscriber",
    "zbus",
];

/// A program of its own, as a folder of `crates/`, and the crates that it must not link (docs/adr/0015).
const SMALL: (&str, &[&str]) = (
    "confd",
    &[
        "flota-cli",
        "flota-daemon",
        "flota-doctor",
        "flota-gateway",
        "flota-image",
        "flota-lab",
        "flota-pki",
        "flota-store",
    ],
);

/// What the clippy.toml of a PURE crate must refuse.
const WALL: &[&str] = &[
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "std::env::var",
    "std::fs::read",
    "std::fs::write",
    "std::thread::spawn",
    "std::collections::HashMap",
    "std::collections::HashSet",
    "std::fs::File",
    "std::net::TcpStream",
    "std::process::Command",
];

/// Checks dependencies and clippy.toml of all PURE crates.
pub fn check(root: &Path) -> Result<Vec<Breach>> {
    let host = host_triple()?;
    let mut metadata = shell::cargo(["metadata", "--format-version=1", "--locked", "--filter-platform", &host]);
    let metadata = shell::capture(&mut metadata)?;
    let graph = Graph::parse(&serde_json::from_str(&metadata).context("cargo metadata is not JSON")?)?;
    let mut breaches = Vec::new();
    for name in PURE {
        breaches.extend(check_dependencies(&graph, name));
        let path = format!("crates/{name}/clippy.toml");
        let text = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
        breaches.extend(check_clippy(&path, &text));
    }
    breaches.extend(check_small(&graph, SMALL.0, SMALL.1));
    Ok(breaches)
}

fn host_triple() -> Result<String> {
    let version = shell::capture(&mut shell::command("rustc", ["-vV"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc -vV names no host")
}

/// Who depends on whom, by normal dependencies.
#[derive(Debug, Default)]
struct Graph {
    /// Package id to its name and the ids of what it depends on.
    packages: BTreeMap<String, (String, Vec<String>)>,
    /// Ids of the workspace's own packages.
    ours: BTreeSet<String>,
}

impl Graph {
    /// Reads the output of `cargo metadata --format-version=1`.
    fn parse(metadata: &Value) -> Result<Self> {
        let list = |value: &Value, what: &str| value.as_array().cloned().with_context(|| format!("no `{what}` in it"));
        let text = |value: &Value| value.as_str().map(str::to_owned).context("no string where one belongs");
        let mut graph = Self::default();
        for package in list(&metadata["packages"], "packages")? {
            graph.packages.insert(text(&package["id"])?, (text(&package["name"])?, Vec::new()));
        }
        for node in list(&metadata["resolve"]["nodes"], "resolve.nodes")? {
            let mut normal = Vec::new();
            for dep in list(&node["deps"], "deps")? {
                // A dependency of no kind is a normal one; `dev` and `build` are not linked.
                if list(&dep["dep_kinds"], "dep_kinds")?.iter().any(|kind| kind["kind"].is_null()) {
                    normal.push(text(&dep["pkg"])?);
                }
            }
            if let Some((_, deps)) = graph.packages.get_mut(&text(&node["id"])?) {
                *deps = normal;
            }
        }
        for id in list(&metadata["workspace_members"], "workspace_members")? {
            graph.ours.insert(text(&id)?);
        }
        Ok(graph)
    }

    fn name(&self, id: &str) -> &str {
        self.packages.get(id).map_or("?", |(name, _)| name)
    }

    fn deps(&self, id: &str) -> &[String] {
        self.packages.get(id).map_or(&[], |(_, deps)| deps)
    }

    /// Everything that is linked with a package, each with the way to it.
    fn reachable<'a>(&'a self, from: &'a str) -> BTreeMap<&'a str, String> {
        let mut ways = BTreeMap::from([(from, self.name(from).to_owned())]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            for dep in self.deps(id) {
                if !ways.contains_key(dep.as_str()) {
                    let way = format!("{} -> {}", ways[id], self.name(dep));
                    ways.insert(dep, way);
                    open.push(dep);
                }
            }
        }
        ways
    }
}

fn check_dependencies(graph: &Graph, folder: &str) -> Vec<Breach> {
    let manifest = format!("crates/{folder}/Cargo.toml");
    let own = format!("flota-{folder}");
    let Some(id) = graph.ours.iter().find(|id| graph.name(id) == own) else {
        return vec![Breach::new(manifest, 0, format!("there is no PURE crate `{own}`"))];
    };
    let mut breaches = Vec::new();
    for dep in graph.deps(id) {
        let name = graph.name(dep);
        let pure = name.strip_prefix("flota-").is_some_and(|folder| PURE.contains(&folder));
        if graph.ours.contains(dep) && !pure {
            breaches.push(Breach::new(&manifest, 0, format!("PURE crate depends on `{name}`, which is not PURE")));
        } else if !graph.ours.contains(dep) && !ALLOWED.contains(&name) {
            let message =
                format!("PURE crate depends on `{name}`, which is not on the list in xtask/src/tidy/walls.rs");
            breaches.push(Breach::new(&manifest, 0, message));
        }
    }
    for (dep, way) in graph.reachable(id) {
        if BANNED.contains(&graph.name(dep)) {
            breaches.push(Breach::new(&manifest, 0, format!("PURE crate links `{}`: {way}", graph.name(dep))));
        }
    }
    breaches
}

fn check_small(graph: &Graph, folder: &str, refused: &[&str]) -> Vec<Breach> {
    let manifest = format!("crates/{folder}/Cargo.toml");
    let own = format!("flota-{folder}");
    let Some(id) = graph.ours.iter().find(|id| graph.name(id) == own) else {
        return vec![Breach::new(manifest, 0, format!("there is no crate `{own}`"))];
    };
    let linked = graph.reachable(id).into_iter().filter(|(dep, _)| refused.contains(&graph.name(dep)));
    linked.map(|(_, way)| Breach::new(&manifest, 0, format!("the small program links too much: {way}"))).collect()
}

fn check_clippy(path: &str, text: &str) -> Vec<Breach> {
    let refused = |item: &str| text.contains(&format!("path = \"{item}\""));
    let missing = WALL.iter().filter(|item| !refused(item));
    missing.map(|item| Breach::new(path, 0, format!("must refuse `{item}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Metadata of a workspace with these packages and dependencies; a name with `flota-` is ours.
    fn graph(edges: &[(&str, &str, Option<&str>)]) -> Graph {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        let dep = |(_, to, kind): &(&str, &str, Option<&str>)| json!({"pkg": to, "dep_kinds": [{"kind": kind}]});
        let node = |name: &&str| {
            let deps: Vec<Value> = edges.iter().filter(|(from, ..)| from == name).map(dep).collect();
            json!({"id": name, "deps": deps})
        };
        let metadata = json!({
            "packages": names.iter().map(|name| json!({"id": name, "name": name})).collect::<Vec<_>>(),
            "workspace_members": names.iter().filter(|name| name.starts_with("flota-")).collect::<Vec<_>>(),
            "resolve": {"nodes": names.iter().map(node).collect::<Vec<_>>()},
        });
        Graph::parse(&metadata).unwrap()
    }

    #[track_caller]
    fn check(edges: &[(&str, &str, Option<&str>)], expect: &[&str]) {
        let breaches = check_dependencies(&graph(edges), "engine");
        let messages: Vec<&str> = breaches.iter().map(|breach| breach.message.as_str()).collect();
        assert_eq!(messages, expect);
    }

    #[test]
    fn pure_crates_and_allowed_libraries_are_fine() {
        check(&[("flota-engine", "flota-unit", None), ("flota-unit", "serde", None)], &[]);
    }

    #[test]
    fn an_io_crate_is_refused() {
        let edges = [("flota-engine", "flota-store", None), ("flota-store", "rustix", None)];
        let messages = [
            "PURE crate depends on `flota-store`, which is not PURE",
            "PURE crate links `rustix`: flota-engine -> flota-store -> rustix",
        ];
        check(&edges, &messages);
    }

    #[test]
    fn tokio_is_refused_also_behind_a_library() {
        let edges = [("flota-engine", "flota-unit", None), ("flota-unit", "serde", None), ("serde", "tokio", None)];
        check(&edges, &["PURE crate links `tokio`: flota-engine -> flota-unit -> serde -> tokio"]);
    }

    #[test]
    fn an_unknown_library_is_refused() {
        let list = "PURE crate depends on `chrono`, which is not on the list in xtask/src/tidy/walls.rs";
        check(&[("flota-engine", "chrono", None)], &[list]);
    }

    #[test]
    fn tests_and_build_scripts_may_do_io() {
        check(&[("flota-engine", "tokio", Some("dev")), ("flota-engine", "tempfile", Some("build"))], &[]);
    }

    #[test]
    fn a_vanished_crate_is_noticed() {
        check(&[("flota-unit", "serde", None)], &["there is no PURE crate `flota-engine`"]);
    }

    #[test]
    fn what_a_small_program_must_not_link_is_noticed_wherever_it_is() {
        let edges = [("flota-confd", "flota-conf", None), ("flota-conf", "flota-store", None)];
        let messages = |graph: &Graph, folder| -> Vec<String> {
            check_small(graph, folder, &["flota-store"]).into_iter().map(|breach| breach.message).collect()
        };
        let told = "the small program links too much: flota-confd -> flota-conf -> flota-store";
        assert_eq!(messages(&graph(&edges), "confd"), [told]);
        assert_eq!(messages(&graph(&edges[..1]), "confd"), [""; 0]);
        assert_eq!(messages(&graph(&edges), "nosuch"), ["there is no crate `flota-nosuch`"]);
        let only_tests = [("flota-confd", "flota-store", Some("dev"))];
        assert_eq!(messages(&graph(&only_tests), "confd"), [""; 0]);
    }

    #[test]
    fn a_hole_in_the_wall_is_noticed() {
        let lines: Vec<String> = WALL.iter().map(|item| format!("{{ path = \"{item}\", reason = \"x\" }},")).collect();
        let whole = lines.join("\n");
        assert_eq!(check_clippy("clippy.toml", &whole), []);
        let holed = whole.replace("\"std::fs::File\"", "\"std::fs::Dir\"");
        let breaches = check_clippy("clippy.toml", &holed);
        assert_eq!(breaches, [Breach::new("clippy.toml", 0, "must refuse `std::fs::File`")]);
    }
}
