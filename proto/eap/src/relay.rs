//! The authenticator whose users a server elsewhere knows: it passes messages on, by RADIUS (RFC 3579), and learns who the user
//! is and the key.
//!
//! ```text
//!   user ── EAP response ──► Relay ── Access-Request {EAP-Message, State} ──► server
//!   user ◄── EAP request ─── Relay ◄── Access-Challenge {EAP-Message, State}
//!   user ◄── Success ─────── Relay ◄── Access-Accept {EAP-Message, MS-MPPE keys, Session-Timeout, Class, ...}
//! ```
//! What the server says beside the key goes with the proof, as [`Admission`]: whoever keeps the session abides by it.
//! Who sends, waits and repeats is a client elsewhere: a turn gives it a request, and it brings back the reply.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use ravelin_radius::{Attribute, Authorization, Code, Packet, Request, msk};
use ravelin_types::Identity;
use ravelin_wire::ike::v2::{Eap, EapCode};

pub use crate::aaa::{Aaa, Admission};
use crate::account;
use crate::authenticator::Server;
use crate::limits;
use crate::message;
use crate::method_type::{self, MethodType};
use crate::turn::{Proven, Step};

/// One conversation that is passed on.
pub struct Relay {
    aaa: Arc<Aaa>,
    name: Vec<u8>,
    session: u64,
    ask_identity: bool,
    /// His name, as far as it is known.
    user: Vec<u8>,
    /// What the server wants back.
    state: Option<Vec<u8>>,
    /// Who has begun.
    server: Option<SocketAddr>,
    /// Of our last request to the user.
    identifier: u8,
    /// The last one that the server asked by.
    method: Option<MethodType>,
    phase: Phase,
    heard: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    New,
    /// He was asked who he is.
    Identity,
    /// It is the server's turn, or his.
    Passing,
    Over,
}

/// What comes of a message of the user.
#[derive(Debug)]
pub enum Relayed {
    /// No server is needed.
    Step(Step),
    /// A server is asked.
    Ask(Request),
}

/// RFC 2865 §5.41: no port that one could touch.
const VIRTUAL: u32 = 5;
/// RFC 2865 §5.6.
const FRAMED: u32 = 2;

impl Relay {
    pub(crate) fn new(server: &Server, aaa: Arc<Aaa>, user: &Identity, session: u64) -> Self {
        Relay {
            aaa,
            name: server.name.clone(),
            session,
            ask_identity: server.ask_identity,
            user: account::user(user),
            state: None,
            server: None,
            identifier: 0,
            method: None,
            phase: Phase::New,
            heard: 0,
        }
    }

    /// In the place of another that asked who the user is, with this identifier; he has not been heard.
    pub(crate) fn asked(server: &Server, aaa: Arc<Aaa>, user: &Identity, (session, identifier): (u64, u8)) -> Self {
        Relay { phase: Phase::Identity, identifier, ..Relay::new(server, aaa, user, session) }
    }

    /// The identifier with which he was asked who he is, while he has not said it.
    pub(crate) fn asks_identity(&self) -> Option<u8> {
        (self.phase == Phase::Identity).then_some(self.identifier)
    }

    /// The servers, and the secret.
    pub fn aaa(&self) -> &Arc<Aaa> {
        &self.aaa
    }

    /// The server that has begun with this user, so that no other can go on.
    pub fn server(&self) -> Option<SocketAddr> {
        self.server
    }

    /// Takes what the user says; `None` begins.
    pub fn turn(&mut self, heard: Option<&Eap>) -> Relayed {
        self.heard += 1;
        if self.heard > limits::TURNS {
            return Relayed::Step(self.failed("the conversation has no end"));
        }
        // It may have been unloaded; by an empty one anybody's answer would be taken for the server's.
        if self.aaa.secret.is_empty() {
            return Relayed::Step(self.failed("no secret is loaded for the RADIUS servers"));
        }
        let Some(heard) = heard else {
            if self.ask_identity {
                self.phase = Phase::Identity;
                let data = MethodType::IDENTITY.octets();
                return Relayed::Step(Step::Say(Eap { code: EapCode::REQUEST, identifier: self.identifier, data }));
            }
            // RFC 3579 §2.1: who he is, is known from elsewhere.
            let data = [MethodType::IDENTITY.octets().as_slice(), &self.user].concat();
            self.phase = Phase::Passing;
            return self.ask(&Eap { code: EapCode::RESPONSE, identifier: self.identifier, data });
        };
        if heard.code != EapCode::RESPONSE || heard.identifier != self.identifier {
            return Relayed::Step(self.failed("an EAP message that answers nothing"));
        }
        match (self.phase, method_type::split(&heard.data)) {
            (Phase::Identity, Some((MethodType::IDENTITY, name))) => {
                let name = name.split(|octet| *octet == 0).next().unwrap_or_default();
                if name.is_empty() || name.len() > limits::IDENTITY {
                    return Relayed::Step(self.failed("an identity that is empty or too long"));
                }
                self.user = name.to_vec();
                self.phase = Phase::Passing;
                self.ask(heard)
            }
            (Phase::Passing, Some(_)) => self.ask(heard),
            _ => Relayed::Step(self.failed("an EAP message out of turn")),
        }
    }

