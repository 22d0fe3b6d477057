//! A peer that a test speaks for: it has the keys, and sends and reads whatever it is told to, valid or not.
//!
//! It is made of the codec and the key schedules alone and knows nothing of the endpoint under test. It keeps no
//! rules, no timers and no state beside the keys and the number of its next request.

use std::net::SocketAddr;
use std::sync::Arc;

use ravelin_crypto::ikev2::{IkeAlgs, IkeCipher, IkeKeys, Nonces, SignedOctets, Skeyseed, shared_key};
use ravelin_crypto::{KePrivate, SecureRandom};
use ravelin_crypto_aws_lc::provider;
use ravelin_ike::{Datagram, Input, Transmit};
use ravelin_testkit::SeededRandom;
use ravelin_types::proposal::{IkeSuite, Proposal, ProtocolId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, SnId, Transform};
use ravelin_types::{Identity, IkeSpi, Secret, Spi};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, PayloadType, Version};
use ravelin_wire::ike::v2::{
    AnySpi, Auth, AuthMethod, Chain, Delete, Fragment, Id, Ke, Message, Nonce, Notify, NotifyType, OfferedProposal,
    Payload, Sa, Ts, emit, emit_head, emit_head_behind, parse_chain,
};

use crate::lab::{A, B, Host, SECRET, esp_proposal, ike_proposal, ip, kind, socket};

/// The suite of `ike_proposal(CURVE25519)`, which both ends take.
const SUITE: IkeSuite = IkeSuite {
    encr: EncrId::AES_GCM_16,
    encr_key_bits: 128,
    integ: IntegId::NONE,
    prf: PrfId::HMAC_SHA2_256,
    ke: KeMethod::CURVE25519,
};

/// At address A, opposite to an endpoint at address B.
pub struct Peer {
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// Whether it began the IKE SA.
    pub initiator: bool,
    pub spis: (IkeSpi, IkeSpi),
    pub id: Identity,
    pub secret: Secret,
    /// Of its next request.
    pub next_id: u32,
    /// Ni and Nr of IKE_SA_INIT.
    pub nonces: (Vec<u8>, Vec<u8>),
    /// IKE_SA_INIT request and response, as they were on the wire.
    pub init: (Vec<u8>, Vec<u8>),
    /// Whether the IKE SA that it resumes had it so.
    agreed: Option<bool>,
    /// Whether it says that its AUTH is about both of them, which it then is where the endpoint says so, too.
    pub full_transcript: bool,
    pub rng: SeededRandom,
    ke: Option<Arc<dyn KePrivate>>,
    keys: Option<Keys>,
}

/// Once IKE_SA_INIT is through.
struct Keys {
    algs: IkeAlgs,
    keys: IkeKeys,
    ours: IkeCipher,
    theirs: IkeCipher,
}

impl Peer {
    /// Before the first message.
    pub fn new(seed: u64) -> Self {
        Peer {
            local: socket(&format!("{A}:500")),
            remote: socket(&format!("{B}:500")),
            initiator: true,
            spis: (IkeSpi(0x5000_0000_0000_0000 | seed), IkeSpi::ZERO),
            id: Identity::Fqdn(format!("{A}.example.org")),
            secret: SECRET.into(),
            next_id: 0,
            nonces: (vec![0x11; 32], vec![0x22; 32]),
            init: (Vec::new(), Vec::new()),
            full_transcript: true,
            agreed: None,
            rng: SeededRandom::new(seed),
            ke: None,
            keys: None,
        }
    }

    /// With an IKE SA and a Child SA that it began. Its Child SA receives on [`FIRST`].
    pub fn up(host: &mut Host) -> Self {
        let mut peer = Peer::keyed(host);
        let payloads = peer.auth_request();
        let answer = peer.ask(host, ExchangeType::IKE_AUTH, &payloads);
        assert!(answer.iter().any(|payload| matches!(payload, Payload::TsI(_))), "{answer:#?}");
        host.sent.clear();
        peer
    }

    /// After IKE_SA_INIT, which it began.
    pub fn keyed(host: &mut Host) -> Self {
        let mut peer = Peer::new(1);
        let request = peer.init_request();
        peer.send(host, &request);
        let answer = host.take();
        peer.init_answered(&answer.data);
        peer
    }

