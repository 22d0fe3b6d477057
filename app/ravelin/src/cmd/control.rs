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

use super::{debug, wants_json};
use crate::process::{FAILED, USAGE, fail, print};
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
        Verb::Ike(IkeVerb::Commands(args)) if args.file == Path::new("-") => print(&commands(&answer)),
        Verb::Ike(IkeVerb::Commands(args)) => {
            let text = commands(&answer);
            match write_commands(&directory.join(&args.file), &text) {
                Ok(()) => {
                    let count = answer.list("lines").unwrap_or_default().len();
                    print(&format!("{}: {count} commands\n", args.file.display()))
                }
                Err(error) => failed(format_args!("cannot write {}: {error}", args.file.display())),
            }
        }
        Verb::Call(_) => called(socket, &answer),
        _ => print(&if wants_json(verb) { render::json(&answer) } else { render::tables(&answer) }),
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

/// The commands that make the configuration anew.
fn commands(answer: &Message) -> String {
    let mut text = format!("# Ravelin {}: ike commands\n", env!("CARGO_PKG_VERSION"));
    for left_out in answer.list("left-out").unwrap_or_default() {
        text.push_str(&format!("# Not here: {left_out}\n"));
    }
    for line in answer.list("lines").unwrap_or_default() {
        text.push_str(&format!("{line}\n"));
    }
    text
}

/// Writes a file that nobody else can read, in the place of one of its name. A link or a device is neither followed nor
/// replaced: root would lose `/dev/null`.
fn write_commands(path: &Path, text: &str) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io::Error::other("that is no regular file; name another, or `-f -` to print"));
    }
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_string_lossy().into_owned();
    let written = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&written)?;
    let done = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&written, path));
    done.inspect_err(|_| _ = fs::remove_file(&written))
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
    fn a_file_of_commands_replaces_files_alone() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let scratch = std::env::temp_dir().join(format!("ravelin-commands-{}", std::process::id()));
        fs::create_dir_all(&scratch).unwrap();
        let at = |name: &str| scratch.join(name);
        fs::write(at("old"), "old").unwrap();
        write_commands(&at("old"), "new").unwrap();
        assert_eq!(fs::read_to_string(at("old")).unwrap(), "new");
        assert_eq!(fs::metadata(at("old")).unwrap().permissions().mode() & 0o777, 0o600);
        symlink("/dev/null", at("link")).unwrap();
        for other in [at("link"), at(""), PathBuf::from("/dev/null")] {
            assert!(write_commands(&other, "new").unwrap_err().to_string().contains("no regular file"), "{other:?}");
        }
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        fs::remove_dir_all(&scratch).unwrap();
    }

    #[test]
    fn the_socket_is_not_sent() {
        let own = |line: &str| own_arguments(line.split(' ').map(OsString::from)).unwrap().join(" ");
        assert_eq!(own("--socket /s ipsec netstat"), "ipsec netstat");
        assert_eq!(own("ipsec --socket=/s netstat -c"), "ipsec netstat -c");
    }
}
