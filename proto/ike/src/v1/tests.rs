//! What no Ravelin sends but others may, under the keys of an ISAKMP SA: two endpoints, one of which is made to say it.

mod hostile;
mod refusal;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use ravelin_testkit::SeededRandom;
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::lifetime::Lifetime;
use ravelin_types::options::SaOptions;
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Domain, Mode, Policy, PolicyId, Protection, Ways};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, KeMethod, PrfId, Transform};
use ravelin_types::{Carrier, Identity, Instant};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v1::{
    AnySpi, Attribute, Doi, IkeAttribute, IpsecAttribute, LifeType, Notify, NotifyType, Payload,
};

use super::phase::Phase;
use super::session::{Session, about_ike};
use crate::config::{IkeVersion, Liveness, LocalAuth, RemoteAuth, Retransmission, Rounds, V1};
use crate::explain::Part;
use crate::ike_sa::{self, Ends};
use crate::output::DownReason;
use crate::{ChildPolicy, Command, Config, Datagram, Endpoint, Event, Input, Output, Remote, Transmit};

const SECRET: &[u8] = b"a secret that is long enough";
const ENDS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const POLICY: PolicyId = PolicyId(7);

struct Side {
    endpoint: Endpoint,
    now: Instant,
    sent: Vec<Transmit>,
    events: Vec<Event>,
    /// How many SAs the data plane has.
    sas: usize,
    /// The message ID of what it was last made to say.
    said: u32,
}

fn remote(own: &str, peer: &str) -> Remote {
    let proposal = vec![
        Transform::Encr(EncrId::AES_CBC, Some(128)),
        Transform::Prf(PrfId::HMAC_SHA2_256),
        Transform::Ke(KeMethod::ECP256),
    ];
    Remote {
        name: "peer".into(),
        version: IkeVersion::V1(V1::default()),
        local: own.parse().ok(),
        source: None,
        remote: peer.parse().unwrap(),
        local_id: Identity::Fqdn(own.into()),
        remote_id: Identity::Fqdn(peer.into()),
        local_auth: LocalAuth::Psk(SECRET.into()),
        remote_auth: RemoteAuth::Psk(SECRET.into()),
        rounds: Rounds::default(),
        proposals: vec![Proposal { protocol: ProtocolId::IKE, transforms: proposal }],
        initiate: true,
        accept: true,
        lifetime: Duration::from_secs(3600),
        retransmission: Retransmission::default(),
        liveness: Liveness::Off,
        login_time: Remote::LOGIN_TIME,
        encap: false,
        open: Default::default(),
        internal: Default::default(),
        if_ids: Default::default(),
        extensions: Default::default(),
    }
}

fn esp() -> Proposal {
    Proposal { protocol: ProtocolId::ESP, transforms: vec![Transform::Encr(EncrId::AES_GCM_16, Some(128))] }
}

fn policy(own: &str, peer: &str) -> ChildPolicy {
    let [local, remote] = [own, peer].map(|end| end.parse().unwrap());
    ChildPolicy {
        policy: Policy {
            id: POLICY,
            name: "policy".into(),
            domain: Domain::default(),
            priority: 10,
            local: vec![TrafficSelector::host(local)],
            remote: vec![TrafficSelector::host(remote)],
            action: Action::Protect(Protection {
                mode: Mode::Tunnel,
                local: Some(local),
                remote,
                pfp: Pfp::NONE,
                lifetime: Lifetime::default(),
                replay_window: 64,
                options: SaOptions::default(),
            }),
            ways: Ways::default(),
        },
        remote: "peer".into(),
        proposals: vec![esp()],
        ah: Vec::new(),
        dynamic: Default::default(),
        names: Vec::new(),
    }
}

fn at(seconds: u64) -> Instant {
    Instant::from_duration(Duration::from_secs(seconds))
}

impl Side {
    fn new(own: &str, peer: &str, seed: u64) -> Self {
        let config =
            Config { remotes: vec![remote(own, peer)], policies: vec![policy(own, peer)], ..Config::default() };
        let rng = Box::new(SeededRandom::new(seed));
        let endpoint = Endpoint::new(Arc::new(config), ravelin_crypto_aws_lc::provider(), rng, at(1000));
        Side { endpoint, now: at(1000), sent: Vec::new(), events: Vec::new(), sas: 0, said: 0 }
    }

