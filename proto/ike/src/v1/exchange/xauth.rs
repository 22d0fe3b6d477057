//! XAuth: after phase 1 one side, the user, also says a name and a password (draft-beaulieu-ike-xauth-02).
//!
//! ```text
//!   <--  REQUEST(XAUTH-TYPE, -USER-NAME, -USER-PASSWORD)      REPLY(the same, filled)  -->
//!   <--  SET(XAUTH-STATUS)                                    ACK  -->
//! ```
//! Nothing is negotiated under the ISAKMP SA before the user is known. From then on the peer is that user: peers that
//! share the key of a group are told apart by their names.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use ravelin_wire::ike::v1::{Attribute, Cfg, CfgAttribute, CfgType, NotifyType};
use subtle::ConstantTimeEq;

use super::transaction::{self, Asked};
use crate::config::{IkeVersion, Remote, Xauth};
use crate::context::Core;
use crate::error::{Disagreement, Error};
use crate::explain::Part;
use crate::ike_sa::Ends;
use crate::live::Live;
use crate::output::DownReason;
use crate::v1::session::Session;

/// The only type there is: a name and a password.
const GENERIC: u32 = 0;

/// What a remote wants of XAuth.
pub(crate) fn of(remote: &Remote) -> Option<&Xauth> {
    match &remote.version {
        IkeVersion::V1(v1) => v1.xauth.as_ref(),
        IkeVersion::V2 => None,
    }
}

/// Whether a message is about XAuth.
pub(crate) fn concerns(cfg: &Cfg) -> bool {
    cfg.attributes.iter().any(|attribute| attribute.kind >= CfgAttribute::XAUTH_TYPE.0 && attribute.kind < 16640)
}

/// Asks the user.
pub(crate) fn request(session: &mut Session, ends: &Ends, core: &mut Core) {
    let attributes = vec![
        Attribute::number(CfgAttribute::XAUTH_TYPE.0, GENERIC),
        Attribute::bytes(CfgAttribute::XAUTH_USER_NAME.0, Vec::new()),
        Attribute::bytes(CfgAttribute::XAUTH_USER_PASSWORD.0, Vec::new()),
    ];
    transaction::ask(session, ends, Asked::Login, CfgType::REQUEST, attributes, core);
}

fn value(cfg: &Cfg, kind: CfgAttribute) -> Option<&[u8]> {
    let found = cfg.attributes.iter().find(|attribute| attribute.kind == kind.0)?.as_bytes();
    // Some send the string with its end.
    Some(found.strip_suffix(&[0]).unwrap_or(found))
}

/// Judges what the user said, and tells the verdict.
pub(crate) fn judge(session: &mut Session, ends: &Ends, cfg: &Cfg, core: &mut Core) {
    let name = value(cfg, CfgAttribute::XAUTH_USER_NAME).unwrap_or_default();
    let password = value(cfg, CfgAttribute::XAUTH_USER_PASSWORD).unwrap_or_default();
    let Some(Xauth::Ask(accounts)) = of(&session.remote) else { return };
    let known = accounts.password(name);
    let right = !password.is_empty() && known.is_some_and(|known| bool::from(known.expose().ct_eq(password)));
    if right {
        session.identities.1 = ravelin_eap::identity(name);
    } else {
        let theirs = vec![alloc::format!("XAuth as {}", ravelin_eap::identity(name))];
        let ours = vec![alloc::format!("the users of remote {}", session.remote.name)];
        let error = Error::Authentication(Disagreement::new(Part::Login, theirs, ours));
        core.failed(error.failure(session.place_of(ends, "XAuth", None)));
    }
    let status = vec![Attribute::number(CfgAttribute::XAUTH_STATUS.0, right.into())];
    transaction::ask(session, ends, Asked::Verdict(right), CfgType::SET, status, core);
}

/// The user has our verdict.
pub(crate) fn judged(session: &mut Session, ends: &Ends, right: bool, core: &mut Core) {
    match right {
        true => session.admit(ends, core),
        false => session.close(DownReason::ProtocolError),
    }
}

/// Our name and password, where we are the user and no more is asked.
pub(crate) fn answer(session: &Session, ends: &Ends, cfg: &Cfg, core: &mut Core) -> Vec<Attribute> {
    let refuse = |core: &mut Core, theirs: String| {
        let ours = vec!["a name and a password".into()];
        let error = Error::Authentication(Disagreement::new(Part::Configuration, vec![theirs], ours));
        core.failed(error.failure(session.place_of(ends, "XAuth", None)));
        vec![Attribute::number(CfgAttribute::XAUTH_STATUS.0, 0)]
    };
    let Some(Xauth::Login { user, password }) = of(&session.remote) else {
        return refuse(core, "asks for an XAuth login that is not configured".into());
    };
    let mut attributes = Vec::new();
    for asked in &cfg.attributes {
        match CfgAttribute(asked.kind) {
            CfgAttribute::XAUTH_TYPE if asked.as_number().unwrap_or(0) == u64::from(GENERIC) => {
                attributes.push(Attribute::number(asked.kind, GENERIC));
            }
            CfgAttribute::XAUTH_USER_NAME => attributes.push(Attribute::bytes(asked.kind, user.as_bytes())),
            CfgAttribute::XAUTH_USER_PASSWORD => {
                attributes.push(Attribute::bytes(asked.kind, password.expose()));
            }
            CfgAttribute::XAUTH_MESSAGE | CfgAttribute::XAUTH_DOMAIN => {}
            other => return refuse(core, alloc::format!("XAuth asks for {other}")),
        }
    }
    attributes
}

/// The acknowledgement of a verdict.
pub(crate) fn acknowledge(cfg: &Cfg) -> Vec<Attribute> {
    let about = |attribute: &&Attribute| attribute.kind == CfgAttribute::XAUTH_STATUS.0;
    cfg.attributes.iter().filter(about).cloned().collect()
}

/// The verdict about us.
pub(crate) fn told(session: &mut Session, ends: &Ends, cfg: &Cfg, core: &mut Core) {
    let status = cfg.attributes.iter().find(|attribute| attribute.kind == CfgAttribute::XAUTH_STATUS.0);
    let Some(Xauth::Login { user, .. }) = of(&session.remote) else { return };
    if status.and_then(Attribute::as_number) == Some(1) {
        session.admit(ends, core);
        return;
    }
    let ours = vec![alloc::format!("XAuth as {user}")];
    let error = Error::Authentication(Disagreement::new(
        Part::Login,
        vec![NotifyType::AUTHENTICATION_FAILED.to_string()],
        ours,
    ));
    core.failed(error.failure(session.place_of(ends, "XAuth", None)));
    session.close(DownReason::ProtocolError);
}
