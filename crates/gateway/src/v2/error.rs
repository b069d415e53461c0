//! PURE. The errors of v2: codes, words and HTTP status as etcd has them.

use serde::Serialize;

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// 100.
    KeyNotFound,
    /// 101.
    CompareFailed,
    /// 102.
    NotFile,
    /// 104.
    NotDirectory,
    /// 105.
    Exists,
    /// 107.
    RootReadOnly,
    /// 108.
    DirectoryNotEmpty,
    /// 110.
    Unauthorized,
    /// 201.
    PrevValueRequired,
    /// 202.
    TtlNotNumber,
    /// 203.
    IndexNotNumber,
    /// 209.
    InvalidField,
    /// 210.
    InvalidForm,
    /// 211.
    RefreshValue,
    /// 212.
    RefreshTtlRequired,
    /// 300: the store did not do it.
    Internal,
    /// 401.
    IndexCleared,
}

impl Code {
    /// etcd's number, its words and the HTTP status.
    fn facts(self) -> (u16, &'static str, u16) {
        match self {
            Code::KeyNotFound => (100, "Key not found", 404),
            Code::CompareFailed => (101, "Compare failed", 412),
            Code::NotFile => (102, "Not a file", 403),
            Code::NotDirectory => (104, "Not a directory", 400),
            Code::Exists => (105, "Key already exists", 412),
            Code::RootReadOnly => (107, "Root is read only", 400),
            Code::DirectoryNotEmpty => (108, "Directory not empty", 403),
            Code::Unauthorized => (110, "The request requires user authentication", 401),
            Code::PrevValueRequired => (201, "PrevValue is Required in POST form", 400),
            Code::TtlNotNumber => (202, "The given TTL in POST form is not a number", 400),
            Code::IndexNotNumber => (203, "The given index in POST form is not a number", 400),
            Code::InvalidField => (209, "Invalid field", 400),
            Code::InvalidForm => (210, "Invalid POST form", 400),
            Code::RefreshValue => (211, "Value provided on refresh", 400),
            Code::RefreshTtlRequired => (212, "A TTL must be provided on refresh", 400),
            Code::Internal => (300, "Raft Internal Error", 500),
            Code::IndexCleared => (401, "The event in requested index is outdated and cleared", 400),
        }
    }
}

/// A refusal, as the client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} ({cause})", code.facts().1)]
pub struct V2Error {
    /// What kind.
    pub code: Code,
    /// About what.
    pub cause: String,
    /// The store's index; 0 where the request was refused before it was asked.
    pub index: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    error_code: u16,
    message: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    cause: &'a str,
    index: i64,
}

impl V2Error {
    /// A refusal before the store was asked.
    pub fn new(code: Code, cause: impl Into<String>) -> V2Error {
        V2Error { code, cause: cause.into(), index: 0 }
    }

    /// The same, when the store is at `index`.
    pub fn at(self, index: i64) -> V2Error {
        V2Error { index, ..self }
    }

    /// HTTP status.
    pub fn status(&self) -> u16 {
        self.code.facts().2
    }

    /// The answer's body.
    pub fn body(&self) -> Vec<u8> {
        let (error_code, message, _) = self.code.facts();
        super::json::encode(&Body { error_code, message, cause: &self.cause, index: self.index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_read_as_etcds() {
        let error = V2Error::new(Code::CompareFailed, "[9 != 2]").at(5);
        let body = String::from_utf8(error.body()).unwrap();
        assert_eq!(body, "{\"errorCode\":101,\"message\":\"Compare failed\",\"cause\":\"[9 != 2]\",\"index\":5}\n");
        assert_eq!(error.status(), 412);
        let body = V2Error::new(Code::NotFile, "").at(7).body();
        assert_eq!(body, b"{\"errorCode\":102,\"message\":\"Not a file\",\"index\":7}\n");
    }
}
