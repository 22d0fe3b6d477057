//! A password inside TLS: EAP-TTLS (RFC 5281) and PEAPv0 (draft-kamath-pppext-peapv0). The authenticator proves itself by its
//! certificate, and behind that the user by his password, with a method of his own or, in EAP-TTLS, as it is.
//!
//! ```text
//!                     EAP-TTLS                               PEAPv0
//!   first inside      the user: EAP response, identity       the authenticator: asks for the identity
//!   or                the user: name and password
//!   form              whole EAP messages, in AVPs            without code, identifier and length
//!   end               success outside                        a Result of each side, then success outside
//! ```

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::ops::ControlFlow;

use ravelin_types::Secret;
use ravelin_wire::ike::v2::{Eap, EapCode};
use subtle::ConstantTimeEq;

use super::avp::{self, Said};
use super::channel::{self, Channel, EMPTY, Heard, ServerEnd};
use super::{Judgement, Method, PeerMethod, ServerMethod, WRONG_PASSWORD};
use crate::account::{self, Accounts};
use crate::authenticator::{self, Authenticator};
use crate::message;
use crate::peer::{self, Client};
use crate::tls::TlsSide;
use crate::turn::{Step, Tools};

/// Which of the two, and what the user says in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ttls,
    /// The same, with the password as it is.
    TtlsPap,
    Peap,
}

/// The end of what is inside PEAP: EAP type 33 with one mandatory TLV, the Result (type 3, two octets).
const RESULT: [u8; 5] = [33, 0x80, 3, 0, 2];
const PASSED: [u8; 2] = [0, 1];
const REFUSED: [u8; 2] = [0, 2];

/// What goes inside: methods with a password, best first.
const INSIDE: [Method; 3] = [Method::MsChapV2, Method::Gtc, Method::Md5];

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Ttls | Kind::TtlsPap => 21,
            Kind::Peap => 25,
        }
    }

    /// RFC 5281 §8; PEAPv0 has that of EAP-TLS. RFC 9427 §2.1 has one for all with TLS 1.3.
    fn msk(self, channel: &Channel) -> Result<Secret, String> {
        match (channel.tls.is_version_13(), self) {
            (true, _) => channel.msk("EXPORTER_EAP_TLS_Key_Material", Some(&[self.number()])),
            (false, Kind::Ttls | Kind::TtlsPap) => channel.msk("ttls keying material", None),
            (false, Kind::Peap) => channel.msk("client EAP encryption", None),
        }
    }

    /// Puts an EAP message into TLS.
    fn write(self, channel: &mut Channel, eap: &Eap) {
        let inside = match self {
            Kind::Ttls | Kind::TtlsPap => avp::emit(avp::EAP_MESSAGE, &message::emit(eap)),
            Kind::Peap => eap.data.clone(),
        };
        channel.tls.write(&inside);
    }

    /// Takes an EAP message out of what TLS brought; where it has no head, it is one of this code and identifier.
    fn read(self, plain: &[u8], code: EapCode, identifier: u8) -> Result<Eap, String> {
        match self {
            Kind::Ttls | Kind::TtlsPap => match avp::parse(plain)? {
                Said::Eap(message) => message::parse(&message).ok_or_else(|| "no EAP message inside".into()),
                Said::Pap { .. } => Err("a password where an EAP message goes on".into()),
            },
            Kind::Peap => Ok(Eap { code, identifier, data: plain.to_vec() }),
        }
    }
}

/// The result inside PEAP, of a message of type 33, which has a head.
fn result(plain: &[u8]) -> Option<(u8, [u8; 2])> {
    let eap = message::parse(plain)?;
    let value = eap.data.strip_prefix(&RESULT)?;
    Some((eap.identifier, *value.first_chunk()?))
}

fn emit_result(code: EapCode, identifier: u8, value: [u8; 2]) -> Vec<u8> {
    message::emit(&Eap { code, identifier, data: [RESULT.as_slice(), &value].concat() })
}

pub(super) struct Peer {
    kind: Kind,
    side: TlsSide,
    channel: Option<Channel>,
    password: Secret,
    inside: Box<peer::Peer>,
    begun: bool,
    /// PEAP: the authenticator has said that the user passed.
    passed: bool,
    failed: Option<String>,
}

impl Peer {
    pub(super) fn new(kind: Kind, client: &Client) -> Self {
        let inside = Client { methods: INSIDE.to_vec(), tls: TlsSide::default(), ..client.clone() };
        let side = TlsSide { credential: None, ..client.tls.clone() };
        let (password, inside) = (client.password.clone(), Box::new(peer::Peer::new(inside)));
        Peer { kind, side, channel: None, password, inside, begun: false, passed: false, failed: None }
    }

