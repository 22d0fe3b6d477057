//! RFC 5685: gateways that send their peers to others. Host B stands for all gateways, and is served at `SECOND` alone.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_eap::tls::TlsSide;
use ravelin_eap::{Client, Method, Server};
use ravelin_ike::config::{EapServer, Gateway, IdPattern, LocalAuth, RemoteAuth};
use ravelin_ike::explain::Part;
use ravelin_ike::output::DownReason;
use ravelin_ike::{Answer, Command, Config, Event, Input, NewGateway, Question, Redirect, Transmit, limits};
use ravelin_types::{Identity, IkeSpi};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v2::{Message, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{Peer, clear, deleted, find_nonce, name, notify};

const SECOND: &str = "198.51.100.2";
/// Type, length and value.
const SECOND_IDENTITY: [u8; 6] = [1, 4, 198, 51, 100, 2];

fn gateway(text: &str) -> NewGateway {
    text.parse().unwrap()
}

/// We follow to 198.51.100.0/24, and to an address of IPv6.
fn follows() -> Redirect {
    let six = ip("2001:db8::9");
    Redirect::new(vec![ip("198.51.100.0")..=ip("198.51.100.255"), six..=six], None)
}

/// A follows, and B sends it to `SECOND`, where it serves.
fn roles(a: &mut Config, b: &mut Config) {
    a.remotes[0].extensions.redirect = follows();
    b.remotes[0].local = None;
    b.remotes[0].extensions.redirect = Redirect::new(vec![], Some(gateway(SECOND)));
}

/// The same, but who asks is known with IKE_AUTH alone: another remote is served here.
fn roles_by_identity(a: &mut Config, b: &mut Config) {
    roles(a, b);
    let mut other = b.remotes[0].clone();
    other.name = "other".into();
    other.remote_id = Identity::Fqdn("other.example.org".into());
    other.extensions.redirect = Redirect::default();
    b.remotes.push(other);
}

/// The data of a notify that goes in the clear.
fn data(message: &Transmit, kind: NotifyType) -> Option<Vec<u8>> {
    Message::parse(&message.data).unwrap().payloads.into_iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == kind => Some(notify.data),
        _ => None,
    })
}

fn followed(host: &Host) -> Vec<(IpAddr, IpAddr)> {
    let of = |event: &Event| match event {
        Event::Redirected { from, to, .. } => Some((*from, *to)),
        _ => None,
    };
    host.events.iter().filter_map(of).collect()
}

