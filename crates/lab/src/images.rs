//! Images from a folder of Dockerfiles, built without dockerd and served to the machines by the lab's registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flota_image::Suite;
use flota_image::host::{Missing, needs};

use crate::debian::{self, Tree};
use crate::dockerfile::{Dockerfile, From};
use crate::error::{LabError, Result};
use crate::files;
use crate::lab::Lab;
use crate::layers::{self, Layer, Layout, hash_of};
use crate::progress::Progress;
use crate::registry;
use crate::run::{self, command};

/// Raised when trees are made otherwise, so that cached layers are made anew.
const PREPARATION: u32 = 1;

/// How far FROM may lead.
const MAX_DEPTH: usize = 8;

/// Free space that trees and layers need, in MiB.
const NEEDED_MIB: u64 = 1500;

/// What building and serving takes of the host beside what a lab takes.
const TOOLS: &[Missing] = &[
    Missing { tool: "skopeo", package: "skopeo" },
    Missing { tool: "docker-registry", package: "docker-registry" },
    Missing { tool: "gzip", package: "gzip" },
];

/// A folder with images: `NAME/Dockerfile` for each.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    /// The folder.
    pub dir: PathBuf,
    /// What the images' names begin with: `elk` makes `registry:5000/elk/NAME`.
    pub prefix: String,
    /// Programs that COPY finds by their names, wherever they were built.
    pub programs: BTreeMap<String, PathBuf>,
}

impl Lab {
    /// Builds all images of the folder and serves them to the lab's machines as `registry:5000/PREFIX/NAME`, until the lab is
    /// taken down. What packages bring is cached on the host; a second call takes seconds.
    pub fn serve_images(&self, folder: &ImageFolder, progress: &mut dyn Progress) -> Result<()> {
        needs::tools(TOOLS)?;
        let _lock = self.lock()?;
        let address = registry::ensure(&self.config.name, self.load()?.subnet.host(), &self.dir())?;
        let images = read(folder)?;
        let layout_dir = self.dir().join("images");
        let mut layout = Layout::create(&layout_dir)?;
        let builder = Builder { folder, images: &images, cache: self.config.cache_dir.join("containers") };
        let _lock = files::lock(&builder.cache.join(".lock"))?;
        for (name, file) in &images {
            let layers = builder.layers(name, &layout, progress)?;
            layout.add(name, file, &layers)?;
        }
        progress.step(&format!("serve {} images at registry:5000/{}", images.len(), folder.prefix));
        for name in images.keys() {
            let from = format!("oci:{}:{name}", layout_dir.display());
            let to = format!("docker://{address}/{}/{name}:latest", folder.prefix);
            let options = ["--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false"];
            run::run(command("skopeo", options).args([from, to]))?;
        }
        Ok(())
    }
}

fn read(folder: &ImageFolder) -> Result<BTreeMap<String, Dockerfile>> {
    let mut images = BTreeMap::new();
    for name in files::names_in(&folder.dir)? {
        let path = folder.dir.join(&name).join("Dockerfile");
        if path.exists() {
            images.insert(name, Dockerfile::read(&path, &folder.prefix)?);
        }
    }
    Ok(images)
}

struct Builder<'a> {
    folder: &'a ImageFolder,
    images: &'a BTreeMap<String, Dockerfile>,
    cache: PathBuf,
}

