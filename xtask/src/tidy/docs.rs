//! Rules of the documents: decisions are numbered, and the map of the code shows every crate.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;

use super::{Breach, children, folders};

/// Checks ARCHITECTURE.md and docs/adr.
pub fn check(root: &Path) -> Result<Vec<Breach>> {
    let map = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap_or_default();
    let mut breaches = check_map(&map, &folders(&root.join("crates"))?);
    let paths = children(&root.join("docs/adr"))?;
    let names: Vec<_> = paths.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    breaches.extend(check_adrs(&names));
    Ok(breaches)
}

fn check_map(map: &str, crates: &[String]) -> Vec<Breach> {
    let shown = |name: &str| map.contains(&format!("`{name}`")) || map.contains(&format!("crates/{name}"));
    let missing = crates.iter().filter(|name| !shown(name));
    missing.map(|name| Breach::new("ARCHITECTURE.md", 0, format!("does not show `crates/{name}`"))).collect()
}

fn check_adrs(names: &[&str]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut numbers = BTreeMap::new();
    for name in names.iter().filter(|name| **name != "README.md") {
        let path = Path::new("docs/adr").join(name);
        let Some(number) = adr_number(name) else {
            breaches.push(Breach::new(path, 0, "must be named like 0001-what-was-decided.md"));
            continue;
        };
        if let Some(other) = numbers.insert(number, name) {
            breaches.push(Breach::new(path, 0, format!("has the number of {other}")));
        }
    }
    breaches
}

fn adr_number(name: &str) -> Option<u16> {
    let (number, title) = name.strip_suffix(".md")?.split_once('-')?;
    let good = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit()) && !title.is_empty();
    if good { number.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_is_on_the_map() {
        let crates = ["unit".to_owned(), "lab".to_owned()];
        assert_eq!(check_map("| `unit` | PURE |\n`crates/lab` is for machines", &crates), []);
        let breaches = check_map("the unit and the laboratory", &crates);
        assert_eq!(breaches.len(), 2);
        assert_eq!(breaches[0].to_string(), "ARCHITECTURE.md: does not show `crates/unit`");
    }

    #[test]
    fn decisions_have_numbers_of_their_own() {
        assert_eq!(check_adrs(&["README.md", "0001-log.md", "0002-tls.md"]), []);
        let breaches = check_adrs(&["0001-log.md", "0001-tls.md", "tls.md", "1-x.md", "0003-.md"]);
        let files: Vec<_> = breaches.iter().map(|breach| breach.file.to_str().unwrap()).collect();
        assert_eq!(files, ["docs/adr/0001-tls.md", "docs/adr/tls.md", "docs/adr/1-x.md", "docs/adr/0003-.md"]);
    }
}
