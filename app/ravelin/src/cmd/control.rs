//! The verbs of document 003: checked here, carried out by the daemon, rendered here.

use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ravelin_config::command::{self, BadLine, IkeVerb};
use ravelin_config::{Verb, setkey};
use ravelin_control::{COMMAND_LINE, Client, INPUT, Message};

use super::{FAILED, USAGE, debug, fail, wants_json};
use crate::render;

/// Carries out what was typed behind `ravelin`.
pub fn run(socket: &Path, verb: &Verb) -> ExitCode {
    let Some(argv) = own_arguments(env::args_os().skip(1)) else {
        return fail("an argument is not UTF-8 text");
    };
    let directory = env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    match carry_out(socket, verb, &argv, &directory) {
        0 => ExitCode::SUCCESS,
        status => ExitCode::from(status),
    }
}

/// Carries out a command line as typed in `directory`; the exit status, and 0 for success.
pub fn carry_out(socket: &Path, verb: &Verb, argv: &[String], directory: &Path) -> u8 {
    if let Err(error) = verb.interpret(argv) {
        return usage(&error, argv);
    }
    let mut message = Message::new();
    message.put_list("argv", argv);
    message.put("cwd", directory.display());
    if let Verb::Setkey(args) = verb
        && args.reads_input()
    {
        match standard_input() {
            Ok(pieces) => message.put_list(INPUT, pieces),
            Err(error) => return failed(format_args!("the standard input cannot be taken: {error}")),
        }
    }
    if let Verb::Ike(IkeVerb::Debug(args)) = verb
        && args.is_on()
    {
        return debug::run(socket, &message);
    }
    let answer = match Client::connect(socket).and_then(|mut client| client.request(COMMAND_LINE, &message)) {
        Ok(answer) => answer,
        Err(error) => return failed(error),
    };
    for note in answer.list("notes").unwrap_or_default() {
        eprintln!("note: {note}");
    }
    if answer.text("success") != Some("yes") {
        eprintln!("error: {}", answer.text("errmsg").unwrap_or("the daemon refused without a reason"));
        return if answer.text("usage").is_some() { USAGE } else { FAILED };
    }
    match verb {
        Verb::Ike(IkeVerb::Commands(args)) => match write_commands(&directory.join(&args.file), &answer) {
            Ok(()) => 0,
            Err(error) => failed(format_args!("{}: {error}", args.file.display())),
        },
        Verb::Call(_) => called(socket, &answer),
        _ => show(if wants_json(verb) { render::json(&answer) } else { render::tables(&answer) }),
    }
}

/// The standard input up to its end, in pieces that fit into a message.
fn standard_input() -> io::Result<Vec<String>> {
    /// Less than a value of a message can hold.
    const PIECE: usize = 32 * 1024;
    let mut text = String::new();
    // One more, so that the daemon sees that it is too long.
    io::stdin().lock().take(setkey::MAX_LEN as u64 + 1).read_to_string(&mut text)?;
    let mut pieces = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(PIECE));
        pieces.push(piece.to_owned());
        rest = more;
    }
    Ok(pieces)
}

fn show(text: String) -> u8 {
    // A reader that has seen enough (`| head`) is no failure.
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failed(error),
        _ => 0,
    }
}

/// The commands of a file that do not configure, in their order, up to the first that fails.
fn called(socket: &Path, answer: &Message) -> u8 {
    for (_, later) in answer.section("commands").iter().flat_map(|commands| commands.sections()) {
        let argv: Vec<String> = later.list("argv").unwrap_or_default().into_iter().map(str::to_owned).collect();
        let directory = Path::new(later.text("cwd").unwrap_or("/"));
        let status = match command::verb(&argv) {
            Ok(verb) => carry_out(socket, &verb, &argv, directory),
            Err(error) => usage(&error, &argv),
        };
        if status != 0 {
            eprintln!("error: {}: stopped at `{}`", later.text("place").unwrap_or_default(), argv.join(" "));
            return status;
        }
    }
    0
}

/// Writes the commands that make the configuration anew. Nobody else can read the file, and a link of its name is
/// replaced, not followed.
fn write_commands(path: &Path, answer: &Message) -> io::Result<()> {
    let mut text = format!("# Ravelin {}: ike commands\n", env!("CARGO_PKG_VERSION"));
    for left_out in answer.list("left-out").unwrap_or_default() {
        text.push_str(&format!("# Not here: {left_out}\n"));
    }
    let lines = answer.list("lines").unwrap_or_default();
    lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    if path.file_name().is_some_and(|name| name == "-") {
        return io::stdout().lock().write_all(text.as_bytes());
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy().into_owned();
    let written = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written)?;
    let done = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&written, path));
    done.inspect_err(|_| _ = fs::remove_file(&written))?;
    println!("{}: {} commands", path.display(), lines.len());
    Ok(())
}

fn failed(why: impl std::fmt::Display) -> u8 {
    eprintln!("error: {why}");
    FAILED
}

fn usage(error: &BadLine, argv: &[String]) -> u8 {
    match error.at.and_then(|at| argv.get(at.argument)) {
        Some(argument) => eprintln!("error: at `{argument}`: {error}"),
        None => eprintln!("error: {error}"),
    }
    USAGE
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
