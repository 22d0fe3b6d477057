//! Messages of one ISAKMP SA, encrypted and not, and the payloads of a message by name.

use alloc::vec::Vec;

use ravelin_crypto::ikev1::{Algs, Cipher, Iv, Keys};
use ravelin_types::proposal::IkeSuite;
use ravelin_wire::ike::error::Unfit;
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, PayloadType, Version};
use ravelin_wire::ike::v1::{self, Cfg, Chain, Id, Nonce, Notify, NotifyType, Opaque, Payload, Sa, emit_padded};

use crate::error::Error;
use crate::ike_sa::Ends;

/// What phase 1 agreed on.
pub(crate) struct Secured {
    pub(crate) suite: IkeSuite,
    pub(crate) algs: Algs,
    pub(crate) keys: Keys,
    pub(crate) cipher: Cipher,
    /// The IV for what follows in phase 1; after it, what the IVs of all exchanges are made from.
    pub(crate) iv: Iv,
}

impl Secured {
    /// The IV of the first message of an exchange after phase 1.
    pub(crate) fn exchange_iv(&self, message_id: u32) -> Iv {
        self.iv.for_exchange(self.algs.hash, self.algs.prf.output_len(), message_id, &self.cipher)
    }

    /// `HDR*, payloads`, and the IV for what follows.
    pub(crate) fn seal(&self, iv: &Iv, header: Header, payloads: &[Payload]) -> Result<(Vec<u8>, Iv), Unfit> {
        let header = Header { flags: header.flags.with(Flags::V1_ENCRYPTED), ..header };
        let mut message = emit_padded(&header, &Chain::new(payloads)?, self.cipher.block_len());
        let next = self.cipher.seal(iv, &mut message[Header::LEN..]);
        Ok((message, next))
    }

    /// `HDR*, HASH, payloads`: the hash covers the message ID, `before` and the rest of the message.
    pub(crate) fn seal_hashed(
        &self,
        iv: &Iv,
        header: Header,
        before: &[&[u8]],
        payloads: Vec<Payload>,
    ) -> Result<(Vec<u8>, Iv), Unfit> {
        let rest = Chain::new(&payloads)?;
        let parts: Vec<&[u8]> = before.iter().copied().chain([rest.bytes()]).collect();
        let hash = self.keys.hash(header.message_id, &parts);
        let payloads: Vec<Payload> = [Payload::Hash(Opaque(hash))].into_iter().chain(payloads).collect();
        self.seal(iv, header, &payloads)
    }

    /// What an encrypted message holds, and the IV for what follows if it is the peer's.
    pub(crate) fn open(&self, iv: &Iv, first: PayloadType, datagram: &[u8]) -> Option<(Payloads, Iv)> {
        let (text, next) = self.cipher.open(iv, datagram.get(Header::LEN..)?)?;
        let chain = v1::Payloads::parse(first, &text).ok()?;
        Some((Payloads { chain, bytes: text }, next))
    }

    /// As [`Secured::open`], for a message that begins with a hash over message ID, `before` and the rest. `None`: it is
    /// not the peer's.
    pub(crate) fn open_hashed(
        &self,
        iv: &Iv,
        first: PayloadType,
        message_id: u32,
        before: &[&[u8]],
        datagram: &[u8],
    ) -> Option<(Payloads, Iv)> {
        let (payloads, next) = self.open(iv, first, datagram)?;
        let Some(Payload::Hash(Opaque(received))) = payloads.all().first() else { return None };
        let parts: Vec<&[u8]> = before.iter().copied().chain([payloads.after_first()]).collect();
        self.keys.verify(&self.keys.hash(message_id, &parts), received).ok()?;
        Some((payloads, next))
    }
}

impl Ends {
    /// The header of a message of IKEv1.
    pub(crate) fn header_v1(&self, exchange: ExchangeType, message_id: u32) -> Header {
        Header {
            initiator_spi: self.spi_i,
            responder_spi: self.spi_r,
            version: Version::V1,
            exchange,
            flags: Flags::NONE,
            message_id,
        }
    }
}

/// The payloads of one message with the bytes that they were read from.
#[derive(Clone)]
pub(crate) struct Payloads {
    chain: v1::Payloads,
    bytes: Vec<u8>,
}

macro_rules! singles {
    ($($name:ident: $variant:ident($body:ty) or $missing:literal;)*) => {
        $(pub(crate) fn $name(&self) -> Result<&$body, Error> {
            let found = self.all().iter().find_map(|payload| match payload {
                Payload::$variant(body) => Some(body),
                _ => None,
            });
            found.ok_or(Error::Violation($missing))
        })*
    };
}

impl Payloads {
    /// Those of a message in clear.
    pub(crate) fn clear(chain: v1::Payloads, datagram: &[u8]) -> Self {
        Payloads { chain, bytes: datagram.to_vec() }
    }

    singles! {
        sa: Sa(Sa) or "no SA payload";
        ke: Ke(Opaque) or "no KE payload";
        nonce: Nonce(Nonce) or "no NONCE payload";
        cfg: Cfg(Cfg) or "no ATTR payload";
        id: Id(Id) or "no ID payload";
        hash: Hash(Opaque) or "no HASH payload";
        sig: Sig(Opaque) or "no SIG payload";
    }

    /// All, in order.
    pub(crate) fn all(&self) -> &[Payload] {
        self.chain.all()
    }

    /// How many there are of a type.
    pub(crate) fn count(&self, kind: PayloadType) -> usize {
        self.all().iter().filter(|payload| payload.kind() == kind).count()
    }

    /// The body of the first payload of a type, as it was sent.
    pub(crate) fn body(&self, kind: PayloadType) -> &[u8] {
        let index = self.all().iter().position(|payload| payload.kind() == kind);
        index.and_then(|index| self.chain.body(index)).map_or(&[], |range| &self.bytes[range])
    }

    /// Everything behind the first payload but the padding.
    pub(crate) fn after_first(&self) -> &[u8] {
        self.chain.body(0).map_or(&[], |first| &self.bytes[first.end..self.chain.end()])
    }

    /// All identities: in quick mode the initiator's and the responder's.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Id> {
        self.all().iter().filter_map(|payload| match payload {
            Payload::Id(id) => Some(id),
            _ => None,
        })
    }

    /// All notifications.
    pub(crate) fn notifies(&self) -> impl Iterator<Item = &Notify> {
        self.all().iter().filter_map(|payload| match payload {
            Payload::Notify(notify) => Some(notify),
            _ => None,
        })
    }

    /// The first notification of this type.
    pub(crate) fn notify(&self, kind: NotifyType) -> Option<&Notify> {
        self.notifies().find(|notify| notify.kind == kind)
    }
}
