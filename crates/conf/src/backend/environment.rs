//! The environment as keys: `FOO_BAR` is `/foo/bar`.

use crate::keys::Snapshot;

/// All variables whose names are text.
pub fn read(variables: impl Iterator<Item = (String, Vec<u8>)>) -> Snapshot {
    Snapshot::new(1, variables.map(|(name, value)| (format!("/{}", name.to_lowercase().replace('_', "/")), value)))
}

/// This process's variables.
pub fn of_process() -> impl Iterator<Item = (String, Vec<u8>)> {
    use std::os::unix::ffi::OsStringExt as _;
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths_in_lower_case() {
        let variables = [("DATABASE_HOST", "h"), ("DATABASE_PORT", "1"), ("FOO", "f")];
        let snapshot = read(variables.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
        assert_eq!(snapshot.get("/database/host"), Some(&"h".into()));
        assert_eq!(snapshot.get("/foo"), Some(&"f".into()));
        assert_eq!(snapshot.len(), 3);
    }
}
