//! Document 003's grammar: one command line in, one typed [`Command`] out.
//!
//! ```text
//! arguments ──clap──► Verb (flags as written) ──policy.rs, remote.rs──► Command (what is meant) + notes
//!        └───────────────── BadLine: which argument, from which byte of it on, what was expected ◄──┘
//! ```
//!
//! The command line, `ike_rc` and the control socket all come through [`parse`], so a line means the same everywhere.

mod debug;
mod extensions;
pub mod help;
mod internal;
mod line;
mod listing;
mod manual;
pub mod options;
mod policy;
mod pool;
mod remote;
mod setkey;
mod vti;
mod written;
mod x509;

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use ravelin_types::interface::Interface;

pub use debug::{DebugArgs, Shown};
pub use line::Line;
pub use listing::{
    CallArgs, CommandsArgs, DiffArgs, FlushIke, FlushIpsec, IkeFlushArgs, IkeNetstatArgs, InitiateArgs, IpsecFlushArgs,
    IpsecNetstatArgs, Phase, RekeyArgs, ReloadArgs, TerminateArgs, Wait, WhyArgs,
};
pub use manual::{AddSaArgs, DelSaArgs};
pub use policy::PolicyArgs;
pub use pool::PoolArgs;
pub use remote::RemoteArgs;
pub use setkey::{ScriptSource, SetkeyArgs, SetkeyJob};
pub use vti::{VtiShowArgs, VtiVerb};
pub use written::{interface_line, pool_line};
pub use x509::X509Args;

use crate::papers::KeyAt;
use crate::spec::{ManualSpec, PolicySpec, PoolSpec, RemoteSpec, Which, X509Spec};
use crate::value::BadValue;

/// The families of commands, as clap reads them. A binary flattens this into its own grammar.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Policies: which traffic is protected, and how
    #[command(subcommand)]
    Ipsec(IpsecVerb),
    /// Remotes: whom keys are negotiated with, and how
    #[command(subcommand)]
    Ike(IkeVerb),
    /// Carry out the commands of a file: first all that configure, together or not at all, then the others in their order
    #[command(after_help = help::CALL)]
    Call(CallArgs),
    /// Read the configuration again, all of it or nothing; what is the same keeps its SAs
    #[command(after_help = help::RELOAD)]
    Reload(ReloadArgs),
    /// Say why there is no security association with a peer: what each exchange failed of, and what to change
    #[command(after_help = help::WHY)]
    Why(WhyArgs),
    /// Show where the system is not as the daemon wants it
    #[command(after_help = help::DIFF)]
    Diff(DiffArgs),
    /// Certificates: whom to trust, and our own
    #[command(subcommand)]
    Ce(CeVerb),
    /// Virtual interfaces, for route-based IPsec
    #[command(subcommand)]
    Vti(VtiVerb),
    /// Carry out scripts of setkey(8): security associations with keys given by hand, and policies, each of one direction
    #[command(after_help = help::SETKEY)]
    Setkey(SetkeyArgs),
}

/// `ce ...`
#[derive(Clone, Debug, Subcommand)]
pub enum CeVerb {
    /// Add, list, delete or verify certificates
    #[command(after_help = help::X509)]
    X509(X509Args),
}

/// `ipsec ...`
#[derive(Clone, Debug, Subcommand)]
pub enum IpsecVerb {
    /// Add, view or delete a policy
    #[command(after_help = help::POLICY)]
    Policy(Box<PolicyArgs>),
    /// Add a security association with keys given by hand, and the policy that sends by it
    #[command(after_help = help::ADDSA)]
    Addsa(Box<AddSaArgs>),
    /// Delete what addsa added
    #[command(after_help = help::DELSA)]
    Delsa(DelSaArgs),
    /// List security associations and policies
    #[command(after_help = help::IPSEC_NETSTAT)]
    Netstat(IpsecNetstatArgs),
    /// Delete all security associations, all policies, or both
    #[command(after_help = help::IPSEC_FLUSH)]
    Flush(IpsecFlushArgs),
}