    // Building.

    fn full_transcript(&self) -> Option<Payload> {
        self.full_transcript.then(|| notify(NotifyType::IKE_SA_INIT_FULL_TRANSCRIPT_AUTH, &[]))
    }

    /// `SAi1, KEi, Ni, N(IKE_SA_INIT_FULL_TRANSCRIPT_AUTH)`, the parts of [`Peer::init_request`].
    pub fn init_payloads(&mut self) -> Vec<Payload> {
        let ke = provider().ke(KeMethod::CURVE25519).unwrap().generate(&mut self.rng);
        let public = ke.public().to_vec();
        self.ke = Some(ke);
        let own = [sa(vec![ike_proposal(KeMethod::CURVE25519)], AnySpi::None), ke25519(public), nonce(&self.nonces.0)];
        own.into_iter().chain(self.full_transcript()).collect()
    }

    /// `HDR(A,0), SAi1, KEi, Ni`
    pub fn init_request(&mut self) -> Vec<u8> {
        let payloads = self.init_payloads();
        self.init_message(&payloads)
    }

    /// The same with other payloads.
    pub fn init_message(&mut self, payloads: &[Payload]) -> Vec<u8> {
        let header = self.header(ExchangeType::IKE_SA_INIT, false, 0);
        let message = emit(&header, &Chain::new(payloads).unwrap());
        self.init.0 = message.clone();
        message
    }

    /// Takes the answer to [`Peer::init_request`].
    pub fn init_answered(&mut self, answer: &[u8]) {
        let message = Message::parse(answer).unwrap();
        assert!(message.header.flags.is_response());
        self.spis.1 = message.header.responder_spi;
        self.init.1 = answer.to_vec();
        for payload in &message.payloads {
            match payload {
                Payload::Ke(ke) => {
                    let shared = self.ke.take().unwrap().agree(&ke.data).unwrap();
                    self.key(&shared, find_nonce(&message.payloads));
                }
                Payload::Notify(notify) => assert!(!notify.kind.is_error(), "{}", notify.kind),
                _ => {}
            }
        }
        self.next_id = 1;
    }

    /// Answers the IKE_SA_INIT request of an endpoint: `HDR(A,B), SAr1, KEr, Nr`.
    pub fn answer_init(&mut self, request: &[u8]) -> Vec<u8> {
        self.answer_init_with(request, &[])
    }

    /// The same with more behind it.
    pub fn answer_init_with(&mut self, request: &[u8], more: &[Payload]) -> Vec<u8> {
        let message = Message::parse(request).unwrap();
        self.initiator = false;
        self.spis = (message.header.initiator_spi, IkeSpi(0x7777_0000_0000_0001));
        self.init.0 = request.to_vec();
        self.nonces.0 = find_nonce(&message.payloads);
        let ke = message.payloads.iter().find_map(|payload| match payload {
            Payload::Ke(ke) => Some(ke),
            _ => None,
        });
        let alg = provider().ke(KeMethod::CURVE25519).unwrap();
        let (public, shared) = alg.respond(&ke.unwrap().data, &mut self.rng).unwrap();
        let nonce_r = self.nonces.1.clone();
        let answer =
            [sa(vec![ike_proposal(KeMethod::CURVE25519)], AnySpi::None), ke25519(public), nonce(&self.nonces.1)];
        let said = self.full_transcript().filter(|_| says(request));
        let payloads: Vec<Payload> = answer.iter().chain(more).cloned().chain(said).collect();
        let header = self.header(ExchangeType::IKE_SA_INIT, true, 0);
        let answer = emit(&header, &Chain::new(&payloads).unwrap());
        self.init.1 = answer.clone();
        self.key(&shared, nonce_r);
        answer
    }

    fn key(&mut self, shared: &Secret, nonce_r: Vec<u8>) {
        let algs = IkeAlgs::find(&provider(), &SUITE).unwrap();
        self.nonces.1 = nonce_r;
        let nonces = Nonces { initiator: &self.nonces.0, responder: &self.nonces.1 };
        let (keys, messages) =
            Skeyseed::initial(algs.prf, shared, nonces).derive(&algs, nonces, self.spis.0, self.spis.1);
        let (from_i, from_r) = messages.ciphers(&algs).unwrap();
        let (ours, theirs) = if self.initiator { (from_i, from_r) } else { (from_r, from_i) };
        self.keys = Some(Keys { algs, keys, ours, theirs });
    }

