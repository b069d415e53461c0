//! Container images for a lab from Debian packages, without a registry and without dockerd on the host.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use flota_image::Suite;

use crate::debian::{self, Tree};
use crate::error::{LabError, Result};
use crate::files;
use crate::lab::{Lab, MachineState};
use crate::progress::Progress;
use crate::run::{self, command};

/// The label by which a machine tells which recipe its image is of.
const RECIPE_LABEL: &str = "flota.recipe";

/// What packages bring and containers don't need.
const PRUNED: &[&str] = &[
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/bug",
    "var/lib/apt",
    "var/cache",
    "var/log",
    "etc/apt",
];

/// Directories that programs expect.
const DIRECTORIES: &[&str] = &["dev", "proc", "sys", "tmp", "run", "etc", "root", "var"];

/// What a container image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRecipe {
    /// Debian packages, unpacked (with what they depend on) but not configured.
    pub packages: Vec<String>,
    /// Files: path in the image, mode, content.
    pub files: Vec<(String, u32, String)>,
    /// Symbolic links: path in the image, target.
    pub links: Vec<(String, String)>,
    /// The command line that a container runs.
    pub command: Vec<String>,
    /// TCP ports that it listens on.
    pub ports: Vec<u16>,
}

/// Serves one page that tells where it runs. A shell as PID 1 of a container must handle SIGTERM itself,
/// or `docker stop` would wait its ten seconds.
const WEB_SCRIPT: &str = r"#!/bin/sh
mkdir -p /www
cat > /www/index.html <<END
Flota web ${NAME:+$NAME }in container $(hostname)${MACHINE:+ on machine $MACHINE}
END
trap 'kill $!; exit 0' TERM INT
httpd -f -p 80 -h /www &
wait $!
";

/// The applets that the web image has.
const WEB_APPLETS: &[&str] =
    &["cat", "echo", "env", "hostname", "httpd", "ip", "kill", "ls", "mkdir", "ps", "sh", "sleep", "wget"];

impl ContainerRecipe {
    /// A web server on port 80 (busybox, 2 MB), whose page tells container, `$MACHINE` and `$NAME`.
    pub fn web() -> Self {
        let link = |applet: &&str| (format!("/usr/bin/{applet}"), "busybox".to_owned());
        Self {
            packages: vec!["busybox-static".to_owned()],
            files: vec![("/usr/bin/web".to_owned(), 0o755, WEB_SCRIPT.to_owned())],
            links: WEB_APPLETS.iter().map(link).collect(),
            command: vec!["/usr/bin/web".to_owned()],
            ports: vec![80],
        }
    }

    /// Names the recipe's result in caches and in image labels.
    fn hash(&self, suite: Suite) -> String {
        let text = format!("{} {self:?}", suite.as_str());
        format!("{:08x}", crc32c::crc32c(text.as_bytes()))
    }

    /// What `docker import` is told beside the tree.
    fn changes(&self, hash: &str) -> Vec<String> {
        let quoted: Vec<String> = self.command.iter().map(|arg| format!("{arg:?}")).collect();
        let mut changes = vec![
            format!("CMD [{}]", quoted.join(", ")),
            "ENV PATH=/usr/sbin:/usr/bin".to_owned(),
            format!("LABEL {RECIPE_LABEL}={hash}"),
        ];
        changes.extend(self.ports.iter().map(|port| format!("EXPOSE {port}")));
        changes
    }
}

