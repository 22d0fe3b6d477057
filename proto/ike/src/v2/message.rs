//! Protected messages of one IKE SA, and the payloads of a message by name.

use alloc::vec::Vec;

use ravelin_crypto::ikev2::{IkeAlgs, IkeCipher, MessageKeys};
use ravelin_crypto::{BadKey, Forged, SecureRandom};
use ravelin_types::proposal::IkeSuite;
use ravelin_types::selector::Side;
use ravelin_types::{IkeSpi, Instant, Secret};
use ravelin_wire::ike::error::Unfit;
use ravelin_wire::ike::header::{ExchangeType, Header, PayloadType};
use ravelin_wire::ike::v2::{
    Auth, Chain, Eap, Fragment, Id, Ke, Nonce, Notify, NotifyType, Payload, Protected, PuzzleSolution, Sa, Ts,
    emit_head_behind, parse_chain,
};

use crate::error::Error;
use crate::limits;
use crate::sealed::{LARGE, SMALL, Sealed};
use crate::secrets::IkeSecrets;
use crate::v2::feature::fragmentation::{Fragments, Reassemblies};
use crate::v2::feature::intermediate;
use crate::v2::rules;

/// Payloads that nearly every message has at most, so that their list does not move while it grows.
pub(crate) const USUAL_PAYLOADS: usize = 12;
/// Of the generic header of a payload.
pub(crate) const GENERIC_HEADER_LEN: usize = 4;
/// Of the two numbers of an SKF.
const FRAGMENT_FIELDS_LEN: usize = 4;

/// The two ciphers of an IKE SA, by who sends, and what arrived of messages in fragments.
pub(crate) struct Protection {
    ours: IkeCipher,
    theirs: IkeCipher,
    /// As they are, for whoever asks to read along.
    keys: MessageKeys,
    /// Where both sides take fragments: which.
    pub(crate) fragments: Fragments,
    /// Of requests and of responses.
    parts: [Reassemblies; 2],
}

impl Protection {
    /// Readies the keys; `initiator` says whether we are the original initiator.
    pub(crate) fn new(keys: MessageKeys, algs: &IkeAlgs, initiator: bool) -> Result<Self, BadKey> {
        let (from_initiator, from_responder) = keys.ciphers(algs)?;
        let (ours, theirs) =
            if initiator { (from_initiator, from_responder) } else { (from_responder, from_initiator) };
        Ok(Protection { ours, theirs, keys, fragments: Fragments::None, parts: Default::default() })
    }

    /// The keys, of an IKE SA with these SPIs and algorithms.
    pub(crate) fn secrets(&self, spis: (IkeSpi, IkeSpi), suite: IkeSuite) -> IkeSecrets {
        let (encr, integ) = (self.keys.encr().map(Secret::from), self.keys.integ().map(Secret::from));
        IkeSecrets::V2 { spis, suite, encr, integ }
    }

    /// `HDR, SK {payloads}`, or `HDR, SKF {part of the payloads}` several times.
    pub(crate) fn seal(
        &mut self,
        header: &Header,
        payloads: &[Payload],
        rng: &mut dyn SecureRandom,
    ) -> Result<Sealed, Unfit> {
        Ok(self.seal_chain(header, &Chain::new(payloads)?, rng))
    }

    /// `HDR, clear, SK {payloads}`; of fragments the first has what is in clear (RFC 7383 §2.5.3).
    pub(crate) fn seal_behind(
        &mut self,
        header: &Header,
        clear: &[Payload],
        payloads: &[Payload],
        rng: &mut dyn SecureRandom,
    ) -> Result<Sealed, Unfit> {
        Ok(self.seal_chains(header, &Chain::new(clear)?, &Chain::new(payloads)?, rng))
    }

    /// The same, of a chain.
    pub(crate) fn seal_chain(&mut self, header: &Header, chain: &Chain, rng: &mut dyn SecureRandom) -> Sealed {
        self.seal_chains(header, &Chain::default(), chain, rng)
    }

    fn seal_chains(&mut self, header: &Header, clear: &Chain, chain: &Chain, rng: &mut dyn SecureRandom) -> Sealed {
        let body_len = self.ours.body_len(chain.bytes().len());
        let len = Header::LEN + clear.bytes().len() + GENERIC_HEADER_LEN + body_len;
        let small = match self.fragments.any() && len > SMALL {
            true => self.fragment(header, clear, chain, SMALL, rng),
            false => Vec::new(),
        };
        if self.fragments == Fragments::Small && !small.is_empty() {
            return Sealed::fragments(small);
        }
        if self.fragments.any() && len > LARGE {
            let large = self.fragment(header, clear, chain, LARGE, rng);
            return Sealed::fragments(large).or(small);
        }
        let mut message = emit_head_behind(header, clear, chain.first(), None, body_len);
        self.ours.seal(&mut message, chain.bytes(), rng);
        Sealed::whole(message).or(small)
    }