    /// The peer on the IKE SA that replaces this one; `began` says whether its request did (RFC 7296 §2.18).
    pub fn rekeyed(&self, began: bool, spis: (IkeSpi, IkeSpi), shared: &Secret, nonces: (Vec<u8>, Vec<u8>)) -> Peer {
        let Keys { algs, keys: old, .. } = self.keys.as_ref().unwrap();
        let both = Nonces { initiator: &nonces.0, responder: &nonces.1 };
        let (keys, messages) = Skeyseed::rekeyed(algs.prf, &old.sk_d, std::slice::from_ref(shared), both)
            .derive(algs, both, spis.0, spis.1);
        let (from_i, from_r) = messages.ciphers(algs).unwrap();
        let (ours, theirs) = if began { (from_i, from_r) } else { (from_r, from_i) };
        Peer {
            initiator: began,
            spis,
            nonces,
            ke: None,
            keys: Some(Keys { algs: *algs, keys, ours, theirs }),
            next_id: 0,
            id: self.id.clone(),
            secret: self.secret.clone(),
            init: Default::default(),
            rng: self.rng.clone(),
            ..*self
        }
    }

    /// The peer with an IKE SA to come in the place of this one, and `HDR(A,0), Ni, N(TICKET_OPAQUE)` (RFC 5723 §4.3.2).
    pub fn resume(&self, ticket: &[u8], seed: u64) -> (Peer, Vec<u8>) {
        let agreed = self.agreed.unwrap_or(says(&self.init.0) && says(&self.init.1));
        let mut peer =
            Peer { id: self.id.clone(), secret: self.secret.clone(), agreed: Some(agreed), ..Peer::new(seed) };
        let payloads = [nonce(&peer.nonces.0), notify(NotifyType::TICKET_OPAQUE, ticket)];
        let header = peer.header(ExchangeType::IKE_SESSION_RESUME, false, 0);
        peer.init.0 = clear(&header, &payloads);
        let request = peer.init.0.clone();
        (peer, request)
    }

    /// Takes `HDR(A,B), Nr`, the answer to that (RFC 5723 §5.1).
    pub fn resumed(&mut self, old: &Peer, answer: &[u8]) {
        let message = Message::parse(answer).unwrap();
        self.spis.1 = message.header.responder_spi;
        self.init.1 = answer.to_vec();
        self.nonces.1 = find_nonce(&message.payloads);
        let Keys { algs, keys: old, .. } = old.keys.as_ref().unwrap();
        let nonces = Nonces { initiator: &self.nonces.0, responder: &self.nonces.1 };
        let (keys, messages) =
            Skeyseed::resumed(algs.prf, &old.sk_d, nonces).derive(algs, nonces, self.spis.0, self.spis.1);
        let (ours, theirs) = messages.ciphers(algs).unwrap();
        self.keys = Some(Keys { algs: *algs, keys, ours, theirs });
        self.next_id = 1;
    }

    /// `IDi, AUTH, SAi2, TSi, TSr` with AUTH by SK_pi (RFC 5723 §4.3.3).
    pub fn resumed_request(&self) -> Vec<Payload> {
        let Keys { algs, keys, .. } = self.keys.as_ref().unwrap();
        let id = Id::new(self.id.clone()).body();
        let message = self.proven(&self.init.0, &self.init.1);
        let data =
            SignedOctets::new(algs.prf, &message, &self.nonces.1, &keys.sk_pi, &id).keyed_auth(algs.prf, &keys.sk_pi);
        let mut payloads = self.auth_request();
        payloads[1] = Payload::Auth(Auth { method: AuthMethod::SHARED_KEY, data });
        payloads
    }

