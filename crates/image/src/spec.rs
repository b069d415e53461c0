//! What an image is made from beside the base: one TOML file, in which nothing is ignored.

use std::path::PathBuf;

use crate::document::{Fields, Finding, Node, Place, parse_toml};
use crate::suite::Suite;
use crate::words;

/// The size of a disk where the file says none.
const DEFAULT_SIZE_MIB: u64 = 4096;
/// The smallest disk that the base fits in with some room.
const MIN_SIZE_MIB: u64 = 1536;
/// The largest disk that is made; it grows to the size of the real one at its first boot in any case.
const MAX_SIZE_MIB: u64 = 1 << 20;
/// The kernel's log and a login on the first serial port and on the screen, and no menu to wait for.
const DEFAULT_KERNEL_ARGUMENTS: [&str; 3] = ["console=tty0", "console=ttyS0,115200", "quiet"];

/// What an image is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Debian's release; the command line may say it instead.
    pub suite: Option<Suite>,
    /// The archive to build from; none: the host's own.
    pub mirror: Option<String>,
    /// The machine's name, until user-data gives it another one.
    pub hostname: String,
    /// Packages beside the base.
    pub packages: Vec<String>,
    /// Packages of the base that are left out.
    pub without: Vec<String>,
    /// root's keys for ssh.
    pub ssh_keys: Vec<String>,
    /// Users beside root. The first one is whom user-data means by the default user.
    pub users: Vec<User>,
    /// Files, in order.
    pub files: Vec<File>,
    /// Units to start at boot.
    pub enable: Vec<String>,
    /// Units not to start at boot.
    pub disable: Vec<String>,
    /// Units that can't be started.
    pub mask: Vec<String>,
    /// What the kernel is told.
    pub kernel_arguments: Vec<String>,
    /// The size of the disk, in MiB.
    pub size_mib: u64,
}

/// A user of the image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// Keys for ssh.
    pub ssh_keys: Vec<String>,
    /// Groups beside its own, such as `docker`.
    pub groups: Vec<String>,
    /// The login shell; none: bash.
    pub shell: Option<String>,
    /// May become root without a password.
    pub sudo: bool,
}

/// A file of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Absolute, in the image.
    pub path: String,
    /// What is in it.
    pub content: Content,
    /// Its mode.
    pub mode: u32,
    /// `user:group`.
    pub owner: String,
}

/// What is in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(String),
    /// What is in a file of the host, relative to the spec.
    Source(PathBuf),
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            suite: None,
            mirror: None,
            hostname: "flota".to_owned(),
            packages: Vec::new(),
            without: Vec::new(),
            ssh_keys: Vec::new(),
            users: Vec::new(),
            files: Vec::new(),
            enable: Vec::new(),
            disable: Vec::new(),
            mask: Vec::new(),
            kernel_arguments: DEFAULT_KERNEL_ARGUMENTS.map(str::to_owned).into(),
            size_mib: DEFAULT_SIZE_MIB,
        }
    }
}

impl Spec {
    /// Reads the text of a spec; all that is wrong with it, in the order of the text.
    pub fn parse(text: &str) -> Result<Self, Vec<Finding>> {
        let node = parse_toml(text).map_err(|finding| vec![finding])?;
        let mut fields = Fields::of(&node, "the spec");
        let mut spec = Self::default();
        spec.machine(&mut fields);
        spec.disk(&mut fields);
        spec.users = each(&mut fields, "users", user);
        spec.files = each(&mut fields, "files", file);
        if let Some(node) = fields.take("units") {
            let mut units = Fields::of(node, "[units]");
            spec.enable = checked(&mut units, "enable", words::unit);
            spec.disable = checked(&mut units, "disable", words::unit);
            spec.mask = checked(&mut units, "mask", words::unit);
            fields.absorb(units.finish());
        }
        let mut findings = fields.finish();
        findings.sort();
        if findings.is_empty() { Ok(spec) } else { Err(findings) }
    }

