//! The bill of materials: every package with its version, source and licences, as CycloneDX JSON.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::packages::Package;
use crate::host::files;
use crate::suite::Suite;

/// The most licences that are told of one package; some have a hundred files under as many.
const MAX_LICENCES: usize = 64;

/// The whole bill, the same for the same packages.
pub(crate) fn bill(tree: &Path, suite: Suite, packages: &[Package]) -> String {
    let mut components = Vec::new();
    for package in packages {
        let copyright = tree.join("usr/share/doc").join(&package.name).join("copyright");
        // A package may share its documentation with another one by a link out of the tree's sight.
        let text = files::read_optional(&copyright).ok().flatten().unwrap_or_default();
        components.push(component(package, suite, &licences(&text)));
    }
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": "flota", "version": env!("CARGO_PKG_VERSION") }] },
            "component": { "type": "operating-system", "name": "debian", "version": suite.as_str() },
        },
        "components": components,
    });
    format!("{bill:#}\n")
}

fn component(package: &Package, suite: Suite, licences: &BTreeSet<String>) -> Value {
    let Package { name, version, architecture, source, maintainer } = package;
    let escaped = version.replace('%', "%25").replace('+', "%2B").replace(':', "%3A");
    let licences: Vec<Value> =
        licences.iter().take(MAX_LICENCES).map(|name| json!({ "license": { "name": name } })).collect();
    let mut component = json!({
        "type": "library",
        "bom-ref": format!("{name}:{architecture}"),
        "supplier": { "name": maintainer },
        "name": name,
        "version": version,
        "purl": format!("pkg:deb/debian/{}@{escaped}?arch={architecture}&distro={}", name.replace('+', "%2B"), suite.as_str()),
        "properties": [{ "name": "debian:source", "value": source }],
    });
    if !licences.is_empty() {
        component["licenses"] = licences.into();
    }
    component
}

/// The short names of licences in a copyright file that programs can read (DEP-5). Of others nothing is known.
fn licences(text: &str) -> BTreeSet<String> {
    let readable = text.lines().take(5).any(|line| line.starts_with("Format:") && line.contains("copyright-format"));
    if !readable {
        return BTreeSet::new();
    }
    let names = text.lines().filter_map(|line| line.strip_prefix("License:")).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_read_where_they_can_be() {
        let text = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-2+ or MIT\n This is free\n\nFiles: x\nLicense: BSD-3-clause\n";
        assert_eq!(licences(text).into_iter().collect::<Vec<_>>(), ["BSD-3-clause", "GPL-2+ or MIT"]);
        assert!(licences("This package was debianized by hand.\nLicense: GPL\n").is_empty());
    }

    #[test]
    fn the_bill_names_every_package() {
        let dir = tempfile::tempdir().unwrap();
        let package = Package {
            name: "libstdc++6".to_owned(),
            version: "1:14.2.0-19".to_owned(),
            architecture: "amd64".to_owned(),
            source: "gcc-14".to_owned(),
            maintainer: "Debian GCC <gcc@example>".to_owned(),
        };
        let bill = bill(dir.path(), Suite::Trixie, &[package]);
        let bill: Value = serde_json::from_str(&bill).unwrap();
        assert_eq!(
            bill["components"][0]["purl"],
            "pkg:deb/debian/libstdc%2B%2B6@1%3A14.2.0-19?arch=amd64&distro=trixie"
        );
        assert_eq!(bill["components"][0].get("licenses"), None);
    }
}