    /// What TLS brought, which only a proven authenticator can have said.
    fn inside(&mut self, identifier: u8, plain: &[u8], tools: Tools<'_>) -> Result<(), String> {
        let Some(channel) = &mut self.channel else { return Ok(()) };
        if !channel.tls.is_established() {
            return if plain.is_empty() { Ok(()) } else { Err("data inside the handshake".into()) };
        }
        if plain.is_empty() {
            match (self.kind, core::mem::replace(&mut self.begun, true)) {
                (Kind::Ttls, false) => {
                    let identity = [&[1][..], self.inside.user()].concat();
                    self.kind.write(channel, &Eap { code: EapCode::RESPONSE, identifier: 0, data: identity });
                }
                (Kind::TtlsPap, false) => channel.tls.write(&avp::pap(self.inside.user(), &self.password)),
                (Kind::Peap, _) | (_, true) => {}
            }
            return Ok(());
        }
        if self.kind == Kind::TtlsPap {
            return Err("the authenticator asks for more than the password".into());
        }
        if let Some((identifier, value)) = Some(plain).filter(|_| self.kind == Kind::Peap).and_then(result) {
            let said = match (value, self.inside.outcome()) {
                (PASSED, Ok(_)) => {
                    self.passed = true;
                    PASSED
                }
                (PASSED, Err(why)) => {
                    self.failed = Some(why);
                    REFUSED
                }
                (..) => {
                    self.failed = Some(self.inside.refusal());
                    REFUSED
                }
            };
            channel.tls.write(&emit_result(EapCode::RESPONSE, identifier, said));
            return Ok(());
        }
        let heard = self.kind.read(plain, EapCode::REQUEST, identifier)?;
        match self.inside.hear(&heard, tools) {
            Step::Say(eap) => {
                self.kind.write(channel, &eap);
                Ok(())
            }
            // The result comes outside.
            Step::Done { outcome: Ok(_), .. } => Ok(()),
            Step::Done { outcome: Err(why), .. } => Err(why),
        }
    }
}

impl PeerMethod for Peer {
    fn answer(&mut self, identifier: u8, data: &[u8], tools: Tools<'_>) -> Result<Vec<u8>, String> {
        if self.failed.is_some() {
            return Err("the authenticator goes on after it failed".into());
        }
        let Some(channel) = &mut self.channel else {
            if !channel::is_start(data) {
                return Err("a handshake that was not started".into());
            }
            let channel = self.channel.insert(Channel::new(tools.tls.connect(&self.side)?));
            return channel.say().ok_or_else(|| "TLS says nothing".into());
        };
        match channel.hear(data)? {
            Heard::Piece(said) => return Ok(said),
            Heard::Whole => {
                let plain = channel.tls.read();
                self.inside(identifier, &plain, tools)?;
            }
            Heard::Over(why) => self.failed = Some(why),
        }
        Ok(self.channel.as_mut().and_then(Channel::say).unwrap_or_else(|| vec![EMPTY]))
    }

    fn outcome(&self) -> Result<Option<Secret>, String> {
        let early = || String::from("success before the user was asked inside TLS");
        let channel = self.channel.as_ref().filter(|channel| channel.tls.is_established() && self.failed.is_none());
        let channel = channel.ok_or_else(early)?;
        let asked = match self.kind {
            Kind::Ttls => self.inside.outcome().map(|_| true)?,
            Kind::TtlsPap => self.begun,
            Kind::Peap => self.inside.outcome().map(|_| self.passed)?,
        };
        if asked { self.kind.msk(channel).map(Some) } else { Err(early()) }
    }

    fn refusal(&self) -> Option<String> {
        self.failed.clone()
    }
}

pub(super) struct Server {
    kind: Kind,
    end: ServerEnd,
    accounts: Accounts,
    inside: Box<Authenticator>,
    /// Of the last request inside; `None`: nothing was asked yet.
    asked: Option<u8>,
    /// PEAP: what was decided, and has yet to be acknowledged.
    decided: Option<Result<Vec<u8>, String>>,
    waited: bool,
}

impl Server {
    pub(super) fn new(kind: Kind, user: &[u8], server: &authenticator::Server) -> Self {
        let side = TlsSide { trust: None, peer: None, ..server.tls.clone() };
        let inside = authenticator::Server {
            methods: INSIDE.to_vec(),
            ask_identity: true,
            tls: TlsSide::default(),
            ..server.clone()
        };
        let inside = Box::new(Authenticator::new(inside, &account::identity(user)));
        let accounts = server.accounts.clone();
        Server { kind, end: ServerEnd::new(side), accounts, inside, asked: None, decided: None, waited: false }
    }

