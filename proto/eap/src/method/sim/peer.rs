//! The peer's end: answers for a SIM.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use ravelin_types::Secret;

use super::attribute::{self as at, Attributes, Draft, Heard, Message};
use super::card::{Card, Refused};
use super::challenge::Triplet;
use super::keys::{self, Hello, Keys};
use super::memory::Again;
use super::{
    CLIENT_ERROR, EARLY, KDF, Kind, NOTIFICATION, PREFERS_PRIME, REAUTHENTICATION, REJECT, REQUEST, RESPONSE, SUCCESS,
    SYNCHRONIZATION, VERSION,
};
use crate::method::{Method, PeerMethod};
use crate::peer::Client;
use crate::turn::Tools;

/// RFC 4186 §10.19.
const UNABLE: u16 = 0;
const NO_VERSION: u16 = 1;
const TOO_FEW: u16 = 2;

pub(in crate::method) struct Peer {
    kind: Kind,
    /// The permanent name.
    user: Vec<u8>,
    card: Result<Card, String>,
    /// Whether we would have taken AKA' as well.
    takes_prime: bool,
    /// What was asked for last about who we are, and whom we said.
    asked: Asked,
    said: Vec<u8>,
    /// What was said about identities (AT_CHECKCODE).
    transcript: Vec<u8>,
    hello: Option<Hello>,
    /// What we would go on from, and said so.
    again: Option<Again>,
    /// What functions of keys were offered when we asked for another.
    functions: Option<Vec<u16>>,
    synchronized: bool,
    proven: Option<Box<Keyed>>,
    /// What the authenticator has said at its end: its result.
    noticed: bool,
    failed: Option<String>,
}

/// The authenticator has proven itself.
struct Keyed {
    keys: Keys,
    msk: Secret,
    /// Of a fast re-authentication.
    counter: Option<u16>,
    /// Both sides want the result to be protected (AT_RESULT_IND).
    result: bool,
}

/// What is asked for about who we are; later ones come later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Nothing,
    Any,
    Full,
    Permanent,
    /// EAP-SIM asks for no name, but for the rest.
    None,
}

/// Why a request is not answered as it wants.
enum Unanswered {
    /// It is not one of the rules, with a code.
    Error(u16, String),
    /// The authenticator is not the one of our network.
    Rejected(String),
    /// With this instead.
    Else(Vec<u8>),
}

impl From<String> for Unanswered {
    fn from(why: String) -> Self {
        Unanswered::Error(UNABLE, why)
    }
}

impl From<&str> for Unanswered {
    fn from(why: &str) -> Self {
        Unanswered::Error(UNABLE, why.into())
    }
}

type Answer = Result<Vec<u8>, Unanswered>;

impl Peer {
    pub(in crate::method) fn new(kind: Kind, user: &[u8], client: &Client) -> Self {
        Peer {
            kind,
            user: user.to_vec(),
            card: Card::parse(&client.password),
            takes_prime: client.methods.contains(&Method::AkaPrime),
            asked: Asked::Nothing,
            said: user.to_vec(),
            transcript: Vec::new(),
            hello: None,
            again: None,
            functions: None,
            synchronized: false,
            proven: None,
            noticed: false,
            failed: None,
        }
    }

    fn hear(&mut self, heard: Heard<'_>, tools: Tools<'_>) -> Answer {
        let message = Message::parse(heard)?;
        let kind = self.kind;
        match message.subtype {
            NOTIFICATION => self.notification(&message, tools),
            _ if self.proven.is_some() => Err("a request after the end".into()),
            subtype if subtype == kind.identity() => self.identity(&message, tools),
            subtype if subtype == kind.challenge() => match kind {
                Kind::Sim => self.triplets(&message, tools),
                Kind::Aka | Kind::AkaPrime => self.vector(&message, tools),
            },
            REAUTHENTICATION => self.reauthentication(&message, tools),
            other => Err(alloc::format!("a request of the subtype {other}").into()),
        }
    }

