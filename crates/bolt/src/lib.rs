//! PURE. The file format of etcd's database (bbolt): written whole, read whole.
