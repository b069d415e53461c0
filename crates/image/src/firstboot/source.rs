//! Where a machine finds what it is told: a directory, a disk with a label, or OpenStack's service.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::FirstbootError;
use crate::document::MAX_TEXT_BYTES;
use crate::host::run::{command, run};

/// Where cloud-init looks, too: user-data that is in the image.
const SEED: &str = "var/lib/cloud/seed/nocloud";
/// Labels of disks, and the files on them.
const DISKS: [(&str, &str, &str); 4] = [
    ("cidata", "user-data", "meta-data"),
    ("CIDATA", "user-data", "meta-data"),
    ("config-2", "openstack/latest/user_data", "openstack/latest/meta_data.json"),
    ("CONFIG-2", "openstack/latest/user_data", "openstack/latest/meta_data.json"),
];
/// Where OpenStack answers, if anybody does.
const SERVICE: &str = "169.254.169.254:80";
/// How long the network and the service may take altogether.
const SERVICE_WITHIN: Duration = Duration::from_secs(90);
/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a machine was told, as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// Where it was found, in words.
    pub place: String,
    /// User-data; empty where there is none.
    pub user_data: Vec<u8>,
    /// Metadata.
    pub meta_data: String,
}

/// Looks in all places; none: nobody tells this machine anything.
pub fn find(root: &Path) -> Result<Option<Told>, FirstbootError> {
    let seed = root.join(SEED);
    if seed.join("user-data").exists() {
        return read_dir(&seed, "user-data", "meta-data", seed.display().to_string()).map(Some);
    }
    for (label, user_data, meta_data) in DISKS {
        let device = root.join("dev/disk/by-label").join(label);
        if device.exists() {
            return read_disk(&device, user_data, meta_data).map(Some);
        }
    }
    if is_openstack(root) {
        return ask(SERVICE).map(Some);
    }
    Ok(None)
}

fn read_dir(dir: &Path, user_data: &str, meta_data: &str, place: String) -> Result<Told, FirstbootError> {
    let user_data = read_bounded(&dir.join(user_data))?;
    let meta_data = String::from_utf8_lossy(&read_bounded(&dir.join(meta_data))?).into_owned();
    Ok(Told { place, user_data, meta_data })
}

/// A file that may not be there; a huge one is an error before it is in memory.
fn read_bounded(path: &Path) -> Result<Vec<u8>, FirstbootError> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Ok(bytes) if bytes.len() > MAX_TEXT_BYTES => Err(FirstbootError::TooLarge(path.to_owned())),
        result => result.map_err(|source| FirstbootError::Io { action: "read", path: path.to_owned(), source }),
    }
}

fn read_disk(device: &Path, user_data: &str, meta_data: &str) -> Result<Told, FirstbootError> {
    let place = Mounted::at(device, PathBuf::from("/run/flota-firstboot"))?;
    read_dir(&place.0, user_data, meta_data, format!("disk {}", device.display()))
}

/// A disk that is mounted as long as this lives, for reading only.
struct Mounted(PathBuf);

impl Mounted {
    fn at(device: &Path, place: PathBuf) -> Result<Self, FirstbootError> {
        let io = |source| FirstbootError::Io { action: "make", path: place.clone(), source };
        fs::create_dir_all(&place).map_err(io)?;
        run(command("mount", ["-o", "ro,nosuid,nodev,noexec"]).arg(device).arg(&place))?;
        Ok(Self(place))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What stays mounted is only in the way of nobody.
        let _ = run(&mut command("umount", [&self.0]));
        let _ = fs::remove_dir(&self.0);
    }
}

/// Whether the machine says of itself that it is OpenStack's, or was started to ask there. Elsewhere nobody is asked:
/// anybody on the network could answer.
fn is_openstack(root: &Path) -> bool {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let product = read("sys/class/dmi/id/product_name");
    let chassis = read("sys/class/dmi/id/chassis_asset_tag");
    product.starts_with("OpenStack")
        || ["OpenStack", "OpenTelekomCloud", "SAP CCloud VM"].iter().any(|name| chassis.starts_with(name))
        || read("proc/cmdline").split_whitespace().any(|word| word == "ds=openstack")
}

