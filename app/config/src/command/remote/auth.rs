//! How the two of a remote prove who they are.

use std::path::PathBuf;

use clap::ValueEnum;
use ravelin_eap::Method;
use ravelin_ike::config::IdPattern;
use ravelin_types::Identity;

use super::RemoteArgs;
use crate::command::Conflict;
use crate::spec::{Beside, EapSpec, NullSides, RadiusSpec, Role, SignatureSpec, XauthSpec};
use crate::value::eap;
use crate::value::who::{IdWord, Who, who};
use crate::value::{BadValue, did_you_mean};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuthWord {
    PresharedKey,
    RsaSig,
    Hybrid,
    Null,
    Eap(Vec<Method>),
}

/// Who proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum NullSide {
    /// This host.
    Own,
    /// The remote.
    Peer,
}

pub(super) fn auth_word(text: &str) -> Result<AuthWord, BadValue> {
    const WORDS: &[&str] = &["PresharedKey", "PSK", "RSASIG", "HYBRID", "NULL", "EAP"];
    match text.to_ascii_lowercase().as_str() {
        "presharedkey" | "psk" => Ok(AuthWord::PresharedKey),
        "rsasig" => Ok(AuthWord::RsaSig),
        "hybrid" => Ok(AuthWord::Hybrid),
        "null" => Ok(AuthWord::Null),
        "eap" => Ok(AuthWord::Eap(eap::every_method())),
        "eap-radius" => Ok(AuthWord::Eap(Vec::new())),
        word if word.starts_with("eap-") => eap::methods(text).map(AuthWord::Eap),
        _ => {
            let hint = did_you_mean(text, WORDS.iter().copied());
            Err(BadValue::new(format!(
                "expected PresharedKey (or PSK), RSASIG, HYBRID, NULL, or EAP methods like EAP-MSCHAPV2{hint}"
            )))
        }
    }
}

pub(super) fn eap_user(text: &str) -> Result<Who, BadValue> {
    who(text).map_err(BadValue::new)
}

impl RemoteArgs {
    /// Who proves nothing.
    pub(super) fn null(&self) -> Result<NullSides, Conflict> {
        let null = match (&self.auth, self.null) {
            (AuthWord::Null, None) => NullSides { own: true, peer: true },
            (AuthWord::Null, Some(_)) => {
                return Err(Conflict::at(('\0', "null"), "with -m NULL neither side proves anything"));
            }
            (AuthWord::PresharedKey | AuthWord::RsaSig, side) => {
                NullSides { own: side == Some(NullSide::Own), peer: side == Some(NullSide::Peer) }
            }
            (_, None) => NullSides::default(),
            (_, Some(_)) => {
                return Err(Conflict::at(('\0', "null"), "it goes with -m PresharedKey or RSASIG, of the other side"));
            }
        };
        if null.peer && self.peer_id.is_some() {
            return Err(Conflict::at(('f', "peer-id"), "a remote that proves nothing is nobody; leave it out"));
        }
        if self.version == 1 && null != NullSides::default() {
            return Err(Conflict::at(('m', "auth"), "NULL authentication is of IKEv2; say -z 2"));
        }
        Ok(null)
    }

