//! All layers of settings from where they are.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Layer, Settings, SettingsError, from_environment, from_file};
use crate::document::FileError;

/// Where confd's configuration is, unless another file is named.
pub const CONFIG_FILE: &str = "/etc/confd/confd.toml";

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// A value that cannot be.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Something wrong in the file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// The flags over the environment over the file over `below`, which counts least. A file that nobody named may be missing, as with
/// confd also one that was named.
pub fn gather(
    flags: Layer,
    config_file: Option<&Path>,
    variable: impl Fn(&str) -> Option<String>,
    below: Layer,
) -> Result<Settings, GatherError> {
    let path = config_file.unwrap_or(Path::new(CONFIG_FILE));
    let file = match fs::read_to_string(path) {
        Ok(text) => from_file(path, &text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Layer::default(),
        Err(source) => return Err(GatherError::Read { path: path.to_owned(), source }),
    };
    let backend = flags.backend.clone().or_else(|| file.backend.clone());
    let environment = from_environment(backend.as_deref(), variable);
    Ok(Settings::new(flags.over(environment).over(file).over(below))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_beat_the_environment_which_beats_the_file_which_beats_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("confd.toml");
        fs::write(&path, "prefix = \"/file\"\nclient_cakeys = \"/file\"\nclient_cert = \"/file\"\ninterval = 7\n")
            .unwrap();
        let variable =
            |name: &str| matches!(name, "CONFD_CLIENT_CAKEYS" | "CONFD_CLIENT_CERT").then(|| "/env".to_owned());
        let flags = Layer { client_ca: Some("/flag".into()), ..Layer::default() };
        let settings = gather(flags, Some(&path), variable, Layer::default()).unwrap();
        assert_eq!(settings.client_ca, Some("/flag".into()));
        assert_eq!(settings.client_cert, Some("/env".into()));
        assert_eq!(settings.prefix.as_deref(), Some("/file"));
        assert_eq!(settings.interval.as_secs(), 7);
        assert_eq!(settings.filter, "*");
    }

    #[test]
    fn a_file_that_is_not_there_says_nothing_and_one_with_a_mistake_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let none = dir.path().join("none.toml");
        assert!(gather(Layer::default(), Some(&none), |_| None, Layer::default()).is_ok());
        fs::write(&none, "nodse = []").unwrap();
        let error = gather(Layer::default(), Some(&none), |_| None, Layer::default()).unwrap_err().to_string();
        assert!(error.contains("did you mean `nodes`?"), "{error}");
    }
}