fn assert_at_second(lab: &Lab) {
    assert_eq!(followed(&lab.a), [(ip(B), ip(SECOND))]);
    assert_eq!((lab.a.ike().peer.ip(), lab.b.ike().local.ip()), (ip(SECOND), ip(SECOND)));
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

// RFC 5685 §3: HDR(A,0), SAi1, KEi, Ni, N(REDIRECT_SUPPORTED)  -->   <--  HDR(A,0), N(REDIRECT, gateway, Ni)
#[test]
fn an_initiator_is_sent_to_another_gateway_before_anything_is_kept() {
    let mut lab = Lab::with(roles);
    lab.a.command(Command::Initiate(POLICY));
    let request = lab.a_to_b();
    // RFC 5685 §9.1: without a protocol, an SPI and data.
    assert!(Message::parse(&request.data).unwrap().payloads.contains(&notify(NotifyType::REDIRECT_SUPPORTED, &[])));
    assert!(lab.b.endpoint.ike_sas().is_empty());
    let answer = lab.b_to_a();
    let nonce = find_nonce(&Message::parse(&request.data).unwrap().payloads);
    assert_eq!(data(&answer, NotifyType::REDIRECT), Some([&SECOND_IDENTITY[..], &nonce].concat()));
    let answer = Message::parse(&answer.data).unwrap();
    let expected = notify(NotifyType::REDIRECT, &[&SECOND_IDENTITY[..], &nonce].concat());
    assert_eq!((answer.header.responder_spi, answer.payloads), (IkeSpi::ZERO, vec![expected]));
    // RFC 5685 §9.3: HDR(A,0), SAi1, KEi, Ni, N(REDIRECTED_FROM, gateway)  -->
    let again = lab.a_to_b();
    assert_eq!(again.remote.ip(), ip(SECOND));
    assert_eq!(data(&again, NotifyType::REDIRECTED_FROM), Some(vec![1, 4, 192, 0, 2, 2]));
    assert_eq!(data(&again, NotifyType::REDIRECT_SUPPORTED), None);
    // RFC 5685 §4: whoever has come there is served.
    lab.settle();
    assert_at_second(&lab);
    // RFC 5685 §11: nothing that is configured has changed: the next IKE SA begins where the first did.
    lab.a.command(Command::TerminateIke(None));
    lab.settle();
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(lab.a.sent[0].remote.ip(), ip(B));
}

// RFC 5685 §3: MUST NOT be redirected.
#[test]
fn an_initiator_that_does_not_follow_is_served() {
    for by_identity in [false, true] {
        let mut lab = Lab::with(|a, b| {
            if by_identity {
                roles_by_identity(a, b)
            } else {
                roles(a, b)
            }
            a.remotes[0].extensions.redirect = Redirect::default();
        });
        lab.a.command(Command::Initiate(POLICY));
        assert_eq!(data(&lab.a.sent[0], NotifyType::REDIRECT_SUPPORTED), None);
        lab.settle();
        assert_eq!((lab.a.ike().peer.ip(), lab.b.ike().follows), (ip(B), false));
        lab.assert_mirrored();
        // Nor later.
        lab.b.command(Command::Redirect(lab.b.ike().spis.1, gateway(SECOND)));
        assert!(lab.b.sent.is_empty());
    }
}

// RFC 5685 §6: <--  HDR, SK {IDr, AUTH, N(REDIRECT, gateway)}   HDR, SK {D}  -->
#[test]
fn whoever_has_proved_who_it_is_is_sent_away_without_a_child_sa() {
    let mut lab = Lab::with(roles_by_identity);
    lab.a.command(Command::Initiate(POLICY));
    let stands = |lab: &Lab| lab.b.endpoint.ike_sas().iter().any(|sa| sa.state == "ESTABLISHED");
    while !stands(&lab) {
        if lab.b.sent.is_empty() {
            lab.a_to_b()
        } else {
            lab.b_to_a()
        };
    }
    assert!(lab.b.sas.is_empty() && lab.b.children().is_empty());
    lab.settle();
    assert_at_second(&lab);
    let down = |host: &Host, reason| {
        host.events.iter().any(|event| matches!(event, Event::IkeDown { reason: found, .. } if *found == reason))
    };
    assert!(down(&lab.a, DownReason::Redirected) && down(&lab.b, DownReason::PeerDeleted));
}

// RFC 5685 §5: <--  HDR, SK {N(REDIRECT, gateway)}   HDR, SK {}  -->
#[test]
fn a_peer_is_sent_away_in_the_middle_and_its_traffic_goes_on_meanwhile() {
    let mut lab = Lab::with(|a, b| {
        roles(a, b);
        b.remotes[0].extensions.redirect = Redirect::default();
    });
    lab.establish();
    let (old, child) = (lab.a.ike(), lab.a.child());
    // RFC 5685 §10: who began cannot send the other away.
    assert!(lab.b.ike().follows && !lab.a.ike().follows);
    lab.a.command(Command::Redirect(old.spis.0, gateway(SECOND)));
    assert!(lab.a.sent.is_empty());
    lab.b.command(Command::Redirect(old.spis.1, gateway(SECOND)));
    assert_eq!(lab.b.next(), Some((INFO, 0, false)));
    lab.b_to_a();
    assert!(lab.a.sent.iter().any(|message| kind(&message.data) == (INFO, 0, true)));
    for _ in 0..100 {
        if lab.a.sent.is_empty() && lab.b.sent.is_empty() {
            break;
        }
        if !lab.a.sent.is_empty() {
            lab.a_to_b()
        } else {
            lab.b_to_a()
        };
        assert!(!lab.a.children().is_empty(), "traffic would wait");
    }
    // What is on its way on the old SAs has arrived.
    lab.sleep(Duration::from_secs(1));
    lab.settle();
    assert_at_second(&lab);
    let now = lab.a.child();
    assert!(now.inbound != child.inbound);
    assert_eq!((now.policy, now.local_ts, now.remote_ts), (child.policy, child.local_ts, child.remote_ts));
}

// RFC 5685 §5: the gateway may delete what the peer does not, after a time in which the peer can begin elsewhere.
#[test]
fn an_ike_sa_ends_when_the_peer_stays_all_the_same() {
    let mut host = Host::new(config(B, A), 2);
    let mut peer = Peer::new(1);
    let mut payloads = peer.init_payloads();
    payloads.push(notify(NotifyType::REDIRECT_SUPPORTED, &[]));
    let request = peer.init_message(&payloads);
    peer.send(&mut host, &request);
    let answer = host.take();
    peer.init_answered(&answer.data);
    let payloads = peer.auth_request();
    peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
    host.sent.clear();
    host.command(Command::Redirect(host.ike().spis.1, gateway("vpn2.example.org")));
    let (id, asked) = peer.asked(&mut host);
    let expected = [&[3, 16][..], b"vpn2.example.org"].concat();
    assert_eq!(asked, [notify(NotifyType::REDIRECT, &expected)]);
    // RFC 5685 §10: and it cannot send us away.
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[notify(NotifyType::REDIRECT, &SECOND_IDENTITY)]);
    assert!(answer.is_empty() && followed(&host).is_empty());
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    host.sleep(limits::REDIRECTED_LIFETIME - Duration::from_secs(1));
    assert!(host.sent.is_empty());
    host.sleep(Duration::from_secs(1));
    let (id, asked) = peer.asked(&mut host);
    assert!(matches!(&asked[..], [Payload::Delete(_)]) && deleted(&asked).is_empty());
    peer.answer(&mut host, ExchangeType::INFORMATIONAL, id, &[]);
    assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
}