    /// The certificates, with what follows from them.
    pub(super) fn signature(&self) -> Result<Option<SignatureSpec>, Conflict> {
        if matches!(self.auth, AuthWord::PresharedKey | AuthWord::Null) {
            let given = [
                (!self.certificate.is_empty(), ('c', "certificate")),
                (self.peer_certificate.is_some(), ('b', "peer-certificate")),
                (self.peer_signatures.is_some(), ('\0', "peer-signatures")),
                (self.own_signatures.is_some(), ('\0', "own-signatures")),
            ];
            return match given.into_iter().find(|(given, _)| *given) {
                Some((_, flag)) => Err(Conflict::at(flag, "a certificate goes with -m RSASIG")),
                None => Ok(None),
            };
        }
        // A user of EAP has a password, or with EAP-TLS a certificate, and who logs in in hybrid mode a login.
        let is_user = match self.auth {
            AuthWord::Eap(_) => self.initiate,
            AuthWord::Hybrid => self.xauth_login.is_some(),
            AuthWord::PresharedKey | AuthWord::RsaSig | AuthWord::Null => false,
        };
        let by_certificate = self.eap_methods().iter().any(|method| !method.has_password());
        if is_user && matches!(self.auth, AuthWord::Eap(_)) && !by_certificate && !self.certificate.is_empty() {
            let why = "a user of EAP has a password (-h), not a certificate, but with EAP-TLS";
            return Err(Conflict::at(('c', "certificate"), why));
        }
        let proves = self.null != Some(NullSide::Own);
        if !proves && !self.certificate.is_empty() {
            return Err(Conflict::at(('c', "certificate"), "with --null own this host proves nothing; leave it out"));
        }
        // RFC 5998 §3: by a SIM both sides prove themselves, and nobody has a certificate.
        let by_sim = self.eap_only && !self.eap_methods().iter().any(|method| method.is_over_tls());
        if self.certificate.is_empty() && proves && !by_sim && (!is_user || by_certificate) {
            return Err(Conflict::missing("expected -c FILES, our own certificate first"));
        }
        let peer_subject = match (&self.peer_id, &self.peer_certificate) {
            (Some(IdWord::Subject), None) => {
                let why = "asn1dn: without a name is that of the remote's certificate; name its file with -b";
                return Err(Conflict::at(('f', "peer-id"), why));
            }
            (Some(IdWord::Subject), Some(_)) | (None, Some(_)) => true,
            (Some(IdWord::Given(_) | IdWord::Like(_)), _) | (None, None) => false,
        };
        Ok(Some(SignatureSpec {
            revocation: self.revocation,
            own: self.certificate.clone(),
            peer: self.peer_certificate.clone(),
            own_subject: !is_user && proves && !matches!(self.own_id, Some(IdWord::Given(_))),
            peer_subject,
            own_restrictions: self.own_signatures.clone().unwrap_or_default(),
            peer_restrictions: self.peer_signatures.clone().unwrap_or_default(),
        }))
    }

    /// The file of the pre-shared key, of passwords, or of the secret of RADIUS servers.
    pub(super) fn secret(&self) -> Result<Option<PathBuf>, Conflict> {
        let by_password = self.eap_methods().iter().any(|method| method.has_password());
        let refused = |why: &str| Err(Conflict::at(('h', "secret-file"), why.to_owned()));
        match (&self.auth, &self.secret_file) {
            (_, None) if by_password || !self.radius.is_empty() => Err(Conflict::missing(
                "expected -h FILE with the password, with -u those of the users, or the secret of --radius",
            )),
            (AuthWord::Eap(methods), Some(_))
                if methods.contains(&Method::Tls) && !by_password && self.radius.is_empty() =>
            {
                refused("EAP-TLS has no password: it takes certificates (-c)")
            }
            (AuthWord::Eap(_), file) => Ok(file.clone()),
            (AuthWord::Null, Some(_)) => refused("with -m NULL neither side proves anything"),
            (AuthWord::RsaSig | AuthWord::Hybrid, Some(_)) => refused("a pre-shared key does not go with -m RSASIG"),
            (AuthWord::PresharedKey, None) => Err(Conflict::missing("expected -h FILE with the pre-shared key")),
            (AuthWord::PresharedKey, file) => Ok(file.clone()),
            (AuthWord::Null | AuthWord::RsaSig | AuthWord::Hybrid, None) => Ok(None),
        }
    }

    /// The methods of EAP, best first; none without it.
    pub(super) fn eap_methods(&self) -> &[Method] {
        match &self.auth {
            AuthWord::Eap(methods) => methods,
            AuthWord::PresharedKey | AuthWord::RsaSig | AuthWord::Hybrid | AuthWord::Null => &[],
        }
    }