    /// The peer with the IKE SA that an endpoint resumes in the place of this one, and `HDR(A,B), Nr`, the answer to its request.
    pub fn answer_resume(&self, request: &[u8], seed: u64) -> (Peer, Vec<u8>) {
        let message = Message::parse(request).unwrap();
        let agreed = self.agreed.unwrap_or(says(&self.init.0) && says(&self.init.1));
        let mut peer = Peer {
            id: self.id.clone(),
            secret: self.secret.clone(),
            agreed: Some(agreed),
            initiator: false,
            spis: (message.header.initiator_spi, IkeSpi(0x7777_0000_0000_0000 | seed)),
            ..Peer::new(seed)
        };
        peer.nonces.0 = find_nonce(&message.payloads);
        let answer = clear(&peer.header(ExchangeType::IKE_SESSION_RESUME, true, 0), &[nonce(&peer.nonces.1)]);
        peer.init = (request.to_vec(), answer.clone());
        let Keys { algs, keys: old, .. } = self.keys.as_ref().unwrap();
        let nonces = Nonces { initiator: &peer.nonces.0, responder: &peer.nonces.1 };
        let (keys, messages) =
            Skeyseed::resumed(algs.prf, &old.sk_d, nonces).derive(algs, nonces, peer.spis.0, peer.spis.1);
        let (theirs, ours) = messages.ciphers(algs).unwrap();
        peer.keys = Some(Keys { algs: *algs, keys, ours, theirs });
        (peer, answer)
    }

    /// `IDr, AUTH, SAr2, TSi, TSr` with AUTH by SK_pr (RFC 5723 §4.3.3).
    pub fn resumed_answer(&self) -> Vec<Payload> {
        let Keys { algs, keys, .. } = self.keys.as_ref().unwrap();
        let id = Id::new(self.id.clone()).body();
        let message = self.proven(&self.init.1, &self.init.0);
        let data =
            SignedOctets::new(algs.prf, &message, &self.nonces.0, &keys.sk_pr, &id).keyed_auth(algs.prf, &keys.sk_pr);
        let mut payloads = self.auth_answer();
        payloads[1] = Payload::Auth(Auth { method: AuthMethod::SHARED_KEY, data });
        payloads
    }

    /// Mixes a post-quantum pre-shared key into SK_d, SK_pi and SK_pr (RFC 8784 §3).
    pub fn mix(&mut self, ppk: &[u8]) {
        let Keys { algs, keys, .. } = self.keys.as_mut().unwrap();
        *keys = keys.mixed(algs.prf, &ppk.into());
    }

    /// Whether a message is of this IKE SA.
    pub fn owns(&self, message: &Transmit) -> bool {
        let spis = [self.spis.0.0.to_be_bytes(), self.spis.1.0.to_be_bytes()].concat();
        message.data.starts_with(&spis)
    }

    /// Its SK_p, which is the secret of AUTH behind an EAP method without a key.
    pub fn own_sk_p(&self) -> Secret {
        let Keys { keys, .. } = self.keys.as_ref().unwrap();
        if self.initiator { keys.sk_pi.clone() } else { keys.sk_pr.clone() }
    }

    /// AUTH under this identity.
    pub fn auth(&self, id: &Id) -> Payload {
        self.auth_of(self.initiator, id)
    }

    /// The same of either side.
    pub fn auth_of(&self, initiator: bool, id: &Id) -> Payload {
        let Keys { algs, keys, .. } = self.keys.as_ref().unwrap();
        let (message, nonce, sk_p) = match initiator {
            true => (self.proven(&self.init.0, &self.init.1), &self.nonces.1, &keys.sk_pi),
            false => (self.proven(&self.init.1, &self.init.0), &self.nonces.0, &keys.sk_pr),
        };
        let octets = SignedOctets::new(algs.prf, &message, nonce, sk_p, &id.body());
        Payload::Auth(Auth {
            method: AuthMethod::SHARED_KEY,
            data: octets.shared_auth(algs.prf, &*shared_key(algs.prf, &self.secret)),
        })
    }

    /// What AUTH is about, of the messages that a side sent and received.
    fn proven(&self, sent: &[u8], received: &[u8]) -> Vec<u8> {
        match self.full_transcript && self.agreed.unwrap_or(says(sent) && says(received)) {
            true => [&[0; 8], received, sent].concat(),
            false => sent.to_vec(),
        }
    }

    /// `IDi, AUTH, SAi2, TSi, TSr`
    pub fn auth_request(&self) -> Vec<Payload> {
        self.auth_request_as(self.id.clone(), AuthMethod::SHARED_KEY)
    }

