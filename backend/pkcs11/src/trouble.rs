//! Why a key cannot be had, or does not sign.

use std::fmt;
use std::path::PathBuf;

use cryptoki::error::Error;

use crate::place::{BadPlace, Module};

/// Why a key cannot be had, or does not sign.
#[derive(Debug)]
pub enum Trouble {
    /// The URI.
    Place(BadPlace),
    /// No module of this name is registered with p11-kit in these folders.
    NoModule(String, &'static [&'static str]),
    /// The module cannot be loaded, or does not begin its work.
    Module(Module, String),
    /// No token is there that fits; those that are.
    NoToken(Vec<String>),
    /// Several tokens fit.
    Tokens(Vec<String>),
    /// There are as many tokens already.
    TooMany(usize),
    /// The token refuses the PIN.
    WrongPin(String),
    /// It refused this PIN before, and is not asked again.
    RefusedPin(String),
    /// It has locked the PIN.
    Locked(String),
    /// One more try would lock it, which is left to the operator.
    LastTry(String),
    /// Another PIN is in use for the token.
    OtherPin(String),
    /// No key on the token fits; whether we had a PIN to look with.
    NoKey(String, String, bool),
    /// Several keys fit.
    Keys(String, String),
    /// What the token tells of the key is not a public key that is known here.
    Public(String, String),
    /// The key is of a kind whose keys cannot sign on a token.
    Kind(String),
    /// The key makes no such signature.
    Scheme,
    /// The token fails.
    Token(String, String),
    /// It says nothing for so many seconds.
    Silent(u64),
    /// The file with the PIN.
    Pin(PathBuf, String),
}

impl Trouble {
    pub(crate) fn of(token: &str, error: &Error) -> Self {
        Trouble::Token(token.to_owned(), error.to_string())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = |f: &mut fmt::Formatter<'_>, names: &[String]| match names {
            [] => f.write_str("no token is there at all"),
            names => write!(f, "there are {}", names.join(", ")),
        };
        match self {
            Trouble::Place(bad) => bad.fmt(f),
            Trouble::NoModule(name, folders) => {
                write!(f, "no module {name} is registered with p11-kit: no {name}.module is in {}", folders.join(", "))
            }
            Trouble::Module(module @ Module::Proxy, why) => {
                write!(f, "{module} cannot be used: {why}; install p11-kit, or name the token's own module")
            }
            Trouble::Module(module, why) => write!(f, "{module} cannot be used: {why}"),
            Trouble::NoToken(names) => {
                f.write_str("no such token: ")?;
                there(f, names)
            }
            Trouble::Tokens(names) => {
                f.write_str("several tokens fit, name one by token= or serial=: ")?;
                there(f, names)
            }
            Trouble::TooMany(max) => write!(f, "there are {max} tokens already"),
            Trouble::WrongPin(token) => write!(f, "the token {token} refuses the PIN; it is not tried again"),
            Trouble::RefusedPin(token) => {
                write!(f, "the token {token} has refused this PIN before, so it was not tried again")
            }
            Trouble::Locked(token) => {
                write!(f, "the PIN of the token {token} is locked; its security officer can set a new one")
            }
            Trouble::LastTry(token) => write!(
                f,
                "the token {token} would lock its PIN if it were wrong once more, so it was not tried; log in by another \
                 program first"
            ),
            Trouble::OtherPin(token) => write!(f, "another PIN than this one opened the token {token} before"),
            Trouble::NoKey(token, key, true) => write!(f, "{key} is not on the token {token}"),
            Trouble::NoKey(token, key, false) => {
                write!(f, "{key} is not on the token {token}, as far as it shows without a PIN (pin-source=file:/…)")
            }
            Trouble::Keys(token, key) => {
                write!(f, "several keys on the token {token} fit {key}: name one by object= or id=")
            }
            Trouble::Public(token, why) => write!(f, "the public half of the key on the token {token}: {why}"),
            Trouble::Kind(token) => write!(
                f,
                "the key on the token {token} is of a kind that cannot sign there: RSA, ECDSA and Ed25519 can; keep the key in a file"
            ),
            Trouble::Scheme => f.write_str("the key does not make signatures of this scheme"),
            Trouble::Token(token, why) => write!(f, "the token {token} fails: {why}"),
            Trouble::Silent(seconds) => write!(f, "the token says nothing for {seconds} s"),
            Trouble::Pin(path, why) => write!(f, "the PIN in {}: {why}", path.display()),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<BadPlace> for Trouble {
    fn from(bad: BadPlace) -> Self {
        Trouble::Place(bad)
    }
}
