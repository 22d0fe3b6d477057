//! What a connection does beyond RFC 7296.

use ravelin_ike::config::IdPattern;
use ravelin_ike::extensions::{Childless, FullTranscript, NoGateway};
use ravelin_ike::{Tcp, limits};
use ravelin_pki::Lookup;

use super::reader::{Reader, flag, time};
use crate::spec::{CHILDLESS, ExtensionSpec, OCSP, PPK_IN, TCP_PORT, UNIQUE};
use crate::value::address::{self, Address};
use crate::value::{uri, who};

/// `yes`, `no` or those that are followed to.
fn follow(reader: &mut Reader<'_>) -> Vec<Address> {
    let read = |text: &str| match flag(text) {
        Ok(false) => Ok(None),
        Ok(true) => address::address("%any").map(Some),
        Err(_) => address::address(text).map(Some),
    };
    let listed = reader.list("follow_redirects", read);
    listed
        .map_or_else(|| address::address("%any").into_iter().collect(), |listed| listed.into_iter().flatten().collect())
}

fn window(text: &str) -> Result<u32, String> {
    let size = text.parse().ok().filter(|size| (1..=limits::WINDOW).contains(size));
    size.ok_or_else(|| format!("expected a number from 1 to {}", limits::WINDOW))
}

/// `yes`, `no`, or where.
fn hash_and_url(text: &str) -> Result<Lookup, String> {
    match flag(text) {
        Ok(true) => Ok(Lookup::Anywhere),
        Ok(false) => Ok(Lookup::Never),
        Err(_) => uri::lookup(text).map_err(|bad| bad.message),
    }
}

/// Ours, and with `no`, `auto` and `yes` Libreswan's.
const FULL_TRANSCRIPT: [(&str, FullTranscript); 6] = [
    ("never", FullTranscript::Never),
    ("allow", FullTranscript::Allow),
    ("require", FullTranscript::Require),
    ("no", FullTranscript::Never),
    ("auto", FullTranscript::Allow),
    ("yes", FullTranscript::Require),
];

/// The options of a connection that ask for it.
pub(super) fn read(reader: &mut Reader<'_>) -> ExtensionSpec {
    // Ours: strongSwan has no TCP.
    let number = |text: &str| text.parse().ok().filter(|port| *port != 0).ok_or_else(|| "expected a port".to_owned());
    let port = reader.value("tcp_port", number).unwrap_or(TCP_PORT);
    let when =
        reader.word("tcp", &[("no", None), ("fallback", Some(false)), ("always", Some(true)), ("yes", Some(true))]);
    ExtensionSpec {
        tcp: when.flatten().map(|at_once| Tcp { port, at_once }),
        mobike: reader.flag("mobike").unwrap_or(true),
        childless: reader.word("childless", &CHILDLESS).unwrap_or(Childless::Allow),
        reauth: reader.value("reauth_time", time).filter(|time| !time.is_zero()),
        over_time: reader.value("over_time", time),
        unique: reader.word("unique", UNIQUE).unwrap_or_default(),
        // Ours: in strongSwan they are those of its whole daemon, and of a command.
        follow: follow(reader),
        redirect: reader.value("redirect_to", |text| text.parse().map_err(|bad: NoGateway| bad.to_string())),
        // Ours: strongSwan resumes nothing.
        resumption: reader.flag("session_resumption").unwrap_or(false),
        // Ours: strongSwan has no tokens.
        crash_detection: reader.flag("crash_detection").unwrap_or(false),
        // Ours: strongSwan announces no methods.
        announce: reader.flag("announce").unwrap_or(false),
        // Ours: in strongSwan it is a switch of its whole daemon.
        full_transcript: reader.word("full_transcript_auth", &FULL_TRANSCRIPT).unwrap_or_default(),
        ppk_id: reader.value("ppk_id", |text| who::who(text).map(IdPattern::from)),
        ppk_file: None,
        ppk_required: reader.flag("ppk_required").unwrap_or(false),
        // Ours: strongSwan has no key in IKE_INTERMEDIATE.
        ppk_in: reader.word("ppk_in", PPK_IN).unwrap_or_default(),
        // Ours: strongSwan always takes part.
        cluster: reader.flag("cluster").unwrap_or(false),
        // Ours: strongSwan has one.
        window: reader.value("window", window).unwrap_or(1),
        ocsp: reader.word("ocsp", OCSP).unwrap_or_default(),
        // Ours: in strongSwan it is a switch of its whole daemon.
        hash_and_url: uri::lookups(reader.list("hash_and_url", hash_and_url).unwrap_or_default()),
    }
}