    /// The same with another identity, or another method and the right data.
    pub fn auth_request_as(&self, identity: Identity, method: AuthMethod) -> Vec<Payload> {
        let id = Id::new(identity);
        let mut auth = self.auth(&id);
        if let Payload::Auth(auth) = &mut auth {
            auth.method = method;
        }
        let [tsi, tsr] = ts(A, B);
        vec![Payload::IdI(id), auth, sa(vec![esp_proposal()], FIRST.into()), tsi, tsr]
    }

    /// `IDr, AUTH, SAr2, TSi, TSr`
    pub fn auth_answer(&self) -> Vec<Payload> {
        let id = Id::new(self.id.clone());
        let auth = self.auth(&id);
        let [tsi, tsr] = ts(B, A);
        vec![Payload::IdR(id), auth, sa(vec![answered_esp()], FIRST.into()), tsi, tsr]
    }

    pub fn header(&self, exchange: ExchangeType, response: bool, message_id: u32) -> Header {
        let role = if self.initiator { Flags::INITIATOR } else { Flags::NONE };
        let flags = if response { role.with(Flags::RESPONSE) } else { role };
        Header {
            initiator_spi: self.spis.0,
            responder_spi: self.spis.1,
            version: Version::V2,
            exchange,
            flags,
            message_id,
        }
    }

    /// `HDR, SK {payloads}`
    pub fn seal(&mut self, exchange: ExchangeType, response: bool, id: u32, payloads: &[Payload]) -> Vec<u8> {
        let chain = Chain::new(payloads).unwrap();
        self.seal_bytes(exchange, response, id, chain.first(), chain.bytes())
    }

    /// `HDR, clear, SK {payloads}`
    pub fn seal_behind(&mut self, exchange: ExchangeType, id: u32, clear: &[Payload], payloads: &[Payload]) -> Vec<u8> {
        let (clear, chain) = (Chain::new(clear).unwrap(), Chain::new(payloads).unwrap());
        let header = self.header(exchange, false, id);
        let ours = &mut self.keys.as_mut().unwrap().ours;
        let mut message = emit_head_behind(&header, &clear, chain.first(), None, ours.body_len(chain.bytes().len()));
        ours.seal(&mut message, chain.bytes(), &mut self.rng);
        message
    }

    /// `HDR, SK {...}` with any bytes in it; `first` says what they are.
    pub fn seal_bytes(
        &mut self,
        exchange: ExchangeType,
        response: bool,
        id: u32,
        first: PayloadType,
        inner: &[u8],
    ) -> Vec<u8> {
        let header = self.header(exchange, response, id);
        let ours = &mut self.keys.as_mut().unwrap().ours;
        let mut message = emit_head(&header, first, None, ours.body_len(inner.len()));
        ours.seal(&mut message, inner, &mut self.rng);
        message
    }

    /// `HDR, SKF {payloads}`, as if fragments had been agreed on (RFC 7383 §2.5).
    pub fn seal_fragment(&mut self, exchange: ExchangeType, fragment: Fragment, payloads: &[Payload]) -> Vec<u8> {
        let chain = Chain::new(payloads).unwrap();
        let header = self.header(exchange, false, self.next_id);
        let ours = &mut self.keys.as_mut().unwrap().ours;
        let body_len = ours.body_len(chain.bytes().len());
        let mut message = emit_head(&header, chain.first(), Some(fragment), body_len);
        ours.seal(&mut message, chain.bytes(), &mut self.rng);
        message
    }

    /// `HDR, SKF {payloads}` in parts of so many octets.
    pub fn seal_fragments(&mut self, exchange: ExchangeType, payloads: &[Payload], octets: usize) -> Vec<Vec<u8>> {
        self.seal_fragments_behind(exchange, payloads, octets, 0)
    }

