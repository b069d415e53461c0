//! The client against a socket that answers with canned bytes.

use std::path::Path;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
};

use super::*;

/// Answers each request with the next of `answers`, and returns the request lines seen.
fn canned(path: &Path, answers: Vec<String>) -> tokio::task::JoinHandle<Vec<String>> {
    let listener = UnixListener::bind(path).unwrap();
    tokio::spawn(async move {
        let mut seen = Vec::new();
        let mut stream = listener.accept().await.unwrap().0;
        for answer in answers {
            let mut buffer = vec![0; 4096];
            let mut length = stream.read(&mut buffer).await.unwrap();
            if length == 0 {
                // The client dialled again.
                stream = listener.accept().await.unwrap().0;
                length = stream.read(&mut buffer).await.unwrap();
            }
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            seen.push(request.lines().next().unwrap().to_owned());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        seen
    })
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn client(path: &Path) -> Client {
    Client::new(Endpoint::Unix(path.to_owned()))
}

#[tokio::test]
async fn follows_pages_on_one_connection() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    let server = canned(
        &socket,
        vec![
            answer("200 OK", r#"{"units":[{"name":"a.service"}],"nextPageToken":"ZAACAA=="}"#),
            answer("200 OK", r#"{"units":[{"name":"b.service"}]}"#),
        ],
    );
    let units = client(&socket).units().await.unwrap();
    let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
    assert_eq!(names, ["a.service", "b.service"]);
    assert_eq!(
        server.await.unwrap(),
        ["GET /fleet/v1/units HTTP/1.1", "GET /fleet/v1/units?nextPageToken=ZAACAA%3D%3D HTTP/1.1"]
    );
}

#[tokio::test]
async fn dials_again_when_the_daemon_closed_the_connection() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = tokio::spawn(async move {
        for _ in 0..2 {
            let mut stream = listener.accept().await.unwrap().0;
            let mut buffer = [0; 4096];
            assert!(stream.read(&mut buffer).await.unwrap() > 0);
            stream.write_all(answer("200 OK", "{}").as_bytes()).await.unwrap();
        }
    });
    let client = client(&socket);
    assert_eq!(client.machines().await.unwrap(), []);
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(client.machines().await.unwrap(), []);
    server.await.unwrap();
}

#[tokio::test]
async fn a_missing_unit_is_not_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    let gone = r#"{"error":{"code":404,"message":"unit does not exist"}}"#;
    let refused = r#"{"error":{"code":500,"message":""}}"#;
    let server = canned(
        &socket,
        vec![
            answer("404 Not Found", gone),
            answer("404 Not Found", gone),
            answer("500 Internal Server Error", refused),
        ],
    );
    let client = client(&socket);
    assert_eq!(client.unit("a.service").await.unwrap(), None);
    let error = client.destroy("a.service").await.unwrap_err();
    assert_eq!(error.to_string(), "unit does not exist");
    let error = client.set_desired("a.service", DesiredState::Loaded).await.unwrap_err();
    assert_eq!(error.to_string(), "the daemon answered 500 Internal Server Error");
    let seen = server.await.unwrap();
    assert_eq!(seen[1], "DELETE /fleet/v1/units/a.service HTTP/1.1");
    assert_eq!(seen[2], "PUT /fleet/v1/units/a.service HTTP/1.1");
}

#[tokio::test]
async fn nobody_there_and_nonsense() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("api.sock");
    let error = client(&socket).health().await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to unix://{}", socket.display()));
    assert_eq!(error.hint(), Some("is flota.service running? try: systemctl status flota"));

    let server = canned(&socket, vec![answer("200 OK", "<html>"), "SSH-2.0-x\r\n".into()]);
    let client = client(&socket);
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    let error = client.health().await.unwrap_err();
    assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
    server.await.unwrap();
}
