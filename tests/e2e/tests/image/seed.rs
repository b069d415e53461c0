//! What clouds bring to a machine: a small disk with user-data and metadata.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Runs a program of the host in a directory; it must succeed.
#[track_caller]
pub fn run(dir: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The ways in which it is told.
#[derive(Debug, Clone, Copy)]
pub enum Seed {
    NoCloud,
    ConfigDrive,
}

impl Seed {
    /// The disk's name.
    pub fn file(self) -> &'static str {
        match self {
            Self::NoCloud => "nocloud.img",
            Self::ConfigDrive => "config-drive.img",
        }
    }

    /// Makes the disk, and the key `key` for ssh if it is not there: the metadata lets it in. `more` is metadata, too.
    pub fn make(self, dir: &Path, user_data: &str, more: &str) {
        if !dir.join("key").exists() {
            run(dir, "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "key"]);
        }
        let key = fs::read_to_string(dir.join("key.pub")).unwrap();
        let key = key.trim();
        let (label, parent, names) = match self {
            Self::NoCloud => ("CIDATA", "::", ["user-data", "meta-data"]),
            Self::ConfigDrive => ("config-2", "::openstack/latest", ["user_data", "meta_data.json"]),
        };
        let metadata = match self {
            Self::NoCloud => format!("instance-id: i-1\npublic-keys: [{key}]\n{more}"),
            Self::ConfigDrive => format!("{{\"uuid\": \"i-1\", \"public_keys\": {{\"k\": \"{key}\\n\"}}{more}}}"),
        };
        for (name, text) in names.iter().zip([user_data, &metadata]) {
            fs::write(dir.join(name), text).unwrap();
        }
        run(dir, "mkfs.vfat", &["-C", "-n", label, self.file(), "1024"]);
        if let Self::ConfigDrive = self {
            run(dir, "mmd", &["-i", self.file(), "::openstack", "::openstack/latest"]);
        }
        run(dir, "mcopy", &["-i", self.file(), names[0], names[1], parent]);
    }
}