/// Asks OpenStack's service until it answers.
fn ask(service: &str) -> Result<Told, FirstbootError> {
    let started = Instant::now();
    loop {
        match answers(service) {
            Ok(told) => return Ok(told),
            Err(why) if started.elapsed() > SERVICE_WITHIN => {
                return Err(FirstbootError::Service {
                    address: service.to_owned(),
                    seconds: SERVICE_WITHIN.as_secs(),
                    why,
                });
            }
            Err(_) => sleep(ASK_AGAIN),
        }
    }
}

fn answers(service: &str) -> Result<Told, String> {
    let meta_data = get(service, "/openstack/latest/meta_data.json")?.ok_or("it has no metadata")?;
    let user_data = get(service, "/openstack/latest/user_data")?.unwrap_or_default();
    let meta_data = String::from_utf8_lossy(&meta_data).into_owned();
    Ok(Told { place: format!("http://{service}/openstack"), user_data, meta_data })
}

/// One answer of HTTP 1.0, which ends with its connection; none where there is no such thing.
fn get(service: &str, path: &str) -> Result<Option<Vec<u8>>, String> {
    let address: SocketAddr = service.parse().map_err(|_| format!("`{service}` is no address"))?;
    let exchange = || -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n\r\n", address.ip());
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut answer)?;
        Ok(answer)
    };
    let answer = exchange().map_err(|error| error.to_string())?;
    if answer.len() > MAX_TEXT_BYTES {
        return Err(format!("{path} has more than {MAX_TEXT_BYTES} bytes"));
    }
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("the answer is no HTTP")?;
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    match head.split_whitespace().nth(1) {
        Some("200") => Ok(Some(answer[end + 4..].to_vec())),
        Some("404") => Ok(None),
        _ => Err(format!("{path}: {}", head.lines().next().unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn user_data_in_the_image_is_found_first() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(find(root.path()).unwrap(), None);
        let seed = root.path().join(SEED);
        fs::create_dir_all(&seed).unwrap();
        fs::write(seed.join("user-data"), "#cloud-config\n").unwrap();
        let told = find(root.path()).unwrap().unwrap();
        assert_eq!((told.user_data.as_slice(), told.meta_data.as_str()), (&b"#cloud-config\n"[..], ""));
        fs::write(seed.join("user-data"), vec![b'a'; MAX_TEXT_BYTES + 1]).unwrap();
        assert!(matches!(find(root.path()), Err(FirstbootError::TooLarge(_))));
    }

    #[test]
    fn openstack_is_asked_only_where_the_machine_is_its() {
        let root = tempfile::tempdir().unwrap();
        assert!(!is_openstack(root.path()));
        fs::create_dir_all(root.path().join("sys/class/dmi/id")).unwrap();
        fs::write(root.path().join("sys/class/dmi/id/product_name"), "OpenStack Nova\n").unwrap();
        assert!(is_openstack(root.path()));
    }

    #[test]
    fn the_service_is_understood() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = listener.local_addr().unwrap().to_string();
        let server = std::thread::spawn(move || {
            for answer in ["200 OK\r\n\r\n{\"uuid\": \"i\"}", "404 Not Found\r\n\r\nno"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let read = stream.read(&mut request).unwrap();
                assert!(request[..read].starts_with(b"GET /openstack/latest/"));
                write!(stream, "HTTP/1.0 {answer}").unwrap();
            }
        });
        let told = answers(&service).unwrap();
        server.join().unwrap();
        assert_eq!((told.meta_data.as_str(), told.user_data.len()), ("{\"uuid\": \"i\"}", 0));
    }
}
