//! The section `flota:` of user-data: the keys of `flota.toml`, and where to join.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::document::Fields;

/// What `flota.toml` is told when the first boot writes into it.
const HEAD: &str = "# Written at the first boot, from user-data.\n";

/// A machine's part in a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The address by which other machines know this one.
    pub address: Option<String>,
    /// What units can ask for.
    pub metadata: BTreeMap<String, String>,
    /// Where the cluster's store is.
    pub endpoints: Vec<String>,
    /// Where this machine's own store listens.
    pub listen: Vec<String>,
    /// Files with certificates: ca, cert, key.
    pub tls: BTreeMap<String, String>,
    /// The machine that lets this one in, and the token for it.
    pub join: Option<JoinEntry>,
    /// Keeps the machine from being a cluster of its own until it has joined.
    pub must_join: bool,
}

/// Where to join, and by which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinEntry {
    /// `ADDRESS` or `ADDRESS:PORT`.
    pub address: String,
    /// The whole token.
    pub token: String,
}

/// Reads the section, if it is there.
pub(super) fn read(parent: &mut Fields<'_>) -> Settings {
    let Some(node) = parent.take("flota") else { return Settings::default() };
    let mut fields = Fields::of(node, "`flota`");
    let mut settings = Settings {
        address: fields.text("address"),
        metadata: fields.pairs("metadata").into_iter().collect(),
        ..Settings::default()
    };
    if let Some(node) = fields.take("store") {
        let mut store = Fields::of(node, "`flota: store`");
        settings.endpoints = store.texts("endpoints").into_iter().map(|(text, _)| text).collect();
        settings.listen = store.texts("listen").into_iter().map(|(text, _)| text).collect();
        fields.absorb(store.finish());
    }
    if let Some(node) = fields.take("tls") {
        let mut tls = Fields::of(node, "`flota: tls`");
        for key in ["ca", "cert", "key"] {
            settings.tls.extend(tls.needed(key).map(|path| (key.to_owned(), path)));
        }
        if settings.tls.len() < 3 {
            settings.tls.clear();
        }
        fields.absorb(tls.finish());
    }
    if let Some(node) = fields.take("join") {
        let mut join = Fields::of(node, "`flota: join`");
        if let (Some(address), Some(token)) = (join.needed("address"), join.needed("token")) {
            settings.join = Some(JoinEntry { address, token });
            settings.must_join = true;
        }
        fields.absorb(join.finish());
    }
    parent.absorb(fields.finish());
    settings
}

impl Settings {
    /// `flota.toml` with these settings in it; none when it needs no change. What else the file says stays, its comments
    /// too.
    pub fn merged_into(&self, before: &str) -> Result<Option<String>, String> {
        let known: Table = before.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        let mut table = known.clone();
        let list = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect());
        if let Some(address) = &self.address {
            section(&mut table, "machine")?.insert("address".to_owned(), Value::String(address.clone()));
        }
        if !self.metadata.is_empty() {
            let metadata = section(section(&mut table, "machine")?, "metadata")?;
            metadata.extend(self.metadata.iter().map(|(key, value)| (key.clone(), Value::String(value.clone()))));
        }
        for (key, texts) in [("endpoints", &self.endpoints), ("listen", &self.listen)] {
            if !texts.is_empty() {
                section(&mut table, "store")?.insert(key.to_owned(), list(texts));
            }
        }
        if !self.tls.is_empty() {
            let tls = section(&mut table, "tls")?;
            tls.extend(self.tls.iter().map(|(key, path)| (key.clone(), Value::String(path.clone()))));
        }
        if self.must_join {
            section(&mut table, "join")?.insert("required".to_owned(), Value::Boolean(true));
        }
        if table == known {
            return Ok(None);
        }
        let edited = edit(before, &self.lines());
        // An edit that does not say what it should, such as one of a value over several lines, is not taken.
        let good = edited.parse::<Table>().is_ok_and(|edited| edited == table);
        Ok(Some(if good { edited } else { format!("{HEAD}{table}") }))
    }

    /// Section, key and value of each setting.
    fn lines(&self) -> Vec<(&'static str, &'static str, String)> {
        let list = |texts: &[String]| Value::Array(texts.iter().cloned().map(Value::String).collect()).to_string();
        let mut lines = Vec::new();
        if let Some(address) = &self.address {
            lines.push(("machine", "address", Value::String(address.clone()).to_string()));
        }
        if !self.metadata.is_empty() {
            let pairs = self
                .metadata
                .iter()
                .map(|(key, value)| format!("{} = {}", Value::String(key.clone()), Value::String(value.clone())));
            lines.push(("machine", "metadata", format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))));
        }
        for (key, texts) in [("endpoints", &self.endpoints), ("listen", &self.listen)] {
            if !texts.is_empty() {
                lines.push(("store", key, list(texts)));
            }
        }
        if self.must_join {
            lines.push(("join", "required", true.to_string()));
        }
        for key in ["ca", "cert", "key"] {
            lines.extend(self.tls.get(key).map(|path| ("tls", key, Value::String(path.clone()).to_string())));
        }
        lines
    }
}

