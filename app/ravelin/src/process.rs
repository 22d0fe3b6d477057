//! How this process speaks to whoever started it: its exit status, its output, and the signals that end it.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Exit status of a command line that cannot be taken.
pub const USAGE: u8 = 2;
/// Exit status of a command that failed.
pub const FAILED: u8 = 1;

/// Becomes true when somebody wants this process to end (SIGINT, SIGTERM) or its terminal is gone (SIGHUP), which then do not
/// end it themselves.
///
/// # Errors
/// The system's.
pub fn wanted_over() -> io::Result<Arc<AtomicBool>> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let wanted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, wanted.clone())?;
    }
    Ok(wanted)
}

/// Prints a text; the exit status, and 0 for success. Whoever reads our output may have seen enough (`| head`), which is no
/// failure.
pub fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: cannot write to the standard output: {error}");
            FAILED
        }
        _ => 0,
    }
}

/// Says why a command failed; its exit status.
pub fn fail(why: impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {why}");
    ExitCode::from(FAILED)
}
