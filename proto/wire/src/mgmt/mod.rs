//! The management messages of document 003 §3.14: how a keying program and an administrator's program talk to the IPsec
//! of a host.
//!
//! ```text
//!   packet ─ Header::parse ─► header, data ─► Request::parse   what an application asks
//!                                          ├► parse_answer     what it is answered: a reply, or a status alone
//!                                          └► Event::parse     what every registered application is told
//! ```
//!
//! All numbers are big endian. A message is one row of the tables below, which gives it a variant, parsing, emitting,
//! its round-trip test and its part of the fuzz targets; what is between the header and the end is one file per group.
//! `docs/management.md` shows every octet, and beside each name that of the original.
//!
//! Values can only be such that they can be sent, so emitting cannot fail.

mod common;
mod event;
mod header;
mod policy;
mod sa;
mod spi;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use ravelin_types::Secret;

use crate::ike::error::Malformed;
use crate::ike::header::PayloadType;
use crate::ike::reader::Reader;

pub use common::{Endpoint, IdentityType, Nothing, PacketFlow, PolicyNumber, TrafficIdentity};
pub use event::{Acquire, SaDeleted, SaExpired};
pub use header::{Header, MessageType, Module, Status};
pub use policy::{ClonePolicy, PolicyAction, PolicyBody, PolicyFlags};
pub use sa::{AddSa, Key, Lifetimes, MAX_KEY_LEN, SaBody, SaFlags, SaInfo, SaSpis, SaUse};
pub use spi::{DeleteSpis, GetSpi, InitialContact, MAX_SPIS, Protocol};

/// The longest data of a message: with its header it stays within 1024 octets.
pub const MAX_DATA_LEN: usize = 1024 - Header::LEN;

/// The data of one message.
trait Body: Sized {
    /// Reads the whole data; octets left over are an error that the caller raises.
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed>;

    /// Appends the data, at most [`MAX_DATA_LEN`] octets.
    fn emit(&self, out: &mut Vec<u8>);
}

fn parse_all<T: Body>(data: &[u8]) -> Result<T, Malformed> {
    let mut r = Reader::new(data, Header::LEN, PayloadType::NONE);
    let body = T::parse(&mut r)?;
    r.finish()?;
    Ok(body)
}

