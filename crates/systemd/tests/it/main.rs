//! The crate against its fake systemd, real sockets and real child processes.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails fails its test")]

mod activation;
mod jobs;
mod links;
mod notify;
mod signals;
mod states;

use std::{fs, path::PathBuf, time::Duration};

use flota_systemd::{Signals, Systemd, fake::FakeSystemd};
use tempfile::TempDir;

/// Far longer than anything here takes; a test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(10);

/// A fake with its client and a folder for unit files.
struct Rig {
    fake: FakeSystemd,
    systemd: Systemd,
    signals: Signals,
    dir: TempDir,
}

impl Rig {
    async fn new() -> Self {
        let fake = FakeSystemd::default();
        let connection = fake.connect().await.unwrap();
        let (systemd, signals) = Systemd::connect_to(connection).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        Self { fake, systemd, signals, dir }
    }

    fn write(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, "[Service]\nExecStart=/bin/true\n").unwrap();
        path
    }

    async fn link(&self, name: &str) {
        let path = self.write(name);
        self.systemd.link(&[path]).await.unwrap();
    }
}

async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("this should not have taken so long")
}

fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}
