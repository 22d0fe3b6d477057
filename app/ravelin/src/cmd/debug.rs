//! `ravelin ike debug -t -d`: prints what the daemon tells until one of the two ends it.

use std::io::{self, Write};
use std::path::Path;

use ravelin_control::{COMMAND_LINE, Client, ClientError, DEBUG_EVENT, Message};

use crate::process::FAILED;

/// Registers, asks, and prints; the exit status, and 0 for success.
pub fn run(socket: &Path, message: &Message) -> u8 {
    let mut seen = 0;
    let mut print = |event: &Message| -> io::Result<()> {
        let number = event.text("number").and_then(|number| number.parse().ok()).unwrap_or(seen + 1);
        let mut out = io::stdout().lock();
        if number > seen + 1 {
            writeln!(out, "({} left out here: more came than could be shown)", number - seen - 1)?;
        }
        seen = number;
        out.write_all(event.text("text").unwrap_or_default().as_bytes())?;
        out.flush()
    };
    let answer = Client::connect(socket).and_then(|mut client| {
        client.register(DEBUG_EVENT)?;
        client.request_hearing(COMMAND_LINE, message, |_, event| print(event))
    });
    match answer {
        Ok(answer) if answer.text("success") == Some("yes") => 0,
        Ok(answer) => {
            eprintln!("error: {}", answer.text("errmsg").unwrap_or("the daemon refused without a reason"));
            FAILED
        }
        // Whoever reads our output has seen enough.
        Err(ClientError::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            eprintln!("error: {error}");
            FAILED
        }
    }
}
