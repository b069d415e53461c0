//! What the environment says.

use std::path::PathBuf;

use super::Layer;

/// Reads confd's variables; `backend` is the one that the layers above name, if they do.
///
/// `ETCDCTL_PEERS` counts for the backend `etcd` only, as in confd.
pub fn from_environment(backend: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Layer {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let peers = set("ETCDCTL_PEERS").filter(|_| matches!(backend, None | Some("etcd" | "etcdv3")));
    Layer {
        client_ca: set("CONFD_CLIENT_CAKEYS").map(PathBuf::from),
        client_cert: set("CONFD_CLIENT_CERT").map(PathBuf::from),
        client_key: set("CONFD_CLIENT_KEY").map(PathBuf::from),
        nodes: peers.map(|peers| peers.split(',').map(|peer| peer.trim().to_owned()).collect()),
        state_dir: set("FLOTA_CONF_STATE").map(PathBuf::from),
        ..Layer::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confds_variables_count_and_empty_ones_do_not() {
        let variable = |name: &str| match name {
            "CONFD_CLIENT_CAKEYS" => Some("/ca.pem".to_owned()),
            "CONFD_CLIENT_CERT" => Some(String::new()),
            "ETCDCTL_PEERS" => Some("http://a:1, http://b:1".to_owned()),
            _ => None,
        };
        let layer = from_environment(Some("etcd"), variable);
        assert_eq!(layer.client_ca, Some("/ca.pem".into()));
        assert_eq!(layer.client_cert, None);
        assert_eq!(layer.nodes.unwrap(), ["http://a:1", "http://b:1"]);
        assert_eq!(from_environment(Some("env"), variable).nodes, None);
    }
}