/// `ike ...`
#[derive(Clone, Debug, Subcommand)]
pub enum IkeVerb {
    /// Add, view or delete a remote
    #[command(after_help = help::REMOTE)]
    Remote(Box<RemoteArgs>),
    /// Add, view or delete a pool of internal addresses for remotes that ask for one
    #[command(after_help = help::POOL)]
    Pool(PoolArgs),
    /// List IKE security associations and remotes
    #[command(after_help = help::IKE_NETSTAT)]
    Netstat(IkeNetstatArgs),
    /// Delete all IKE security associations, remotes, or both
    #[command(after_help = help::IKE_FLUSH)]
    Flush(IkeFlushArgs),
    /// Write the configuration as commands that make it anew
    #[command(after_help = help::COMMANDS)]
    Commands(CommandsArgs),
    /// Read the configuration again, all of it or nothing; what is the same keeps its SAs
    #[command(after_help = help::RELOAD)]
    Reload(ReloadArgs),
    /// Show what goes on while it happens, until it is interrupted; without an option, end what others are shown
    #[command(after_help = help::DEBUG)]
    Debug(DebugArgs),
    /// Negotiate a security association for a policy now
    #[command(after_help = help::INITIATE)]
    Initiate(InitiateArgs),
    /// Replace the IKE SA with a remote, or the SA of a policy, by a fresh one
    #[command(after_help = help::REKEY)]
    Rekey(RekeyArgs),
    /// Delete the IKE SA with a remote, or the SA of a policy, and tell the peer
    #[command(after_help = help::TERMINATE)]
    Terminate(TerminateArgs),
}

/// What a command line means.
#[derive(Clone, Debug)]
pub enum Command {
    /// `ipsec policy -n ...`
    AddPolicy(Box<PolicySpec>),
    /// `ipsec policy -v`, of all or of one
    ViewPolicies(Option<String>),
    /// `ipsec policy -x`
    DeletePolicy(Which),
    /// `ipsec addsa`
    AddSa(Box<ManualSpec>),
    /// `ipsec delsa`
    DeleteSa(DelSaArgs),
    /// `ipsec netstat`
    IpsecNetstat(IpsecNetstatArgs),
    /// `ipsec flush`
    IpsecFlush(FlushIpsec),
    /// `ike remote -n ...`
    AddRemote(Box<RemoteSpec>),
    /// `ike remote -v`, of all or of one
    ViewRemotes(Option<String>),
    /// `ike remote -x`
    DeleteRemote(Which),
    /// `ike pool -n ...`
    AddPool(Box<PoolSpec>),
    /// `ike pool -v`, of all or of one
    ViewPools(Option<String>),
    /// `ike pool -x`
    DeletePool(Which),
    /// `ce x509 -a`
    AddCertificate(X509Spec),
    /// `ce x509 -x`
    DeleteCertificate(PathBuf),
    /// `ce x509 -v`
    ViewCertificates,
    /// `ce x509 --verify`
    VerifyCertificate(PathBuf),
    /// `ce x509 --forget`
    ForgetLists,
    /// `ike netstat`
    IkeNetstat(IkeNetstatArgs),
    /// `ike flush`
    IkeFlush(FlushIke),
    /// `ike debug`
    Debug(DebugArgs),
    /// `ike initiate`
    Initiate(InitiateArgs),
    /// `ike rekey`
    Rekey(RekeyArgs),
    /// `ike terminate`
    Terminate(TerminateArgs),
    /// `diff`
    Diff,
    /// `vti add`
    AddInterface(Box<Interface>),
    /// `vti show`, of all or of one
    ViewInterfaces(Option<String>),
    /// `vti del`
    DeleteInterface(String),
    /// `ike commands`; the file is the caller's to write.
    Commands,
    /// `ike reload`
    Reload(ReloadArgs),
    /// `call`
    Call(PathBuf),
    /// `why`
    Why(String),
    /// `setkey`
    Setkey(Box<SetkeyJob>),
}

impl Command {
    /// The same with its paths as they are seen from `directory`, so that they mean the same everywhere.
    #[must_use]
    pub fn seen_from(mut self, directory: &Path) -> Self {
        let see = |path: &mut PathBuf| {
            let joined = directory.join(&*path);
            *path = std::path::absolute(&joined).unwrap_or(joined);
        };
        match &mut self {
            Command::AddRemote(spec) => spec.files().for_each(see),
            Command::AddCertificate(spec) => {
                let key = match &mut spec.key {
                    Some(KeyAt::File(path)) => Some(path),
                    Some(KeyAt::Token(_)) | None => None,
                };
                key.into_iter().chain(&mut spec.passphrase).chain([&mut spec.file]).for_each(see);
            }
            Command::DeleteCertificate(file) | Command::VerifyCertificate(file) => see(file),
            Command::AddSa(spec) => spec.key_files().for_each(see),
            Command::Call(file) => see(file),
            Command::Reload(args) => args.file.iter_mut().for_each(see),
            Command::Setkey(job) => match &mut job.source {
                ScriptSource::File(file) => see(file),
                ScriptSource::Input | ScriptSource::Text(_) => {}
            },
            _ => {}
        }
        self
    }
}