    /// Identity, or Start (RFC 4187 §4.1.5, RFC 4186 §4.2.5).
    fn identity(&mut self, message: &Message<'_>, tools: Tools<'_>) -> Answer {
        let is_sim = self.kind == Kind::Sim;
        let requests = [at::ANY_ID_REQ, at::FULLAUTH_ID_REQ, at::PERMANENT_ID_REQ];
        message.only(&[&requests[..], if is_sim { &[at::VERSION_LIST] } else { &[] }].concat())?;
        let asked = match requests.map(|request| message.has(request)) {
            [true, false, false] => Asked::Any,
            [false, true, false] => Asked::Full,
            [false, false, true] => Asked::Permanent,
            [false, false, false] if is_sim => Asked::None,
            _ => return Err("not one question about who we are".into()),
        };
        // Each question asks for more than the one before, and there are three at most.
        if asked <= self.asked {
            return Err("a question about who we are that has been answered".into());
        }
        self.asked = asked;
        let (user, kind) = (&self.user, self.kind);
        let (again, pseudonym) = tools.sims(|sims| {
            let again = if asked == Asked::Any { sims.take_again(user, kind) } else { None };
            (again, sims.pseudonym(user, kind))
        });
        self.again = again;
        self.said = match (asked, &self.again) {
            (Asked::Any, Some(again)) => again.name.clone(),
            (Asked::Any | Asked::Full, _) => pseudonym.unwrap_or_else(|| user.clone()),
            (Asked::Permanent, _) => user.clone(),
            (Asked::None | Asked::Nothing, _) => core::mem::take(&mut self.said),
        };
        let mut draft = Draft::new(kind.identity());
        if is_sim {
            let hello = self.version(message, tools)?;
            // RFC 4186 §9.2: not with a name for fast re-authentication.
            draft = draft.when(self.again.is_none(), |draft| {
                draft.fixed(at::NONCE_MT, &hello.nonce).number(at::SELECTED_VERSION, VERSION)
            });
            self.hello = Some(hello);
        }
        let said = draft.when(asked != Asked::None, |draft| draft.counted(at::IDENTITY, &self.said)).plain();
        let ours = Heard { code: RESPONSE, identifier: message.identifier(), data: &said };
        self.transcript.extend_from_slice(&message.packet(kind));
        self.transcript.extend_from_slice(&at::packet(ours, kind));
        Ok(said)
    }

    /// RFC 4186 §4.1: the versions, and a nonce, which stays the same (§10.4).
    fn version(&self, message: &Message<'_>, tools: Tools<'_>) -> Result<Hello, Unanswered> {
        let versions = message.counted(at::VERSION_LIST)?.ok_or("no list of versions")?;
        let (listed, []) = versions.as_chunks::<2>() else { return Err("a list of versions that is cut short".into()) };
        if !listed.contains(&VERSION.to_be_bytes()) {
            return Err(Unanswered::Error(NO_VERSION, "no version of EAP-SIM that is known here".into()));
        }
        let nonce = match &self.hello {
            Some(hello) => hello.nonce,
            None => tools.random_octets(),
        };
        Ok(Hello { nonce, versions: versions.to_vec(), selected: VERSION })
    }

    /// Challenge of EAP-SIM.
    fn triplets(&mut self, message: &Message<'_>, tools: Tools<'_>) -> Answer {
        message.only(&[at::RAND, at::IV, at::ENCR_DATA, at::RESULT_IND, at::MAC])?;
        let hello = self.hello.clone().filter(|_| self.again.is_none()).ok_or("a challenge before the start")?;
        let rands = message.get(at::RAND).and_then(|value| value.get(2..)).ok_or("no RAND")?;
        let (rands, []) = rands.as_chunks::<16>() else { return Err("a RAND that is cut short".into()) };
        if rands.len() < 2 {
            return Err(Unanswered::Error(TOO_FEW, "fewer than two challenges for the SIM".into()));
        }
        // RFC 4186 §10.9: each is worth something only once.
        let repeated = |(at, rand): (usize, &[u8; 16])| rands.iter().take(at).any(|other| other == rand);
        if rands.len() > 3 || rands.iter().enumerate().any(repeated) {
            return Err("the same challenge for the SIM twice, or more than three".into());
        }
        let card = self.card.as_ref().map_err(Clone::clone)?;
        let triplets = rands.iter().map(|rand| card.gsm(rand)).collect::<Option<Vec<Triplet>>>();
        let triplets = triplets.ok_or("a challenge that is not among the triplets of the SIM")?;
        let (keys, msk) = Keys::of_triplets(&self.said, &triplets, &hello);
        if !message.is_authentic(&keys, self.kind, &hello.nonce) {
            return Err("the authenticator does not know the key of the SIM".into());
        }
        self.take_names(message, &keys, 0, tools)?;
        let result = message.has(at::RESULT_IND);
        let sres: Vec<u8> = triplets.iter().flat_map(|triplet| triplet.sres).collect();
        let draft = Draft::new(self.kind.challenge()).when(result, |draft| draft.number(at::RESULT_IND, 0));
        let said = draft.signed(&keys, self.kind, (RESPONSE, message.identifier()), &sres);
        self.proven = Some(Box::new(Keyed { keys, msk, counter: None, result }));
        Ok(said)
    }

