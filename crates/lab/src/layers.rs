//! Container images as registries have them: compressed layers, and the OCI documents that name them by their hashes.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::dockerfile::Dockerfile;
use crate::error::{LabError, Result};
use crate::files;
use crate::run::{self, command};

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Layer {
    /// The hash of the compressed archive, by which it is stored.
    digest: String,
    /// That of the archive itself.
    diff_id: String,
    size: u64,
}

/// A layer of the files in `tree` that `below` does not have just so, kept in `blobs`. A tree of the same content gives the same
/// layer.
pub(crate) fn layer(tree: &Path, below: Option<&Path>, blobs: &Path) -> Result<Layer> {
    let mut paths = Vec::new();
    collect(tree, below, Path::new(""), &mut paths)?;
    paths.sort();
    files::make_dir(blobs)?;
    let (tar, packed) = (blobs.join(".layer.tar"), blobs.join(".layer.tar.gz"));
    archive(tree, &paths, &tar)?;
    let diff_id = hash(&tar)?;
    let output = File::create(&packed).map_err(LabError::io("make", &packed))?;
    let mut gzip = command("gzip", ["-n", "-1", "--stdout"]);
    gzip.arg(&tar).stdout(output).stderr(Stdio::piped());
    let done = run::output(&mut gzip)?;
    run::check(&gzip, done)?;
    files::remove(&tar)?;
    let digest = hash(&packed)?;
    let size = fs::metadata(&packed).map_err(LabError::io("read", &packed))?.len();
    let blob = blobs.join(&digest);
    fs::rename(&packed, &blob).map_err(LabError::io("rename", &packed))?;
    Ok(Layer { digest, diff_id, size })
}

/// The paths below `at` that differ, without those of directories that are the same.
fn collect(tree: &Path, below: Option<&Path>, at: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    for name in files::names_in(&tree.join(at))? {
        let path = at.join(name);
        let here = tree.join(&path);
        let meta = fs::symlink_metadata(&here).map_err(LabError::io("read", &here))?;
        let same = match below {
            Some(below) => same(&here, &meta, &below.join(&path))?,
            None => false,
        };
        if !same {
            paths.push(path.clone());
        }
        if meta.is_dir() {
            collect(tree, below, &path, paths)?;
        }
    }
    Ok(())
}

fn same(here: &Path, meta: &fs::Metadata, there: &Path) -> Result<bool> {
    let Ok(other) = fs::symlink_metadata(there) else { return Ok(false) };
    if (meta.mode(), meta.uid(), meta.gid()) != (other.mode(), other.uid(), other.gid()) {
        return Ok(false);
    }
    if meta.is_symlink() {
        let target = |path: &Path| fs::read_link(path).map_err(LabError::io("read", path));
        return Ok(target(here)? == target(there)?);
    }
    if meta.is_file() {
        return Ok(meta.len() == other.len() && hash(here)? == hash(there)?);
    }
    Ok(true)
}

/// The same bytes for the same files: sorted, and without their times.
fn archive(tree: &Path, paths: &[PathBuf], tar: &Path) -> Result<()> {
    let mut list = String::new();
    for path in paths {
        let path = path.to_str().ok_or_else(|| LabError::Config {
            what: "path",
            value: path.display().to_string(),
            why: "must be UTF-8 to be in an image",
        })?;
        list.push_str(path);
        list.push('\0');
    }
    // A file, not a pipe: tar may have more to say than a pipe holds before it has read the whole list.
    let names = tar.with_extension("names");
    files::write(&names, list.as_bytes(), 0o644)?;
    let mut command = command("tar", ["--create", "--numeric-owner", "--mtime=@0", "--no-recursion", "--null"]);
    command.arg("--directory").arg(tree).arg("--files-from").arg(&names).arg("--file").arg(tar);
    run::run(&mut command)?;
    Ok(files::remove(&names)?)
}

fn hash(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(LabError::io("open", path))?;
    let mut context = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer).map_err(LabError::io("read", path))? {
            0 => return Ok(hex(context.finish().as_ref())),
            length => context.update(&buffer[..length]),
        }
    }
}