fn unknown_type() -> Malformed {
    Reader::new(&[], 0, PayloadType::NONE).malformed("unknown message type")
}

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident: $number:ident => $variant:ident($asked:ty) -> $told:ty;)*) => {
        /// What an application asks, and with what.
        #[derive(Clone, Debug)]
        pub enum Request {
            $($(#[$doc])* $variant($asked),)*
        }

        /// What it is told when all went well.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Reply {
            $($(#[$doc])* $variant($told),)*
        }

        impl Request {
            /// The message's number.
            pub fn kind(&self) -> MessageType {
                match self { $(Request::$variant(_) => MessageType::$number,)* }
            }

            /// Reads the data of a request.
            ///
            /// # Errors
            /// When the number is not that of a request, or the data is not as it has to be.
            pub fn parse(kind: MessageType, data: &[u8]) -> Result<Self, Malformed> {
                match kind {
                    $(MessageType::$number => parse_all(data).map(Request::$variant),)*
                    _ => Err(unknown_type()),
                }
            }

            fn emit_data(&self, out: &mut Vec<u8>) {
                match self { $(Request::$variant(body) => body.emit(out),)* }
            }
        }

        impl Reply {
            /// The message's number.
            pub fn kind(&self) -> MessageType {
                match self { $(Reply::$variant(_) => MessageType::$number,)* }
            }

            /// Reads the data of a reply with status 0.
            ///
            /// # Errors
            /// When the number is not that of a request, or the data is not as it has to be.
            pub fn parse(kind: MessageType, data: &[u8]) -> Result<Self, Malformed> {
                match kind {
                    $(MessageType::$number => parse_all(data).map(Reply::$variant),)*
                    _ => Err(unknown_type()),
                }
            }

            fn emit_data(&self, out: &mut Vec<u8>) {
                match self { $(Reply::$variant(body) => body.emit(out),)* }
            }
        }

        #[cfg(test)]
        mod requests {
            use super::tests::{Sample, assert_reply, assert_request};
            use super::*;

            $(
                #[test]
                fn $name() {
                    assert_request(<$asked as Sample>::any(), Request::$variant);
                    assert_reply(<$told as Sample>::any(), Reply::$variant);
                }
            )*
        }
    };
}

macro_rules! events {
    ($($(#[$doc:meta])* $name:ident: $number:ident => $variant:ident($body:ty);)*) => {
        /// What every registered application is told.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Event {
            $($(#[$doc])* $variant($body),)*
        }

        impl Event {
            /// The message's number.
            pub fn kind(&self) -> MessageType {
                match self { $(Event::$variant(_) => MessageType::$number,)* }
            }

            /// Reads the data of an event.
            ///
            /// # Errors
            /// When the number is not that of an event, or the data is not as it has to be.
            pub fn parse(kind: MessageType, data: &[u8]) -> Result<Self, Malformed> {
                match kind {
                    $(MessageType::$number => parse_all(data).map(Event::$variant),)*
                    _ => Err(unknown_type()),
                }
            }

            fn emit_data(&self, out: &mut Vec<u8>) {
                match self { $(Event::$variant(body) => body.emit(out),)* }
            }
        }

        #[cfg(test)]
        mod events {
            use super::tests::{Sample, assert_event};
            use super::*;

            $(
                #[test]
                fn $name() {
                    assert_event(<$body as Sample>::any(), Event::$variant);
                }
            )*
        }
    };
}

requests! {
    /// Events shall come to this application from now on.
    app_register: APP_REGISTER => Register(Nothing) -> Nothing;
    /// A narrower policy, made from one and from the traffic selectors that a peer asked for; its number.
    clone_policy: CLONE_POLICY => ClonePolicy(ClonePolicy) -> PolicyNumber;
    /// A peer has lost its state: every SA with it goes.
    initial_contact: INITIAL_CONTACT => InitialContact(InitialContact) -> Nothing;
    /// A peer deleted SAs: the sessions that send by these SPIs go.
    delete_spis: DELETE_SPIS => DeleteSpis(DeleteSpis) -> Nothing;
    /// Inbound SPIs for SAs that are being negotiated.
    get_spi: GET_SPI => GetSpi(GetSpi) -> GetSpi;
    /// What an acquire asked for cannot be had.
    acquire_fail: ACQUIRE_FAIL => AcquireFail(PolicyNumber) -> Nothing;
    /// Both directions of an SA, or of AH and ESP together.
    add_sa: ADD_SA => AddSa(AddSa) -> Nothing;
    /// The policy of a number.
    get_policy: GET_POLICY => GetPolicy(PolicyNumber) -> PolicyBody;
    /// The policy with the next higher number; 0 gives the first.
    get_policies: GET_POLICIES => GetPolicies(PolicyNumber) -> PolicyBody;
    /// The policy that decides about a packet.
    lookup_policy: LOOKUP_POLICY => LookupPolicy(PacketFlow) -> PolicyBody;
    /// Every SA goes.
    saflush: SAFLUSH => FlushSad(Nothing) -> Nothing;
    /// A policy under a number of the sender's choice, or, for 0, of ours; its number.
    add_policy: ADD_POLICY => AddPolicy(PolicyBody) -> PolicyNumber;
    /// A policy goes, and its SAs with it.
    del_policy: DEL_POLICY => DeletePolicy(PolicyNumber) -> Nothing;
    /// The SA that serves a policy.
    get_sa: GET_SA => GetSa(PolicyNumber) -> SaInfo;
    /// The SAs of a policy go.
    del_sa: DEL_SA => DeleteSa(PolicyNumber) -> Nothing;
    /// Every policy goes, and the SAs with them.
    flush_spd: FLUSH_SPD => FlushSpd(Nothing) -> Nothing;
}

events! {
    /// A packet needs an SA.
    acquire: ACQUIRE => Acquire(Acquire);
    /// An SA passed a limit.
    sa_expired: SA_EXPIRED => SaExpired(SaExpired);
    /// The SAs of a session are gone.
    sa_deleted: SA_DELETED => SaDeleted(SaDeleted);
    /// A policy was added.
    policy_added: POLICY_ADDED => PolicyAdded(PolicyBody);
    /// A policy is gone.
    policy_deleted: POLICY_DELETED => PolicyDeleted(PolicyNumber);
}

impl Request {
    /// The whole message. It may hold keys, so it is a secret.
    pub fn emit(&self, src: Module, sequence: u16) -> Secret {
        let header = Header { kind: self.kind(), src, dst: Module::IPSEC, sequence, status: Status::OK };
        Secret::new(message(&header, |out| self.emit_data(out)))
    }
}

impl Event {
    /// The whole message.
    pub fn emit(&self, dst: Module, sequence: u16) -> Vec<u8> {
        let header = Header { kind: self.kind(), src: Module::IPSEC, dst, sequence, status: Status::OK };
        message(&header, |out| self.emit_data(out))
    }
}

/// The answer to the request with this header: a reply, or a status and no data.
pub fn emit_answer(request: &Header, outcome: &Result<Reply, Status>) -> Vec<u8> {
    let status = outcome.as_ref().err().copied().unwrap_or(Status::OK);
    let header = Header { src: request.dst, dst: request.src, status, ..*request };
    message(&header, |out| {
        if let Ok(reply) = outcome {
            reply.emit_data(out);
        }
    })
}

/// Reads the answer to a request.
///
/// # Errors
/// When the number is not that of a request, or the data is not as it has to be.
pub fn parse_answer(header: &Header, data: &[u8]) -> Result<Result<Reply, Status>, Malformed> {
    match (header.status, data) {
        (Status::OK, data) => Reply::parse(header.kind, data).map(Ok),
        (status, []) => Ok(Err(status)),
        (_, data) => Err(Reader::new(data, Header::LEN, PayloadType::NONE).malformed("data behind an error")),
    }
}

fn message(header: &Header, data: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    // Room for all at once: no copy of a key stays behind in memory that was given back.
    let mut out = Vec::with_capacity(Header::LEN + MAX_DATA_LEN);
    header.emit(&mut out);
    data(&mut out);
    // No body is longer than MAX_DATA_LEN, so the field holds it.
    let len = (out.len() - Header::LEN) as u16;
    out[Header::LENGTH_AT..Header::LENGTH_AT + 2].copy_from_slice(&len.to_be_bytes());
    out
}