    fn turn(&mut self, identifier: u8, data: &[u8], tools: Tools<'_>) -> Result<Judgement, String> {
        let channel = match self.end.hear(data, tools)? {
            ControlFlow::Continue(channel) => channel,
            ControlFlow::Break(said) => return Ok(Judgement::Ask(said)),
        };
        let plain = channel.tls.read();
        if !channel.tls.is_established() {
            let said = channel.say().filter(|_| plain.is_empty());
            return said.map(Judgement::Ask).ok_or_else(|| "the user does not go on with the handshake".into());
        }
        if plain.is_empty() {
            // The end of the handshake goes out before anything inside.
            if let Some(said) = channel.say() {
                return Ok(Judgement::Ask(said));
            }
            return self.begin(tools);
        }
        self.inside(identifier, &plain, tools)
    }

    /// The user waits for us, or we for him.
    fn begin(&mut self, tools: Tools<'_>) -> Result<Judgement, String> {
        let again = core::mem::replace(&mut self.waited, true);
        match (self.kind, again) {
            (_, true) => Err("the user does not go on inside TLS".into()),
            (Kind::Ttls | Kind::TtlsPap, false) => Ok(Judgement::Ask(vec![EMPTY])),
            (Kind::Peap, false) => {
                let step = self.inside.begin(tools);
                self.step(step)
            }
        }
    }

    fn inside(&mut self, identifier: u8, plain: &[u8], tools: Tools<'_>) -> Result<Judgement, String> {
        if let Some(decided) = self.decided.take() {
            let (_, value) = result(plain).ok_or("something else than a result inside PEAP")?;
            let user = decided?;
            return match value {
                PASSED => self.passed(user),
                _ => Err("the user does not take the result".into()),
            };
        }
        let step = match self.asked {
            Some(asked) => {
                // PEAPv0 leaves identifiers away inside: what a method makes of one is made of that around.
                let asked = if self.kind == Kind::Peap { self.inside.renumbered(identifier) } else { asked };
                let heard = self.kind.read(plain, EapCode::RESPONSE, asked)?;
                self.inside.hear(&heard, tools)
            }
            // RFC 5281 §11.2.1: he says who he is without being asked.
            None if self.kind != Kind::Peap => {
                if let Said::Pap { user, password } = avp::parse(plain)? {
                    return self.pap(user, &password);
                }
                if self.kind == Kind::TtlsPap {
                    return Err("the user goes on by EAP inside EAP-TTLS, and PAP is what is taken".into());
                }
                let Step::Say(asked) = self.inside.begin(tools) else { return Err("nothing to ask".into()) };
                let heard = self.kind.read(plain, EapCode::RESPONSE, asked.identifier)?;
                self.inside.hear(&Eap { identifier: asked.identifier, ..heard }, tools)
            }
            None => return Err("an answer inside PEAP to nothing".into()),
        };
        self.step(step)
    }

    /// RFC 5281 §11.2.5.
    fn pap(&self, user: Vec<u8>, given: &Secret) -> Result<Judgement, String> {
        let known = self.accounts.password(&user);
        let expected = known.cloned().unwrap_or_default();
        let fits = bool::from(expected.expose().ct_eq(given.expose())) & known.is_some();
        if fits { self.passed(user) } else { Err(alloc::format!("{}: {WRONG_PASSWORD}", account::identity(&user))) }
    }

    fn step(&mut self, step: Step) -> Result<Judgement, String> {
        let Some(channel) = &mut self.end.channel else { return Err("no TLS".into()) };
        match step {
            Step::Say(eap) => {
                self.asked = Some(eap.identifier);
                self.kind.write(channel, &eap);
            }
            Step::Done { outcome, .. } => match (self.kind, outcome) {
                (Kind::Ttls | Kind::TtlsPap, outcome) => return self.passed(outcome?.user),
                (Kind::Peap, outcome) => {
                    let value = if outcome.is_ok() { PASSED } else { REFUSED };
                    let identifier = self.asked.unwrap_or_default().wrapping_add(1);
                    channel.tls.write(&emit_result(EapCode::REQUEST, identifier, value));
                    self.decided = Some(outcome.map(|proven| proven.user));
                }
            },
        }
        channel.say().map(Judgement::Ask).ok_or_else(|| "TLS says nothing".into())
    }

    fn passed(&self, user: Vec<u8>) -> Result<Judgement, String> {
        let channel = self.end.channel.as_ref().ok_or("no TLS")?;
        Ok(Judgement::Passed { msk: Some(self.kind.msk(channel)?), user: Some(user) })
    }
}

impl ServerMethod for Server {
    fn begin(&mut self, _: u8, _: Tools<'_>) -> Vec<u8> {
        channel::start()
    }

    fn judge(&mut self, identifier: u8, _: u8, data: &[u8], tools: Tools<'_>) -> Judgement {
        self.turn(identifier, data, tools).unwrap_or_else(Judgement::Failed)
    }

    fn verdict(&self) -> Option<&str> {
        match (&self.end.failed, &self.decided) {
            (Some(why), _) | (None, Some(Err(why))) => Some(why),
            _ => None,
        }
    }
}
