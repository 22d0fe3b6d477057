//! `ravelin shell`: the lines of an `ike_rc`, typed behind the prompt of document 003.

use std::path::Path;
use std::process::ExitCode;

use clap::Command;
use ravelin_config::{command, rc};
use rustyline::completion::Completer;
use rustyline::config::Configurer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::control;
use crate::process::{FAILED, USAGE, fail, print};

/// Document 003's prompt.
const PROMPT: &str = "-> ";
/// Lines that can be called back.
const HISTORY: usize = 1000;
/// What only the shell knows.
const OWN: [&str; 3] = ["help", "exit", "quit"];

/// Reads lines and carries them out until the end of the input, `exit` or `quit`; the status is that of the last line.
///
/// The history is kept in memory alone: a line may hold a key.
pub fn run(socket: &Path) -> ExitCode {
    let grammar = command::grammar();
    let history = MemHistory::new();
    let mut editor = match Editor::with_history(Config::default(), history) {
        Ok(editor) => editor,
        Err(error) => return fail(format_args!("the terminal cannot be used: {error}")),
    };
    editor.set_completion_type(CompletionType::List);
    let _ = editor.set_max_history_size(HISTORY);
    editor.set_helper(Some(Words(grammar.clone())));
    let mut status = 0;
    loop {
        match editor.readline(PROMPT) {
            Ok(line) => {
                let _ = editor.add_history_entry(line.trim_end());
                match carry_out(socket, &grammar, &line) {
                    Some(carried_out) => status = carried_out,
                    None => break,
                }
            }
            // As every shell does: the line is given up, not the shell.
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return fail(error),
        }
    }
    ExitCode::from(status)
}

/// The exit status of a line; `None`: the shell ends.
fn carry_out(socket: &Path, grammar: &Command, line: &str) -> Option<u8> {
    let words = match rc::split(line) {
        Ok(words) => words,
        Err((column, error)) => {
            eprintln!("error: column {column}: {error}");
            return Some(USAGE);
        }
    };
    match words.first().map(String::as_str) {
        None => return Some(0),
        Some("exit" | "quit") => return None,
        Some("help") => {
            return Some(print(&help(grammar, &words[1..])));
        }
        Some(_) => {}
    }
    let Ok(directory) = std::env::current_dir() else { return Some(FAILED) };
    match command::verb(&words) {
        Ok(verb) => Some(control::carry_out(socket, &verb, &words, &directory)),
        Err(error) => {
            eprintln!("error: {error}");
            Some(USAGE)
        }
    }
}

/// What can be typed: the commands, or the options of the one that the words name.
fn help(grammar: &Command, words: &[String]) -> String {
    let mut at = grammar;
    for word in words {
        match at.find_subcommand(word) {
            Some(next) => at = next,
            None => return format!("there is no {word} here\n"),
        }
    }
    if at.has_subcommands() {
        let mut text = String::new();
        for next in at.get_subcommands().filter(|next| !next.is_hide_set()) {
            let about = next.get_about().map(ToString::to_string).unwrap_or_default();
            text.push_str(&format!("{:<12} {about}\n", next.get_name()));
        }
        return text;
    }
    // Its examples are of a shell of the system.
    at.clone().render_help().to_string().replace("\n  ravelin ", "\n  ")
}

/// What may stand in the place of `partial`, behind `words`.
fn complete(grammar: &Command, words: &[String], partial: &str) -> Vec<String> {
    let mut at = grammar;
    let mut depth = 0;
    // As the grammar has it, these two may stand alone.
    if let Some(family) = words.first().and_then(|word| command::family(word))
        && let Some(next) = at.find_subcommand(family)
    {
        at = next;
    }
    for word in words {
        match at.find_subcommand(word) {
            Some(next) => (at, depth) = (next, depth + 1),
            None => break,
        }
    }
    let arguments = || at.get_arguments().filter(|argument| !argument.is_hide_set());
    let flag = words.last().filter(|word| word.starts_with('-')).map(|word| word.trim_start_matches('-'));
    let valued = arguments().find(|argument| {
        let named = |flag: &str| {
            argument.get_long() == Some(flag) || argument.get_short().map(String::from).as_deref() == Some(flag)
        };
        flag.is_some_and(named) && argument.get_action().takes_values()
    });
    let mut all: Vec<String> = match valued {
        Some(argument) => argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect(),
        None => {
            let longs = arguments().filter_map(|argument| argument.get_long()).map(|long| format!("--{long}"));
            let shorts = arguments().filter_map(|argument| argument.get_short()).map(|short| format!("-{short}"));
            let commands = at.get_subcommands().map(|next| next.get_name().to_owned());
            let own = OWN.iter().filter(|_| depth == 0 && words.is_empty()).map(|word| (*word).to_owned());
            commands.chain(own).chain(shorts).chain(longs).collect()
        }
    };
    all.retain(|word| word.starts_with(partial));
    all.sort();
    all.dedup();
    all
}

/// Completes words of the grammar.
struct Words(Command);

impl Completer for Words {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..at).unwrap_or(line);
        let start = typed.rfind(char::is_whitespace).map_or(0, |blank| blank + 1);
        let words: Vec<String> = typed[..start].split_whitespace().map(str::to_owned).collect();
        let words = complete(&self.0, &words, &typed[start..]);
        Ok((start, words.into_iter().map(|word| format!("{word} ")).collect()))
    }
}

impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> Vec<String> {
        let (before, partial) = line.rsplit_once(' ').unwrap_or(("", line));
        let words: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
        complete(&command::grammar(), &words, partial)
    }

    #[test]
    fn words_are_completed_from_the_grammar() {
        assert_eq!(completed("ips"), ["ipsec"]);
        assert_eq!(completed("e"), ["exit"]);
        assert_eq!(completed("ike re"), ["rekey", "reload", "remote"]);
        assert_eq!(completed("ike deb"), ["debug"]);
        assert_eq!(completed("ike debug --show "), ["identities", "public", "secrets"]);
        assert_eq!(completed("ipsec netstat --fl"), ["--flows"]);
        assert!(completed("policy -").contains(&"-n".to_owned()));
        assert!(completed("remote --aggr").contains(&"--aggressive".to_owned()));
        // What a value may be is not known of a name.
        assert!(completed("ipsec policy -n ").is_empty());
        assert!(completed("nonsense x").is_empty() || completed("nonsense x").iter().all(|word| word.starts_with('x')));
    }

    #[test]
    fn help_names_every_command() {
        let text = help(&command::grammar(), &[]);
        for word in ["ipsec", "ike", "call", "reload", "why", "diff", "ce", "vti", "setkey"] {
            assert!(text.lines().any(|line| line.starts_with(word)), "{text}");
        }
        let debug = help(&command::grammar(), &["ike".into(), "debug".into()]);
        assert!(debug.contains("--trace") && debug.contains("\n  ike debug -t\n"), "{debug}");
        assert_eq!(help(&command::grammar(), &["ikke".into()]), "there is no ikke here\n");
    }
}
