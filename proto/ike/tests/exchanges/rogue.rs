//! A peer that does as it likes: it knows the protocol and the pre-shared key, and sends whatever a test wants.

use std::net::SocketAddr;

use ravelin_crypto::SecureRandom;
use ravelin_crypto::ikev2::{IkeAlgs, IkeCipher, IkeKeys, Nonces, SignedOctets, Skeyseed};
use ravelin_crypto_aws_lc::provider;
use ravelin_ike::Transmit;
use ravelin_testkit::SeededRandom;
use ravelin_types::proposal::{IkeSuite, Proposal};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, SnId, Transform};
use ravelin_types::{Identity, IkeSpi, Secret, Spi};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v2::{
    AnySpi, Auth, AuthMethod, Chain, Id, Ke, Message, Nonce, OfferedProposal, Payload, Sa, Ts, emit, emit_head,
    parse_chain,
};

use crate::lab::{A, B, Host, config, esp_proposal, ike_proposal, ip, socket};

pub const SPI: Spi = Spi(0x0a0b_0c0d);

/// The peer, as initiator, of a host B.
pub struct Rogue {
    pub b: Host,
    pub local: SocketAddr,
    pub spi_i: IkeSpi,
    pub spi_r: IkeSpi,
    rng: SeededRandom,
    nonce_i: Vec<u8>,
    nonce_r: Vec<u8>,
    request: Vec<u8>,
    response: Vec<u8>,
    keys: Option<(IkeKeys, IkeAlgs, IkeCipher, IkeCipher)>,
    ke: Option<Box<dyn ravelin_crypto::KePrivate>>,
    next_id: u32,
}

impl Rogue {
    pub fn new() -> Self {
        let mut rng = SeededRandom::new(77);
        let mut nonce_i = vec![0; 32];
        rng.fill(&mut nonce_i);
        Rogue {
            b: Host::new(config(B, A), 2),
            local: socket("192.0.2.1:500"),
            spi_i: IkeSpi(0x1111_2222_3333_4444),
            spi_r: IkeSpi::ZERO,
            rng,
            nonce_i,
            nonce_r: Vec::new(),
            request: Vec::new(),
            response: Vec::new(),
            keys: None,
            ke: None,
            next_id: 1,
        }
    }

    /// With the IKE SA up to IKE_SA_INIT.
    pub fn half_open() -> Self {
        let mut rogue = Self::new();
        let payloads = rogue.init_payloads();
        let message = rogue.init(&payloads);
        rogue.send(message);
        let response = rogue.b.take();
        rogue.accept_init(response.data);
        rogue
    }

    /// With an IKE SA and a Child SA whose inbound SPI on this side is [`SPI`].
    pub fn up() -> Self {
        let mut rogue = Self::half_open();
        let payloads = rogue.auth_payloads();
        let answer = rogue.ask(ExchangeType::IKE_AUTH, &payloads);
        assert!(answer.iter().any(|payload| matches!(payload, Payload::Auth(_))), "{answer:?}");
        assert_eq!(rogue.b.ike().state, "ESTABLISHED");
        rogue
    }

    pub fn send(&mut self, data: Vec<u8>) {
        let local = self.local;
        self.b.receive(&Transmit { local, remote: socket("192.0.2.2:500"), data });
    }

    /// SA, KE, N
    pub fn init_payloads(&mut self) -> Vec<Payload> {
        let ke = provider().ke(KeMethod::CURVE25519).unwrap().generate(&mut self.rng);
        let data = ke.public().to_vec();
        self.ke = Some(ke);
        vec![
            sa(ike_proposal(KeMethod::CURVE25519), AnySpi::None),
            Payload::Ke(Ke { method: KeMethod::CURVE25519, data }),
            Payload::Nonce(Nonce::new(self.nonce_i.clone()).unwrap()),
            // As long as NAT detection would be, so that the answer is not longer than the request.
            Payload::Vendor(ravelin_wire::ike::v2::Vendor(vec![0; 64])),
        ]
    }

    pub fn init(&mut self, payloads: &[Payload]) -> Vec<u8> {
        let header = self.header(ExchangeType::IKE_SA_INIT, Flags::INITIATOR, 0);
        self.request = emit(&header, &Chain::new(payloads).unwrap());
        self.request.clone()
    }