/// `HDR(A,0), N(REDIRECT, ...)` to an IKE_SA_INIT request.
fn answer(request: &Transmit, data: &[u8]) -> Transmit {
    let header = Header {
        initiator_spi: Message::parse(&request.data).unwrap().header.initiator_spi,
        responder_spi: IkeSpi::ZERO,
        version: Version::V2,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags::RESPONSE,
        message_id: 0,
    };
    let data = clear(&header, &[notify(NotifyType::REDIRECT, data)]);
    Transmit { local: request.remote, remote: request.local, data, ..request.clone() }
}

// RFC 5685 §3: without our nonce it is discarded; and with it, it goes where the operator lets it.
#[test]
fn hostile_redirects_move_nobody_and_the_gateway_can_still_answer() {
    let nonce_of = |request: &Transmit| find_nonce(&Message::parse(&request.data).unwrap().payloads);
    let identity = |address: &str| match ip(address) {
        IpAddr::V4(v4) => [&[1, 4][..], &v4.octets()].concat(),
        IpAddr::V6(v6) => [&[2, 16][..], &v6.octets()].concat(),
    };
    let ours = |what: Vec<u8>| move |nonce: &[u8]| [&what[..], nonce].concat();
    type Forge = Box<dyn Fn(&[u8]) -> Vec<u8>>;
    let silent: Vec<Forge> = vec![
        Box::new(|_| Vec::new()),
        Box::new(|_| vec![1]),
        Box::new(|_| SECOND_IDENTITY.to_vec()),
        Box::new(|_| [&SECOND_IDENTITY[..], &[0x5a; 32]].concat()),
        Box::new(|nonce| [&SECOND_IDENTITY[..], &nonce[1..]].concat()),
        Box::new(|nonce| [&SECOND_IDENTITY[..], nonce, &[0]].concat()),
        Box::new(|nonce| [&[1, 255, 198, 51, 100, 2][..], nonce].concat()),
        Box::new(|nonce| [&[1, 3, 198, 51, 100][..], nonce].concat()),
        Box::new(|nonce| [&[2, 4, 198, 51, 100, 2][..], nonce].concat()),
        Box::new(ours(identity("0.0.0.0"))),
        Box::new(ours(identity("255.255.255.255"))),
        Box::new(ours(identity("224.0.0.1"))),
        Box::new(ours(identity("::"))),
        Box::new(ours(identity("ff02::1"))),
        Box::new(ours([&[3, 11][..], b"example org"].concat())),
        Box::new(ours([&[3, 3][..], &[0xff, 0xfe, 0]].concat())),
        Box::new(ours(vec![3, 0])),
    ];
    let told: Vec<(Forge, &str)> = vec![
        (Box::new(ours(identity("203.0.113.1"))), "not among those"),
        (Box::new(ours(identity("2001:db8::8"))), "not among those"),
        (Box::new(ours(identity(B))), "to itself"),
        (Box::new(ours(identity("2001:db8::9"))), "address family"),
        (Box::new(ours(vec![4, 1, 0])), "kind of identity"),
    ];
    let silent = silent.into_iter().map(|forge| (forge, None));
    for (forge, why) in silent.chain(told.into_iter().map(|(forge, why)| (forge, Some(why)))) {
        let mut lab = Lab::with(|a, b| {
            roles(a, b);
            let own = ip(B);
            a.remotes[0].extensions.redirect.follow.push(own..=own);
            b.remotes[0].extensions.redirect = Redirect::default();
        });
        lab.a.command(Command::Initiate(POLICY));
        let request = lab.a.sent[0].clone();
        let hostile = answer(&request, &forge(&nonce_of(&request)));
        // Often, and it is said once.
        (0..10).for_each(|_| lab.a.receive(&hostile));
        assert_eq!(lab.a.sent.len(), 1, "{why:?}");
        assert_eq!(lab.a.failures().len(), usize::from(why.is_some()), "{:?}", lab.a.failures());
        if let Some(why) = why {
            let said = lab.a.failure(Part::Configuration).to_string();
            assert!(said.contains(why), "{said}");
        }
        lab.settle();
        assert_eq!((lab.a.ike().peer.ip(), followed(&lab.a)), (ip(B), vec![]));
        lab.assert_mirrored();
    }
    // Who does not follow does not look at it.
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    let request = lab.a.sent[0].clone();
    lab.a.receive(&answer(&request, &[&SECOND_IDENTITY[..], &nonce_of(&request)].concat()));
    assert_eq!((lab.a.sent.len(), followed(&lab.a)), (1, vec![]));
    lab.settle();
    lab.assert_mirrored();
}

