//! The way to the store: the gateway of this machine, unless another one is named.

use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

use etcd_client::{Channel, Client, ConnectOptions, Error, KvClient};
use flota_api::Endpoint as ApiEndpoint;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::failures::{error_text, is_unreachable};
use crate::{cli::KvConnection, exit::Exit, failure::Failure};

/// The discovery gateway of this machine.
const GATEWAY: &str = "http://127.0.0.1:4001";
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A silent connection is probed this often, and given up after as long again.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for the answer to one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer taken in: a page of values at etcd's own limit of 1.5 MiB each.
const MAX_MESSAGE_BYTES: usize = 160 << 20;

/// What the options of `kv` say.
#[derive(Debug, Clone)]
pub struct KvSettings {
    endpoint: String,
    cacert: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    user: Option<(String, String)>,
}

impl KvSettings {
    /// Reads the options; what is not given comes from the environment, which `variable` reads.
    pub fn new(connection: &KvConnection, variable: impl Fn(&str) -> Option<String>) -> Result<KvSettings, Failure> {
        let from = |name: &str| variable(&format!("FLOTA_KV_{name}")).filter(|text| !text.is_empty());
        let file = |flag: &Option<PathBuf>, name: &str| flag.clone().or_else(|| from(name).map(PathBuf::from));
        let endpoint = connection.endpoint.clone().filter(|text| !text.is_empty()).or_else(|| from("ENDPOINT"));
        let user = match connection.user.clone().or_else(|| from("USER")) {
            None => None,
            Some(text) => match text.split_once(':') {
                Some((name, password)) => Some((name.to_owned(), password.to_owned())),
                None => return Err(Failure::new(Exit::USAGE, "--user is not of the form NAME:PASSWORD")),
            },
        };
        Ok(KvSettings {
            endpoint: endpoint.unwrap_or_else(|| GATEWAY.to_owned()),
            cacert: file(&connection.cacert, "CACERT"),
            cert: file(&connection.cert, "CERT"),
            key: file(&connection.key, "KEY"),
            user,
        })
    }

    /// The endpoint as something that a tunnel can lead to.
    pub fn tunnelled(&self) -> Result<ApiEndpoint, Failure> {
        self.endpoint.parse().map_err(|error| {
            Failure::new(Exit::USAGE, format!("no tunnel to the store at \"{}\": {error}", self.endpoint))
        })
    }

    /// The same settings for the near end of a tunnel.
    pub fn through(mut self, near_end: &ApiEndpoint) -> KvSettings {
        self.endpoint = near_end.to_string();
        self
    }

    fn transport(&self) -> Result<Endpoint, Failure> {
        let wrong = |why: &str| {
            Failure::new(Exit::USAGE, format!("the store's endpoint \"{}\" {why}", self.endpoint))
                .with_hint("it looks like http://HOST:PORT, https://HOST:PORT or unix:///PATH")
        };
        // The form that the transport knows has one slash.
        let (secure, url) = match self.endpoint.split_once("://") {
            Some(("http", rest)) if !rest.is_empty() => (false, self.endpoint.clone()),
            Some(("https", rest)) if !rest.is_empty() => (true, self.endpoint.clone()),
            Some(("unix", path)) if path.starts_with('/') => (false, format!("unix:{path}")),
            _ => return Err(wrong("is not understood")),
        };
        let mut endpoint = Endpoint::from_shared(url)
            .map_err(|error| wrong(&format!("is not understood: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PROBE_INTERVAL)
            .keep_alive_timeout(PROBE_INTERVAL);
        match (secure, self.has_tls_files()) {
            (true, _) => {
                let tls = self.tls()?;
                endpoint =
                    endpoint.tls_config(tls).map_err(|error| wrong(&format!("cannot be used with TLS: {error}")))?;
            }
            (false, true) => return Err(wrong("has no TLS, but certificates are given")),
            (false, false) => {}
        }
        Ok(endpoint)
    }

    fn has_tls_files(&self) -> bool {
        self.cacert.is_some() || self.cert.is_some() || self.key.is_some()
    }

    fn tls(&self) -> Result<ClientTlsConfig, Failure> {
        let missing = |what: &str| Failure::new(Exit::USAGE, format!("an https store needs {what}"));
        let Some(cacert) = &self.cacert else {
            return Err(missing("--cacert, the certificates that its own is checked with"));
        };
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(cacert)?));
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(tls.identity(Identity::from_pem(read(cert)?, read(key)?))),
            (None, None) => Ok(tls),
            _ => Err(missing("both --cert and --key, or neither")),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::new(Exit::FAILURE, format!("cannot read {}: {error}", path.display())))
}

/// The store.
pub struct Store {
    /// Every other call.
    pub client: Client,
    /// Where it is.
    pub endpoint: String,
    /// Whether a user asks.
    pub has_user: bool,
}

impl Store {
    /// Prepares the connection; without a user nothing is sent before the first call.
    pub async fn open(settings: &KvSettings) -> Result<Store, Failure> {
        let channel = Channel::Tonic(settings.transport()?.connect_lazy());
        let user = settings.user.clone();
        let has_user = user.is_some();
        let options = user.map(|(name, password)| ConnectOptions::new().with_user(name, password));
        let client = Client::from_channel(channel, options).await.map_err(|error| {
            let exit = if is_unreachable(&error) { Exit::UNAVAILABLE } else { Exit::FAILURE };
            Failure::new(exit, format!("cannot log in to the store at {}: {}", settings.endpoint, error_text(error)))
        })?;
        Ok(Store { client, endpoint: settings.endpoint.clone(), has_user })
    }

    /// Keys and values.
    pub fn kv(&self) -> KvClient {
        self.client.kv_client().max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Bounds a call in time.
    pub async fn call<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(result) => result,
            Err(_) => Err(tonic::Status::unavailable(format!("silent for {} s", CALL_TIMEOUT.as_secs())).into()),
        }
    }

    /// What to try when it does not answer.
    pub fn hint(&self) -> String {
        if self.endpoint == GATEWAY {
            return "is flota.service running? try: systemctl status flota; --endpoint names another store".to_owned();
        }
        match self.endpoint.strip_prefix("unix://") {
            Some(path) if !Path::new(path).exists() => format!("there is no {path}; is the endpoint right?"),
            Some(_) => "the socket may belong to root; try again with sudo".to_owned(),
            None => "is the endpoint right? it comes from --endpoint or FLOTA_KV_ENDPOINT".to_owned(),
        }
    }
}
