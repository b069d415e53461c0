//! Looks at what is left of file systems, and at certificates.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flota_daemon::Config;
use flota_daemon::certificates::{lifespan, signed_by};
use flota_doctor::{Certificate, Issuer, Look, Space, Validity};

use super::known;
use super::look::{blind, blocking};

/// Where docker keeps images and containers, unless told otherwise.
const DOCKER: &str = "/var/lib/docker";

pub async fn spaces(config: Option<&Config>) -> Look<Vec<Space>> {
    let mut folders = vec![known(config)?.data_dir.clone()];
    if super::exists(DOCKER) {
        folders.push(DOCKER.into());
    }
    blocking("the file system", move || folders.iter().map(|folder| space(folder)).collect()).await
}

fn space(folder: &Path) -> Look<Space> {
    let there = folder.ancestors().find(|place| !matches!(place.try_exists(), Ok(false))).unwrap_or(folder);
    let found = rustix::fs::statvfs(there).map_err(|error| blind("look at", folder, &io::Error::from(error)))?;
    Ok(Space {
        folder: folder.display().to_string(),
        bytes: found.f_blocks * found.f_frsize,
        free_bytes: found.f_bavail * found.f_frsize,
        inodes: found.f_files,
        free_inodes: found.f_favail,
    })
}

pub fn certificates(config: Option<&Config>) -> Look<Vec<Certificate>> {
    let config = known(config)?;
    let Some(files) = &config.client.tls else { return Ok(Vec::new()) };
    let issuer = if config.own_pki.is_some() {
        Issuer::Own
    } else if config.membership.is_some() && files.cert.starts_with(&config.data_dir) {
        Issuer::Token
    } else {
        Issuer::People
    };
    let authority = fs::read(&files.ca).unwrap_or_default();
    let one = |path: &PathBuf, issuer, authority: Option<&[u8]>| Certificate {
        path: path.display().to_string(),
        issuer,
        validity: validity(path, authority),
    };
    Ok(vec![one(&files.ca, Issuer::People, None), one(&files.cert, issuer, Some(&authority))])
}

/// How long a certificate is good; one that the authority did not sign is not good at all.
fn validity(path: &Path, authority: Option<&[u8]>) -> Look<Result<Validity, String>> {
    let pem = match fs::read(path) {
        Ok(pem) => pem,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err("is not there".to_owned())),
        Err(error) => return Err(blind("read", path, &error)),
    };
    let signed = authority.map_or(Ok(()), |authority| signed_by(&pem, authority));
    let read = lifespan(&pem).and_then(|span| signed.map(|()| Validity { from: span.from, until: span.until }));
    Ok(read.map_err(|error| error.to_string()))
}