// RFC 5685 §7: five within five minutes.
#[test]
fn gateways_that_send_a_client_round_and_round_are_followed_so_often_and_no_more() {
    let mut lab = Lab::with(roles);
    let initiate = |lab: &mut Lab, at: usize| {
        lab.a.command(Command::Initiate(POLICY));
        let before = followed(&lab.a).len();
        for round in 0..20 {
            let request = lab.a.take();
            if Message::parse(&request.data).is_err() {
                break;
            }
            let nonce = find_nonce(&Message::parse(&request.data).unwrap().payloads);
            let to = [1, 4, 198, 51, 100, 100 + round];
            lab.a.receive(&answer(&request, &[&to[..], &nonce].concat()));
            if lab.a.sent.is_empty() {
                break;
            }
        }
        assert_eq!(followed(&lab.a).len() - before, at);
    };
    initiate(&mut lab, limits::REDIRECTS);
    assert!(lab.a.failure(Part::Configuration).to_string().contains("round in circles"));
    lab.a.command(Command::TerminateIke(None));
    lab.a.sent.clear();
    lab.a.events.retain(|event| !matches!(event, Event::Failed(_)));
    initiate(&mut lab, 0);
    lab.a.command(Command::TerminateIke(None));
    lab.a.sent.clear();
    lab.a.sleep(limits::REDIRECT_PERIOD);
    initiate(&mut lab, limits::REDIRECTS);
}

/// A client that logs in with EAP, opposite to a gateway that has answered IKE_SA_INIT.
fn greeted(user: bool) -> (Host, Peer) {
    greeted_with(user, false)
}

/// The same; `eap_only`: by EAP the gateway proves who it is, too (RFC 5998).
fn greeted_with(user: bool, eap_only: bool) -> (Host, Peer) {
    let mut config = config(B, A);
    config.remotes[0].extensions.redirect = follows();
    if user {
        let (methods, password) = (vec![Method::MsChapV2], b"geheim".as_slice().into());
        let client = Client { user: Identity::Fqdn("carol".into()), methods, password, tls: TlsSide::default() };
        config.remotes[0].local_auth = LocalAuth::Eap(Arc::new(client));
        if eap_only {
            let server = EapServer { server: Server::default(), users: IdPattern::Any, groups: Vec::new() };
            config.remotes[0].remote_auth = RemoteAuth::Eap(Arc::new(server));
        }
    }
    let mut host = Host::new(config, 2);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let mut peer = Peer::new(1);
    let answer = peer.answer_init(&request.data);
    peer.send(&mut host, &answer);
    (host, peer)
}

// RFC 5685 §6: in the first response the gateway proves who it is, the client has not yet; there is no IKE SA to delete.
#[test]
fn a_client_is_sent_away_before_it_logs_in_but_only_by_who_proves_to_be_the_gateway() {
    // Where EAP alone is to prove the gateway, a REDIRECT needs AUTH all the same.
    for (forged, left_out) in [(false, ""), (true, ""), (true, "AUTH")] {
        let (mut host, mut peer) = greeted_with(true, !left_out.is_empty());
        let (id, _) = peer.asked(&mut host);
        peer.secret = if forged { b"something else".as_slice().into() } else { SECRET.into() };
        let mut payloads = peer.auth_answer();
        payloads.truncate(2);
        payloads.push(notify(NotifyType::REDIRECT, &SECOND_IDENTITY));
        payloads.retain(|payload| name(payload) != left_out || left_out.is_empty());
        peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &payloads);
        assert_eq!(followed(&host).len(), usize::from(!forged), "{:?}", host.failures());
        if forged {
            host.failure(if left_out.is_empty() { Part::Authentication } else { Part::Protocol });
            continue;
        }
        let next = host.take();
        assert_eq!(next.remote.ip(), ip(SECOND));
        assert_eq!(data(&next, NotifyType::REDIRECTED_FROM), Some(vec![1, 4, 192, 0, 2, 1]));
        assert!(host.sent.is_empty() && host.failures().is_empty());
    }
}