    /// Challenge of EAP-AKA and EAP-AKA'.
    fn vector(&mut self, message: &Message<'_>, tools: Tools<'_>) -> Answer {
        let kind = self.kind;
        let of_all = [at::RAND, at::AUTN, at::IV, at::ENCR_DATA, at::CHECKCODE, at::RESULT_IND, at::MAC];
        let of_kind: &[u8] = if kind == Kind::AkaPrime { &[at::KDF, at::KDF_INPUT] } else { &[at::BIDDING] };
        message.only(&[&of_all[..], of_kind].concat())?;
        let functions = message.numbers(at::KDF)?;
        if kind == Kind::AkaPrime {
            self.function(&functions)?;
        }
        let network = message.counted(at::KDF_INPUT)?.unwrap_or_default();
        if kind == Kind::AkaPrime && network.is_empty() {
            return Err(Unanswered::Rejected("the authenticator names no network".into()));
        }
        let rand = message.fixed(at::RAND)?.ok_or("no RAND")?;
        let autn = message.fixed(at::AUTN)?.ok_or("no AUTN")?;
        let card = self.card.as_ref().map_err(Clone::clone)?;
        let seen = tools.sims(|sims| sims.seen(&self.user));
        let (vector, number) = match card.answer(kind, (&rand, &autn), seen) {
            Ok(answer) => answer,
            Err(Refused::Autn(why)) => return Err(Unanswered::Rejected(why.into())),
            Err(Refused::Number(_)) if self.synchronized => {
                return Err(Unanswered::Rejected("the authenticator stays behind the number of the SIM".into()));
            }
            Err(Refused::Number(auts)) => {
                self.synchronized = true;
                let draft = Draft::new(SYNCHRONIZATION).put(at::AUTS, &auts);
                // RFC 9048 §3.2: with the list as it was.
                let draft = functions.iter().fold(draft, |draft, function| draft.number(at::KDF, *function));
                return Err(Unanswered::Else(draft.plain()));
            }
        };
        let (keys, msk) = Keys::of_vector(kind, &self.said, &vector, network);
        if !message.is_authentic(&keys, kind, &[]) {
            return Err("a challenge that was changed on its way".into());
        }
        tools.sims(|sims| sims.saw(&self.user, number));
        // RFC 9048 §4: somebody on the way may have kept us from AKA'.
        if self.takes_prime && message.number(at::BIDDING)?.is_some_and(|bidding| bidding & PREFERS_PRIME != 0) {
            return Err(Unanswered::Rejected("both sides take EAP-AKA', and EAP-AKA was asked for".into()));
        }
        let checkcode = self.checkcode(message)?;
        self.take_names(message, &keys, 0, tools)?;
        let result = message.has(at::RESULT_IND);
        // RFC 4187 §10.8: with its length in bits.
        let bits = (vector.res.len() as u16 * 8).to_be_bytes();
        let draft = Draft::new(kind.challenge()).put(at::RES, &[&bits[..], &vector.res].concat());
        let draft = draft.fixed(at::CHECKCODE, &checkcode).when(result, |draft| draft.number(at::RESULT_IND, 0));
        let said = draft.signed(&keys, kind, (RESPONSE, message.identifier()), &[]);
        self.proven = Some(Box::new(Keyed { keys, msk, counter: None, result }));
        Ok(said)
    }