    /// The same with so many unknown payloads before the SKF of the first part (RFC 7383 §2.5.3).
    pub fn seal_fragments_behind(
        &mut self,
        exchange: ExchangeType,
        payloads: &[Payload],
        octets: usize,
        outside: usize,
    ) -> Vec<Vec<u8>> {
        let chain = Chain::new(payloads).unwrap();
        let header = self.header(exchange, false, self.next_id);
        let parts: Vec<&[u8]> = chain.bytes().chunks(octets).collect();
        let total = parts.len() as u16;
        let ours = &mut self.keys.as_mut().unwrap().ours;
        let mut messages = Vec::new();
        for (part, number) in parts.into_iter().zip(1..) {
            let fragment = Fragment::new(number, total);
            let mut message = emit_head(&header, chain.first(), fragment, ours.body_len(part.len()));
            if number == 1 && outside > 0 {
                let extra = [200, 0, 0, 4].repeat(outside);
                let skf = message[16];
                message.splice(28..28, extra);
                message[16] = 200;
                message[28 + 4 * (outside - 1)] = skf;
                let len = u32::from_be_bytes(message[24..28].try_into().unwrap()) + 4 * outside as u32;
                message[24..28].copy_from_slice(&len.to_be_bytes());
            }
            ours.seal(&mut message, part, &mut self.rng);
            messages.push(message);
        }
        messages
    }

    // Exchanging.

    pub fn send(&self, host: &mut Host, data: &[u8]) {
        host.input(Input::Datagram(Datagram {
            local: self.remote,
            remote: self.local,
            carrier: ravelin_types::Carrier::Udp,
            data,
        }));
    }

    /// The payloads of a message from the endpoint.
    pub fn open(&self, message: &Transmit) -> Vec<Payload> {
        let parsed = Message::parse(&message.data).unwrap();
        assert_eq!((parsed.header.initiator_spi, parsed.header.responder_spi), self.spis);
        assert_eq!(parsed.header.flags.is_initiator(), !self.initiator);
        let protected = parsed.protected.expect("a protected message");
        let inner = self.keys.as_ref().unwrap().theirs.open(&message.data, protected.body_at).unwrap();
        parse_chain(protected.first, &inner).unwrap()
    }

    /// Sends a request with the next message ID. Returns it.
    pub fn request(&mut self, host: &mut Host, exchange: ExchangeType, payloads: &[Payload]) -> Vec<u8> {
        let message = self.seal(exchange, false, self.next_id, payloads);
        self.send(host, &message);
        self.next_id += 1;
        message
    }

    /// Sends a request; the endpoint's response to it.
    pub fn ask(&mut self, host: &mut Host, exchange: ExchangeType, payloads: &[Payload]) -> Vec<Payload> {
        self.request(host, exchange, payloads);
        self.response(host)
    }

    /// The same with any bytes inside.
    pub fn ask_bytes(
        &mut self,
        host: &mut Host,
        exchange: ExchangeType,
        first: PayloadType,
        inner: &[u8],
    ) -> Vec<Payload> {
        let message = self.seal_bytes(exchange, false, self.next_id, first, inner);
        self.send(host, &message);
        self.next_id += 1;
        self.response(host)
    }

    /// The response to the last request, which must be waiting.
    pub fn response(&self, host: &mut Host) -> Vec<Payload> {
        let (_, id, response) = host.next().expect("a response");
        assert!(response && id == self.next_id - 1, "message {id}, response: {response}");
        let message = host.take();
        self.open(&message)
    }

    /// The endpoint's request that waits: its message ID and payloads.
    pub fn asked(&self, host: &mut Host) -> (u32, Vec<Payload>) {
        let message = host.take();
        let (_, id, response) = kind(&message.data);
        assert!(!response);
        (id, self.open(&message))
    }

    /// Answers a request of the endpoint.
    pub fn answer(&mut self, host: &mut Host, exchange: ExchangeType, id: u32, payloads: &[Payload]) {
        let message = self.seal(exchange, true, id, payloads);
        self.send(host, &message);
    }
}

/// SPI on which the Child SA of [`Peer::up`] receives.
pub const FIRST: Spi = Spi(0x0abc_0001);

/// SA with one proposal.
pub fn sa_of(proposal: Proposal, spi: AnySpi) -> Payload {
    sa(vec![proposal], spi)
}

pub fn sa(proposals: Vec<Proposal>, spi: AnySpi) -> Payload {
    let numbered = proposals.into_iter().zip(1..);
    Payload::Sa(Sa(numbered.map(|(proposal, number)| OfferedProposal { number, spi: spi.clone(), proposal }).collect()))
}

/// A message in clear.
pub fn clear(header: &Header, payloads: &[Payload]) -> Vec<u8> {
    emit(header, &Chain::new(payloads).unwrap())
}

