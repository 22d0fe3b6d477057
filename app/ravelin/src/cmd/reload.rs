//! `ravelin reload`

use std::path::Path;
use std::process::ExitCode;

use ravelin_control::{Client, Message, RELOAD};

use super::fail;
use crate::cli::ReloadArgs;

/// Has the daemon read its configuration again, or another one, and shows what changes.
pub fn run(socket: &Path, args: &ReloadArgs) -> ExitCode {
    let mut message = Message::new();
    if let Some(file) = &args.file {
        match std::path::absolute(file) {
            Ok(file) => message.put("file", file.display()),
            Err(error) => return fail(error),
        }
    }
    message.put("dry-run", if args.dry_run { "yes" } else { "no" });
    let answer = match Client::connect(socket).and_then(|mut client| client.request(RELOAD, &message)) {
        Ok(answer) => answer,
        Err(error) => return fail(error),
    };
    for note in answer.list("notes").unwrap_or_default() {
        eprintln!("note: {note}");
    }
    if answer.text("success") != Some("yes") {
        return fail(answer.text("errmsg").unwrap_or("the daemon refused without a reason"));
    }
    for line in answer.list("changes").unwrap_or_default() {
        println!("{line}");
    }
    ExitCode::SUCCESS
}