impl Lab {
    /// Puts the image `name_tag` (such as `flota/web:1`) of that recipe into every running machine, built at the first
    /// call and cached on the host. A machine that has it already is left alone.
    pub fn build_container_image(
        &self,
        name_tag: &str,
        recipe: &ContainerRecipe,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let archive = self.archive(name_tag, recipe, progress)?;
        let hash = recipe.hash(self.config.suite);
        let machines = self.list()?.into_iter().filter(|m| m.state == MachineState::Running);
        let names: Vec<String> = machines.map(|machine| machine.name).collect();
        progress.step(&format!("load {name_tag} into {}", names.join(", ")));
        let load = |name| self.load_archive(name, name_tag, recipe, &hash, &archive);
        thread::scope(|scope| {
            let load = &load;
            let all: Vec<_> = names.iter().map(|name| scope.spawn(move || load(name))).collect();
            all.into_iter().try_for_each(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    fn archive(&self, name_tag: &str, recipe: &ContainerRecipe, progress: &mut dyn Progress) -> Result<PathBuf> {
        let suite = self.config.suite;
        let dir = self.config.cache_dir.join("containers");
        let archive = dir.join(format!("{}.tar", recipe.hash(suite)));
        let _lock = files::lock(&dir.join(".lock"))?;
        if archive.exists() {
            return Ok(archive);
        }
        progress.step(&format!("build container image {name_tag} from {}", recipe.packages.join(", ")));
        let (tree, tar) = (dir.join(".building"), dir.join(".building.tar"));
        let packages: Vec<&str> = recipe.packages.iter().map(String::as_str).collect();
        debian::make_tree(Tree::new(suite, "extract", &packages), &tree, progress)?;
        complete(&tree, recipe)?;
        let paths = [&tar, &tree].map(|path| path.to_string_lossy().into_owned());
        let [tar_text, tree_text] = &paths;
        let args = ["--create", "--sort=name", "--numeric-owner", "--file", tar_text, "-C", tree_text, "."];
        run::run(&mut command("tar", args))?;
        files::remove(&tree)?;
        fs::rename(&tar, &archive).map_err(LabError::io("rename", &tar))?;
        Ok(archive)
    }

    fn load_archive(
        &self,
        machine: &str,
        name_tag: &str,
        recipe: &ContainerRecipe,
        hash: &str,
        archive: &Path,
    ) -> Result<()> {
        let format = format!("--format={{{{ index .Config.Labels \"{RECIPE_LABEL}\" }}}}");
        let present = self.exec_captured(machine, &["docker", "image", "inspect", &format, name_tag])?;
        if present.status.success() && String::from_utf8_lossy(&present.stdout).trim() == hash {
            return Ok(());
        }
        let mut argv = vec!["docker".to_owned(), "import".to_owned()];
        for change in recipe.changes(hash) {
            argv.extend(["--change".to_owned(), change]);
        }
        argv.extend(["-".to_owned(), name_tag.to_owned()]);
        let file = File::open(archive).map_err(LabError::io("open", archive))?;
        let mut import = self.command(machine, &argv)?;
        import.stdin(file);
        run::run(&mut import)?;
        Ok(())
    }
}

/// Debian's links of a merged /usr, and the recipe's own files and links.
fn complete(tree: &Path, recipe: &ContainerRecipe) -> Result<()> {
    for path in PRUNED {
        files::remove(&tree.join(path))?;
    }
    for path in DIRECTORIES {
        files::make_dir(&tree.join(path))?;
    }
    let tmp = tree.join("tmp");
    fs::set_permissions(&tmp, Permissions::from_mode(0o1777)).map_err(LabError::io("set the mode of", &tmp))?;
    for dir in ["bin", "sbin", "lib"] {
        let merged = tree.join("usr").join(dir);
        files::make_dir(&merged)?;
        merge(&tree.join(dir), &merged)?;
        files::link(&format!("usr/{dir}"), &tree.join(dir))?;
    }
    for (path, mode, content) in &recipe.files {
        files::write(&tree.join(path.trim_start_matches('/')), content.as_bytes(), *mode)?;
    }
    for (path, target) in &recipe.links {
        files::link(target, &tree.join(path.trim_start_matches('/')))?;
    }
    Ok(())
}

/// Bookworm's packages still have files outside of /usr, and its merge is not part of what is unpacked.
fn merge(from: &Path, into: &Path) -> Result<()> {
    if fs::symlink_metadata(from).is_ok_and(|found| found.is_dir()) {
        for name in files::names_in(from)? {
            fs::rename(from.join(&name), into.join(&name)).map_err(LabError::io("move", from.join(&name)))?;
        }
        files::remove(from)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_recipe_is_another_image() {
        let web = ContainerRecipe::web();
        let mut other = web.clone();
        other.ports.push(81);
        assert_eq!(web.hash(Suite::Trixie), ContainerRecipe::web().hash(Suite::Trixie));
        assert_ne!(web.hash(Suite::Trixie), other.hash(Suite::Trixie));
        assert_ne!(web.hash(Suite::Trixie), web.hash(Suite::Sid));
    }

    #[test]
    fn what_bookworm_has_outside_of_usr_is_merged() {
        let tree = tempfile::tempdir().unwrap();
        let tree = tree.path();
        files::write(&tree.join("bin/busybox"), b"", 0o755).unwrap();
        complete(tree, &ContainerRecipe::web()).unwrap();
        assert!(tree.join("usr/bin/busybox").is_file() && tree.join("usr/bin/httpd").exists());
        assert_eq!(fs::read_link(tree.join("bin")).unwrap(), Path::new("usr/bin"));
    }

    #[test]
    fn docker_is_told_what_to_run() {
        let changes = ContainerRecipe::web().changes("0123abcd");
        assert_eq!(changes[0], r#"CMD ["/usr/bin/web"]"#);
        assert!(changes.contains(&"EXPOSE 80".to_owned()));
        assert!(changes.contains(&"LABEL flota.recipe=0123abcd".to_owned()));
    }
}
