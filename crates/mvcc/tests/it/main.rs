//! Tests of the state machine: etcd's rules one by one, and random operations against a naive model.

mod hard_cases;
mod leases;
mod model;
mod records;
mod rules;
mod support;
