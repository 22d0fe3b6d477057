//! RFC 5723: an IKE SA whose peer fell silent goes on by a ticket, from both sides, and what no ticket gets through.

use std::sync::Arc;
use std::time::Duration;

use ravelin_eap::{Account, Accounts, Client, Method, Server};
use ravelin_ike::config::{EapServer, IdPattern, LocalAuth, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Config, Event, Ppk, PpkIn, Ppks, Transmit, limits};
use ravelin_types::transform::KeMethod;
use ravelin_types::{Identity, IkeSpi, Secret};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v2::{AuthMethod, Message, Notify, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{self, Peer, notifies, notify};

fn on(a: &mut Config, b: &mut Config) {
    a.remotes[0].extensions.resumption = true;
    b.remotes[0].extensions.resumption = true;
}

fn up() -> Lab {
    let mut lab = Lab::with(on);
    lab.establish();
    lab
}

/// Nobody hears A any more, and A notices.
fn lose(lab: &mut Lab) {
    lab.a.command(Command::CheckLiveness("peer".into()));
    for _ in 0..80 {
        lab.a.sleep(Duration::from_secs(1));
        lab.b.now = lab.a.now;
        lab.a.sent.clear();
    }
    assert!(lab.a.endpoint.ike_sas().is_empty());
    lab.a.events.clear();
    lab.b.events.clear();
}

fn begin(lab: &mut Lab) -> Option<(u8, u32, bool)> {
    lab.a.command(Command::Initiate(POLICY));
    lab.a.next()
}

fn resumed(host: &Host) -> bool {
    host.events.iter().any(|event| matches!(event, Event::IkeUp { resumed: true, .. }))
}

fn kinds(message: &Transmit) -> Vec<NotifyType> {
    notifies(&Message::parse(&message.data).unwrap().payloads)
}

#[test]
fn an_ike_sa_goes_on_by_its_ticket_again_and_again() {
    let mut lab = up();
    for _ in 0..3 {
        lose(&mut lab);
        assert_eq!(begin(&mut lab), Some((RESUME, 0, false)));
        // HDR(A,0), Ni, N(TICKET_OPAQUE) -->  <-- HDR(A,B), Nr: without a key exchange, and shorter than the request.
        let request = lab.a_to_b();
        assert!(kinds(&request).contains(&NotifyType::TICKET_OPAQUE));
        let answer = lab.b_to_a();
        assert_eq!(kind(&answer.data), (RESUME, 0, true));
        assert!(answer.data.len() < request.data.len());
        assert_eq!(lab.a.next(), Some((AUTH, 1, false)));
        lab.settle();
        assert!(resumed(&lab.a) && resumed(&lab.b));
        // RFC 5723 §4.3.4: the old one went in silence.
        let replaced = |event: &Event| matches!(event, Event::IkeDown { reason: DownReason::Replaced, .. });
        assert!(lab.b.events.iter().any(replaced));
        assert_eq!(lab.b.ike().spis, lab.a.ike().spis);
        assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
        lab.assert_mirrored();
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
}

#[test]
fn without_the_word_on_both_sides_there_is_no_ticket() {
    for (a, b) in [(false, true), (true, false)] {
        let mut lab = Lab::with(|config_a, config_b| {
            config_a.remotes[0].extensions.resumption = a;
            config_b.remotes[0].extensions.resumption = b;
        });
        lab.establish();
        lose(&mut lab);
        assert_eq!(begin(&mut lab), Some((SA_INIT, 0, false)));
    }
}

// RFC 5723 §4.3.2: a gateway that does not take it, here because it began anew, says so.
#[test]
fn a_ticket_that_is_refused_gives_way_to_a_key_exchange() {
    let mut lab = up();
    lose(&mut lab);
    lab.b = Host::new(lab.b.config.clone(), 7);
    lab.b.now = lab.a.now;
    assert_eq!(begin(&mut lab), Some((RESUME, 0, false)));
    lab.a_to_b();
    assert_eq!(kinds(&lab.b_to_a()), [NotifyType::TICKET_NACK]);
    assert_eq!(lab.b.endpoint.counters().refused_tickets, 1);
    assert_eq!(lab.a.next(), Some((SA_INIT, 0, false)));
    lab.settle();
    assert!(!resumed(&lab.a) && lab.b.endpoint.ike_sas().len() == 1);
    lab.assert_mirrored();
    // And of that there is a ticket again.
    lose(&mut lab);
    assert_eq!(begin(&mut lab), Some((RESUME, 0, false)));
}

#[test]
fn a_ticket_without_an_answer_and_a_key_exchange_take_turns() {
    let mut lab = up();
    lose(&mut lab);
    for kind in [RESUME, SA_INIT, RESUME, SA_INIT] {
        assert_eq!(begin(&mut lab), Some((kind, 0, false)));
        for _ in 0..80 {
            lab.a.sleep(Duration::from_secs(1));
            lab.a.sent.clear();
        }
        assert!(lab.a.endpoint.ike_sas().is_empty());
    }
    // It expires, all the same.
    lab.a.sleep(limits::TICKET_LIFETIME);
    assert_eq!(begin(&mut lab), Some((SA_INIT, 0, false)));
}

// RFC 5723 §6.2: the ticket goes with its IKE SA.
#[test]
fn whoever_ends_an_ike_sa_ends_its_ticket() {
    for by_a in [true, false] {
        let mut lab = up();
        let host = if by_a { &mut lab.a } else { &mut lab.b };
        host.command(Command::TerminateIke(None));
        lab.settle();
        assert_eq!(begin(&mut lab), Some((SA_INIT, 0, false)));
    }
}

// RFC 5723 §4.1 and §6.2: the one of the old IKE SA is good no more, and another is asked for.
#[test]
fn a_rekeyed_ike_sa_gets_another_ticket() {
    for by_a in [true, false] {
        let mut lab = up();
        let host = if by_a { &mut lab.a } else { &mut lab.b };
        host.command(Command::RekeyIke("peer".into()));
        lab.settle();
        lab.sleep(Duration::from_secs(1));
        lab.settle();
        lose(&mut lab);
        assert_eq!(begin(&mut lab), Some((RESUME, 0, false)));
        lab.settle();
        assert!(resumed(&lab.a), "rekeyed by a: {by_a}");
        lab.assert_mirrored();
    }
}

#[test]
fn a_ticket_is_renewed_before_it_expires() {
    let mut lab = Lab::with(|a, b| {
        on(a, b);
        a.remotes[0].lifetime = Duration::ZERO;
        b.remotes[0].lifetime = Duration::ZERO;
        a.policies.clear();
        for config in [a, b] {
            config.remotes[0].extensions.childless = ravelin_ike::extensions::Childless::Allow;
        }
    });
    lab.a.command(Command::InitiateIke("peer".into()));
    lab.settle();
    lab.sleep(limits::TICKET_LIFETIME / 4 * 3 - Duration::from_secs(1));
    assert!(lab.a.sent.is_empty());
    lab.sleep(Duration::from_secs(1));
    assert_eq!(lab.a.next(), Some((INFO, 2, false)));
    lab.settle();
    lab.sleep(limits::TICKET_LIFETIME / 2);
    lose(&mut lab);
    lab.a.command(Command::InitiateIke("peer".into()));
    assert_eq!(lab.a.next(), Some((RESUME, 0, false)));
    lab.settle();
    assert!(resumed(&lab.a));
}

// RFC 5723 §4.3.2: as for IKE_SA_INIT, nothing is kept of strangers before the cookie comes back.
#[test]
fn under_load_a_cookie_comes_first() {
    let mut lab = up();
    lose(&mut lab);
    for seed in 0..limits::COOKIE_THRESHOLD as u64 {
        let mut peer = Peer::new(100 + seed);
        let request = peer.init_request();
        peer.send(&mut lab.b, &request);
    }
    lab.b.sent.clear();
    begin(&mut lab);
    let half_open = lab.b.endpoint.ike_sas().len();
    lab.a_to_b();
    assert_eq!(lab.b.endpoint.ike_sas().len(), half_open);
    let challenge = lab.b_to_a();
    assert_eq!((kind(&challenge.data).0, kinds(&challenge)), (RESUME, vec![NotifyType::COOKIE]));
    assert_eq!(lab.a.next(), Some((RESUME, 0, false)));
    assert_eq!(kinds(&lab.a.sent[0])[0], NotifyType::COOKIE);
    lab.settle();
    assert!(resumed(&lab.a));
}

// The user does not log in again, and is who he was; a post-quantum key stays behind the keys.
#[test]
fn what_proved_the_two_needs_no_repetition() {
    let carol = Identity::Fqdn("carol".into());
    let mut lab = Lab::with(|a, b| {
        on(a, b);
        let client = Client {
            user: carol.clone(),
            methods: vec![Method::MsChapV2],
            password: Secret::from(&b"geheim"[..]),
            tls: Default::default(),
        };
        a.remotes[0].local_auth = LocalAuth::Eap(Arc::new(client));
        a.remotes[0].accept = false;
        let account = Account { owners: vec![carol.clone()], password: Secret::from(&b"geheim"[..]) };
        let accounts = Accounts(vec![account].into());
        let server = Server { methods: vec![Method::MsChapV2], ask_identity: true, accounts, ..Server::default() };
        b.remotes[0].remote_auth =
            RemoteAuth::Eap(Arc::new(EapServer { server, users: IdPattern::Any, groups: Vec::new() }));
        b.remotes[0].initiate = false;
        b.remotes[0].open.peers = Some(IdPattern::Any);
    });
    lab.establish();
    lose(&mut lab);
    begin(&mut lab);
    lab.a_to_b();
    lab.b_to_a();
    lab.a_to_b();
    // One IKE_AUTH exchange, not five.
    lab.b_to_a();
    assert!(resumed(&lab.a) && resumed(&lab.b));
    assert_eq!(lab.b.ike().identities.unwrap().1, carol);
    lab.assert_mirrored();

    let keys = || Ppks {
        id: Some(b"gw".to_vec()),
        required: true,
        exchange: PpkIn::Either,
        keys: [Ppk { id: b"gw".to_vec(), secret: Secret::new(vec![3; 32]) }].into(),
    };
    let mut lab = Lab::with(|a, b| {
        on(a, b);
        a.remotes[0].extensions.ppk = keys();
        b.remotes[0].extensions.ppk = keys();
    });
    lab.establish();
    lose(&mut lab);
    begin(&mut lab);
    lab.settle();
    assert!(resumed(&lab.a) && lab.a.ike().ppk && lab.b.ike().ppk);
    lab.assert_mirrored();
}

// RFC 5723 §5: a ticket does not prolong an authentication, nor does one after the other.
#[test]
fn an_authentication_keeps_its_age() {
    let time = Duration::from_secs(600);
    let mut lab = Lab::with(|a, b| {
        on(a, b);
        b.remotes[0].extensions.reauth = Some(time);
    });
    lab.establish();
    lab.sleep(Duration::from_secs(200));
    lab.settle();
    lose(&mut lab);
    begin(&mut lab);
    lab.settle();
    assert!(resumed(&lab.a));
    // Of the 600 seconds 200 are over and 80 went by in silence: A authenticates anew before the rest is.
    lab.sleep(Duration::from_secs(319));
    assert_eq!(lab.a.next(), Some((SA_INIT, 0, false)));
    // Nor does the ticket outlive it.
    let mut lab = Lab::with(|a, b| {
        on(a, b);
        b.remotes[0].extensions.reauth = Some(time);
    });
    lab.establish();
    lose(&mut lab);
    lab.sleep(time + limits::REAUTH_GRACE);
    assert_eq!(begin(&mut lab), Some((SA_INIT, 0, false)));
}

#[test]
fn a_client_whose_own_configuration_changed_proves_itself_anew() {
    let changes: [fn(&mut Config); 4] = [
        |config| share(&mut config.remotes[0], b"another secret of good length"),
        |config| config.remotes[0].proposals = vec![ike_proposal(KeMethod::ECP256)],
        |config| config.remotes[0].extensions.resumption = false,
        |config| config.remotes[0].local_id = Identity::Fqdn("other".into()),
    ];
    for change in changes {
        let mut lab = up();
        lose(&mut lab);
        lab.a.configure(change);
        assert_eq!(begin(&mut lab), Some((SA_INIT, 0, false)));
    }
}

// From here on one side is spoken for by the test.

fn gateway() -> Host {
    let mut config = config(B, A);
    config.remotes[0].extensions.resumption = true;
    Host::new(config, 2)
}

/// A peer with an IKE SA at the host, and its ticket.
fn client(host: &mut Host) -> (Peer, Vec<u8>) {
    let mut peer = Peer::keyed(host);
    let mut payloads = peer.auth_request();
    payloads.push(notify(NotifyType::TICKET_REQUEST, &[]));
    let answer = peer.ask(host, ExchangeType::IKE_AUTH, &payloads);
    let ticket = ticket_in(&answer).expect("a ticket");
    (peer, ticket)
}

fn ticket_in(payloads: &[Payload]) -> Option<Vec<u8>> {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == NotifyType::TICKET_LT_OPAQUE => Some(notify.data.clone()),
        _ => None,
    });
    found.map(|data| {
        // RFC 5723 §7.1: seconds before it, no more than the IKE SA has.
        assert_eq!(data[..4], (4 * 3600u32).to_be_bytes());
        data[4..].to_vec()
    })
}