    fn ask(&self, eap: &Eap) -> Relayed {
        let mut request = Request::default();
        request.add(Attribute::USER_NAME, &self.user);
        request.add(Attribute::NAS_IDENTIFIER, &self.name);
        request.add(Attribute::NAS_PORT_TYPE, &VIRTUAL.to_be_bytes());
        request.add(Attribute::SERVICE_TYPE, &FRAMED.to_be_bytes());
        // RFC 2866 §5.5: the one that the records of the session will have.
        request.add(Attribute::ACCT_SESSION_ID, self.session_id().as_bytes());
        if let Some(state) = &self.state {
            request.add(Attribute::STATE, state);
        }
        request.add_eap(&message::emit(eap));
        Relayed::Ask(request)
    }

    /// Acct-Session-Id.
    fn session_id(&self) -> String {
        alloc::format!("{:016x}", self.session)
    }

    /// Takes the reply of a server to the request with this authenticator. It is proven to be the server's.
    pub fn reply(&mut self, packet: &Packet, request: &[u8; 16], server: SocketAddr) -> Step {
        let eap = packet.eap().and_then(|octets| message::parse(&octets));
        match (packet.code, eap) {
            (Code::ACCESS_CHALLENGE, Some(eap)) if eap.code == EapCode::REQUEST => {
                let Some((kind, _)) = method_type::split(&eap.data) else {
                    return self.failed("the RADIUS server sent a request without a type");
                };
                if !matches!(kind, MethodType::IDENTITY | MethodType::NOTIFICATION) {
                    self.method = Some(kind);
                }
                self.server = Some(server);
                self.state = packet.first(Attribute::STATE).map(<[u8]>::to_vec);
                self.identifier = eap.identifier;
                Step::Say(eap)
            }
            (Code::ACCESS_ACCEPT, Some(last)) if last.code == EapCode::SUCCESS => {
                // Nobody is let in whom nobody asked for anything.
                let Some(method) = self.method else {
                    return self.failed("the RADIUS server accepts before any method");
                };
                self.phase = Phase::Over;
                // RFC 2865 §5.1: the server may say who he is.
                let user = packet.first(Attribute::USER_NAME).filter(|name| !name.is_empty());
                let user = user.map_or_else(|| self.user.clone(), <[u8]>::to_vec);
                let msk = msk(packet, request, &self.aaa.secret);
                let admission = Arc::new(Admission {
                    authorization: Authorization::of(packet),
                    user: user.clone(),
                    name: self.name.clone(),
                    session: self.session_id(),
                    aaa: self.aaa.clone(),
                });
                let proven = Proven { user, method, msk, admission: Some(admission) };
                Step::Done { last: Some(last), outcome: Ok(proven) }
            }
            (Code::ACCESS_REJECT, last) => {
                let said = packet.all(Attribute::REPLY_MESSAGE).next().map(String::from_utf8_lossy);
                let said = said.map_or_else(String::new, |said| {
                    let said: String = said.escape_debug().take(limits::MESSAGE).collect();
                    alloc::format!(" ({said})")
                });
                let user = account::identity(&self.user);
                let failed = self.failed(alloc::format!("the RADIUS server refuses {user}{said}"));
                match (failed, last.filter(|last| last.code == EapCode::FAILURE)) {
                    (Step::Done { outcome, .. }, Some(last)) => Step::Done { last: Some(last), outcome },
                    (failed, _) => failed,
                }
            }
            // RFC 3579 §2.6.3: what contradicts itself lets nobody in.
            (code, _) => self.failed(alloc::format!("RADIUS code {} with another EAP message, or none", code.0)),
        }
    }

    /// It ends, for a reason of ours.
    pub fn failed(&mut self, why: impl Into<String>) -> Step {
        self.phase = Phase::Over;
        let last = Eap { code: EapCode::FAILURE, identifier: self.identifier, data: Vec::new() };
        Step::Done { last: Some(last), outcome: Err(why.into()) }
    }
}