/// A payload as RFC 7296 writes it.
pub fn name(payload: &Payload) -> String {
    payload.kind().to_string()
}

pub fn ke25519(data: Vec<u8>) -> Payload {
    Payload::Ke(Ke { method: KeMethod::CURVE25519, data })
}

pub fn nonce(bytes: &[u8]) -> Payload {
    Payload::Nonce(Nonce::new(bytes).unwrap())
}

/// TSi and TSr of two hosts.
pub fn ts(initiator: &str, responder: &str) -> [Payload; 2] {
    let host = |address| Ts::new(&[TrafficSelector::host(ip(address))]);
    [Payload::TsI(host(initiator)), Payload::TsR(host(responder))]
}

pub fn notify(kind: NotifyType, data: &[u8]) -> Payload {
    Payload::Notify(Notify::new(kind, data))
}

/// `N(REKEY_SA)`
pub fn rekey_sa(spi: Spi) -> Payload {
    Payload::Notify(Notify::about(ProtocolId::ESP, spi, NotifyType::REKEY_SA))
}

/// What an endpoint offers for ESP by default, with the type of sequence numbers that it adds.
pub fn answered_esp() -> Proposal {
    let mut proposal = esp_proposal();
    proposal.transforms.push(Transform::Sn(SnId::SEQUENTIAL_32));
    proposal
}

/// `D(ESP, SPI)`
pub fn delete(spis: &[Spi]) -> Payload {
    Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis: spis.to_vec() })
}

/// `SA, Ni, TSi, TSr`: a request of the peer at A for a Child SA that receives on `spi`.
pub fn child_request(spi: Spi, fill: u8) -> Vec<Payload> {
    let [tsi, tsr] = ts(A, B);
    vec![sa(vec![esp_proposal()], spi.into()), nonce(&[fill; 32]), tsi, tsr]
}

/// `SA, Ni, KEi`: a request for an IKE SA in place of the old one, and the private value.
pub fn ike_request(peer: &mut Peer, spi: IkeSpi, fill: u8) -> (Vec<Payload>, Arc<dyn KePrivate>) {
    let (private, ke) = fresh_ke(&mut peer.rng);
    let payloads = vec![sa(vec![ike_proposal(KeMethod::CURVE25519)], spi.into()), nonce(&[fill; 32]), ke];
    (payloads, private)
}

/// A private value and the payload with its public one.
pub fn fresh_ke(rng: &mut dyn SecureRandom) -> (Arc<dyn KePrivate>, Payload) {
    let private = provider().ke(KeMethod::CURVE25519).unwrap().generate(rng);
    let payload = ke25519(private.public().to_vec());
    (private, payload)
}

pub fn find_nonce(payloads: &[Payload]) -> Vec<u8> {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(nonce.as_bytes().to_vec()),
        _ => None,
    });
    found.expect("a nonce")
}

/// The SPI in the first proposal.
pub fn spi_of(payloads: &[Payload]) -> AnySpi {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::Sa(sa) => Some(sa.0[0].spi.clone()),
        _ => None,
    });
    found.expect("an SA payload")
}

pub fn find_ke(payloads: &[Payload]) -> Vec<u8> {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::Ke(ke) => Some(ke.data.clone()),
        _ => None,
    });
    found.expect("a KE payload")
}

/// The types of the notifies.
pub fn notifies(payloads: &[Payload]) -> Vec<NotifyType> {
    let found = payloads.iter().filter_map(|payload| match payload {
        Payload::Notify(notify) => Some(notify.kind),
        _ => None,
    });
    found.collect()
}

/// SPIs in Delete payloads of ESP.
pub fn deleted(payloads: &[Payload]) -> Vec<Spi> {
    let found = payloads.iter().filter_map(|payload| match payload {
        Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis }) => Some(spis.clone()),
        _ => None,
    });
    found.flatten().collect()
}

/// Whether a message of IKE_SA_INIT says that AUTH is about both.
fn says(message: &[u8]) -> bool {
    let parsed = Message::parse(message);
    parsed.is_ok_and(|parsed| notifies(&parsed.payloads).contains(&NotifyType::IKE_SA_INIT_FULL_TRANSCRIPT_AUTH))
}
