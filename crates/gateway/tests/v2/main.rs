//! etcd v2 against Debian's etcd and its clients.

mod differential;
mod etcdctl;
mod golden;
mod reserved;
mod rules;
mod support;
mod watches;
