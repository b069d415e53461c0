//! What a cloud says of a machine beside its user-data.

use crate::document::{Fields, Node, Value, parse_yaml};

/// Who the machine is, as its cloud has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetaData {
    /// The cloud's name of this one machine.
    pub instance_id: Option<String>,
    /// Its host name.
    pub hostname: Option<String>,
    /// Keys of the default user.
    pub ssh_keys: Vec<String>,
    /// Its address within the cloud.
    pub private_ipv4: Option<String>,
    /// Its address in the world.
    pub public_ipv4: Option<String>,
}

/// Reads NoCloud's `meta-data` and OpenStack's `meta_data.json` (JSON is YAML). Unknown keys are of no concern: clouds
/// put much there. What can't be read says so in words.
pub fn read(text: &str) -> Result<MetaData, String> {
    let node = parse_yaml(text).map_err(|finding| finding.to_string())?;
    let mut fields = Fields::of(&node, "the metadata");
    let mut first =
        |keys: &[&'static str]| keys.iter().find_map(|key| fields.text(key)).filter(|text| !text.is_empty());
    let mut metadata = MetaData {
        instance_id: first(&["instance-id", "uuid"]),
        hostname: first(&["local-hostname", "hostname"]),
        private_ipv4: first(&["local-ipv4", "local_ipv4"]),
        public_ipv4: first(&["public-ipv4", "public_ipv4"]),
        ssh_keys: Vec::new(),
    };
    for key in ["public-keys", "public_keys"] {
        if let Some(node) = fields.take(key) {
            collect(node, &mut metadata.ssh_keys);
        }
    }
    metadata.ssh_keys.retain(|key| crate::words::ssh_key(key).is_ok());
    Ok(metadata)
}

/// A key, a list of keys, or keys by their names.
fn collect(node: &Node, keys: &mut Vec<String>) {
    match &node.value {
        Value::Scalar { text, .. } => keys.extend(text.lines().map(|line| line.trim().to_owned())),
        Value::List(items) => items.iter().for_each(|item| collect(item, keys)),
        Value::Map(entries) => entries.iter().for_each(|(_, _, value)| collect(value, keys)),
        Value::Null => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nocloud_and_openstack_are_read_alike() {
        let nocloud =
            "instance-id: i-1\nlocal-hostname: node\npublic-keys:\n  - ssh-ed25519 AAAAC3 me\nlocal-ipv4: 10.0.0.4\n";
        let openstack = r#"{"uuid": "i-1", "hostname": "node", "public_keys": {"me": "ssh-ed25519 AAAAC3 me\n"},
            "local_ipv4": "10.0.0.4", "random_seed": "x", "devices": []}"#;
        let expect = MetaData {
            instance_id: Some("i-1".to_owned()),
            hostname: Some("node".to_owned()),
            ssh_keys: vec!["ssh-ed25519 AAAAC3 me".to_owned()],
            private_ipv4: Some("10.0.0.4".to_owned()),
            public_ipv4: None,
        };
        assert_eq!(read(nocloud).unwrap(), expect);
        assert_eq!(read(openstack).unwrap(), expect);
        assert_eq!(read("").unwrap(), MetaData::default());
        assert!(read("a: [").is_err());
    }
}
