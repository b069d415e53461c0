//! PURE. What the cluster knows, as types and as keys.
