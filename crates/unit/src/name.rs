//! Unit names: what fleet and systemd accept, and the parts that specifiers stand for.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest unit name, in bytes, suffix included.
pub const MAX_UNIT_NAME_BYTES: usize = 256;

/// Why a text is not a unit name. The messages are those that fleet's users know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no text at all.
    #[error("unit name cannot be empty")]
    Empty,
    /// More than [`MAX_UNIT_NAME_BYTES`] bytes.
    #[error("unit name exceeds maximum length ({MAX_UNIT_NAME_BYTES})")]
    TooLong,
    /// No suffix.
    #[error("unit name must contain \".\"")]
    NoSuffix,
    /// The text after the last dot is empty.
    #[error("unit name cannot end in \".\"")]
    EmptySuffix,
    /// There is nothing before the suffix, which systemd refuses.
    #[error("unit name cannot start in its suffix {0:?}")]
    EmptyStem(String),
    /// The suffix is none of [`UnitKind::ALL`].
    #[error("invalid unit type: {0:?}")]
    UnknownKind(String),
    /// The suffix cannot belong to a template or an instance.
    #[error("invalid unit type for template: \"{0}\"")]
    KindWithoutTemplates(UnitKind),
    /// A character that is not in `0-9 A-Z a-z : - _ . \ @`.
    #[error("invalid character {0:?} in unit name")]
    Character(char),
    /// A template without a prefix.
    #[error("unit name cannot start in \"@\"")]
    StartsWithAt,
    /// Only a template such as `web@.service` can be given an instance.
    #[error("\"{0}\" is not a template")]
    NotTemplate(UnitName),
    /// An instance needs a name.
    #[error("instance of \"{0}\" cannot be empty")]
    EmptyInstance(UnitName),
}

macro_rules! unit_kinds {
    ($($variant:ident $text:literal),+ $(,)?) => {
        /// The type of a unit, named by the suffix of its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum UnitKind {
            $(#[doc = concat!("`.", $text, "`")] $variant,)+
        }

        impl UnitKind {
            /// Every suffix that a unit name can have.
            pub const ALL: &[UnitKind] = &[$(UnitKind::$variant),+];

            /// The suffix without its dot.
            pub fn as_str(self) -> &'static str {
                match self { $(UnitKind::$variant => $text,)+ }
            }
        }
    };
}

unit_kinds! {
    Automount "automount",
    Busname "busname",
    Device "device",
    Mount "mount",
    Path "path",
    Scope "scope",
    Service "service",
    Slice "slice",
    Snapshot "snapshot",
    Socket "socket",
    Swap "swap",
    Target "target",
    Timer "timer",
}

impl UnitKind {
    fn from_suffix(suffix: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == suffix)
    }

    /// Why no unit of this kind can be handed to systemd as a file; none for the kinds that can.
    pub fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Scope => Some("a scope holds processes that a program started: systemd loads none from a file"),
            Self::Device => Some("a device is there when the kernel finds it: systemd neither starts nor stops one"),
            Self::Busname | Self::Snapshot => Some("systemd has no units of this kind any more"),
            _ => None,
        }
    }

    /// Whether fleet lets names of this kind contain `@`.
    pub fn allows_templates(self) -> bool {
        matches!(self, Self::Path | Self::Service | Self::Socket | Self::Target | Self::Timer)
    }
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A valid unit name such as `web@1.service`.
///
/// It is a single path component by construction: no `/`, no NUL, never `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnitName(String);

impl UnitName {
    /// The name that a command-line argument means: the base name of a path, and `.service` where no suffix is given.
    pub fn from_argument(argument: &str) -> Result<Self, NameError> {
        let base = argument.rsplit('/').next().unwrap_or(argument);
        let has_suffix = base
            .rsplit_once('.')
            .is_some_and(|(_, suffix)| suffix.is_empty() || UnitKind::from_suffix(suffix).is_some());
        if base.is_empty() || has_suffix { base.parse() } else { Self::try_from(format!("{base}.service")) }
    }

    /// The whole name, `%n`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its suffix, `%N`.
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(stem, _)| stem)
    }

    /// The part before the first `@`, or the stem when there is none, `%p`.
    pub fn prefix(&self) -> &str {
        let stem = self.stem();
        stem.split_once('@').map_or(stem, |(prefix, _)| prefix)
    }

    /// The part after the first `@`, `%i`: empty for a template, `None` for a plain unit.
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance)
    }

    /// The unit's type.
    pub fn kind(&self) -> UnitKind {
        self.0.rsplit_once('.').and_then(|(_, suffix)| UnitKind::from_suffix(suffix)).unwrap_or(UnitKind::Service)
    }

    /// Whether this is a template such as `web@.service`, which cannot run itself.
    pub fn is_template(&self) -> bool {
        self.instance() == Some("")
    }

    /// Whether this is an instance such as `web@1.service`.
    pub fn is_instance(&self) -> bool {
        self.instance().is_some_and(|instance| !instance.is_empty())
    }

    /// The template that an instance comes from; `None` for anything but an instance.
    pub fn template(&self) -> Option<UnitName> {
        self.is_instance().then(|| UnitName(format!("{}@.{}", self.prefix(), self.kind())))
    }

    /// The instance of this template with the given name.
    pub fn instantiate(&self, instance: &str) -> Result<UnitName, NameError> {
        if !self.is_template() {
            return Err(NameError::NotTemplate(self.clone()));
        }
        if instance.is_empty() {
            return Err(NameError::EmptyInstance(self.clone()));
        }
        Self::try_from(format!("{}@{instance}.{}", self.prefix(), self.kind()))
    }
}

/// Checks in fleet's order, so that the first complaint is the one fleet made.
fn validate(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > MAX_UNIT_NAME_BYTES {
        return Err(NameError::TooLong);
    }
    let Some((stem, suffix)) = name.rsplit_once('.') else {
        return Err(NameError::NoSuffix);
    };
    if suffix.is_empty() {
        return Err(NameError::EmptySuffix);
    }
    let Some(kind) = UnitKind::from_suffix(suffix) else {
        return Err(NameError::UnknownKind(suffix.to_owned()));
    };
    if let Some(bad) = stem.chars().find(|c| !is_name_character(*c)) {
        return Err(NameError::Character(bad));
    }
    if stem.is_empty() {
        return Err(NameError::EmptyStem(name.to_owned()));
    }
    if stem.starts_with('@') {
        return Err(NameError::StartsWithAt);
    }
    if stem.contains('@') && !kind.allows_templates() {
        return Err(NameError::KindWithoutTemplates(kind));
    }
    Ok(())
}

fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.' | '\\' | '@')
}

impl TryFrom<String> for UnitName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        validate(&name)?;
        Ok(Self(name))
    }
}

impl FromStr for UnitName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        validate(name)?;
        Ok(Self(name.to_owned()))
    }
}

impl From<UnitName> for String {
    fn from(name: UnitName) -> String {
        name.0
    }
}

impl AsRef<str> for UnitName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for UnitName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `pad` lets tables align names.
        f.pad(&self.0)
    }
}
