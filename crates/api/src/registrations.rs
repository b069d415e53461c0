//! Flota's own JSON: keys in the store that live as long as a unit of the machine is active.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

/// The body of a registration: a key to put, and the unit whose life it shares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// A unit of this machine's systemd.
    pub unit: String,
    /// The key.
    pub key: String,
    /// Its value.
    #[serde(flatten)]
    pub value: Value,
    /// Seconds that the keys of the unit outlive the machine; the unit's own or the default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<u32>,
}

/// A value: as it is where that is text, in base64 otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The value, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The value, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_base64: Option<String>,
}

impl Value {
    /// The value with these bytes.
    pub fn new(bytes: &[u8]) -> Value {
        match std::str::from_utf8(bytes) {
            Ok(text) => Value { value: Some(text.to_owned()), value_base64: None },
            Err(_) => Value { value: None, value_base64: Some(STANDARD.encode(bytes)) },
        }
    }

    /// The bytes; none unless exactly one of the two fields is there and can be read.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.value, &self.value_base64) {
            (Some(text), None) => Some(text.clone().into_bytes()),
            (None, Some(text)) => STANDARD.decode(text).ok(),
            _ => None,
        }
    }
}

/// What became of a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The lease that the key is under, in hexadecimal; left out while the key is not in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Why the key is not in the store yet, for people. It gets there as soon as the store takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// All registrations of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationList {
    /// By unit, then key.
    #[serde(default)]
    pub registrations: Vec<RegistrationState>,
}

/// One registered key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationState {
    /// The unit whose life it shares.
    pub unit: String,
    /// The key.
    pub key: String,
    /// Its value.
    #[serde(flatten)]
    pub value: Value,
    /// Seconds that it outlives the machine.
    pub ttl_seconds: u32,
    /// The unit's lease, in hexadecimal, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// What keeps the key out of the store, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_where_they_can_be() {
        for (bytes, json) in
            [(&b"10.0.0.1:80"[..], r#"{"value":"10.0.0.1:80"}"#), (b"\xff\0", r#"{"value_base64":"/wA="}"#)]
        {
            let value = Value::new(bytes);
            assert_eq!(serde_json::to_string(&value).unwrap(), json);
            assert_eq!(serde_json::from_str::<Value>(json).unwrap().bytes().unwrap(), bytes);
        }
        for wrong in ["{}", r#"{"value":"a","value_base64":"YQ=="}"#, r#"{"value_base64":"?"}"#] {
            assert_eq!(serde_json::from_str::<Value>(wrong).unwrap().bytes(), None, "{wrong}");
        }
    }

    #[test]
    fn registration_shape() {
        let registration = Registration {
            unit: "web.service".into(),
            key: "/services/web/1".into(),
            value: Value::new(b"10.0.0.1:80"),
            ttl_seconds: None,
        };
        let json = r#"{"unit":"web.service","key":"/services/web/1","value":"10.0.0.1:80"}"#;
        assert_eq!(serde_json::to_string(&registration).unwrap(), json);
        assert_eq!(serde_json::from_str::<Registration>(json).unwrap(), registration);
    }
}
