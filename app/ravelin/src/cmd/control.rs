//! The verbs of document 003: checked here, carried out by the daemon, rendered here.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use ravelin_config::Verb;
use ravelin_config::command::BadLine;
use ravelin_control::{COMMAND_LINE, Client, Message};

use super::{USAGE, fail, wants_json};
use crate::render;

/// Sends the command line to the daemon and shows what it answers.
pub fn run(socket: &Path, verb: &Verb) -> ExitCode {
    let Some(argv) = own_arguments(env::args_os().skip(1)) else {
        return fail("an argument is not UTF-8 text");
    };
    if let Err(error) = verb.interpret(&argv) {
        return usage(&error, &argv);
    }
    let mut message = Message::new();
    message.put_list("argv", &argv);
    if let Ok(directory) = env::current_dir() {
        message.put("cwd", directory.display());
    }
    let answer = Client::connect(socket).and_then(|mut client| client.request(COMMAND_LINE, &message));
    match answer {
        Ok(answer) => show(&answer, wants_json(verb)),
        Err(error) => fail(error),
    }
}

fn show(answer: &Message, json: bool) -> ExitCode {
    for note in answer.list("notes").unwrap_or_default() {
        eprintln!("note: {note}");
    }
    if answer.text("success") != Some("yes") {
        eprintln!("error: {}", answer.text("errmsg").unwrap_or("the daemon refused without a reason"));
        return ExitCode::from(if answer.text("usage").is_some() { USAGE } else { super::FAILED });
    }
    let text = if json { render::json(answer) } else { render::tables(answer) };
    // A reader that has seen enough (`| head`) is no failure.
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => fail(error),
        _ => ExitCode::SUCCESS,
    }
}

fn usage(error: &BadLine, argv: &[String]) -> ExitCode {
    match error.at.and_then(|at| argv.get(at.argument)) {
        Some(argument) => eprintln!("error: at `{argument}`: {error}"),
        None => eprintln!("error: {error}"),
    }
    ExitCode::from(USAGE)
}

/// The arguments without `--socket PATH`, which is for this program alone.
fn own_arguments(arguments: impl Iterator<Item = OsString>) -> Option<Vec<String>> {
    let mut own = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument == "--socket" {
            arguments.next();
        } else if !argument.as_encoded_bytes().starts_with(b"--socket=") {
            own.push(argument.into_string().ok()?);
        }
    }
    Some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_not_sent() {
        let own = |line: &str| own_arguments(line.split(' ').map(OsString::from)).unwrap().join(" ");
        assert_eq!(own("--socket /s ipsec netstat"), "ipsec netstat");
        assert_eq!(own("ipsec --socket=/s netstat -c"), "ipsec netstat -c");
    }
}