/// The text with each setting right below the head of its section; sections that lack come at the end.
fn edit(before: &str, settings: &[(&str, &str, String)]) -> String {
    let mut text: Vec<String> = before.lines().map(str::to_owned).collect();
    for (section, key, value) in settings {
        let head = format!("[{section}]");
        let at = text.iter().position(|line| line.trim() == head).unwrap_or_else(|| {
            text.extend([String::new(), head.clone()]);
            text.len() - 1
        });
        let end =
            text.iter().skip(at + 1).position(|line| line.starts_with('[')).map_or(text.len(), |after| at + 1 + after);
        let is_old = |line: &String| line.split_once('=').is_some_and(|(name, _)| name.trim() == *key);
        let old = text[at + 1..end].iter().position(is_old);
        let line = format!("{key} = {value}");
        match old {
            Some(old) => text[at + 1 + old] = line,
            None => text.insert(at + 1, line),
        }
    }
    text.join("\n") + "\n"
}

fn section<'a>(table: &'a mut Table, name: &str) -> Result<&'a mut Table, String> {
    match table.entry(name).or_insert_with(|| Value::Table(Table::new())) {
        Value::Table(section) => Ok(section),
        _ => Err(format!("`{name}` is no table")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            address: Some("192.0.2.11".to_owned()),
            metadata: BTreeMap::from([("rack".to_owned(), "r\"1".to_owned())]),
            endpoints: vec!["https://192.0.2.1:2379".to_owned()],
            must_join: true,
            ..Settings::default()
        }
    }

    #[test]
    fn comments_of_the_packages_file_stay() {
        let before = include_str!("../../../../dist/flota.toml");
        let text = settings().merged_into(before).unwrap().unwrap();
        for line in before.lines() {
            assert!(text.contains(line), "{line}");
        }
        let read: Table = text.parse().unwrap();
        assert_eq!(read["machine"]["address"].as_str(), Some("192.0.2.11"));
        assert_eq!(read["machine"]["metadata"]["rack"].as_str(), Some("r\"1"));
        assert_eq!(read["store"]["endpoints"][0].as_str(), Some("https://192.0.2.1:2379"));
        assert_eq!(read["join"]["required"].as_bool(), Some(true));
        assert_eq!(settings().merged_into(&text).unwrap(), None, "a second time changes nothing");
    }

    #[test]
    fn what_else_the_file_says_stays() {
        let text = settings()
            .merged_into("[machine]\nmetadata = { disk = \"ssd\" }\n[gateway]\nenabled = false\n")
            .unwrap()
            .unwrap();
        let read: Table = text.parse().unwrap();
        assert_eq!(read["machine"]["metadata"]["disk"].as_str(), Some("ssd"));
        assert_eq!(read["gateway"]["enabled"].as_bool(), Some(false));
        assert!(settings().merged_into("machine = 3\n").is_err());
        assert!(settings().merged_into("machine = [\n").is_err());
        assert_eq!(Settings::default().merged_into("x = 1\n").unwrap(), None);
    }
}