/// The hash of a text, to name what was made of it.
pub(crate) fn hash_of(text: &str) -> String {
    hex(ring::digest::digest(&SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Text has room for everything.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A directory in OCI's image layout.
#[derive(Debug)]
pub(crate) struct Layout {
    dir: PathBuf,
    images: Vec<Value>,
}

impl Layout {
    /// An empty one; `dir` is made anew.
    pub(crate) fn create(dir: &Path) -> Result<Self> {
        files::remove(dir)?;
        let layout = Self { dir: dir.to_owned(), images: Vec::new() };
        files::make_dir(&layout.blobs())?;
        files::write(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
        Ok(layout)
    }

    /// Where its blobs are.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs/sha256")
    }

    /// Makes a layer from another place part of it.
    pub(crate) fn link(&self, layer: &Layer, blobs: &Path) -> Result<()> {
        let link = self.blobs().join(&layer.digest);
        files::remove(&link)?;
        symlink(blobs.join(&layer.digest), &link).map_err(LabError::io("link", &link))?;
        Ok(())
    }

    /// Adds an image of these layers.
    pub(crate) fn add(&mut self, name: &str, file: &Dockerfile, layers: &[Layer]) -> Result<()> {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin".to_owned();
        let own = file.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let environment: Vec<String> = std::iter::once(path).chain(own).collect();
        let ports = file.ports.iter().map(|port| (format!("{port}/tcp"), json!({})));
        let config = json!({
            "architecture": "amd64", "os": "linux",
            "config": {
                "Env": environment, "Cmd": file.command,
                "ExposedPorts": ports.collect::<serde_json::Map<_, _>>(),
            },
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| sha(&l.diff_id)).collect::<Vec<_>>()},
        });
        let config = self.document("application/vnd.oci.image.config.v1+json", &config)?;
        let named = |layer: &Layer| {
            let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
            json!({"mediaType": kind, "digest": sha(&layer.digest), "size": layer.size})
        };
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let layers: Vec<Value> = layers.iter().map(named).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers});
        let mut manifest = self.document(kind, &manifest)?;
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        self.images.push(manifest);
        let index = json!({"schemaVersion": 2, "manifests": self.images});
        files::write(&self.dir.join("index.json"), index.to_string().as_bytes(), 0o644)?;
        Ok(())
    }

    /// Stores a document; what names it.
    fn document(&self, kind: &str, value: &Value) -> Result<Value> {
        let text = value.to_string();
        let digest = hash_of(&text);
        let path = self.blobs().join(&digest);
        let mut file = File::create(&path).map_err(LabError::io("make", &path))?;
        file.write_all(text.as_bytes()).map_err(LabError::io("write", &path))?;
        Ok(json!({"mediaType": kind, "digest": sha(&digest), "size": text.len()}))
    }
}

fn sha(hash: &str) -> String {
    format!("sha256:{hash}")
}

/// Copies a file, a link, or what a directory holds, as COPY does: owned by root, modes as they are.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let meta = fs::symlink_metadata(from).map_err(LabError::io("read", from))?;
    if meta.is_dir() {
        files::make_dir(to)?;
        return files::names_in(from)?.iter().try_for_each(|name| copy(&from.join(name), &to.join(name)));
    }
    if let Some(parent) = to.parent() {
        files::make_dir(parent)?;
    }
    files::remove(to)?;
    if meta.is_symlink() {
        let target = fs::read_link(from).map_err(LabError::io("read", from))?;
        return symlink(target, to).map_err(LabError::io("link", to));
    }
    fs::copy(from, to).map_err(LabError::io("copy", from))?;
    // Whatever the umask of whoever checked the files out.
    let mode = if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).map_err(LabError::io("set the mode of", to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(layer: &Layer, blobs: &Path) -> String {
        let mut tar = command("tar", ["--list", "--gzip", "--file"]);
        run::run(tar.arg(blobs.join(&layer.digest))).unwrap()
    }

    #[test]
    fn a_layer_has_what_differs_and_is_the_same_again() {
        let dir = tempfile::tempdir().unwrap();
        let [below, tree, blobs] = ["below", "tree", "blobs"].map(|name| dir.path().join(name));
        for root in [&below, &tree] {
            files::write(&root.join("etc/same"), b"1", 0o644).unwrap();
        }
        files::write(&below.join("etc/other"), b"1", 0o644).unwrap();
        files::write(&tree.join("etc/other"), b"2", 0o644).unwrap();
        files::write(&tree.join("etc/mode"), b"", 0o755).unwrap();
        files::link("same", &tree.join("etc/link")).unwrap();
        let first = layer(&tree, Some(&below), &blobs).unwrap();
        assert_eq!(list(&first, &blobs), "etc/link\netc/mode\netc/other\n");
        assert_eq!(layer(&tree, Some(&below), &blobs).unwrap(), first);
        assert!(list(&layer(&tree, None, &blobs).unwrap(), &blobs).contains("etc/same"));
    }

    #[test]
    fn an_image_names_its_layers_and_what_it_runs() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        files::write(&tree.join("a"), b"1", 0o644).unwrap();
        let mut layout = Layout::create(&dir.path().join("oci")).unwrap();
        let only = layer(&tree, None, &layout.blobs()).unwrap();
        let file = Dockerfile {
            from: crate::dockerfile::From::Image("base".to_owned()),
            packages: vec![],
            copies: vec![],
            environment: vec![("A".to_owned(), "1".to_owned())],
            command: vec!["boot".to_owned()],
            ports: vec![80],
        };
        layout.add("web", &file, std::slice::from_ref(&only)).unwrap();
        let read = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let blob = |value: &Value| layout.blobs().join(value["digest"].as_str().unwrap().trim_start_matches("sha256:"));
        let manifest = read(blob(&read(dir.path().join("oci/index.json"))["manifests"][0]));
        assert_eq!(manifest["layers"][0]["digest"], sha(&only.digest));
        let config = read(blob(&manifest["config"]));
        assert_eq!(config["config"]["Cmd"][0], "boot");
        assert_eq!(config["rootfs"]["diff_ids"][0], sha(&only.diff_id));
    }

    #[test]
    fn a_copy_keeps_links_and_the_right_to_execute() {
        let dir = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
        files::write(&from.join("bin/run"), b"x", 0o700).unwrap();
        files::link("run", &from.join("bin/also")).unwrap();
        copy(&from, &to).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(fs::metadata(to.join("bin/run")).unwrap().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(to.join("bin/also")).unwrap(), Path::new("run"));
    }
}