/// What the host answers to a ticket: the notifies of its answer.
fn present(host: &mut Host, old: &Peer, ticket: &[u8], seed: u64) -> (Peer, Vec<NotifyType>) {
    let (mut peer, request) = old.resume(ticket, seed);
    peer.send(host, &request);
    let answer = host.take();
    let kinds = kinds(&answer);
    if !kinds.contains(&NotifyType::TICKET_NACK) {
        peer.resumed(old, &answer.data);
    }
    (peer, kinds)
}

const NACK: [NotifyType; 1] = [NotifyType::TICKET_NACK];

#[test]
fn a_ticket_is_good_once() {
    let mut host = gateway();
    let (old, ticket) = client(&mut host);
    // Two present it at once: the first that proves itself has it.
    let (mut first, kinds) = present(&mut host, &old, &ticket, 20);
    assert!(kinds.is_empty());
    let (mut second, kinds) = present(&mut host, &old, &ticket, 21);
    assert!(kinds.is_empty());
    let payloads = first.resumed_request();
    let answer = first.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert!(answer.iter().any(|payload| matches!(payload, Payload::TsI(_))), "{answer:#?}");
    assert!(!answer.iter().any(|payload| matches!(payload, Payload::Cert(_))));
    let established = |ike: &&ravelin_ike::view::IkeSaView| ike.state == "ESTABLISHED";
    assert_eq!(host.endpoint.ike_sas().iter().filter(established).count(), 1);
    let payloads = second.resumed_request();
    let answer = second.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(notifies(&answer), NACK);
    assert_eq!(present(&mut host, &old, &ticket, 22).1, NACK);
}