// RFC 5685 §9.2: without a nonce in protected messages, and RFC 5685 §3: not to just anywhere either.
#[test]
fn a_proven_gateway_cannot_send_us_just_anywhere() {
    let with_nonce = [&SECOND_IDENTITY[..], &[0x11; 32]].concat();
    for (data, why) in [(&with_nonce[..], "another form"), (&[1, 4, 203, 0, 113, 1], "not among those")] {
        let (mut host, mut peer) = greeted(false);
        let (id, _) = peer.asked(&mut host);
        let mut payloads = peer.auth_answer();
        payloads.truncate(2);
        payloads.push(notify(NotifyType::REDIRECT, data));
        peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &payloads);
        assert!(followed(&host).is_empty());
        assert!(host.failures()[0].to_string().contains(why), "{}", host.failures()[0]);
        // It does not serve us, so there is nothing to stay for.
        let (_, asked) = peer.asked(&mut host);
        assert!(matches!(&asked[..], [Payload::Delete(_)]));

        let (mut host, mut peer) = greeted(false);
        let (id, _) = peer.asked(&mut host);
        let payloads = peer.auth_answer();
        peer.answer(&mut host, ExchangeType::IKE_AUTH, id, &payloads);
        peer.next_id = 0;
        let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[notify(NotifyType::REDIRECT, data)]);
        assert!(answer.is_empty() && followed(&host).is_empty());
        assert!(host.failures()[0].to_string().contains(why), "{}", host.failures()[0]);
        assert_eq!((host.ike().state, host.children().len()), ("ESTABLISHED", 1));
    }
}

#[test]
fn gateways_are_addresses_and_names() {
    for good in ["192.0.2.1", "2001:db8::1", "vpn.example.org"] {
        assert_eq!(gateway(good).to_string(), good);
    }
    for bad in ["", "0.0.0.0", "::", "ff02::1", "255.255.255.255", "192.0.2.300", "a b", "a/b", &"a".repeat(256)] {
        assert!(bad.parse::<NewGateway>().is_err(), "{bad}");
    }
}

// RFC 5685 §9.2: a gateway may be named.
#[test]
fn a_gateway_of_a_name_is_looked_up_and_only_where_we_may_go_is_gone() {
    let found = |addresses: &[&str]| {
        let gateways = addresses.iter().map(|address| Gateway { address: ip(address), source: Some(ip(A)) });
        Answer::Found(gateways.collect())
    };
    let told = |answer: Answer| {
        let mut lab = Lab::with(|a, b| {
            roles(a, b);
            b.remotes[0].extensions.redirect.to = Some(gateway("second.example.org"));
        });
        lab.a.command(Command::Initiate(POLICY));
        lab.a_to_b();
        lab.b_to_a();
        let asked = std::mem::take(&mut lab.a.asked);
        let [(op, Question::LookUp(name))] = &Vec::from(asked)[..] else { panic!("no question") };
        assert_eq!((name.as_str(), lab.a.sent.len()), ("second.example.org", 0));
        // The gateway serves where it was named.
        lab.b.configure(|config| config.remotes[0].extensions.redirect.to = None);
        // Who waits for it does so under another configuration too.
        lab.a.configure(|_| ());
        lab.a.input(Input::Done(*op, answer.into()));
        lab.settle();
        assert!(lab.a.endpoint.host_names().is_empty(), "nobody has configured it");
        lab
    };
    // Where the operator does not let us go, and where we come from, is passed over.
    assert_at_second(&told(found(&["203.0.113.1", B, SECOND])));
    for (answer, part, why) in [
        (found(&["203.0.113.1"]), Part::Configuration, "not among those"),
        (found(&[B]), Part::Configuration, "not among those"),
        (
            Answer::Refused("there is no such name".into()),
            Part::Name,
            "second.example.org, to which the peer sends us: there is no such name",
        ),
    ] {
        let lab = told(answer);
        assert_eq!((followed(&lab.a), lab.a.endpoint.ike_sas().len()), (vec![], 0), "{why}");
        let said = lab.a.failure(part).to_string();
        assert!(said.contains(why), "{said}");
    }
}
