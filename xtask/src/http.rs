//! The little HTTP that the demo and the bench speak: one request on one connection.

use std::io::{Read, Write};

use anyhow::{Context, Result};

/// The largest answer that is read, in bytes.
const MAX_ANSWER: u64 = 4 << 20;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

/// One request, with a JSON body or none, and its answer. HTTP/1.0, so that the connection's end is the answer's end.
pub fn exchange(mut stream: impl Read + Write, method: &str, path: &str, json: Option<&str>) -> Result<Answer> {
    let body = json.unwrap_or_default();
    let about = json.map(|_| format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    let about = about.unwrap_or_default();
    let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n{about}\r\n{body}");
    stream.write_all(request.as_bytes()).context("can't send the request")?;
    let mut bytes = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut bytes).context("can't read the answer")?;
    parse(&String::from_utf8_lossy(&bytes))
}

fn parse(answer: &str) -> Result<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer ends in its head")?;
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).context("the answer has no status")?;
    Ok(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::net::{TcpListener, TcpStream};

    #[test]
    fn answers_have_a_status_and_a_body() {
        let answer = parse("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        assert_eq!(answer, Answer { status: 200, body: "hi".to_owned() });
        assert_eq!(parse("HTTP/1.1 204 No Content\r\n\r\n").unwrap().status, 204);
        for bad in ["", "HTTP/1.0 200 OK\r\n", "hello\r\n\r\n"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_is_fetched_from_a_real_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 100];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nwelcome").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let stream = TcpStream::connect(address).unwrap();
        assert_eq!(exchange(stream, "GET", "/", None).unwrap().body, "welcome");
        assert!(server.join().unwrap().starts_with("GET / HTTP/1.0\r\n"));
    }
}