#[test]
fn a_ticket_goes_with_the_ike_sa_at_the_gateway_too() {
    let ends: [fn(&mut Host, &mut Peer); 3] = [
        |host, peer| {
            let delete = [Payload::Delete(ravelin_wire::ike::v2::Delete::Ike)];
            peer.ask(host, ExchangeType::INFORMATIONAL, &delete);
        },
        |host, peer| {
            host.command(Command::TerminateIke(None));
            let (id, _) = peer.asked(host);
            peer.answer(host, ExchangeType::INFORMATIONAL, id, &[]);
        },
        |host, peer| {
            let (payloads, _) = peer::ike_request(peer, IkeSpi(77), 5);
            let answer = peer.ask(host, ExchangeType::CREATE_CHILD_SA, &payloads);
            assert!(peer::spi_of(&answer).ike().is_some());
        },
    ];
    for end in ends {
        let mut host = gateway();
        let (mut peer, ticket) = client(&mut host);
        end(&mut host, &mut peer);
        assert_eq!(present(&mut host, &peer, &ticket, 20).1, NACK);
    }
}

// RFC 5723 §4.1: asked for later, each replaces the one before; with a rekey it is put off; only who began may ask.
#[test]
fn a_ticket_can_be_asked_for_at_any_time() {
    let mut host = gateway();
    let (mut peer, first) = client(&mut host);
    let request = [notify(NotifyType::TICKET_REQUEST, &[])];
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &request);
    let second = ticket_in(&answer).unwrap();
    let (mut payloads, _) = peer::ike_request(&mut peer, IkeSpi(77), 5);
    payloads.push(request[0].clone());
    assert_eq!(present(&mut host, &peer, &first, 20).1, NACK);
    assert!(present(&mut host, &peer, &second, 21).1.is_empty());
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &payloads);
    assert_eq!(notifies(&answer), [NotifyType::TICKET_ACK]);

    host = Host::new(host.config.clone(), 3);
    host.command(Command::Initiate(POLICY));
    let mut peer = Peer::new(9);
    let request_init = host.take();
    let answer = peer.answer_init(&request_init.data);
    peer.send(&mut host, &answer);
    let (id, payloads) = peer.asked(&mut host);
    assert!(notifies(&payloads).contains(&NotifyType::TICKET_REQUEST));
    let answer = peer.auth_answer();
    peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &answer);
    peer.next_id = 0;
    assert_eq!(notifies(&peer.ask(&mut host, ExchangeType::INFORMATIONAL, &request)), NACK);
}

