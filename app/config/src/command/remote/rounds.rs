//! `--then-own` and `--then-peer` of `ike remote`: what a side proves after its first proof (RFC 4739).

use std::path::{Path, PathBuf};

use ravelin_eap::Method;
use ravelin_ike::config::IdPattern;
use ravelin_ike::limits::PROOFS;
use ravelin_types::Identity;

use super::RemoteArgs;
use crate::command::Conflict;
use crate::command::line::Line;
use crate::spec::{Beside, EapSpec, OwnBy, OwnRoundSpec, PeerBy, PeerRoundSpec, Role, RoundsSpec};
use crate::value::eap;
use crate::value::identity;
use crate::value::{BadValue, who};

/// A round as written: `METHOD,KEY=VALUE,...`.
#[derive(Clone, Debug)]
pub(super) struct RoundWord {
    by: By,
    id: Option<IdPattern>,
    user: Option<IdPattern>,
    file: Option<PathBuf>,
    certificates: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    Psk,
    Signature,
    Eap(Vec<Method>),
}

/// Reads one.
pub(super) fn round(text: &str) -> Result<RoundWord, BadValue> {
    let (method, rest) = text.split_once(',').unwrap_or((text, ""));
    let by = match method.to_ascii_lowercase().as_str() {
        "psk" | "presharedkey" => By::Psk,
        "rsasig" => By::Signature,
        word if word.starts_with("eap-") => By::Eap(eap::methods(&method.replace('+', ","))?),
        _ => {
            let why = "expected PSK, RSASIG, or EAP methods like EAP-MSCHAPV2 or EAP-MSCHAPV2+EAP-GTC, and KEY=VALUE after it";
            return Err(BadValue::new(why.to_owned()));
        }
    };
    let mut round = RoundWord { by, id: None, user: None, file: None, certificates: Vec::new() };
    let mut at = method.len() + 1;
    for part in parts(rest) {
        let bad = |why: String| BadValue::at(at, why);
        let (key, value) =
            part.split_once('=').ok_or_else(|| bad("expected id=ID, user=ID, file=FILE or certificate=FILE".into()))?;
        let id = || who::pattern(value).map_err(|error| bad(error.message));
        match key {
            "id" => round.id = Some(id()?),
            "user" => round.user = Some(id()?),
            "file" => round.file = Some(value.into()),
            "certificate" => round.certificates.push(value.into()),
            _ => return Err(bad(format!("expected id, user, file or certificate, not {key}"))),
        }
        at += part.len() + 1;
    }
    Ok(round)
}

/// The parts between commas. Those of a distinguished name are its own, unless a key stands behind them.
fn parts(text: &str) -> Vec<&str> {
    const KEYS: [&str; 4] = ["id=", "user=", "file=", "certificate="];
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_name = rest.split_once('=').is_some_and(|(_, value)| {
            let value = value.split(',').next().unwrap_or_default();
            value.contains('=')
        });
        let commas = rest.match_indices(',').map(|(at, _)| at);
        let ends = |at: &usize| !is_name || KEYS.iter().any(|key| rest[at + 1..].starts_with(key));
        let end = commas.into_iter().find(ends).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    parts
}

impl RemoteArgs {
    /// What the two prove after their first proof.
    pub(super) fn rounds(&self) -> Result<RoundsSpec, Conflict> {
        let (own, peer) = (('\0', "then-own"), ('\0', "then-peer"));
        for (words, flag) in [(&self.then_own, own), (&self.then_peer, peer)] {
            if words.len() >= PROOFS {
                return Err(Conflict::at(flag, format!("a side proves itself {PROOFS} times at most")));
            }
            if !words.is_empty() && self.version == 1 {
                return Err(Conflict::at(flag, "more than one proof of a side is of IKEv2; say -z 2"));
            }
        }
        let rounds = RoundsSpec {
            own: self
                .then_own
                .iter()
                .map(RoundWord::own)
                .collect::<Result<_, _>>()
                .map_err(|why| Conflict::at(own, why))?,
            peer: self
                .then_peer
                .iter()
                .map(RoundWord::peer)
                .collect::<Result<_, _>>()
                .map_err(|why| Conflict::at(peer, why))?,
        };
        let (may_begin, may_answer) = rounds.roles();
        match (self.initiate && !may_begin, self.accept && !may_answer) {
            (true, _) => Err(Conflict::at(peer, "only who starts can be a user of EAP; say -u, without -w")),
            (_, true) => Err(Conflict::at(own, "only who starts can be a user of EAP; say -w, without -u")),
            _ => Ok(rounds),
        }
    }
}

fn exactly(pattern: Option<&IdPattern>) -> Option<Identity> {
    match pattern {
        Some(IdPattern::Exactly(id)) => Some(id.clone()),
        _ => None,
    }
}

