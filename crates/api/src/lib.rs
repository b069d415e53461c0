//! The HTTP contract: fleet's v1 JSON types, native types, errors, and a typed client.
