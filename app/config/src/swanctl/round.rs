//! An authentication round of a connection: the sections `local` and `remote` of swanctl.conf.

use ravelin_eap::Method;
use ravelin_ike::config::IdPattern;
use ravelin_types::Identity;

use super::reader::{Problems, Reader};
use super::tree::Named;
use super::value::{self, Who};
use crate::eap::{self, EapSpec, Role};

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
    /// As a user: the methods, and what `eap_id` says.
    Eap(Vec<Method>, Option<Who>),
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
    let eap_id = match by {
        Some(By::Eap(..)) => reader.value("eap_id", value::who),
        _ => {
            reader.refuse(&["eap_id"], "it goes with auth = eap-mschapv2 or another method");
            None
        }
    };
    let by = by.map(|by| match by {
        By::Eap(methods, _) => By::Eap(methods, eap_id),
        other => other,
    });
    reader.refuse(&["certs", "pubkeys"], CERTIFICATES);
    reader.refuse(&["aaa_id"], "the responder proves itself before EAP begins, not in EAP");
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
        "eap" | "eap-dynamic" => Ok(By::Eap(eap::every_method(), None)),
        name if name.starts_with("eap-") => {
            eap::methods(name).map(|methods| By::Eap(methods, None)).map_err(|bad| bad.to_string())
        }
        _ => Err("expected psk, or eap-mschapv2 or another method".to_owned()),
    }
}

/// Which side is a user of EAP, if one is; without `eap_id` it is who it is in IKE.
pub(super) fn user(own: By, peer: By, own_id: &Identity) -> Result<Option<EapSpec>, String> {
    match (own, peer) {
        (By::Psk, By::Psk) => Ok(None),
        (By::Eap(..), By::Eap(..)) => {
            Err("EAP alone, without another proof of the responder, is not there yet".to_owned())
        }
        (By::Eap(methods, eap_id), peer) => {
            let user = match eap_id {
                Some(Who::Exactly(id)) => id,
                Some(Who::Like(_)) => return Err("`eap_id` of the side `local` is one user".to_owned()),
                None => own_id.clone(),
            };
            Ok(Some(EapSpec { role: Role::User(user), methods, psk: matches!(peer, By::Psk) }))
        }
        (own, By::Eap(methods, eap_id)) => {
            let ask_identity = eap_id.is_some();
            let users = match eap_id {
                Some(Who::Exactly(id)) => IdPattern::Exactly(id),
                Some(Who::Like(pattern)) => pattern,
                None => IdPattern::Any,
            };
            let role = Role::Authenticator { ask_identity, users, any_identity: false };
            Ok(Some(EapSpec { role, methods, psk: matches!(own, By::Psk) }))
        }
        (By::Certificate, _) | (_, By::Certificate) => Err(CERTIFICATES.to_owned()),
    }
}
