//! A web page, fetched by the host.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::texts::WEB_PORT;

const PATIENCE: Duration = Duration::from_secs(1);

/// The page of the web container on the machine with that address; why there is none otherwise.
pub fn page(address: Ipv4Addr) -> Result<String, String> {
    let address = SocketAddr::from((address, WEB_PORT));
    fetch(address).map_err(|error| format!("http://{address}/: {error}"))
}

fn fetch(address: SocketAddr) -> Result<String, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(format!("answered `{answer}`")),
    }
}