fn user_spec(role: Role, methods: &[Method]) -> EapSpec {
    EapSpec {
        role,
        methods: methods.to_vec(),
        beside: Beside::Certificate,
        radius: Default::default(),
        server: None,
        restrictions: Default::default(),
        revocation: Default::default(),
    }
}

impl RoundWord {
    /// Whether a key of a line goes with the method.
    fn check(&self, own: bool) -> Result<(), String> {
        let user = matches!(self.by, By::Eap(_));
        let needed = |given: bool, what: &str| if given { Ok(()) } else { Err(format!("expected {what}")) };
        if self.user.is_some() && !user {
            return Err("user=ID goes with a method of EAP".into());
        }
        if !self.certificates.is_empty() && (self.by != By::Signature || !own) {
            return Err("certificate=FILE goes with --then-own RSASIG".into());
        }
        match self.by {
            By::Signature if self.file.is_some() => Err("file=FILE does not go with RSASIG".into()),
            By::Signature if own => needed(!self.certificates.is_empty(), "certificate=FILE, our own first"),
            By::Signature => Ok(()),
            By::Psk => needed(self.file.is_some(), "file=FILE with the pre-shared key"),
            By::Eap(_) => needed(self.file.is_some(), "file=FILE with the password, or those of the users"),
        }
    }

    fn own(&self) -> Result<OwnRoundSpec, String> {
        self.check(true)?;
        let user = exactly(self.user.as_ref());
        let id =
            exactly(self.id.as_ref()).or_else(|| user.clone()).ok_or("expected id=ID, who this host says it is")?;
        let by = match &self.by {
            By::Psk => OwnBy::Psk(self.file.clone()),
            By::Signature => OwnBy::Certificates(self.certificates.clone()),
            By::Eap(methods) => {
                OwnBy::Eap(user_spec(Role::User(user.unwrap_or_else(|| id.clone())), methods), self.file.clone())
            }
        };
        Ok(OwnRoundSpec { id, by })
    }

    fn peer(&self) -> Result<PeerRoundSpec, String> {
        self.check(false)?;
        let peers = match (&self.id, &self.by) {
            (Some(id), _) => id.clone(),
            (None, By::Eap(_)) => IdPattern::Any,
            (None, By::Psk | By::Signature) => return Err("expected id=ID, whom this host takes".into()),
        };
        let by = match &self.by {
            By::Psk => PeerBy::Psk(self.file.clone()),
            By::Signature => PeerBy::Authorities,
            By::Eap(methods) => {
                let users = self.user.clone().unwrap_or(IdPattern::Any);
                let role = Role::Authenticator { ask_identity: true, users, any_identity: false };
                PeerBy::Eap(user_spec(role, methods), self.file.clone())
            }
        };
        Ok(PeerRoundSpec { peers, by })
    }
}

impl RoundsSpec {
    /// Adds them to the line of their remote.
    pub(in crate::command) fn written(&self, line: &mut Line) {
        self.own.iter().for_each(|round| line.value("--then-own", round.word()));
        self.peer.iter().for_each(|round| line.value("--then-peer", round.word()));
    }
}

impl OwnRoundSpec {
    /// As `--then-own` reads it. What was loaded has no file.
    pub fn word(&self) -> String {
        let id = identity::written(&self.id);
        match &self.by {
            OwnBy::Psk(key) => format!("PSK,id={id}{}", in_file(key.as_deref())),
            OwnBy::Certificates(files) => {
                let files: String = files.iter().map(|file| format!(",certificate={}", file.display())).collect();
                format!("RSASIG,id={id}{files}")
            }
            OwnBy::Signature(_) => format!("RSASIG,id={id}"),
            OwnBy::Eap(eap, password) => {
                format!("{},id={id}{}{}", methods(eap), user(eap), in_file(password.as_deref()))
            }
        }
    }
}

impl PeerRoundSpec {
    /// As `--then-peer` reads it. What was loaded has no file.
    pub fn word(&self) -> String {
        let id = who::pattern_word(&self.peers);
        match &self.by {
            PeerBy::Psk(key) => format!("PSK,id={id}{}", in_file(key.as_deref())),
            PeerBy::Authorities | PeerBy::Signature(_) => format!("RSASIG,id={id}"),
            PeerBy::Eap(eap, passwords) => {
                format!("{},id={id}{}{}", methods(eap), user(eap), in_file(passwords.as_deref()))
            }
        }
    }
}

fn in_file(file: Option<&Path>) -> String {
    file.map_or_else(String::new, |file| format!(",file={}", file.display()))
}

fn user(eap: &EapSpec) -> String {
    let user = match &eap.role {
        Role::User(user) => identity::written(user),
        Role::Authenticator { users, .. } => who::pattern_word(users),
    };
    format!(",user={user}")
}

fn methods(eap: &EapSpec) -> String {
    match eap.methods.as_slice() {
        [] => "EAP-RADIUS".to_owned(),
        methods => methods.iter().map(|method| method.name()).collect::<Vec<_>>().join("+"),
    }
}