    /// RFC 9048 §3.2: the first one, or we ask for another.
    fn function(&mut self, functions: &[u16]) -> Result<(), Unanswered> {
        let reject = |why: &str| Err(Unanswered::Rejected(why.into()));
        let twice =
            |list: &[u16]| list.iter().enumerate().any(|(at, it)| list.iter().take(at).any(|other| other == it));
        match (functions, &self.functions) {
            ([], _) => reject("the authenticator names no function of keys"),
            // What we asked for, in front of what was there.
            ([KDF, rest @ ..], Some(offered)) if rest == offered => Ok(()),
            (_, Some(_)) => Err("the functions of keys changed under way".into()),
            (list, None) if twice(list) => reject("the authenticator names a function of keys twice"),
            ([KDF, ..], None) => Ok(()),
            (list, None) if list.contains(&KDF) => {
                self.functions = Some(list.to_vec());
                Err(Unanswered::Else(Draft::new(self.kind.challenge()).number(at::KDF, KDF).plain()))
            }
            (_, None) => reject("no function of keys that is known here"),
        }
    }

    /// Fast re-authentication (RFC 4187 §5.4).
    fn reauthentication(&mut self, message: &Message<'_>, tools: Tools<'_>) -> Answer {
        let kind = self.kind;
        let Again { name, counter: last, keys } = self.again.take().ok_or("we have not said that we go on")?;
        if !message.is_authentic(&keys, kind, &[]) {
            return Err("a message that was changed on its way".into());
        }
        message.only(&[at::IV, at::ENCR_DATA, at::CHECKCODE, at::RESULT_IND, at::MAC])?;
        let opened = message.open(&keys)?;
        let inner = opened.attributes()?;
        inner.only(&[at::COUNTER, at::NONCE_S, at::NEXT_REAUTH_ID, at::PADDING])?;
        let counter = inner.number(at::COUNTER)?.ok_or("no counter")?;
        let nonce = inner.fixed::<16>(at::NONCE_S)?.ok_or("no nonce")?;
        let iv = tools.random_octets();
        let header = (RESPONSE, message.identifier());
        let checkcode = if kind == Kind::Sim { None } else { Some(self.checkcode(message)?) };
        // RFC 4187 §5.5.
        if counter <= last {
            let inner = Draft::inner().number(at::COUNTER_TOO_SMALL, 0).number(at::COUNTER, counter);
            return Ok(Draft::new(REAUTHENTICATION).sealed(&keys, iv, inner).signed(&keys, kind, header, &nonce));
        }
        self.take_names(message, &keys, counter, tools)?;
        let result = message.has(at::RESULT_IND);
        let draft = Draft::new(REAUTHENTICATION).sealed(&keys, iv, Draft::inner().number(at::COUNTER, counter));
        let draft = match checkcode {
            Some(code) => draft.fixed(at::CHECKCODE, &code),
            None => draft,
        };
        let draft = draft.when(result, |draft| draft.number(at::RESULT_IND, 0));
        let said = draft.signed(&keys, kind, header, &nonce);
        let msk = keys.renewed(&name, counter, &nonce);
        self.proven = Some(Box::new(Keyed { keys, msk, counter: Some(counter), result }));
        Ok(said)
    }

    /// RFC 4187 §10.13: what was said about identities is what we heard and said; ours, to be said.
    fn checkcode(&self, message: &Attributes<'_>) -> Result<Vec<u8>, String> {
        let ours = keys::checkcode(self.kind, &self.transcript);
        let theirs = message.get(at::CHECKCODE).map(|value| value.get(2..).unwrap_or_default());
        match theirs.is_none_or(|theirs| keys::same(theirs, &ours)) {
            true => Ok(ours),
            false => Err("what was said about identities was changed on its way".into()),
        }
    }

