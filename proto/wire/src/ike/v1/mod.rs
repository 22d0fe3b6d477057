//! IKEv1 messages (RFC 2408 §3, with the DOI of RFC 2407).
//!
//! ```text
//!   datagram ─ Message::parse ─► header, Content ─┬─ Clear(Payloads)
//!                                                 └─ Encrypted(first) ─ the caller decrypts from byte 28 on
//!                        Payloads::parse(first, bytes) ◄──┘
//! ```
//! Hashes of IKEv1 cover bodies and runs of payloads as they were sent (RFC 2409 §5), so [`Payloads`] knows where each
//! payload stands in its bytes. Sending goes through [`Chain`] and [`emit`], which are those of IKEv2.
//!
//! A payload is one file here and one row of the table below, as in [`v2`](super::v2).
//! Read RFC 2408 §3 and RFC 2407 §4.6 before changing this folder.

mod attribute;
mod cert;
mod configuration;
mod delete;
mod fragment;
mod id;
mod message;
mod nat;
mod nonce;
mod notify;
mod numbers;
mod opaque;
mod sa;

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
pub use super::v2::emit;
pub use attribute::{Attribute, AttributeValue};
pub use cert::{Cert, CertReq};
pub use configuration::Cfg;
pub use delete::Delete;
pub use fragment::Fragment;
pub use id::Id;
pub use message::{Content, Message, Payloads, emit_padded};
pub use nat::NatOa;
pub use nonce::Nonce;
pub use notify::Notify;
pub use numbers::{
    AhId, AuthAlg, AuthMethod, CertEncoding, CfgAttribute, CfgType, Doi, Encapsulation, EspId, GroupId, HashId, IPCOMP,
    IkeAttribute, IkeEncr, IpcompId, IpsecAttribute, LifeType, NotifyType,
};
pub use opaque::Opaque;
pub use sa::{OfferedProposal, OfferedTransform, Sa};

macro_rules! payloads {
    ($($(#[$doc:meta])* $name:ident: $number:ident => $variant:ident($body:ty);)*) => {
        /// One payload of a chain.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Payload {
            $($(#[$doc])* $variant($body),)*
            /// A type that has no row here.
            Unknown {
                /// Payload type.
                kind: PayloadType,
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

            /// Reads a body to its end.
            fn parse(kind: PayloadType, r: &mut Reader<'_>) -> Result<Payload, Malformed> {
                let payload = match kind {
                    $(PayloadType::$number => Payload::$variant(Body::parse(r)?),)*
                    _ => Payload::Unknown { kind, body: r.take_rest().into() },
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
                false
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
    sa: V1_SA => Sa(Sa);
    /// A public value of Diffie-Hellman.
    ke: V1_KE => Ke(Opaque);
    /// An identity, or the traffic of an SA.
    id: V1_ID => Id(Id);
    /// A certificate.
    cert: V1_CERT => Cert(Cert);
    /// Which certification authority is trusted.
    certreq: V1_CERTREQ => CertReq(CertReq);
    /// Proof of who sent a message, or that it was not changed.
    hash: V1_HASH => Hash(Opaque);
    /// A signature.
    sig: V1_SIG => Sig(Opaque);
    /// A nonce.
    nonce: V1_NONCE => Nonce(Nonce);
    /// An error or a piece of status.
    notify: V1_NOTIFY => Notify(Notify);
    /// SAs that the sender has deleted.
    delete: V1_DELETE => Delete(Delete);
    /// A vendor's mark.
    vendor: V1_VENDOR => Vendor(Opaque);
    /// Configuration of the peer, and XAuth.
    cfg: V1_CFG => Cfg(Cfg);
    /// A hash of an address, for NAT detection (RFC 3947 §3.2).
    nat_d: V1_NAT_D => NatD(Opaque);
    /// An address before a NAT changed it (RFC 3947 §5.2).
    nat_oa: V1_NAT_OA => NatOa(NatOa);
    /// [`Payload::NatD`] as drafts of RFC 3947 numbered it.
    nat_d_draft: V1_NAT_D_DRAFT => NatDDraft(Opaque);
    /// [`Payload::NatOa`] as drafts of RFC 3947 numbered it.
    nat_oa_draft: V1_NAT_OA_DRAFT => NatOaDraft(NatOa);
    /// A part of a message.
    fragment: V1_FRAGMENT => Fragment(Fragment);
}
