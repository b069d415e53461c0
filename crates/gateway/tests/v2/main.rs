//! etcd v2 against Debian's etcd and its clients.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod differential;
mod etcdctl;
mod golden;
mod reserved;
mod rules;
mod support;
mod watches;
