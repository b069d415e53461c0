//! A key and its value, as templates have them.

use flota_gotemplate::{Object, Str, Value};

/// `{Key Value}`.
#[derive(Debug, Clone)]
pub struct KvPair {
    /// The key, without the prefix.
    pub key: Str,
    /// Its value.
    pub value: Str,
}

impl KvPair {
    /// Go's name of the type.
    pub const TYPE: &str = "memkv.KVPair";
    /// Go's name of a list of it.
    pub const LIST: &str = "memkv.KVPairs";
}

impl Object for KvPair {
    fn type_name(&self) -> &str {
        KvPair::TYPE
    }

    fn field(&self, name: &str) -> Option<Value> {
        match name {
            "Key" => Some(self.key.clone().into()),
            "Value" => Some(self.value.clone().into()),
            _ => None,
        }
    }

    fn fields(&self) -> Vec<(&str, Value)> {
        vec![("Key", self.key.clone().into()), ("Value", self.value.clone().into())]
    }
}
