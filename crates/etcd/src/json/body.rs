//! The JSON values in a request's body, taken one by one as they arrive.

use axum::body::BodyDataStream;
use futures_util::StreamExt;
use serde_json::Value;

use super::from_json;
use super::schema::Message;
use bytes::Bytes;

/// Largest request, in bytes of JSON; a request of etcd's default limit takes 2.1 MB in base64. Larger ones are refused.
const MAX_JSON_BYTES: usize = 24 << 20;

/// Bytes that have arrived, and the rest that is to come.
pub(super) struct Values {
    body: BodyDataStream,
    buffer: Vec<u8>,
    message: &'static Message,
}

impl Values {
    pub(super) fn new(body: axum::body::Body, message: &'static Message) -> Values {
        Values { body: body.into_data_stream(), buffer: Vec::new(), message }
    }

    /// The next value as a message; `None` at the end of the body, the reason if there is none to be had.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(value) = self.parse()? {
                let bytes = from_json::message(&value, self.message).map_err(|invalid| invalid.to_string())?;
                return Ok(Some(bytes.into()));
            }
            match self.body.next().await {
                Some(Ok(chunk)) if self.buffer.len() + chunk.len() > MAX_JSON_BYTES => {
                    return Err(format!("request body is larger than {MAX_JSON_BYTES} bytes"));
                }
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(error.to_string()),
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => return Err("unexpected EOF".to_owned()),
            }
        }
    }

    /// Takes a whole value off the buffer, if there is one.
    fn parse(&mut self) -> Result<Option<Value>, String> {
        let mut values = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => {
                let parsed = values.byte_offset();
                self.buffer.drain(..parsed);
                Ok(Some(value))
            }
            Some(Err(error)) if !error.is_eof() => Err(error.to_string()),
            Some(Err(_)) | None => Ok(None),
        }
    }
}