// What is configured today decides, not what was when the ticket was given.
#[test]
fn the_policy_is_looked_at_anew() {
    let changes: [fn(&mut Config); 7] = [
        |config| share(&mut config.remotes[0], b"another secret of good length"),
        |config| config.remotes[0].remote_id = Identity::Fqdn("other".into()),
        |config| config.remotes[0].local_id = Identity::Fqdn("other".into()),
        |config| config.remotes[0].proposals = vec![ike_proposal(KeMethod::ECP256)],
        |config| config.remotes[0].extensions.resumption = false,
        |config| config.remotes[0].extensions.ppk.required = true,
        |config| config.remotes[0].name = "another".into(),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut host = gateway();
        let (old, ticket) = client(&mut host);
        let (mut begun, kinds) = present(&mut host, &old, &ticket, 19);
        assert!(kinds.is_empty());
        host.configure(change);
        assert_eq!(present(&mut host, &old, &ticket, 20).1, NACK, "change {number}");
        // Nor does it go through for who had begun before.
        let payloads = begun.resumed_request();
        let answer = begun.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(notifies(&answer), [NotifyType::AUTHENTICATION_FAILED], "change {number}");
    }
    // What was changed and changed back is as it was.
    let mut host = gateway();
    let (old, ticket) = client(&mut host);
    host.configure(|config| share(&mut config.remotes[0], b"another secret of good length"));
    host.configure(|config| share(&mut config.remotes[0], SECRET));
    assert!(present(&mut host, &old, &ticket, 20).1.is_empty());
}

