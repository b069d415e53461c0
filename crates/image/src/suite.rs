//! Debian's releases.

use std::str::FromStr;

/// A Debian release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Suite {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    #[default]
    Trixie,
    /// Debian 14.
    Forky,
    /// Debian's unstable.
    Sid,
}

impl Suite {
    /// Its name in the archive.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
            Self::Forky => "forky",
            Self::Sid => "sid",
        }
    }
}

/// A name that is none of [`Suite`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("suite `{0}`: must be bookworm, trixie, forky or sid")]
pub struct UnknownSuite(pub String);

impl FromStr for Suite {
    type Err = UnknownSuite;

    fn from_str(text: &str) -> Result<Self, UnknownSuite> {
        [Self::Bookworm, Self::Trixie, Self::Forky, Self::Sid]
            .into_iter()
            .find(|suite| suite.as_str() == text)
            .ok_or_else(|| UnknownSuite(text.to_owned()))
    }
}