    /// `HDR, SKF {part}`, each of at most `size` octets.
    fn fragment(
        &mut self,
        header: &Header,
        clear: &Chain,
        chain: &Chain,
        size: usize,
        rng: &mut dyn SecureRandom,
    ) -> Vec<Vec<u8>> {
        let outside = Header::LEN + clear.bytes().len() + GENERIC_HEADER_LEN + FRAGMENT_FIELDS_LEN;
        let room = self.ours.capacity(size.saturating_sub(outside));
        let parts = chain.bytes().chunks(room.max(1));
        let total = u16::try_from(parts.len()).unwrap_or(u16::MAX);
        let numbered = parts.zip(1..=total).filter_map(|(part, number)| Some((part, Fragment::new(number, total)?)));
        let sealed = numbered.map(|(part, fragment)| {
            let none = Chain::default();
            let clear = if fragment.number() == 1 { clear } else { &none };
            let body_len = self.ours.body_len(part.len());
            let mut message = emit_head_behind(header, clear, chain.first(), Some(fragment), body_len);
            self.ours.seal(&mut message, part, rng);
            message
        });
        sealed.collect()
    }

    /// The bytes inside SK or SKF of what the peer sent.
    pub(crate) fn open(&self, datagram: &[u8], protected: &Protected) -> Result<Vec<u8>, Forged> {
        // RFC 7383 §2.4: not unless both sides said that they take them.
        if protected.fragment.is_some() && !self.fragments.any() {
            return Err(Forged);
        }
        self.theirs.open(datagram, protected.body_at)
    }

    /// A message leaves again, as the transmission after `sent` others.
    pub(crate) fn sent_again(&mut self, message: &Sealed, sent: u32) {
        if message.is_smaller(sent) {
            self.fragments.narrow();
        }
    }

    /// A message that is awaited, `inner` being what [`Protection::open`] gave of this datagram. `None` while fragments
    /// of it are missing.
    pub(crate) fn whole(
        &mut self,
        datagram: &[u8],
        header: &Header,
        protected: &Protected,
        inner: Vec<u8>,
        now: Instant,
    ) -> Option<Whole> {
        // The last of them says nothing.
        if protected.fragment.is_some_and(|part| part.number() < part.total()) && datagram.len() <= SMALL {
            self.fragments.narrow();
        }
        let head = || intermediate::received_head(datagram, protected.body_at, protected.fragment.is_some());
        // The head counts in IKE_INTERMEDIATE alone.
        let head = if header.exchange == ExchangeType::IKE_INTERMEDIATE { head() } else { Vec::new() };
        let part = Whole { head, critical: protected.critical, first: protected.first, content: inner };
        self.parts[usize::from(header.flags.is_response())].take(header, protected.fragment, part, now)
    }

    /// Takes a message back that [`Protection::whole`] gave: it is put off, and whole again when the same datagram, which
    /// was the last of its fragments, comes again.
    pub(crate) fn put_back(&mut self, header: &Header, protected: &Protected, whole: Whole, now: Instant) {
        if protected.fragment.is_some() {
            self.parts[usize::from(header.flags.is_response())].put_back(header.message_id, whole, now);
        }
    }

    /// When fragments that wait are to be dropped.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.parts.iter().filter_map(Reassemblies::deadline).min()
    }

    /// Drops fragments that waited too long.
    pub(crate) fn forget(&mut self, now: Instant) {
        self.parts.iter_mut().for_each(|parts| parts.forget(now));
    }
}

/// A message that verified, put together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Whole {
    /// In IKE_INTERMEDIATE, what came before the content of SK.
    pub(crate) head: Vec<u8>,
    /// Type of a payload before SK that has to be understood and is not.
    pub(crate) critical: Option<PayloadType>,
    /// Type of the first payload in SK.
    pub(crate) first: PayloadType,
    /// The content of SK.
    pub(crate) content: Vec<u8>,
}

impl Whole {
    /// The payloads inside. Of those before SK only one that had to be understood counts (RFC 7296 §2.5).
    ///
    /// # Errors
    /// As [`rules::accept`], and [`Error::Malformed`].
    pub(crate) fn payloads(&self) -> Result<Payloads, Error> {
        match self.critical {
            Some(kind) => Err(Error::CriticalPayload(kind)),
            None => rules::accept(parse_chain(self.first, &self.content)?),
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
        eap: Eap(Eap) or "no EAP payload";
        ps: Ps(PuzzleSolution) or "no PS payload";
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
pub(crate) fn selectors(ts: &Ts) -> Side {
    ts.usable().take(limits::SELECTORS).collect()
}