// RFC 5723 §9.1, RFC 5723 §9.2: whoever saw or forged one gets nothing.
#[test]
fn a_stolen_or_forged_ticket_opens_nothing() {
    let mut host = gateway();
    let (old, ticket) = client(&mut host);
    for (seed, at) in [(30, 0), (31, 3), (32, 20), (33, ticket.len() - 1)] {
        let mut altered = ticket.clone();
        altered[at] ^= 1;
        assert_eq!(present(&mut host, &old, &altered, seed).1, NACK);
    }
    for (seed, ticket) in [(40, &[][..]), (41, &ticket[..5]), (42, &[0xff; 2000])] {
        assert_eq!(present(&mut host, &old, ticket, seed).1, NACK);
    }
    // A thief has another SK_d.
    let stranger = Peer::keyed(&mut Host::new(host.config.clone(), 5));
    let (mut thief, _) = present(&mut host, &stranger, &ticket, 50);
    let forged = host.endpoint.counters().forged;
    let payloads = thief.resumed_request();
    thief.request(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(host.endpoint.counters().forged, forged + 1);
    assert!(host.sent.is_empty());
    // The owner still can, but as nobody else, and by SK_pi alone.
    type Change = fn(&mut Peer) -> Vec<Payload>;
    let changes: [Change; 3] = [
        |peer| {
            peer.id = Identity::Fqdn("somebody.else".into());
            peer.resumed_request()
        },
        |peer| peer.auth_request_as(peer.id.clone(), AuthMethod::SHARED_KEY),
        |peer| {
            let mut payloads = peer.resumed_request();
            payloads.push(Payload::IdR(ravelin_wire::ike::v2::Id::new(Identity::Fqdn("another".into()))));
            payloads
        },
    ];
    for (seed, change) in changes.into_iter().enumerate() {
        let (mut peer, kinds) = present(&mut host, &old, &ticket, 60 + seed as u64);
        assert!(kinds.is_empty());
        let payloads = change(&mut peer);
        let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        assert_eq!(notifies(&answer), [NotifyType::AUTHENTICATION_FAILED]);
    }
    let (mut peer, _) = present(&mut host, &old, &ticket, 70);
    let payloads = peer.resumed_request();
    let answer = peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    assert!(answer.iter().any(|payload| matches!(payload, Payload::TsI(_))));
}

#[test]
fn a_request_without_a_ticket_or_a_nonce_is_answered_by_an_error() {
    for left_out in [0, 1] {
        let mut host = gateway();
        let peer = Peer::new(3);
        let mut payloads = vec![peer::nonce(&[1; 32]), notify(NotifyType::TICKET_OPAQUE, &[1; 200])];
        payloads.remove(1 - left_out);
        let header = peer.header(ExchangeType::IKE_SESSION_RESUME, false, 0);
        peer.send(&mut host, &peer::clear(&header, &payloads));
        assert_eq!(kinds(&host.take()), [NotifyType::INVALID_SYNTAX]);
        assert!(host.endpoint.ike_sas().is_empty());
    }
}

/// A gateway for which the test speaks, and a host that holds a ticket of its.
fn holder(given: &[u8]) -> (Host, Peer) {
    holder_with(given, |_| ())
}

fn holder_with(given: &[u8], change: impl FnOnce(&mut Config)) -> (Host, Peer) {
    let mut config = config(B, A);
    config.remotes[0].extensions.resumption = true;
    change(&mut config);
    let mut host = Host::new(config, 2);
    host.command(Command::Initiate(POLICY));
    let mut peer = Peer::new(9);
    let request = host.take();
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    let (id, _) = peer.asked(&mut host);
    let mut answer = peer.auth_answer();
    answer.push(notify(NotifyType::TICKET_LT_OPAQUE, given));
    peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &answer);
    assert_eq!(host.ike().state, "ESTABLISHED");
    host.command(Command::CheckLiveness("peer".into()));
    for _ in 0..80 {
        host.sleep(Duration::from_secs(1));
    }
    host.sent.clear();
    assert!(host.endpoint.ike_sas().is_empty());
    host.command(Command::Initiate(POLICY));
    (host, peer)
}