    fn machine(&mut self, fields: &mut Fields<'_>) {
        if let Some(node) = fields.take("suite") {
            match scalar(node).parse() {
                Ok(suite) => self.suite = Some(suite),
                Err(error) => fields.note(node.at, format!("{error}")),
            }
        }
        if let Some((mirror, at)) = one(fields, "mirror") {
            if !(mirror.starts_with("http://") || mirror.starts_with("https://"))
                || mirror.contains(char::is_whitespace)
            {
                fields.note(at, format!("mirror `{mirror}` is no http:// or https:// address"));
            }
            self.mirror = Some(mirror);
        }
        if let Some((hostname, at)) = one(fields, "hostname") {
            judge(fields, at, &hostname, words::hostname(&hostname));
            self.hostname = hostname;
        }
        self.packages = checked(fields, "packages", words::package);
        self.without = checked(fields, "without", words::package);
        self.ssh_keys = checked(fields, "ssh_keys", words::ssh_key);
    }

    fn disk(&mut self, fields: &mut Fields<'_>) {
        if let Some(node) = fields.take("size") {
            match size_mib(scalar(node)) {
                Some(size) => self.size_mib = size,
                None => {
                    fields
                        .note(node.at, format!("size `{}` is none from 1536M to 1024G, such as \"4G\"", scalar(node)));
                }
            }
        }
        let argument = |text: &str| {
            let good = !text.is_empty()
                && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "'\\$`;".contains(c));
            if good { Ok(()) } else { Err("is not one argument of the kernel") }
        };
        let asked = fields.texts("kernel_arguments");
        for (text, at) in &asked {
            judge(fields, *at, text, argument(text));
        }
        if !asked.is_empty() {
            self.kernel_arguments = asked.into_iter().map(|(text, _)| text).collect();
        }
    }
}

fn user(fields: &mut Fields<'_>) -> User {
    let name = fields.needed("name").unwrap_or_default();
    if !name.is_empty() {
        judge(fields, fields.at, &name, words::user(&name));
    }
    User {
        name,
        ssh_keys: checked(fields, "ssh_keys", words::ssh_key),
        groups: checked(fields, "groups", words::user),
        shell: one(fields, "shell").map(|(shell, at)| {
            judge(fields, at, &shell, words::absolute(&shell));
            shell
        }),
        sudo: fields.boolean("sudo").unwrap_or_default(),
    }
}

fn file(fields: &mut Fields<'_>) -> File {
    let path = fields.needed("path").unwrap_or_default();
    if !path.is_empty() {
        judge(fields, fields.at, &path, words::absolute(&path));
    }
    let content = match (fields.text("content"), fields.text("source")) {
        (Some(text), None) => Content::Text(text),
        (None, Some(source)) => Content::Source(source.into()),
        _ => {
            fields.note(fields.at, format!("the file `{path}` needs one of `content` and `source`"));
            Content::Text(String::new())
        }
    };
    let mut mode = 0o644;
    if let Some((text, at)) = one(fields, "mode") {
        match words::mode(&text) {
            Ok(read) => mode = read,
            Err(why) => judge(fields, at, &text, Err(why)),
        }
    }
    let owner = one(fields, "owner").map(|(owner, at)| {
        judge(fields, at, &owner, words::owner(&owner));
        owner
    });
    File { path, content, mode, owner: owner.unwrap_or_else(|| "root:root".to_owned()) }
}

