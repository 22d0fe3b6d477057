//! Protected messages of one IKE SA, and the payloads of a message by name.

use alloc::vec::Vec;

use ravelin_crypto::ikev2::{IkeAlgs, IkeCipher, IkeKeys};
use ravelin_crypto::{BadKey, Forged, SecureRandom};
use ravelin_types::selector::TrafficSelector;
use ravelin_wire::ike::error::Unfit;
use ravelin_wire::ike::header::Header;
use ravelin_wire::ike::v2::{Auth, Chain, Id, Ke, Nonce, Notify, NotifyType, Payload, Protected, Sa, Ts, emit_head};

use crate::error::Error;
use crate::limits;

/// The two ciphers of an IKE SA, by who sends.
pub(crate) struct Protection {
    ours: IkeCipher,
    theirs: IkeCipher,
}

impl Protection {
    /// Readies the keys; `initiator` says whether we are the original initiator.
    pub(crate) fn new(keys: &IkeKeys, algs: &IkeAlgs, initiator: bool) -> Result<Self, BadKey> {
        let (from_initiator, from_responder) = keys.ciphers(algs)?;
        Ok(match initiator {
            true => Protection { ours: from_initiator, theirs: from_responder },
            false => Protection { ours: from_responder, theirs: from_initiator },
        })
    }

    /// `HDR, SK {payloads}`
    pub(crate) fn seal(
        &mut self,
        header: &Header,
        payloads: &[Payload],
        rng: &mut dyn SecureRandom,
    ) -> Result<Vec<u8>, Unfit> {
        let chain = Chain::new(payloads)?;
        let body_len = self.ours.body_len(chain.bytes().len());
        let mut message = emit_head(header, chain.first(), None, body_len);
        self.ours.seal(&mut message, chain.bytes(), rng);
        Ok(message)
    }

    /// The bytes inside SK of what the peer sent.
    pub(crate) fn open(&self, datagram: &[u8], protected: &Protected) -> Result<Vec<u8>, Forged> {
        // RFC 7383 fragments are not negotiated, so nothing may come in them.
        match protected.fragment {
            None => self.theirs.open(datagram, protected.body_at),
            Some(_) => Err(Forged),
        }
    }
}

/// The payloads of one message. Those that `rules` requires are there at most once.
#[derive(Debug)]
pub(crate) struct Payloads(pub(crate) Vec<Payload>);

macro_rules! singles {
    ($($name:ident: $variant:ident($body:ty) or $missing:literal;)*) => {
        $(pub(crate) fn $name(&self) -> Result<&$body, Error> {
            let found = self.0.iter().find_map(|payload| match payload {
                Payload::$variant(body) => Some(body),
                _ => None,
            });
            found.ok_or(Error::Violation($missing))
        })*
    };
}

impl Payloads {
    singles! {
        sa: Sa(Sa) or "no SA payload";
        ke: Ke(Ke) or "no KE payload";
        nonce: Nonce(Nonce) or "no Nonce payload";
        idi: IdI(Id) or "no IDi payload";
        idr: IdR(Id) or "no IDr payload";
        auth: Auth(Auth) or "no AUTH payload";
        tsi: TsI(Ts) or "no TSi payload";
        tsr: TsR(Ts) or "no TSr payload";
    }

    /// All notifies, in order.
    pub(crate) fn notifies(&self) -> impl Iterator<Item = &Notify> {
        self.0.iter().filter_map(|payload| match payload {
            Payload::Notify(notify) => Some(notify),
            _ => None,
        })
    }

    /// The first notify of this type.
    pub(crate) fn notify(&self, kind: NotifyType) -> Option<&Notify> {
        self.notifies().find(|notify| notify.kind == kind)
    }

    /// The first notify that reports an error.
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.notifies()
            .find(|notify| notify.kind.is_error())
            .map(|notify| Error::Refused(notify.kind, notify.data.clone()))
    }
}

/// The selectors of a payload that packets can be compared with, up to [`limits::SELECTORS`].
pub(crate) fn selectors(ts: &Ts) -> Vec<TrafficSelector> {
    ts.usable().take(limits::SELECTORS).collect()
}