/// A command and what its author should know about it: a flag that has no effect, for instance.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// What to do.
    pub command: Command,
    /// One sentence each.
    pub notes: Vec<String>,
}

/// Why a command line cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Where; `None`: something is missing, so there is no place to point to.
    pub at: Option<Position>,
    /// What is wrong and what was expected.
    pub message: String,
}

/// A place in a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Index of the argument.
    pub argument: usize,
    /// Offset into it, in bytes.
    pub offset: usize,
}

/// A conflict between flags, found after each was read by itself: the flag to point to, if any, and the words.
#[derive(Clone, Debug)]
pub(crate) struct Conflict {
    flag: Option<(char, &'static str)>,
    message: String,
}

impl Conflict {
    pub(crate) fn at(flag: (char, &'static str), message: impl Into<String>) -> Self {
        Conflict { flag: Some(flag), message: message.into() }
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Conflict { flag: None, message: message.into() }
    }
}

#[derive(Parser)]
#[command(name = "", no_binary_name = true, disable_help_subcommand = true)]
struct Typed {
    #[command(subcommand)]
    verb: Verb,
}

/// Reads one command line, given as its arguments without the program's name: `["ipsec", "policy", ...]`. As in
/// document 003, `policy` and `remote` may stand alone.
///
/// # Errors
/// When an argument is unknown, missing, refused, or in conflict with another.
pub fn parse(arguments: &[String]) -> Result<Parsed, BadLine> {
    verb(arguments)?.interpret(arguments)
}

/// The whole grammar, to complete and to explain it by.
pub fn grammar() -> clap::Command {
    let mut grammar = Typed::command();
    grammar.build();
    grammar
}

/// The family of a command that may stand alone, as in document 003.
pub fn family(word: &str) -> Option<&'static str> {
    match word {
        "policy" => Some("ipsec"),
        "remote" => Some("ike"),
        _ => None,
    }
}

/// The flags of a command line as written, not yet taken together.
///
/// # Errors
/// When an argument is unknown, missing or refused.
pub fn verb(arguments: &[String]) -> Result<Verb, BadLine> {
    let family = arguments.first().and_then(|word| family(word));
    let line = family.into_iter().chain(arguments.iter().map(String::as_str));
    Typed::try_parse_from(line).map(|line| line.verb).map_err(|error| explain(&error, arguments))
}

impl Verb {
    /// Whether what the flags say together makes sense; `arguments` are those the verb was read from.
    ///
    /// # Errors
    /// When flags are in conflict or one is missing.
    pub fn interpret(&self, arguments: &[String]) -> Result<Parsed, BadLine> {
        interpret(self).map_err(|conflict| conflict.locate(arguments))
    }
}

fn interpret(verb: &Verb) -> Result<Parsed, Conflict> {
    let mut notes = Vec::new();
    let command = match verb {
        Verb::Ipsec(IpsecVerb::Policy(args)) => args.interpret(&mut notes)?,
        Verb::Ipsec(IpsecVerb::Addsa(args)) => args.interpret(&mut notes)?,
        Verb::Ipsec(IpsecVerb::Delsa(args)) => Command::DeleteSa(args.clone()),
        Verb::Ipsec(IpsecVerb::Netstat(args)) => Command::IpsecNetstat(args.clone()),
        Verb::Ipsec(IpsecVerb::Flush(args)) => Command::IpsecFlush(args.interpret()?),
        Verb::Ce(CeVerb::X509(args)) => args.interpret()?,
        Verb::Ike(IkeVerb::Remote(args)) => args.interpret(&mut notes)?,
        Verb::Ike(IkeVerb::Pool(args)) => args.interpret()?,
        Verb::Ike(IkeVerb::Netstat(args)) => Command::IkeNetstat(args.interpret()?),
        Verb::Ike(IkeVerb::Flush(args)) => Command::IkeFlush(args.interpret()?),
        Verb::Ike(IkeVerb::Debug(args)) => Command::Debug(args.clone()),
        Verb::Ike(IkeVerb::Initiate(args)) => Command::Initiate(args.clone()),
        Verb::Ike(IkeVerb::Rekey(args)) => Command::Rekey(args.clone()),
        Verb::Ike(IkeVerb::Terminate(args)) => Command::Terminate(args.clone()),
        Verb::Ike(IkeVerb::Commands(_)) => Command::Commands,
        Verb::Reload(args) | Verb::Ike(IkeVerb::Reload(args)) => Command::Reload(args.clone()),
        Verb::Call(args) => Command::Call(args.file.clone()),
        Verb::Why(args) => Command::Why(args.peer.clone()),
        Verb::Diff(_) => Command::Diff,
        Verb::Vti(verb) => verb.interpret()?,
        Verb::Setkey(args) => args.interpret()?,
    };
    Ok(Parsed { command, notes })
}

impl Conflict {
    fn locate(self, arguments: &[String]) -> BadLine {
        let at = self.flag.and_then(|(short, long)| {
            let exact = |argument: &String| {
                argument == &format!("-{short}")
                    || argument.strip_prefix("--").is_some_and(|rest| rest.split('=').next() == Some(long))
            };
            // `-wu` and `-hFILE` hide a flag inside of an argument.
            let inside = |argument: &String| {
                argument.starts_with('-') && !argument.starts_with("--") && argument.contains(short)
            };
            let argument = arguments.iter().position(exact).or_else(|| arguments.iter().position(inside))?;
            Some(Position { argument, offset: 0 })
        });
        BadLine { at, message: self.message }
    }
}

/// Clap's error as ours: its words without the usage page, and the place it means.
fn explain(error: &clap::Error, arguments: &[String]) -> BadLine {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let bad_value = error.source().and_then(|source| source.downcast_ref::<BadValue>());
    let written = match error.kind() {
        ErrorKind::InvalidSubcommand => text(ContextKind::InvalidSubcommand),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => text(ContextKind::InvalidValue),
        ErrorKind::MissingRequiredArgument => None,
        _ => text(ContextKind::InvalidArg),
    };
    let at = written.and_then(|written| {
        let flag = text(ContextKind::InvalidArg).and_then(|flag| flag.split(' ').next());
        let (argument, start) = find(arguments, flag.unwrap_or_default(), written)?;
        Some(Position { argument, offset: start + bad_value.map_or(0, |bad| bad.offset) })
    });
    let rendered = error.render().to_string();
    let body = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    let body = body.split("\n\nUsage:").next().unwrap_or(body).split("\n\nFor more information").next().unwrap_or(body);
    let lines: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_key = text(ContextKind::InvalidArg).is_some_and(|flag| flag.ends_with("<KEY>"));
    let message = match error.kind() {
        ErrorKind::ValueValidation if let (true, Some(bad)) = (is_key, bad_value) => bad.message.clone(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            "expected a whole command: ipsec policy|addsa|delsa|netstat|flush, ike remote|pool|netstat|flush|commands|reload|\
             debug|initiate|rekey|terminate, ce x509, call, reload, why, vti add|show|del, diff or setkey"
                .to_owned()
        }
        _ => lines.join("; ").replace(":; ", ": "),
    };
    BadLine { at, message }
}

/// The argument that holds `written`, and from which byte on. The same text may occur twice, so the flag it belongs
/// to decides; clap names a flag by its long form where it has one, so its short form is taken for granted.
fn find(arguments: &[String], flag: &str, written: &str) -> Option<(usize, usize)> {
    let ends_with = |argument: &String| argument.ends_with(written).then(|| argument.len() - written.len());
    let joined = arguments.iter().position(|argument| argument == &format!("{flag}={written}"));
    if let Some(index) = joined {
        return Some((index, flag.len() + 1));
    }
    let behind_flag =
        arguments.iter().zip(arguments.iter().skip(1)).position(|(first, second)| first == flag && second == written);
    if let Some(index) = behind_flag {
        return Some((index + 1, 0));
    }
    if let Some(index) = arguments.iter().position(|argument| argument == written) {
        return Some((index, 0));
    }
    arguments.iter().enumerate().find_map(|(index, argument)| Some((index, ends_with(argument)?)))
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadLine {}

#[cfg(test)]
mod tests;
