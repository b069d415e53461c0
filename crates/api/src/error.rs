//! The body of every answer that is not a success.

use serde::{Deserialize, Serialize};

/// `{"error":{"code":404,"message":"unit does not exist"}}`, as fleet answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The one field of the body.
    pub error: ErrorDetail,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorDetail {
    /// The HTTP status, repeated.
    pub code: u16,
    /// Why, for people. May be empty.
    #[serde(default)]
    pub message: String,
}

impl ErrorBody {
    /// A body for the HTTP status `code`.
    pub fn new(code: u16, message: impl Into<String>) -> Self {
        Self { error: ErrorDetail { code, message: message.into() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_shape_of_fleet() {
        let body = ErrorBody::new(404, "unit does not exist");
        let json = r#"{"error":{"code":404,"message":"unit does not exist"}}"#;
        assert_eq!(serde_json::to_string(&body).unwrap(), json);
        assert_eq!(serde_json::from_str::<ErrorBody>(json).unwrap(), body);
    }
}
