//! The `confd` binary.

use std::ffi::OsString;
use std::process::ExitCode;

use flota_confd::{Line, VERSION, read, run};

#[expect(clippy::print_stdout, reason = "the answer to -version")]
fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match read(&arguments) {
        Ok(Line::Start(start)) => run(*start),
        Ok(Line::Version) => {
            println!("{VERSION}");
            ExitCode::SUCCESS
        }
        // Help goes to standard output and is no failure.
        Err(error) => error.exit(),
    }
}
