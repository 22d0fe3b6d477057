//! What a connection does beyond RFC 7296.

use ravelin_ike::Tcp;
use ravelin_ike::extensions::Childless;

use super::reader::{Reader, time};
use super::value;
use crate::command::{CHILDLESS, ExtensionSpec, TCP_PORT, UNIQUE};

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
        unique: reader.word("unique", UNIQUE).unwrap_or_default(),
        ppk_id: reader.value("ppk_id", value::id),
        ppk_file: None,
        ppk_required: reader.flag("ppk_required").unwrap_or(false),
    }
}
