//! etcd v3 for applications: passes requests on, without the reserved keys.