impl Builder<'_> {
    /// The layers of an image: for each image in its line, from Debian's on, that of its packages and that of its files.
    fn layers(&self, name: &str, layout: &Layout, progress: &mut dyn Progress) -> Result<Vec<Layer>> {
        let (suite, line) = self.line(name)?;
        let mut layers = Vec::new();
        let mut packages: Vec<&str> = Vec::new();
        for (depth, image) in line.iter().enumerate() {
            let file = &self.images[*image];
            if depth == 0 || !file.packages.is_empty() {
                let below = packages.clone();
                packages.extend(file.packages.iter().map(String::as_str));
                let below = (depth > 0).then_some(below.as_slice());
                layers.push(self.package_layer(suite, image, &packages, below, layout, progress)?);
            }
            if !file.copies.is_empty() {
                layers.push(self.file_layer(image, file, layout)?);
            }
        }
        Ok(layers)
    }

    /// The images from Debian's up to that one.
    fn line(&self, name: &str) -> Result<(Suite, Vec<&str>)> {
        let refuse = |image: &str, why: &str| LabError::Dockerfile {
            path: self.folder.dir.join(image).join("Dockerfile"),
            why: why.to_owned(),
        };
        let mut line = Vec::new();
        let mut at = name;
        while line.len() < MAX_DEPTH {
            let (key, file) = self.images.get_key_value(at).ok_or_else(|| refuse(at, "it is not there"))?;
            line.push(key.as_str());
            match &file.from {
                From::Debian(suite) => {
                    line.reverse();
                    return Ok((*suite, line));
                }
                From::Image(next) => at = next,
            }
        }
        Err(refuse(name, "FROM leads too far, or in a circle"))
    }

    /// What these packages bring that those of the image below do not.
    fn package_layer(
        &self,
        suite: Suite,
        image: &str,
        packages: &[&str],
        below: Option<&[&str]>,
        layout: &Layout,
        progress: &mut dyn Progress,
    ) -> Result<Layer> {
        let blobs = self.cache.join("blobs");
        let key = hash_of(&format!("{PREPARATION} {} {packages:?} {below:?}", suite.as_str()));
        let record = self.cache.join(format!("layer-{}.json", &key[..16]));
        let known = files::read_optional(&record)?.and_then(|text| serde_json::from_str::<Layer>(&text).ok());
        if let Some(layer) = known {
            layout.link(&layer, &blobs)?;
            return Ok(layer);
        }
        needs::space(&self.cache, NEEDED_MIB)?;
        let below = below.map(|packages| self.tree(suite, image, packages, progress)).transpose()?;
        let tree = self.tree(suite, image, packages, progress)?;
        let layer = layers::layer(&tree, below.as_deref(), &blobs)?;
        let text = serde_json::to_string(&layer)
            .map_err(|error| LabError::io("write", &record)(std::io::Error::from(error)))?;
        files::write(&record, text.as_bytes(), 0o644)?;
        if below.is_some() {
            // Nothing is built on it; the tree of the image that all others share is kept.
            files::remove(&tree)?;
        }
        layout.link(&layer, &blobs)?;
        Ok(layer)
    }

    /// A Debian of essential packages and these, installed and configured.
    fn tree(&self, suite: Suite, image: &str, packages: &[&str], progress: &mut dyn Progress) -> Result<PathBuf> {
        let key = hash_of(&format!("{PREPARATION} {} {packages:?}", suite.as_str()));
        let tree = self.cache.join(format!("tree-{}", &key[..16]));
        if tree.exists() {
            return Ok(tree);
        }
        progress.step(&format!("install {} for {}/{image} (once)", packages.join(", "), self.folder.prefix));
        let building = self.cache.join(".building");
        debian::make_tree(Tree::new(suite, "essential", packages), &building, progress)?;
        prune(&building)?;
        fs::rename(&building, &tree).map_err(LabError::io("rename", &building))?;
        Ok(tree)
    }

    /// What COPY brings.
    fn file_layer(&self, image: &str, file: &Dockerfile, layout: &Layout) -> Result<Layer> {
        let tree = layout.blobs().join(".tree");
        files::remove(&tree)?;
        for (from, to) in &file.copies {
            let source = self.folder.programs.get(from).cloned();
            let source = source.unwrap_or_else(|| self.folder.dir.join(image).join(from));
            layers::copy(&source, &target(&tree, to))?;
        }
        let layer = layers::layer(&tree, None, &layout.blobs())?;
        files::remove(&tree)?;
        Ok(layer)
    }
}

/// Takes away what installing left. Directories stay: programs expect theirs below `/var/log`.
fn prune(tree: &Path) -> Result<()> {
    for dir in ["var/cache", "var/log", "var/lib/apt"] {
        prune_files(&tree.join(dir))?;
    }
    for file in ["etc/resolv.conf", "etc/hostname"] {
        files::remove(&tree.join(file))?;
    }
    Ok(())
}

fn prune_files(dir: &Path) -> Result<()> {
    for name in files::names_in(dir)? {
        let path = dir.join(name);
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir()) {
            prune_files(&path)?;
        } else {
            files::remove(&path)?;
        }
    }
    Ok(())
}

fn target(tree: &Path, to: &str) -> PathBuf {
    tree.join(to.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(images: &[(&str, &str)]) -> (tempfile::TempDir, ImageFolder) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in images {
            files::write(&dir.path().join(name).join("Dockerfile"), text.as_bytes(), 0o644).unwrap();
        }
        let folder = ImageFolder { dir: dir.path().to_owned(), prefix: "t".to_owned(), programs: BTreeMap::new() };
        (dir, folder)
    }

    #[track_caller]
    fn line(images: &[(&str, &str)], name: &str) -> Result<Vec<String>> {
        let (_dir, folder) = folder(images);
        let images = read(&folder)?;
        let builder = Builder { folder: &folder, images: &images, cache: PathBuf::new() };
        Ok(builder.line(name)?.1.into_iter().map(str::to_owned).collect())
    }

    #[test]
    fn an_image_is_built_from_debian_up() {
        let images = [("app", "FROM t/base\n"), ("base", "FROM debian:trixie-slim\n")];
        assert_eq!(line(&images, "app").unwrap(), ["base", "app"]);
    }

    #[test]
    fn an_image_on_itself_or_on_nothing_is_refused() {
        let circle = line(&[("a", "FROM t/b\n"), ("b", "FROM t/a\n")], "a").unwrap_err().to_string();
        assert!(circle.contains("in a circle"), "{circle}");
        let missing = line(&[("a", "FROM t/b\n")], "a").unwrap_err().to_string();
        assert!(missing.ends_with("b/Dockerfile: it is not there"), "{missing}");
    }
}
