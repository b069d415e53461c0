//! The file format: what is written is read back, etcdctl agrees, and damage is found.

mod damage;
mod etcdctl;
mod round_trip;
mod support;
