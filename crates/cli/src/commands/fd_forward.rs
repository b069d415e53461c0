//! `fd-forward`: stdin and stdout connected to a unix socket. Blocking: two copies, nothing else.

use std::{
    io::{self, ErrorKind, Read},
    net::Shutdown,
    os::unix::net::UnixStream,
    thread,
};

use crate::{cli::FdForwardArgs, exit::Exit, failure::Failure, output::printer::Printer};

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// Runs the verb: ends when the other end of the socket does.
pub fn run(printer: &mut Printer<'_>, arguments: &FdForwardArgs) -> Result<Exit, Failure> {
    let path = &arguments.socket;
    let failed = |doing: &str, error: io::Error| {
        Failure::new(Exit::UNAVAILABLE, format!("cannot {doing} {}: {error}", path.display()))
    };
    let socket = UnixStream::connect(path).map_err(|error| failed("connect to", error))?;
    let mut near = socket.try_clone().map_err(|error| failed("use", error))?;
    // Ends with the process when the socket ends first.
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut near).and_then(|_| near.shutdown(Shutdown::Write));
    });
    forward(socket, printer, |error| failed("read from", error))
}

/// Copies without waiting for more than there is, as the far end may wait for us to act on it.
fn forward(
    mut from: impl Read,
    printer: &mut Printer<'_>,
    failed: impl Fn(io::Error) -> Failure,
) -> Result<Exit, Failure> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(Exit::SUCCESS),
            Ok(length) => printer.bytes(&chunk[..length])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