    /// Who of the two is the user of EAP, if one is.
    pub(super) fn eap(&self, own_id: &Identity) -> Result<Option<EapSpec>, Conflict> {
        let AuthWord::Eap(methods) = &self.auth else {
            let given = [
                ("aaa-id", self.aaa_id.is_some()),
                ("eap-only", self.eap_only),
                ("radius", !self.radius.is_empty()),
                ("radius-accounting", !self.radius_accounting.is_empty()),
                ("radius-authorizers", !self.radius_authorizers.is_empty()),
                ("user-groups", !self.user_groups.is_empty()),
            ];
            if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
                return Err(Conflict::at(('\0', flag), "it goes with -m EAP-TLS, EAP-RADIUS or another method"));
            }
            return match self.eap_id {
                Some(_) => {
                    Err(Conflict::at(('\0', "eap-id"), "a user of EAP goes with -m EAP-MSCHAPV2 or another method"))
                }
                None => Ok(None),
            };
        };
        if self.initiate && self.accept {
            let why = "with EAP the side that starts is the user; say -w where the user is, and -u on the other side";
            return Err(Conflict::at(('m', "auth"), why));
        }
        let role = match (self.initiate, &self.eap_id) {
            (true, Some(Who::Like(_))) => {
                return Err(Conflict::at(('\0', "eap-id"), "with -w it is one user"));
            }
            (true, Some(Who::Exactly(user))) => Role::User(user.clone()),
            (true, None) => Role::User(own_id.clone()),
            (false, user) => Role::Authenticator {
                ask_identity: true,
                users: user.clone().map_or(IdPattern::Any, IdPattern::from),
                any_identity: self.peer_id.is_none(),
            },
        };
        if methods.is_empty() == self.radius.is_empty() {
            return Err(Conflict::missing("-m EAP-RADIUS and --radius ADDRESS go together"));
        }
        for (flag, given) in [
            ("radius-accounting", !self.radius_accounting.is_empty()),
            ("radius-authorizers", !self.radius_authorizers.is_empty()),
            ("user-groups", !self.user_groups.is_empty()),
        ] {
            if given && self.radius.is_empty() {
                return Err(Conflict::at(
                    ('\0', flag),
                    "it is about users whom RADIUS servers know: say --radius, too",
                ));
            }
        }
        if !self.radius.is_empty() && self.initiate {
            return Err(Conflict::at(('\0', "radius"), "it is for the side that asks who the user is (-u)"));
        }
        let one_sided = methods.iter().find(|method| !method.is_mutual()).map(|method| method.name());
        if let (true, Some(method)) = (self.eap_only, one_sided.or(methods.is_empty().then_some("EAP-RADIUS"))) {
            let why = format!("{method} does not prove both sides; with it the side that is no user has a certificate");
            return Err(Conflict::at(('\0', "eap-only"), why));
        }
        let server = match &self.aaa_id {
            Some(Who::Exactly(server)) if self.initiate => Some(server.clone()),
            Some(_) => return Err(Conflict::at(('\0', "aaa-id"), "with -w it is one server; with -u it is this host")),
            None => None,
        };
        let beside = if self.eap_only { Beside::Nothing } else { Beside::Certificate };
        let radius = RadiusSpec {
            servers: self.radius.clone(),
            accounting: self.radius_accounting.clone(),
            authorizers: self.radius_authorizers.clone(),
            groups: self.user_groups.clone(),
        };
        Ok(Some(EapSpec {
            role,
            methods: methods.clone(),
            beside,
            radius,
            server,
            restrictions: self.peer_signatures.clone().unwrap_or_default(),
            revocation: self.revocation.into(),
        }))
    }

    pub(super) fn xauth(&self) -> Result<Option<XauthSpec>, Conflict> {
        let xauth = match (&self.xauth_users, &self.xauth_login) {
            (Some(file), _) => Some((XauthSpec::Users(Some(file.clone())), "xauth-users")),
            (None, Some(file)) => Some((XauthSpec::LoginFile(file.clone()), "xauth-login")),
            (None, None) => None,
        };
        match xauth {
            Some((_, flag)) if self.version != 1 => Err(Conflict::at(('\0', flag), "XAuth is of IKEv1; say -z 1")),
            Some((xauth, _)) => Ok(Some(xauth)),
            None if self.auth == AuthWord::Hybrid => {
                Err(Conflict::at(('m', "auth"), "HYBRID takes --xauth-users on one side, --xauth-login on the other"))
            }
            None => Ok(None),
        }
    }
}
