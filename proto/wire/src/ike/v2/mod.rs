//! IKEv2 messages (RFC 7296 §3).
//!
//! ```text
//!   datagram ─ Message::parse ─► header, payloads, Protected (SK or SKF, the last)
//!                                                     │ the caller verifies and decrypts in place
//!                        parse_chain(first, bytes) ◄──┘
//!                                  │
//!                              [Payload]
//!                                  │
//!                        Chain::new ─┬─► emit(header, chain)       a cleartext datagram
//!                                    └─► emit_head(header, ...)    all before the IV; the caller seals the chain
//! ```
//!
//! Emitting cannot fail because of one gate: a [`Chain`] takes only payloads whose counts fit their fields, and never
//! more than [`MAX_CHAIN_LEN`](crate::limits::MAX_CHAIN_LEN) bytes, so no length field after it can overflow.
//!
//! A payload is one file here and one row of the table below, which makes it a variant of [`Payload`], connects
//! parsing and emitting, and adds it to the round-trip tests and to [`PAYLOADS`], from which fuzzing takes its targets.
//! The compiler and the tests then ask for the rest: its number in [`PayloadType`], values in `tests/sample.rs`, and a
//! first input in `tests/fuzz/corpus`.
//! Read RFC 7296 §3.2 and §2.5 before changing this file.

mod announcement;
mod auth;
mod cert;
mod chain;
mod configuration;
mod delete;
mod eap;
mod id;
mod ke;
mod message;
mod nonce;
mod notify;
mod numbers;
mod puzzle_solution;
mod sa;
mod ts;
mod vendor;

#[cfg(test)]
mod tests;

use alloc::vec::Vec;

use super::chain::Emit;
use super::error::{Malformed, Unfit};
use super::header::PayloadType;
use super::reader::Reader;
use super::{Body, PayloadKind};

pub use super::chain::Chain;
pub use super::spi::AnySpi;
pub use announcement::Announcement;
pub use auth::Auth;
pub use cert::{Cert, CertReq};
pub use chain::parse_chain;
pub use configuration::{Cfg, CfgAttribute};
pub use delete::Delete;
pub use eap::Eap;
pub use id::Id;
pub use ke::Ke;
pub use message::{Fragment, Message, Protected, emit, emit_head, emit_head_behind};
pub use nonce::Nonce;
pub use notify::Notify;
pub use numbers::{AuthMethod, CertEncoding, CfgAttributeType, CfgType, EapCode, NotifyType};
pub use puzzle_solution::PuzzleSolution;
pub use sa::{OfferedProposal, Sa};
pub use ts::{Ts, TsEntry, TsType};
pub use vendor::Vendor;

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident: $number:ident => $variant:ident($body:ty);)*) => {
        /// One payload of a chain.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Payload {
            $($(#[$doc])* $variant($body),)*
            /// A type that has no row here. With `critical` set it fails the request (RFC 7296 §2.5).
            Unknown {
                /// Payload type.
                kind: PayloadType,
                /// The critical bit.
                critical: bool,
                /// The bytes after the generic header.
                body: Vec<u8>,
            },
        }

        /// Every payload type that is decoded, in order of number.
        pub const PAYLOADS: &[PayloadKind] =
            &[$(PayloadKind { kind: PayloadType::$number, name: stringify!($name) },)*];

        impl Payload {
            /// Payload type.
            pub fn kind(&self) -> PayloadType {
                match self {
                    $(Payload::$variant(_) => PayloadType::$number,)*
                    Payload::Unknown { kind, .. } => *kind,
                }
            }

            /// Reads a body to its end. `critical` matters only for types without a row.
            fn parse(kind: PayloadType, critical: bool, r: &mut Reader<'_>) -> Result<Payload, Malformed> {
                let payload = match kind {
                    $(PayloadType::$number => Payload::$variant(Body::parse(r)?),)*
                    _ => Payload::Unknown { kind, critical, body: r.take_rest().into() },
                };
                r.finish()?;
                Ok(payload)
            }

        }

        impl Emit for Payload {
            fn kind(&self) -> PayloadType {
                self.kind()
            }

            fn critical(&self) -> bool {
                matches!(self, Payload::Unknown { critical: true, .. })
            }

            fn check(&self) -> Result<(), Unfit> {
                match self {
                    $(Payload::$variant(body) => body.check(),)*
                    Payload::Unknown { .. } => Ok(()),
                }
                .map_err(|reason| Unfit { payload: self.kind(), reason })
            }

            fn emit_body(&self, out: &mut Vec<u8>) {
                match self {
                    $(Payload::$variant(body) => body.emit(out),)*
                    Payload::Unknown { body, .. } => out.extend_from_slice(body),
                }
            }
        }

        #[cfg(test)]
        mod round_trip {
            use super::tests::{Sample, assert_round_trip};
            use super::*;

            $(
                #[test]
                fn $name() {
                    assert_round_trip(<$body as Sample>::any(), Payload::$variant);
                }
            )*
        }
    };
}

payloads! {
    /// Offered or chosen algorithms.
    sa: SA => Sa(Sa);
    /// A public value of a key exchange.
    ke: KE => Ke(Ke);
    /// The initiator's identity.
    idi: IDI => IdI(Id);
    /// The responder's identity, or whom the initiator wants to speak to.
    idr: IDR => IdR(Id);
    /// A certificate.
    cert: CERT => Cert(Cert);
    /// Which certification authorities are trusted.
    certreq: CERTREQ => CertReq(CertReq);
    /// Proof of identity.
    auth: AUTH => Auth(Auth);
    /// A nonce.
    nonce: NONCE => Nonce(Nonce);
    /// An error or a piece of status.
    notify: NOTIFY => Notify(Notify);
    /// SAs that the sender has deleted.
    delete: DELETE => Delete(Delete);
    /// A vendor's mark.
    vendor: VENDOR => Vendor(Vendor);
    /// Traffic selectors of the side that began the exchange.
    tsi: TSI => TsI(Ts);
    /// Traffic selectors of the side that answers the exchange.
    tsr: TSR => TsR(Ts);
    /// Configuration of the peer, such as its inner address.
    cfg: CP => Cfg(Cfg);
    /// An EAP message.
    eap: EAP => Eap(Eap);
    /// The solution of a puzzle.
    ps: PS => Ps(PuzzleSolution);
}
