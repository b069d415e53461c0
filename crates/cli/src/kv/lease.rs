//! Leases as people name them: a number, or the life of a unit.

use std::{fmt, str::FromStr};

use flota_unit::UnitName;
use thiserror::Error;

/// A lease's id, in hexadecimal as etcdctl shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseNumber(pub i64);

/// What a key is to be put under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseChoice {
    /// A lease that was granted.
    Number(LeaseNumber),
    /// The life of the unit that this is typed in.
    Caller,
    /// The life of a unit of this machine.
    Unit(UnitName),
}

/// Why a text names no lease.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LeaseError {
    /// Not a number.
    #[error("a lease id is a hexadecimal number such as 694d7a8c1f2b3c04 (`flota kv lease grant 30s` makes one)")]
    Number,
    /// Not a unit.
    #[error("{0}")]
    Unit(#[from] flota_unit::NameError),
}

impl FromStr for LeaseNumber {
    type Err = LeaseError;

    fn from_str(text: &str) -> Result<Self, LeaseError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        match i64::from_str_radix(digits, 16) {
            Ok(id) if id > 0 && !digits.starts_with('+') => Ok(Self(id)),
            _ => Err(LeaseError::Number),
        }
    }
}

impl fmt::Display for LeaseNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl FromStr for LeaseChoice {
    type Err = LeaseError;

    fn from_str(text: &str) -> Result<Self, LeaseError> {
        match text.split_once(':') {
            None if text == "unit" => Ok(Self::Caller),
            Some(("unit", name)) => Ok(Self::Unit(UnitName::from_argument(name)?)),
            _ => Ok(Self::Number(text.parse()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases() {
        assert_eq!("694d7a8c1f2b3c04".parse(), Ok(LeaseNumber(0x694d_7a8c_1f2b_3c04)));
        assert_eq!("0x1F".parse::<LeaseNumber>().unwrap().to_string(), "1f");
        for wrong in ["", "0", "-1", "+1", "xyz", "ffffffffffffffff"] {
            assert_eq!(wrong.parse::<LeaseNumber>(), Err(LeaseError::Number), "{wrong}");
        }
        assert_eq!("unit".parse(), Ok(LeaseChoice::Caller));
        assert_eq!("unit:web@1".parse(), Ok(LeaseChoice::Unit("web@1.service".parse().unwrap())));
        assert!(matches!("unit:".parse::<LeaseChoice>(), Err(LeaseError::Unit(_))));
        assert_eq!("units".parse::<LeaseChoice>(), Err(LeaseError::Number));
    }
}