    fn input(&mut self, input: Input<'_>, now: Instant) {
        self.now = now;
        self.endpoint.handle(input, now);
        loop {
            match self.endpoint.poll() {
                Output::Transmit(message) => self.sent.push(message),
                Output::Event(event) => self.events.push(event),
                Output::Apply(op, what) => {
                    match *what {
                        DataPlaneOp::AddSa(_) => self.sas += 1,
                        DataPlaneOp::DeleteSa(_) => self.sas -= 1,
                        _ => {}
                    }
                    self.endpoint.handle(Input::Done(op, Ok(()).into()), now);
                }
                Output::Wait(_) => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The newest ISAKMP SA.
    fn newest(&self) -> (&Ends, &Session) {
        let newest = self.endpoint.core.table.iter().max_by_key(|sa| sa.ends.serial).unwrap();
        let ike_sa::Phase::V1(Phase::Session(session)) = &newest.phase else { panic!("no session") };
        (&newest.ends, session)
    }

    /// Says it, in an informational exchange of the newest ISAKMP SA.
    fn say(&mut self, notify: impl FnOnce(&Ends) -> Payload) {
        self.say_in(ExchangeType::INFORMATIONAL_V1, |ends| vec![notify(ends)]);
    }

    /// Says it, as the first message of an exchange under the newest ISAKMP SA.
    fn say_in(&mut self, exchange: ExchangeType, payloads: impl FnOnce(&Ends) -> Vec<Payload>) {
        self.said += 1;
        let (ends, Session { secured, .. }) = self.newest();
        let iv = secured.exchange_iv(self.said);
        let header = ends.header_v1(exchange, self.said);
        let (message, _) = secured.seal_hashed(&iv, header, &[], payloads(ends)).unwrap();
        let message = Transmit::new(ends.way(), message);
        self.sent.push(message);
    }

    /// The same without a hash over it.
    fn say_bare(&mut self, exchange: ExchangeType, payloads: impl FnOnce(&Ends) -> Vec<Payload>) {
        self.said += 1;
        let (ends, Session { secured, .. }) = self.newest();
        let header = ends.header_v1(exchange, self.said);
        let (message, _) = secured.seal(&secured.exchange_iv(self.said), header, &payloads(ends)).unwrap();
        let message = Transmit::new(ends.way(), message);
        self.sent.push(message);
    }
}

/// All that one has sent, to the other.
fn deliver(messages: Vec<Transmit>, receiver: &mut Side, now: Instant) {
    for Transmit { local, remote, data, .. } in messages {
        let datagram = Datagram { local: remote, remote: local, carrier: Carrier::Udp, data: &data };
        receiver.input(Input::Datagram(datagram), now);
    }
}

fn settle(a: &mut Side, b: &mut Side, now: Instant) {
    for _ in 0..100 {
        let (messages, receiver) = match (a.sent.is_empty(), b.sent.is_empty()) {
            (false, _) => (core::mem::take(&mut a.sent), &mut *b),
            (true, false) => (core::mem::take(&mut b.sent), &mut *a),
            (true, true) => return,
        };
        deliver(messages, receiver, now);
    }
    panic!("the two never come to rest");
}

/// Two with an ISAKMP SA.
fn up() -> (Side, Side) {
    let (mut a, mut b) = (Side::new(ENDS[0], ENDS[1], 1), Side::new(ENDS[1], ENDS[0], 2));
    a.input(Input::Command(Command::InitiateIke("peer".into())), at(1000));
    settle(&mut a, &mut b, at(1000));
    assert_eq!(b.endpoint.ike_sas().len(), 1);
    (a, b)
}

// RFC 2407 §4.6.3.3: it may come by itself after phase 1, as racoon sends it.
#[test]
fn an_initial_contact_in_an_exchange_of_its_own_counts() {
    let (mut a, mut b) = up();
    // Another that does not say it takes the place of the first one, which stays for a while.
    a.input(Input::Command(Command::RekeyIke("peer".into())), at(1001));
    settle(&mut a, &mut b, at(1001));
    assert_eq!(b.endpoint.ike_sas().len(), 2);
    a.say(|ends| about_ike(ends, NotifyType::INITIAL_CONTACT, Vec::new()));
    settle(&mut a, &mut b, at(1001));
    let newest = a.endpoint.ike_sas().into_iter().find(|sa| sa.state == "ESTABLISHED").map(|sa| sa.spis);
    let left: Vec<_> = b.endpoint.ike_sas().into_iter().map(|sa| sa.spis).collect();
    assert_eq!(left, Vec::from_iter(newest));
}

// RFC 2407 §4.6.3.1: the responder's lifetime is that of both, whichever numbers it is said with.
#[test]
fn a_shorter_lifetime_of_the_isakmp_sa_is_taken() {
    for (kind, duration) in [
        (IpsecAttribute::LIFE_TYPE.0, IpsecAttribute::LIFE_DURATION.0),
        (IkeAttribute::LIFE_TYPE.0, IkeAttribute::LIFE_DURATION.0),
    ] {
        let (mut a, mut b) = up();
        let rekey_at = |side: &Side| side.endpoint.ike_sas()[0].rekey_at.unwrap();
        let before = rekey_at(&a);
        for seconds in [7200u32, 100] {
            b.say(|ends| {
                let mut data = Vec::new();
                Attribute::number(kind, LifeType::SECONDS.0.into()).emit(&mut data);
                Attribute::number(duration, seconds).emit(&mut data);
                about_ike(ends, NotifyType::RESPONDER_LIFETIME, data)
            });
            settle(&mut a, &mut b, at(1000));
            match seconds {
                100 => assert!(rekey_at(&a) <= at(1090)),
                _ => assert_eq!(rekey_at(&a), before, "a longer one changes nothing"),
            }
        }
    }
}

// RFC 2409 §5.5: the initiator need not take what we chose; Libreswan says so, and does not name an SPI.
#[test]
fn a_refusal_of_our_answer_in_quick_mode_ends_it() {
    let (mut a, mut b) = up();
    a.input(Input::Command(Command::Initiate(POLICY)), at(1001));
    deliver(core::mem::take(&mut a.sent), &mut b, at(1001));
    b.sent.clear();
    let (doi, protocol, kind) = (Doi::IPSEC, ProtocolId::ESP, NotifyType::NO_PROPOSAL_CHOSEN);
    a.say(|_| Payload::Notify(Notify { doi, protocol, spi: AnySpi::None, kind, data: Vec::new() }));
    deliver(core::mem::take(&mut a.sent), &mut b, at(1001));
    let told = b.events.iter().find_map(|event| if let Event::Failed(failure) = event { Some(failure) } else { None });
    let told = told.unwrap();
    assert_eq!((told.exchange, told.part, told.policy), ("Quick Mode", Part::ChildProposal, Some(POLICY)));
    assert!(b.events.iter().any(|event| matches!(event, Event::ChildDown { reason: DownReason::PeerDeleted, .. })));
}