    /// Keeps the names that the authenticator gives us for the next time.
    fn take_names(&self, message: &Message<'_>, keys: &Keys, counter: u16, tools: Tools<'_>) -> Result<(), String> {
        let opened = message.open(keys)?;
        let inner = opened.attributes()?;
        let name = |number| -> Result<Option<&[u8]>, String> {
            let name = inner.counted(number)?.filter(|name| !name.is_empty());
            let fits =
                name.is_none_or(|name| name.len() <= crate::limits::IDENTITY && core::str::from_utf8(name).is_ok());
            if fits { Ok(name) } else { Err("a name for the next time that is none".into()) }
        };
        let (pseudonym, next) = (name(at::NEXT_PSEUDONYM)?, name(at::NEXT_REAUTH_ID)?);
        let again = next.map(|name| Again { name: name.to_vec(), counter, keys: keys.clone() });
        tools.sims(|sims| sims.keep(&self.user, self.kind, pseudonym, again));
        Ok(())
    }

    /// RFC 4187 §6: the result, or why there will be none.
    fn notification(&mut self, message: &Message<'_>, tools: Tools<'_>) -> Answer {
        let code = message.number(at::NOTIFICATION)?.ok_or("a notification without a code")?;
        if core::mem::replace(&mut self.noticed, true) {
            return Err("a second notification".into());
        }
        let draft = Draft::new(NOTIFICATION);
        let keyed = self.proven.as_deref().filter(|_| code & EARLY == 0);
        let said = match keyed {
            None if code & EARLY == 0 => return Err("a result before anything was proven".into()),
            None => draft.plain(),
            Some(keyed) => {
                if !message.is_authentic(&keyed.keys, self.kind, &[]) {
                    return Err("a notification that was changed on its way".into());
                }
                let opened = message.open(&keyed.keys)?;
                if opened.attributes()?.number(at::COUNTER)? != keyed.counter {
                    return Err("a notification of another conversation".into());
                }
                let draft = match keyed.counter {
                    Some(counter) => {
                        let inner = Draft::inner().number(at::COUNTER, counter);
                        draft.sealed(&keyed.keys, tools.random_octets(), inner)
                    }
                    None => draft,
                };
                draft.signed(&keyed.keys, self.kind, (RESPONSE, message.identifier()), &[])
            }
        };
        let welcome = code & SUCCESS != 0 && keyed.is_some_and(|keyed| keyed.result);
        if !welcome {
            self.failed = Some(explain(code));
        }
        Ok(said)
    }
}

impl PeerMethod for Peer {
    fn answer(&mut self, identifier: u8, data: &[u8], tools: Tools<'_>) -> Result<Vec<u8>, String> {
        if let Some(why) = &self.failed {
            return Err(alloc::format!("the authenticator goes on after it failed: {why}"));
        }
        let heard = Heard { code: REQUEST, identifier, data };
        // RFC 4187 §6.3.1: the authenticator hears why, and then refuses.
        let (said, why) = match self.hear(heard, tools) {
            Ok(said) | Err(Unanswered::Else(said)) => return Ok(said),
            Err(Unanswered::Rejected(why)) if self.kind != Kind::Sim => (Draft::new(REJECT), why),
            Err(Unanswered::Rejected(why)) => (Draft::new(CLIENT_ERROR).number(at::CLIENT_ERROR_CODE, UNABLE), why),
            Err(Unanswered::Error(code, why)) => (Draft::new(CLIENT_ERROR).number(at::CLIENT_ERROR_CODE, code), why),
        };
        self.failed = Some(why);
        Ok(said.plain())
    }

    fn outcome(&self) -> Result<Option<Secret>, String> {
        let early = || String::from("success before the authenticator has proven that it knows the key of the SIM");
        if let Some(why) = &self.failed {
            return Err(why.clone());
        }
        // RFC 4187 §6.3.4: who wants the result protected takes no other.
        let keyed = self.proven.as_ref().filter(|keyed| self.noticed || !keyed.result).ok_or_else(early)?;
        Ok(Some(keyed.msk.clone()))
    }

    fn refusal(&self) -> Option<String> {
        self.failed.as_ref().map(|why| alloc::format!("{}: {why}", self.kind))
    }
}

/// What a notification of failure says (RFC 4187 §10.19).
fn explain(code: u16) -> String {
    match code {
        0 => "the authenticator refused the user after he was authenticated".into(),
        1026 => "the user is denied access for some time".into(),
        1031 => "the user has not subscribed to this service".into(),
        EARLY => "the authenticator does not take the user".into(),
        code => alloc::format!("the authenticator refused, with the notification {code}"),
    }
}
