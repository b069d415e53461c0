//! Why a command ended: the message for people, a hint where there is one, and the exit code.

use flota_api::ClientError;
use flota_etcd::chain;

use crate::exit::Exit;

/// The end of a command that could not go on. Lines already printed stay true.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong; empty when it has been said already.
    pub message: String,
    /// What a person can try.
    pub hint: Option<String>,
    /// The exit code.
    pub exit: Exit,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, exit }
    }

    /// A failure whose messages are on stderr already.
    pub fn said(exit: Exit) -> Self {
        Self::new(exit, "")
    }

    /// Adds what a person can try.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A request that failed while doing `what`.
    pub fn request(what: &str, error: &ClientError) -> Self {
        let exit = match error {
            ClientError::Connect { .. }
            | ClientError::Timeout { .. }
            | ClientError::Broken { .. }
            | ClientError::Api { code: 503, .. } => Exit::UNAVAILABLE,
            ClientError::Api { .. } | ClientError::Protocol { .. } => Exit::FAILURE,
        };
        let failure = Self::new(exit, format!("{what}: {}", chain(error)));
        match error.hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    /// Output that cannot be written. A reader that went away (`| head`) needs no words.
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self::said(Exit::FAILURE);
        }
        Self::new(Exit::FAILURE, format!("cannot write output: {error}"))
    }
}
