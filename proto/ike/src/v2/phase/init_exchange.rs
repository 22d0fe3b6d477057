//! What the first exchange leaves for those after it.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_crypto::ikev2::{IkeAlgs, IkeKeys, Nonces};
use ravelin_pki::Wish;
use ravelin_pki::announce::Accepts;
use ravelin_types::proposal::IkeSuite;
use ravelin_types::transform::KeMethod;
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Auth, Id, Message, Protected};

use crate::auth::{Asked, Claim};
use crate::context::Core;
use crate::error::Error;
use crate::extensions::Ppk;
use crate::input::Datagram;
use crate::puzzle::Puzzle;
use crate::v2::feature::intermediate::IntAuth;
use crate::v2::feature::ppk::{Judged, Ppking};
use crate::v2::feature::resumption::Session;
use crate::v2::keying::Keying;
use crate::v2::message::Protection;

/// What IKE_SA_INIT, or IKE_SESSION_RESUME, leaves for the rest. Phases have it boxed and hand it on: together with one of them
/// it would be longer than what allocators have at hand.
pub(crate) struct InitExchange {
    pub(crate) suite: IkeSuite,
    pub(crate) algs: IkeAlgs,
    pub(crate) keys: IkeKeys,
    pub(crate) protection: Protection,
    pub(crate) nonce_i: Arc<[u8]>,
    pub(crate) nonce_r: Arc<[u8]>,
    /// The request that was answered, as it was on the wire.
    pub(crate) request: Vec<u8>,
    /// Its response.
    pub(crate) response: Vec<u8>,
    /// Whether AUTH is about both of these, or about the prover's own.
    pub(crate) full_transcript: bool,
    /// What the peer lets us prove ourselves with, as far as it says so (RFC 7427 §4, RFC 9593).
    pub(crate) accepts: Accepts,
    /// Whether the responder's list of that comes in IKE_INTERMEDIATE, and has not come yet (RFC 9593 §3.1).
    pub(crate) list_due: bool,
    /// What it wants beside our signature.
    pub(crate) wish: Wish,
    /// What is resumed (RFC 5723).
    pub(crate) resumed: Option<Box<Session>>,
    /// The additional key exchange methods that were agreed on, and how many are done.
    pub(crate) additional: Vec<KeMethod>,
    pub(crate) done: usize,
    pub(crate) int_auth: IntAuth,
    /// What the two make of post-quantum pre-shared keys (RFC 8784, RFC 9867).
    pub(crate) ppks: Ppking,
    /// The keys without the one that is mixed in for IKE_AUTH, while the responder may not have it.
    pub(crate) plain: Option<IkeKeys>,
    /// Whether the responder takes an IKE_AUTH request without a Child SA (RFC 6023).
    pub(crate) childless: bool,
    /// Whether the responder takes several proofs of one side (RFC 4739).
    pub(crate) multiple: bool,
    /// Whether the initiator follows to another gateway (RFC 5685); as the responder sees it.
    pub(crate) redirects: bool,
    /// Whether both sides do NAT traversal.
    pub(crate) nat_traversal: bool,
    /// What the responder wants solved before IKE_AUTH (RFC 8019 §7.2); as the initiator sees it.
    pub(crate) puzzle: Option<Puzzle>,
    /// Message ID of the next exchange.
    pub(crate) next_id: u32,
    /// IKE_AUTH exchanges that are over.
    pub(crate) rounds: u32,
}

impl InitExchange {
    /// That of these keys, of Ni and Nr, and of the request and its response, where neither side announced anything.
    pub(super) fn new(
        suite: IkeSuite,
        (algs, keys, protection): (IkeAlgs, IkeKeys, Protection),
        (nonce_i, nonce_r): (Arc<[u8]>, Arc<[u8]>),
        (request, response): (Vec<u8>, Vec<u8>),
    ) -> Self {
        InitExchange {
            suite,
            algs,
            keys,
            protection,
            nonce_i,
            nonce_r,
            request,
            response,
            full_transcript: false,
            accepts: Accepts::default(),
            list_due: false,
            wish: Wish::default(),
            resumed: None,
            additional: Vec::new(),
            done: 0,
            int_auth: IntAuth::default(),
            ppks: Ppking::No,
            plain: None,
            childless: false,
            multiple: false,
            redirects: false,
            nat_traversal: false,
            puzzle: None,
            next_id: 1,
            rounds: 0,
        }
    }

    /// Goes on to the next exchange of IKE_AUTH.
    pub(super) fn next_round(&mut self) {
        self.next_id += 1;
        self.rounds += 1;
    }