    pub fn accept_init(&mut self, response: Vec<u8>) {
        let message = Message::parse(&response).unwrap();
        self.spi_r = message.header.responder_spi;
        let suite = IkeSuite {
            encr: EncrId::AES_GCM_16,
            encr_key_bits: 128,
            integ: IntegId::NONE,
            prf: PrfId::HMAC_SHA2_256,
            ke: KeMethod::CURVE25519,
        };
        let algs = IkeAlgs::find(&provider(), &suite).unwrap();
        let mut shared = None;
        for payload in &message.payloads {
            match payload {
                Payload::Ke(ke) => shared = Some(self.ke.as_ref().unwrap().agree(&ke.data).unwrap()),
                Payload::Nonce(nonce) => self.nonce_r = nonce.as_bytes().to_vec(),
                _ => {}
            }
        }
        let nonces = Nonces { initiator: &self.nonce_i, responder: &self.nonce_r };
        let keys = Skeyseed::initial(algs.prf, &shared.unwrap(), nonces).derive(&algs, nonces, self.spi_i, self.spi_r);
        let (ours, theirs) = keys.ciphers(&algs).unwrap();
        self.keys = Some((keys, algs, ours, theirs));
        self.response = response;
    }

    /// IDi, AUTH, SA, TSi, TSr
    pub fn auth_payloads(&self) -> Vec<Payload> {
        self.auth_payloads_as(Identity::Fqdn("192.0.2.1.example.org".into()), AuthMethod::SHARED_KEY)
    }

    pub fn auth_payloads_as(&self, identity: Identity, method: AuthMethod) -> Vec<Payload> {
        let (keys, algs, ..) = self.keys.as_ref().unwrap();
        let id = Id::new(identity);
        let octets = SignedOctets::new(algs.prf, &self.request, &self.nonce_r, &keys.sk_pi, &id.body());
        let data = octets.psk_auth(algs.prf, &Secret::from(&b"a secret that is long enough"[..]));
        let mut payloads = vec![Payload::IdI(id), Payload::Auth(Auth { method, data })];
        payloads.extend(child_payloads(SPI));
        payloads
    }

    /// A request in its turn, and the payloads of the answer.
    pub fn ask(&mut self, exchange: ExchangeType, payloads: &[Payload]) -> Vec<Payload> {
        let id = self.next_id;
        self.next_id += 1;
        let request = self.seal(exchange, false, id, payloads);
        self.send(request);
        let answer = self.b.take();
        self.open(&answer.data)
    }

    /// A message that verifies.
    pub fn seal(&mut self, exchange: ExchangeType, response: bool, id: u32, payloads: &[Payload]) -> Vec<u8> {
        let chain = Chain::new(payloads).unwrap();
        self.seal_bytes(exchange, response, id, chain.first(), chain.bytes())
    }

    /// A message that verifies, with anything inside.
    pub fn seal_bytes(
        &mut self,
        exchange: ExchangeType,
        response: bool,
        id: u32,
        first: ravelin_wire::ike::header::PayloadType,
        inner: &[u8],
    ) -> Vec<u8> {
        let flags = if response { Flags::INITIATOR.with(Flags::RESPONSE) } else { Flags::INITIATOR };
        let header = self.header(exchange, flags, id);
        let (_, _, ours, _) = self.keys.as_mut().unwrap();
        let mut message = emit_head(&header, first, None, ours.body_len(inner.len()));
        ours.seal(&mut message, inner, &mut self.rng);
        message
    }

    pub fn open(&self, data: &[u8]) -> Vec<Payload> {
        let protected = Message::parse(data).unwrap().protected.expect("a protected message");
        let (_, _, _, theirs) = self.keys.as_ref().unwrap();
        let inner = theirs.open(data, protected.body_at).expect("a message that verifies");
        parse_chain(protected.first, &inner).unwrap()
    }

    pub fn next_id(&self) -> u32 {
        self.next_id
    }

    fn header(&self, exchange: ExchangeType, flags: Flags, message_id: u32) -> Header {
        Header {
            initiator_spi: self.spi_i,
            responder_spi: self.spi_r,
            version: Version::V2,
            exchange,
            flags,
            message_id,
        }
    }

    pub fn nonce(&mut self) -> Payload {
        let mut nonce = vec![0; 32];
        self.rng.fill(&mut nonce);
        Payload::Nonce(Nonce::new(nonce).unwrap())
    }
}

pub fn sa(proposal: Proposal, spi: AnySpi) -> Payload {
    Payload::Sa(Sa(vec![OfferedProposal { number: 1, spi, proposal }]))
}

/// SA, TSi, TSr
pub fn child_payloads(spi: Spi) -> Vec<Payload> {
    let mut proposal = esp_proposal();
    proposal.transforms.push(Transform::Sn(SnId::SEQUENTIAL_32));
    vec![
        sa(proposal, spi.into()),
        Payload::TsI(Ts::new(&[TrafficSelector::host(ip(A))])),
        Payload::TsR(Ts::new(&[TrafficSelector::host(ip(B))])),
    ]
}
