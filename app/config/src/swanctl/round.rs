//! An authentication round of a connection: the sections `local` and `remote` of swanctl.conf.

use ravelin_eap::Method;
use ravelin_ike::config::IdPattern;
use ravelin_types::Identity;

use super::reader::{Problems, Reader};
use super::tree::Named;
use super::value::{self, Who};
use crate::eap::{self, Beside, EapSpec, Role};

/// The one authentication round of a side.
pub(super) struct Round {
    /// Who it is; `None`: nothing is said.
    pub id: Option<Who>,
    /// How it proves that.
    pub by: By,
}

/// How a side proves who it is.
pub(super) enum By {
    /// By a pre-shared key.
    Psk,
    /// By a signature.
    Certificate,
    /// As a user.
    Eap(User),
}

/// A user of EAP.
pub(super) struct User {
    methods: Vec<Method>,
    /// What `eap_id` says.
    id: Option<Who>,
    /// What `aaa_id` says: whom the certificate of the server behind EAP names.
    server: Option<Identity>,
}

const CERTIFICATES: &str = "certificates are not there yet; use auth = psk";

/// Reads the round of a side, `local` or `remote`.
pub(super) fn read(connection: &Named, side: &'static str, problems: &mut Problems) -> Option<Round> {
    let mut rounds = connection.section.sections.iter().filter(|named| named.name.starts_with(side));
    let Some(named) = rounds.next() else {
        problems.add(connection.at.remark(format!("the section `{side}` with auth = psk is missing")));
        return None;
    };
    if let Some(second) = rounds.next() {
        problems.add(second.at.remark("a second authentication round is not there yet"));
    }
    let mut reader = Reader::new(&named.section, &named.at, problems);
    reader.value("round", |text| text.parse::<u32>().map_err(|_| "expected a number".to_owned()));
    let by = match reader.setting("auth") {
        Some(setting) => {
            let by = setting.text().and_then(|word| {
                method(word.trim(), side)
                    .map_err(|why| setting.at.remark(format!("`auth` is not supported with this value: {why}")))
            });
            reader.problems.take(by)
        }
        None if side == "remote" => Some(By::Certificate),
        None => {
            reader.wrong(format!("`auth` is missing, and its default is pubkey: {CERTIFICATES}"));
            None
        }
    };
    let by = match by {
        Some(By::Eap(user)) => {
            let id = reader.value("eap_id", value::who);
            Some(By::Eap(User { id, ..user }))
        }
        by => {
            reader.refuse(&["eap_id"], "it goes with auth = eap-mschapv2 or another method");
            by
        }
    };
    let by = match by {
        Some(By::Eap(user)) if side == "local" && user.methods.iter().any(|method| !method.has_password()) => {
            let server = reader.value("aaa_id", value::id);
            Some(By::Eap(User { server, ..user }))
        }
        by => {
            if side == "local" {
                reader.refuse(&["aaa_id"], "it is whom the certificate of the server behind auth = eap-tls names");
            }
            by
        }
    };
    reader.refuse(&["certs", "pubkeys"], CERTIFICATES);
    reader.refuse(&["xauth_id"], "XAuth is of IKEv1 and not there yet");
    let id = if side == "local" {
        reader.value("id", |text| value::id(text).map(Who::Exactly))
    } else {
        reader.refuse(&["groups", "cert_policy", "cacerts", "ca_id"], CERTIFICATES);
        reader.only("revocation", &["relaxed"], CERTIFICATES);
        reader.value("id", value::who)
    };
    reader.finish(&[]);
    Some(Round { id, by: by? })
}

/// What a word of `auth` means for a side.
fn method(word: &str, side: &str) -> Result<By, String> {
    match word.to_ascii_lowercase().as_str() {
        "psk" => Ok(By::Psk),
        // Whoever proves himself to us so does it to the authorities of ce x509.
        "pubkey" if side == "remote" => Ok(By::Certificate),
        "pubkey" => Err(CERTIFICATES.to_owned()),
        "eap" | "eap-dynamic" => Ok(as_user(eap::every_method())),
        name if name.starts_with("eap-") => eap::methods(name).map(as_user).map_err(|bad| bad.to_string()),
        _ => Err("expected psk, or eap-mschapv2 or another method".to_owned()),
    }
}

fn as_user(methods: Vec<Method>) -> By {
    By::Eap(User { methods, id: None, server: None })
}

/// Which side is a user of EAP, if one is; without `eap_id` it is who it is in IKE. Both sides by one method: it proves both,
/// and the user is the side that has somebody to initiate to.
pub(super) fn user(own: By, peer: By, own_id: &Identity, initiates: bool) -> Result<Option<EapSpec>, String> {
    match (own, peer) {
        (By::Psk, By::Psk) => Ok(None),
        (By::Eap(own), By::Eap(peer)) => {
            if own.methods != peer.methods || !own.methods.iter().all(|method| method.is_mutual()) {
                return Err("EAP on both sides takes one method that proves both: eap-tls".to_owned());
            }
            let user = match initiates {
                true => user_of(own, own_id, Beside::Nothing)?,
                false => users(peer, Beside::Nothing),
            };
            Ok(Some(user))
        }
        (By::Eap(own), peer) => user_of(own, own_id, beside(&peer)).map(Some),
        (own, By::Eap(peer)) => Ok(Some(users(peer, beside(&own)))),
        (By::Certificate, _) | (_, By::Certificate) => Err(CERTIFICATES.to_owned()),
    }
}

fn beside(other: &By) -> Beside {
    match other {
        By::Psk => Beside::Psk,
        By::Certificate => Beside::Certificate,
        By::Eap(_) => Beside::Nothing,
    }
}

fn user_of(own: User, own_id: &Identity, beside: Beside) -> Result<EapSpec, String> {
    let user = match own.id {
        Some(Who::Exactly(id)) => id,
        Some(Who::Like(_)) => return Err("`eap_id` of the side `local` is one user".to_owned()),
        None => own_id.clone(),
    };
    Ok(EapSpec { role: Role::User(user), methods: own.methods, beside, server: own.server })
}

fn users(peer: User, beside: Beside) -> EapSpec {
    let ask_identity = peer.id.is_some();
    let users = match peer.id {
        Some(Who::Exactly(id)) => IdPattern::Exactly(id),
        Some(Who::Like(pattern)) => pattern,
        None => IdPattern::Any,
    };
    let role = Role::Authenticator { ask_identity, users, any_identity: false };
    EapSpec { role, methods: peer.methods, beside, server: None }
}