    /// The content of a message, where one such as this is `expected`, and it verifies. All others are counted.
    pub(super) fn open(
        &self,
        message: Message,
        expected: bool,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<(Protected, Vec<u8>)> {
        let Some(protected) = message.protected.filter(|_| expected) else {
            core.counters.unexpected += 1;
            return None;
        };
        match self.protection.open(datagram.data, &protected) {
            Ok(inner) => Some((protected, inner)),
            Err(_) => {
                core.counters.forged += 1;
                None
            }
        }
    }

    /// The content of the answer to our request of this exchange, if it verifies. All that is no answer to it is counted.
    ///
    /// # Errors
    /// [`Error::Astray`]: the responder sends its answer as another exchange. Under this message ID no other will come.
    pub(super) fn open_answer(
        &self,
        kind: ExchangeType,
        message: Message,
        datagram: Datagram<'_>,
        core: &mut Core,
    ) -> Option<Result<(Protected, Vec<u8>), Error>> {
        let header = message.header;
        let answers = header.flags.is_response() && header.message_id == self.next_id;
        let opened = self.open(message, answers, datagram, core)?;
        Some(if header.exchange == kind { Ok(opened) } else { Err(Error::Astray(header.exchange)) })
    }

    /// What IKE_INTERMEDIATE adds, with the message ID of the first IKE_AUTH exchange (RFC 9242 §3.3.2).
    fn intermediate_octets(&self) -> Vec<u8> {
        self.int_auth.octets(self.next_id - self.rounds)
    }

    /// What the initiator proves with this identity.
    pub(crate) fn initiator<'a>(&'a self, id: &'a Id) -> Claim<'a> {
        Claim {
            message: &self.request,
            received: self.full_transcript.then_some(&self.response),
            nonce: &self.nonce_r,
            sk_p: &self.keys.sk_pi,
            id,
            int_auth: self.intermediate_octets(),
        }
    }

    /// What the responder proves with this identity.
    pub(crate) fn responder<'a>(&'a self, id: &'a Id) -> Claim<'a> {
        Claim {
            message: &self.response,
            received: self.full_transcript.then_some(&self.request),
            nonce: &self.nonce_i,
            sk_p: &self.keys.sk_pr,
            id,
            int_auth: self.intermediate_octets(),
        }
    }

    /// What the peer said of our proof.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { accepts: &self.accepts, wish: self.wish }
    }

    /// Mixes a post-quantum pre-shared key into the keys, which the request under way names.
    pub(crate) fn mix(&mut self, ppk: Ppk) {
        let mixed = self.keys.mixed(self.algs.prf, &ppk.secret);
        self.plain = Some(core::mem::replace(&mut self.keys, mixed));
        self.ppks = Ppking::Named(Some(ppk));
    }

    /// Whether the responder has the key that was named; if not, it is taken out again.
    pub(crate) fn settle(&mut self, known: bool) {
        let plain = self.plain.take();
        if let Ppking::Named(named) = &mut self.ppks {
            self.ppks = Ppking::Settled(named.take().filter(|_| known));
        }
        if let Some(plain) = plain.filter(|_| !known) {
            self.keys = plain;
        }
    }

    /// As if the request had named none: it is judged again.
    pub(crate) fn unsettle(&mut self) {
        if let (Some(plain), Ppking::Named(_)) = (self.plain.take(), &self.ppks) {
            (self.keys, self.ppks) = (plain, Ppking::InAuth);
        }
    }

    /// What an AUTH that came as `auth` is, as the responder judges it (RFC 8784 §3).
    pub(crate) fn take_up<'a>(&mut self, judged: Judged, auth: &'a Auth) -> Cow<'a, Auth> {
        match judged {
            Judged::Plain => Cow::Borrowed(auth),
            Judged::Mixed(ppk) => {
                self.mix(ppk);
                Cow::Borrowed(auth)
            }
            Judged::Without(plain) => {
                self.ppks = Ppking::Named(None);
                Cow::Owned(plain)
            }
        }
    }

    /// What is behind the keys, with what was behind those of an IKE SA that is resumed. SK_d goes on there, and is here no more.
    pub(crate) fn take_keying(&mut self) -> Keying {
        let (additional, ppk) = match &self.resumed {
            Some(session) => (&session.keying.additional, session.keying.ppk),
            None => (&self.additional, self.ppks.is_used()),
        };
        Keying {
            suite: self.suite,
            additional: additional.clone(),
            sk_d: core::mem::take(&mut self.keys.sk_d),
            ppk,
            full_transcript: self.full_transcript,
        }
    }

    /// Ni and Nr.
    pub(crate) fn nonces(&self) -> Nonces<'_> {
        Nonces { initiator: &self.nonce_i, responder: &self.nonce_r }
    }
}