#[test]
fn a_ticket_that_is_none_is_not_kept() {
    let hour = 3600u32.to_be_bytes().to_vec();
    let long = [&hour[..], &vec![1; limits::TICKET_HELD + 1]].concat();
    for given in [&[][..], &[0, 0, 1], &hour, &[0, 0, 0, 0, 1], &long] {
        assert_eq!(holder(given).0.next(), Some((SA_INIT, 0, false)));
    }
    let good = [&hour[..], b"opaque"].concat();
    let (host, _) = holder(&good);
    assert_eq!(host.next(), Some((RESUME, 0, false)));
    // RFC 5723 §4.3.1: not when it has expired.
    let short = [&30u32.to_be_bytes()[..], b"opaque"].concat();
    assert_eq!(holder(&short).0.next(), Some((SA_INIT, 0, false)));
}

// An answer that makes no sense is passed over; a gateway that is another than it was is refused, and begins anew.
#[test]
fn who_answers_a_ticket_must_be_the_gateway_that_gave_it() {
    let good = [&3600u32.to_be_bytes()[..], b"opaque"].concat();
    let (mut host, old) = holder(&good);
    let request = host.take();
    let asked = Message::parse(&request.data).unwrap();
    let header = |spi_r: u64, exchange| Header {
        initiator_spi: asked.header.initiator_spi,
        responder_spi: IkeSpi(spi_r),
        version: Version::V2,
        exchange,
        flags: Flags::RESPONSE,
        message_id: 0,
    };
    let nonce = peer::nonce(&[9; 32]);
    let malformed = host.endpoint.counters().malformed;
    let resume = ExchangeType::IKE_SESSION_RESUME;
    for (header, payloads) in [(header(0, resume), vec![nonce.clone()]), (header(5, resume), vec![])] {
        old.send(&mut host, &peer::clear(&header, &payloads));
    }
    assert_eq!(host.endpoint.counters().malformed, malformed + 2);
    old.send(&mut host, &peer::clear(&header(5, ExchangeType::IKE_SA_INIT), std::slice::from_ref(&nonce)));
    assert!(host.sent.is_empty());
    // Somebody without SK_d: the host goes on to IKE_AUTH, and whatever comes then does not verify.
    old.send(&mut host, &peer::clear(&header(5, resume), std::slice::from_ref(&nonce)));
    assert_eq!(host.next(), Some((AUTH, 1, false)));

    // An error in clear is as good as TICKET_NACK.
    for kind in [NotifyType::INVALID_SYNTAX, NotifyType::TICKET_NACK] {
        let (mut host, old) = holder(&good);
        let request = host.take();
        let spi = Message::parse(&request.data).unwrap().header.initiator_spi;
        let answer = Payload::Notify(Notify::new(kind, Vec::new()));
        old.send(&mut host, &peer::clear(&Header { initiator_spi: spi, ..header(0, resume) }, &[answer]));
        assert_eq!(host.next(), Some((SA_INIT, 0, false)));
        assert!(!host.failures().iter().any(|failure| failure.part == Part::Protocol));
    }
}

// RFC 5723 §4.3.3: the gateway is who it was, also where the remote would take another.
#[test]
fn who_takes_a_ticket_is_who_gave_it() {
    let good = [&3600u32.to_be_bytes()[..], b"opaque"].concat();
    for (name, comes_up) in [(None, true), (Some("another.example.org"), false)] {
        let (mut host, old) = holder_with(&good, |config| config.remotes[0].open.peers = Some(IdPattern::Any));
        let request = host.take();
        let (mut peer, answer) = old.answer_resume(&request.data, 5);
        peer.send(&mut host, &answer);
        assert_eq!(host.next(), Some((AUTH, 1, false)));
        host.sent.clear();
        if let Some(name) = name {
            peer.id = Identity::Fqdn(name.into());
        }
        let answer = peer.resumed_answer();
        peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &answer);
        let up = host.endpoint.ike_sas().iter().any(|sa| sa.state == "ESTABLISHED");
        assert_eq!(up, comes_up, "{:?}", host.failures());
        // It begins anew, with a key exchange.
        assert_eq!(host.sent.iter().any(|message| kind(&message.data) == (SA_INIT, 0, false)), !comes_up);
    }
}