/// A table for each item of a list.
fn each<T>(fields: &mut Fields<'_>, key: &'static str, read: fn(&mut Fields<'_>) -> T) -> Vec<T> {
    let name = if key == "users" { "[[users]]" } else { "[[files]]" };
    let mut all = Vec::new();
    for node in fields.list(key) {
        let mut item = Fields::of(node, name);
        all.push(read(&mut item));
        fields.absorb(item.finish());
    }
    all
}

/// A list of texts that each have to look like something.
fn checked(fields: &mut Fields<'_>, key: &'static str, check: fn(&str) -> Result<(), &'static str>) -> Vec<String> {
    let texts = fields.texts(key);
    for (text, at) in &texts {
        judge(fields, *at, text, check(text));
    }
    texts.into_iter().map(|(text, _)| text).collect()
}

fn judge(fields: &mut Fields<'_>, at: Place, text: &str, verdict: Result<(), &'static str>) {
    if let Err(why) = verdict {
        fields.note(at, format!("`{text}` {why}"));
    }
}

/// A single text with its place.
fn one(fields: &mut Fields<'_>, key: &'static str) -> Option<(String, Place)> {
    fields.texts(key).into_iter().next()
}

fn scalar(node: &Node) -> &str {
    match &node.value {
        crate::document::Value::Scalar { text, .. } => text,
        _ => "",
    }
}

/// `2048M` or `4G`, in MiB.
fn size_mib(text: &str) -> Option<u64> {
    let size = match (text.strip_suffix('M'), text.strip_suffix('G')) {
        (Some(number), _) => number.parse().ok(),
        (_, Some(number)) => number.parse::<u64>().ok().and_then(|number| number.checked_mul(1024)),
        _ => None,
    };
    size.filter(|size| (MIN_SIZE_MIB..=MAX_SIZE_MIB).contains(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
suite = "bookworm"
mirror = "http://ftp.example/debian"
hostname = "node"
packages = ["htop", "nginx-light"]
without = ["etcd-server"]
size = "8G"
kernel_arguments = ["console=ttyS0", "quiet"]
ssh_keys = ["ssh-ed25519 AAAAC3 root"]

[[users]]
name = "core"
ssh_keys = ["ssh-ed25519 AAAAC3 me"]
groups = ["docker"]
sudo = true

[[files]]
path = "/etc/motd"
content = "hello\n"

[[files]]
path = "/usr/local/bin/tool"
source = "tool.sh"
mode = "0755"
owner = "core:docker"

[units]
enable = ["etcd.service"]
mask = ["ssh.socket"]
"#;

    #[test]
    fn a_whole_spec_is_read() {
        let spec = Spec::parse(WHOLE).unwrap();
        assert_eq!(spec.suite, Some(Suite::Bookworm));
        assert_eq!((spec.hostname.as_str(), spec.size_mib), ("node", 8192));
        assert_eq!(spec.users[0].groups, ["docker"]);
        assert!(spec.users[0].sudo && spec.users[0].shell.is_none());
        assert_eq!(spec.files[0].content, Content::Text("hello\n".to_owned()));
        assert_eq!(spec.files[1].content, Content::Source("tool.sh".into()));
        assert_eq!((spec.files[1].mode, spec.files[1].owner.as_str()), (0o755, "core:docker"));
        assert_eq!(spec.enable, ["etcd.service"]);
        assert_eq!(Spec::parse("").unwrap(), Spec::default());
    }

    #[track_caller]
    fn check(text: &str, expect: &[&str]) {
        let findings = Spec::parse(text).unwrap_err();
        let found: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn an_unknown_key_is_told_with_its_place_and_the_nearest_name() {
        check("pakages = []\n", &["1:1: the spec knows no `pakages`, did you mean `packages`?"]);
        check("[units]\nenabel = []\n", &["2:1: [units] knows no `enabel`, did you mean `enable`?"]);
        check(
            "[[users]]\nname = 'a'\n  ssh-keys = []\n",
            &["3:3: [[users]] knows no `ssh-keys`, did you mean `ssh_keys`?"],
        );
        check("zzzzzz = 1\n", &["1:1: the spec knows no `zzzzzz`"]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        check(
            "suite = 'woody'\nsize = '1T'\npackages = ['a b']\n[[files]]\npath = 'etc/x'\nmode = '999'\n",
            &[
                "1:9: suite `woody`: must be bookworm, trixie, forky or sid",
                "2:8: size `1T` is none from 1536M to 1024G, such as \"4G\"",
                "3:13: `a b` is no name of a Debian package",
                "4:1: `etc/x` is no absolute path of a file without `..`",
                "4:1: the file `etc/x` needs one of `content` and `source`",
                "6:8: `999` is no mode in octal digits, such as 0644",
            ],
        );
        check("a = \n", &["1:5: string values must be quoted, expected literal string"]);
    }
}
