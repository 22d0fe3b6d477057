//! The initial exchanges, one message at a time.

use std::time::Duration;

use crate::lab::*;
use crate::v2::peer::find_nonce;
use ravelin_ike::explain::{Means, Part};
use ravelin_ike::output::DownReason;
use ravelin_ike::{Command, Event, Transmit, limits};
use ravelin_types::Identity;
use ravelin_types::dataplane::{DataPlaneEvent, Flow};
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction;
use ravelin_types::selector::{ANY_PORTS, OPAQUE_PORTS, TrafficSelector};
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, Transform};
use ravelin_wire::ike::v2::{Chain, Message, Notify, NotifyType, Payload, emit};

// RFC 7296 §1.2 and §4: four messages, two kinds of SA.
#[test]
fn two_round_trips_make_an_ike_sa_and_a_child_sa() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));

    // HDR(A,0), SAi1, KEi, Ni -->
    assert_eq!(lab.a.next(), Some((SA_INIT, 0, false)));
    lab.a_to_b();
    assert_eq!(lab.b.ike().state, "IKE_SA_INIT");

    // <-- HDR(A,B), SAr1, KEr, Nr
    assert_eq!(lab.b.next(), Some((SA_INIT, 0, true)));
    lab.b_to_a();
    assert_eq!(lab.a.ike().state, "IKE_AUTH");

    // HDR(A,B), SK {IDi, IDr, AUTH, SAi2, TSi, TSr} -->
    assert_eq!(lab.a.next(), Some((AUTH, 1, false)));
    lab.a_to_b();
    assert_eq!(lab.b.ike().state, "ESTABLISHED");
    // The responder can receive before it answers.
    assert_eq!(lab.b.order, ["send", "in+", "out+", "send"]);

    // <-- HDR(A,B), SK {IDr, AUTH, SAr2, TSi, TSr}
    assert_eq!(lab.b.next(), Some((AUTH, 1, true)));
    lab.b_to_a();
    assert_eq!(lab.a.ike().state, "ESTABLISHED");
    assert_eq!(lab.a.sent.len() + lab.b.sent.len(), 0);

    lab.assert_mirrored();
    assert_eq!(lab.a.sas.len(), 2);
    let (here, there) = (lab.a.ike(), lab.b.ike());
    assert_eq!(here.spis, there.spis);
    assert_eq!(here.suite, there.suite);
    assert_eq!(here.nat, (false, false));
    assert_eq!(here.local, socket("192.0.2.1:500"));
    let id = |host: &str| Identity::Fqdn(format!("{host}.example.org"));
    assert_eq!(here.identities, Some((id(A), id(B))));
    assert_eq!(there.identities, Some((id(B), id(A))));
    let child = lab.a.child();
    let sa = lab.a.sa(Direction::Inbound, child.inbound);
    assert_eq!((sa.src, sa.dst, sa.encap), (ip(B), ip(A), None));
    // Who answers has the SA first; who asked is to know its packets by their SPI.
    assert_eq!((Vec::from_iter(&lab.a.offers), lab.b.offers.len()), (vec![&child.inbound], 0));
    assert_eq!(sa.replay_window, 64);
    assert!(matches!(lab.a.events[..], [Event::IkeUp { .. }, Event::ChildUp { .. }]), "{:?}", lab.a.events);
}

#[test]
fn the_ike_sas_of_a_remote_are_found_by_its_name() {
    let mut lab = Lab::new();
    assert!(!lab.a.endpoint.has_ike_sa(None) && !lab.a.endpoint.has_ike_sa(Some("peer")));
    lab.establish();
    assert_eq!(lab.a.endpoint.ike_sas_of("peer").iter().map(|sa| sa.spis).collect::<Vec<_>>(), [lab.a.ike().spis]);
    assert!(lab.a.endpoint.has_ike_sa(None) && lab.a.endpoint.has_ike_sa(Some("peer")));
    assert!(lab.a.endpoint.ike_sas_of("another").is_empty() && !lab.a.endpoint.has_ike_sa(Some("another")));
    lab.a.command(Command::TerminateIke(Some("peer".into())));
    lab.settle();
    assert!(lab.a.endpoint.ike_sas_of("peer").is_empty() && !lab.a.endpoint.has_ike_sa(Some("peer")));
}

#[test]
fn transport_mode_by_agreement() {
    let mut lab = Lab::with(|a, b| {
        set_mode(a, Mode::Transport);
        set_mode(b, Mode::Transport);
    });
    lab.establish();
    assert_eq!(lab.a.child().mode, Mode::Transport);
    assert_eq!(lab.b.child().mode, Mode::Transport);
    lab.assert_mirrored();
}

#[test]
fn a_wrong_key_is_refused_and_both_sides_say_so() {
    let mut lab = Lab::with(|a, _| share(&mut a.remotes[0], b"another secret of some length"));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let here = lab.a.failure(Part::NotBelieved(Means::SharedKey));
    assert_eq!(here.ours[0], "we are fqdn:192.0.2.1.example.org, by a pre-shared key");
    let there = lab.b.failure(Part::Authentication);
    assert!(there.to_string().contains("192.0.2.1.example.org"), "{there}");
    assert!(lab.a.endpoint.ike_sas().is_empty());
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    lab.b.sleep(Duration::from_secs(31));
    assert!(lab.b.endpoint.ike_sas().is_empty());
}

#[test]
fn an_unknown_identity_is_refused_and_both_sides_say_so() {
    let mut lab = Lab::with(|a, _| a.remotes[0].local_id = Identity::KeyId(b"stranger".to_vec()));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::NotBelieved(Means::SharedKey));
    let there = lab.b.failure(Part::Identity);
    assert_eq!(there.theirs, ["keyid:stranger"]);
    assert_eq!(there.ours, ["fqdn:192.0.2.1.example.org"]);
}

#[test]
fn an_initiator_that_meets_another_identity_ends_the_ike_sa_on_both_sides() {
    let mut lab = Lab::with(|_, b| b.remotes[0].local_id = Identity::Rfc822("gw@example.org".into()));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let here = lab.a.failure(Part::Identity);
    assert_eq!(here.theirs, ["rfc822:gw@example.org"]);
    // B learns it from N(AUTHENTICATION_FAILED) in an INFORMATIONAL request.
    lab.b.failure(Part::NotBelieved(Means::SharedKey));
    assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty());
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

// RFC 7296 §3.5: all types that a peer must take.
#[test]
fn every_kind_of_identity_authenticates() {
    for id in [
        Identity::Ipv4("192.0.2.1".parse().unwrap()),
        Identity::Ipv6("2001:db8::1".parse().unwrap()),
        Identity::Fqdn("a.example.org".into()),
        Identity::Rfc822("a@example.org".into()),
        Identity::KeyId(vec![0, 1, 255]),
    ] {
        let mut lab = Lab::with(|a, b| {
            a.remotes[0].local_id = id.clone();
            b.remotes[0].remote_id = id.clone();
        });
        lab.establish();
        assert_eq!(lab.b.ike().identities.unwrap().1, id);
    }
}

#[test]
fn the_identity_picks_one_of_several_remotes_at_one_address() {
    let mut lab = Lab::with(|_, b| {
        let mut other = b.remotes[0].clone();
        other.name = "other".into();
        other.remote_id = Identity::Fqdn("other.example.org".into());
        share(&mut other, b"the secret of another peer");
        b.remotes.insert(0, other);
    });
    lab.establish();
    assert_eq!(lab.b.ike().remote, "peer");
}

// RFC 7296 §3.3.4: what is not configured is rejected.
#[test]
fn no_common_ike_proposal_is_told_with_both_offers() {
    let mut lab = Lab::with(|_, b| {
        b.remotes[0].proposals[0].transforms[0] = Transform::Encr(EncrId::CHACHA20_POLY1305, None);
    });
    lab.a.command(Command::Initiate(POLICY));
    // HDR(A,0), SAi1, KEi, Ni -->
    lab.a_to_b();
    // <-- HDR(A,0), N(NO_PROPOSAL_CHOSEN)
    lab.b_to_a();
    let (here, there) = (lab.a.failure(Part::IkeProposal), lab.b.failure(Part::IkeProposal));
    assert_eq!(here.theirs, ["NO_PROPOSAL_CHOSEN"]);
    assert_eq!(here.ours, ["IKE: AES128-GCM, PRF-HMAC-SHA-2-256, CURVE25519"]);
    assert_eq!(there.theirs, here.ours);
    assert_eq!(there.ours, ["IKE: CHACHA20-POLY1305, PRF-HMAC-SHA-2-256, CURVE25519"]);
    // The refusal proves nothing, so A tries a little longer, and then stops without a second report.
    assert_eq!(lab.a.ike().state, "IKE_SA_INIT");
    for _ in 0..10 {
        lab.a.sleep(Duration::from_secs(16));
    }
    assert!(lab.a.endpoint.ike_sas().is_empty());
    assert_eq!(lab.a.failures().len(), 1);
    assert!(lab.b.endpoint.ike_sas().is_empty());
}

#[test]
fn no_common_esp_proposal_fails_the_child_sa_alone() {
    let mut lab = Lab::with(|_, b| b.policies[0].proposals = vec![esp_cbc()]);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let (here, there) = (lab.a.failure(Part::ChildProposal), lab.b.failure(Part::ChildProposal));
    assert_eq!(here.ours, ["ESP: AES128-GCM, NO-ESN"]);
    assert_eq!(there.theirs, here.ours);
    assert_eq!(there.ours, ["ESP: AES256-CBC, HMAC-SHA-2-256, NO-ESN"]);
    assert_eq!((lab.a.ike().state, lab.b.ike().state), ("ESTABLISHED", "ESTABLISHED"));
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

#[test]
fn no_common_selectors_fail_the_child_sa_alone() {
    let mut lab = Lab::with(|_, b| b.policies[0].policy.local = vec![TrafficSelector::host(ip("10.9.9.9"))]);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let (here, there) = (lab.a.failure(Part::TrafficSelectors), lab.b.failure(Part::TrafficSelectors));
    assert_eq!(here.theirs, ["TS_UNACCEPTABLE"]);
    assert_eq!(here.ours, ["192.0.2.1 === 192.0.2.2"]);
    assert_eq!(there.theirs, ["192.0.2.1 === 192.0.2.2"]);
    assert_eq!(there.ours, ["192.0.2.1 === 10.9.9.9"]);
    assert_eq!((lab.a.ike().children.len(), lab.b.ike().children.len()), (0, 0));
}

#[test]
fn an_initiator_that_wants_transport_mode_does_not_take_tunnel_mode() {
    let mut lab = Lab::with(|a, _| set_mode(a, Mode::Transport));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    let (here, there) = (lab.a.failure(Part::Mode), lab.b.failure(Part::Mode));
    assert_eq!((here.theirs, here.ours), (vec!["tunnel mode".to_string()], vec!["transport mode".to_string()]));
    assert_eq!((there.theirs, there.ours), (vec!["transport mode".to_string()], vec!["tunnel mode".to_string()]));
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    assert_eq!((lab.a.ike().state, lab.b.ike().state), ("ESTABLISHED", "ESTABLISHED"));
}

#[test]
fn a_responder_that_wants_transport_mode_does_not_take_tunnel_mode() {
    let mut lab = Lab::with(|_, b| set_mode(b, Mode::Transport));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    lab.a.failure(Part::TrafficSelectors);
    let there = lab.b.failure(Part::Mode);
    assert_eq!((there.theirs, there.ours), (vec!["tunnel mode".to_string()], vec!["transport mode".to_string()]));
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

#[test]
fn the_responder_narrows_and_both_install_the_same() {
    let net = |text: &str, len| TrafficSelector::prefix(ip(text), len).unwrap();
    let mut lab = Lab::with(|a, b| {
        a.policies[0].policy.local = vec![net("10.1.0.0", 16)];
        a.policies[0].policy.remote = vec![net("10.2.0.0", 16)];
        b.policies[0].policy.local = vec![net("10.2.3.0", 24)];
        b.policies[0].policy.remote = vec![net("10.1.0.0", 16), net("172.16.0.0", 12)];
    });
    // The packet that asks is named first.
    let flow = Flow { src: ip("10.1.0.9"), dst: ip("10.2.3.4"), protocol: 6, src_port: Some(1025), dst_port: Some(80) };
    lab.a.event(DataPlaneEvent::Acquire { policy: POLICY, flow, processor: None });
    lab.settle();
    let (here, there) = (lab.a.child(), lab.b.child());
    assert_eq!(here.local_ts, [net("10.1.0.0", 16)]);
    assert_eq!(here.remote_ts, [net("10.2.3.0", 24)]);
    assert_eq!((here.local_ts, here.remote_ts), (there.remote_ts, there.local_ts));
}

// RFC 4301 §4.4.1.3: A may send echo requests and receive replies; RFC 4301 §7.2: and fragments of UDP.
#[test]
fn types_and_opaque_ports_are_negotiated() {
    let (a_net, b_net) = (ip("10.1.0.0"), ip("10.2.0.0"));
    let of = |net, protocol, ports| TrafficSelector::prefix(net, 16).unwrap().with(protocol, ports).unwrap();
    let (request, reply) = (0x0800..=0x08ff, 0..=0xff);
    let mut lab = Lab::with(|a, b| {
        a.policies[0].policy.local = vec![of(a_net, 1, request.clone()), of(a_net, 17, OPAQUE_PORTS)];
        a.policies[0].policy.remote = vec![of(b_net, 1, reply.clone()), of(b_net, 17, OPAQUE_PORTS)];
        // Any type, and any port, which holds OPAQUE; and of UDP with ports nothing that A would have.
        b.policies[0].policy.local = vec![of(b_net, 1, ANY_PORTS), of(b_net, 17, ANY_PORTS)];
        b.policies[0].policy.remote = vec![of(a_net, 1, ANY_PORTS), of(a_net, 17, ANY_PORTS), of(a_net, 17, 53..=53)];
    });
    let flow = Flow { src: ip("10.1.0.9"), dst: ip("10.2.3.4"), protocol: 1, src_port: Some(0x0800), dst_port: None };
    lab.a.event(DataPlaneEvent::Acquire { policy: POLICY, flow, processor: None });
    lab.settle();
    let (here, there) = (lab.a.child(), lab.b.child());
    assert_eq!(here.local_ts, [of(a_net, 1, request), of(a_net, 17, OPAQUE_PORTS)]);
    assert_eq!(here.remote_ts, [of(b_net, 1, reply), of(b_net, 17, OPAQUE_PORTS)]);
    assert_eq!((here.local_ts, here.remote_ts), (there.remote_ts, there.local_ts));
}

#[test]
fn opaque_ports_have_nothing_in_common_with_a_range() {
    let mut lab = Lab::with(|a, b| {
        let ports = |policy: &mut ravelin_types::policy::Policy, ports: std::ops::RangeInclusive<u16>| {
            for selector in policy.local.iter_mut().chain(&mut policy.remote) {
                *selector = selector.with(17, ports.clone()).unwrap();
            }
        };
        ports(&mut a.policies[0].policy, OPAQUE_PORTS);
        ports(&mut b.policies[0].policy, 1..=u16::MAX);
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert!(lab.b.failure(Part::TrafficSelectors).theirs[0].contains("[17/opaque]"));
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

// RFC 7296 §1.2 and §3.4: the group of KEi is one of the proposal; another one chosen means INVALID_KE_PAYLOAD.
#[test]
fn invalid_ke_payload_leads_to_the_right_group() {
    let both = |first, second| {
        let mut proposal = ike_proposal(first);
        proposal.transforms.push(Transform::Ke(second));
        vec![proposal]
    };
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].proposals = both(KeMethod::CURVE25519, KeMethod::ECP256);
        b.remotes[0].proposals = vec![ike_proposal(KeMethod::ECP256)];
    });
    lab.a.command(Command::Initiate(POLICY));
    // HDR(A,0), SAi1, KEi, Ni -->
    let first = lab.a_to_b();
    // <-- HDR(A,0), N(INVALID_KE_PAYLOAD)
    let refusal = lab.b_to_a();
    assert!(refusal.data.len() < first.data.len());
    assert!(lab.b.endpoint.ike_sas().is_empty());
    // HDR(A,0), SAi1, KEi', Ni -->
    lab.settle();
    assert_eq!(lab.b.ike().suite.unwrap().ke, KeMethod::ECP256);
    lab.assert_mirrored();
    assert_eq!(lab.a.failures(), []);
}

/// Half-open IKE SAs at B, from one address.
fn flood(lab: &mut Lab, count: usize, address: &str) {
    for seed in 0..count {
        let mut stranger = Host::new(config(A, B), 1000 + seed as u64);
        stranger.command(Command::Initiate(POLICY));
        let request = stranger.take();
        lab.b.receive_from(&request, socket("192.0.2.2:500"), socket(&format!("{address}:500")));
        lab.b.sent.clear();
    }
}

// docs/HISTORY.md, row 63: under load the responder keeps nothing before a cookie comes back, and those who can
// receive still get in.
// RFC 7296 §2.6: the request comes again with the cookie first and all else unchanged.
#[test]
fn under_load_a_cookie_comes_first() {
    let mut lab = Lab::new();
    flood(&mut lab, limits::COOKIE_THRESHOLD, A);
    assert_eq!(lab.b.endpoint.ike_sas().len(), limits::COOKIE_THRESHOLD);
    lab.a.command(Command::Initiate(POLICY));
    // HDR(A,0), SAi1, KEi, Ni -->
    let first = lab.a_to_b();
    // <-- HDR(A,0), N(COOKIE)
    assert_eq!(lab.b.endpoint.ike_sas().len(), limits::COOKIE_THRESHOLD);
    let challenge = lab.b_to_a();
    assert!(challenge.data.len() <= first.data.len());
    // HDR(A,0), N(COOKIE), SAi1, KEi, Ni -->
    let second = lab.a_to_b();
    assert_eq!(second.data[16], 41, "the cookie is the first payload");
    assert_eq!(lab.b.endpoint.ike_sas().len(), limits::COOKIE_THRESHOLD + 1);
    // AUTH covers the request with the cookie.
    lab.settle();
    assert_eq!(lab.a.ike().state, "ESTABLISHED");
    assert!(lab.a.ike().full_transcript);
    lab.assert_mirrored();
}

// docs/HISTORY.md, row 64: a cookie is good for one nonce, SPI, address and port, and for two lifetimes of its secret
// at most.
// RFC 7296 §2.6: a cookie that is not the expected one is as good as none.
#[test]
fn a_cookie_is_good_for_its_request_alone() {
    let challenged = || {
        let mut lab = Lab::new();
        flood(&mut lab, limits::COOKIE_THRESHOLD, A);
        lab.a.command(Command::Initiate(POLICY));
        lab.a_to_b();
        lab.b_to_a();
        let with_cookie = lab.a.take();
        (lab, with_cookie)
    };
    let (mut lab, with_cookie) = challenged();
    let here = socket("192.0.2.2:500");
    let accepted = |lab: &mut Lab, message: &Transmit, from: &str| {
        let before = lab.b.endpoint.ike_sas().len();
        lab.b.receive_from(message, here, socket(from));
        lab.b.sent.clear();
        lab.b.endpoint.ike_sas().len() > before
    };
    // Another port, another address (of nobody known), another SPI, another nonce, another cookie.
    assert!(!accepted(&mut lab, &with_cookie, "192.0.2.1:501"));
    assert!(!accepted(&mut lab, &with_cookie, "192.0.2.9:500"));
    let changed = |at: usize| {
        let mut message = with_cookie.clone();
        message.data[at] ^= 1;
        message
    };
    assert!(!accepted(&mut lab, &changed(0), "192.0.2.1:500"));
    assert!(!accepted(&mut lab, &changed(28 + 8 + 5), "192.0.2.1:500"));
    let nonce = find_nonce(&Message::parse(&with_cookie.data).unwrap().payloads);
    let nonce_at = with_cookie.data.windows(nonce.len()).position(|bytes| bytes == nonce).unwrap();
    assert!(!accepted(&mut lab, &changed(nonce_at), "192.0.2.1:500"));
    // The last secret is still good, the one before it is not.
    lab.b.sleep(limits::COOKIE_SECRET_LIFETIME);
    flood(&mut lab, limits::COOKIE_THRESHOLD, A);
    assert!(accepted(&mut lab, &with_cookie, "192.0.2.1:500"));
    lab.b.sleep(limits::COOKIE_SECRET_LIFETIME);
    flood(&mut lab, limits::COOKIE_THRESHOLD, A);
    lab.b.sleep(Duration::from_secs(1));
    let mut again = Lab::new();
    again.b = lab.b;
    assert!(!accepted(&mut again, &with_cookie, "192.0.2.1:500"));
    // Nor is it where nobody was given one meanwhile.
    let (mut lab, with_cookie) = challenged();
    lab.b.sleep(limits::COOKIE_SECRET_LIFETIME * 2);
    flood(&mut lab, limits::COOKIE_THRESHOLD, A);
    assert!(!accepted(&mut lab, &with_cookie, "192.0.2.1:500"));
}

// Row 64 of docs/HISTORY.md, RFC 7296 §2.6: octets of any number in the place of a cookie, and the cookie in another place.
#[test]
fn what_is_no_cookie_of_ours_is_none() {
    let mut lab = Lab::new();
    flood(&mut lab, limits::COOKIE_THRESHOLD, A);
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    let request = lab.a.take();
    let Message { header, payloads, .. } = Message::parse(&request.data).unwrap();
    let Some((Payload::Notify(Notify { data: cookie, .. }), rest)) = payloads.split_first() else { panic!() };
    let returned = |octets: &[u8]| Payload::Notify(Notify::new(NotifyType::COOKIE, octets));
    let message = |payloads: &[Payload]| {
        let data = emit(&header, &Chain::new(payloads).unwrap());
        Transmit { data, ..request.clone() }
    };
    let len = cookie.len();
    assert!((1..=64).contains(&len));
    for bad in [
        vec![],
        cookie[..1].to_vec(),
        cookie[..len - 1].to_vec(),
        [cookie, &[0][..]].concat(),
        vec![0; 64],
        vec![0; 65],
    ] {
        // One after the other: such cookies are answered at a limited rate.
        lab.b.sleep(Duration::from_secs(1) / limits::WRONG_COOKIES_PER_ADDRESS as u32);
        lab.b.receive(&message(&[&[returned(&bad)], rest].concat()));
        assert_eq!(lab.b.endpoint.ike_sas().len(), limits::COOKIE_THRESHOLD, "{} octets", bad.len());
        let again = Message::parse(&lab.b.take().data).unwrap();
        assert!(matches!(&again.payloads[..], [Payload::Notify(another)] if another.data.len() == len));
    }
    // Longer than any datagram that is needed, and behind another one.
    for bad in [&[returned(&[7; 60_000])][..], &[returned(&[7; 32]), returned(cookie)]] {
        lab.b.receive(&message(&[bad, rest].concat()));
        assert_eq!(lab.b.endpoint.ike_sas().len(), limits::COOKIE_THRESHOLD);
    }
    lab.b.sent.clear();
    // Its place is not what it vouches by.
    lab.b.receive(&message(&[rest, &[returned(cookie)]].concat()));
    assert_eq!(lab.b.endpoint.ike_sas().len(), limits::COOKIE_THRESHOLD + 1);
}

#[test]
fn one_address_has_a_bounded_share_of_half_open_ike_sas() {
    let mut lab = Lab::new();
    // Strangers that answer the challenge, as one host that can receive would.
    for seed in 0..limits::HALF_OPEN_PER_ADDRESS + 5 {
        let mut stranger = Host::new(config(A, B), 5000 + seed as u64);
        stranger.command(Command::Initiate(POLICY));
        for _ in 0..2 {
            let Some(message) = stranger.sent.pop_front() else { break };
            if kind(&message.data).0 != SA_INIT {
                break;
            }
            lab.b.receive(&message);
            if let Some(answer) = lab.b.sent.pop_front() {
                stranger.receive(&answer);
            }
        }
        lab.b.sent.clear();
    }
    assert_eq!(lab.b.endpoint.ike_sas().len(), limits::HALF_OPEN_PER_ADDRESS);
    assert_eq!(lab.b.endpoint.counters().refused_half_open, 5);
    lab.b.sleep(limits::HALF_OPEN_LIFETIME);
    assert!(lab.b.endpoint.ike_sas().is_empty());
}

#[test]
fn the_same_request_gets_the_same_answer_and_no_second_ike_sa() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    let request = lab.a_to_b();
    let answer = lab.b.take();
    lab.b.receive(&request);
    assert_eq!(lab.b.take(), answer);
    assert_eq!(lab.b.endpoint.ike_sas().len(), 1);
    // Once IKE_AUTH is through it is ignored (RFC 7296 §2.1).
    lab.a.receive(&answer);
    lab.settle();
    lab.b.receive(&request);
    assert!(lab.b.sent.is_empty());
    assert_eq!(lab.b.ike().state, "ESTABLISHED");
}

#[test]
fn a_silent_peer_is_asked_seven_times() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    let first = lab.a.take();
    let mut again = Vec::new();
    for second in 1..=120 {
        lab.a.sleep(Duration::from_secs(1));
        while let Some(message) = lab.a.sent.pop_front() {
            assert_eq!(message, first, "a retransmission is bitwise identical");
            again.push(second);
        }
    }
    assert_eq!(again, [1, 3, 7, 15, 31, 47]);
    lab.a.failure(Part::NoAnswer);
    assert!(lab.a.endpoint.ike_sas().is_empty());
}

#[test]
fn a_remote_that_may_not_take_its_role_is_named_so() {
    let mut lab = Lab::with(|a, _| a.remotes[0].initiate = false);
    lab.a.command(Command::Initiate(POLICY));
    assert_eq!(lab.a.failure(Part::Role).ours, ["accept only"]);
    assert!(lab.a.sent.is_empty());

    let mut lab = Lab::with(|_, b| b.remotes[0].accept = false);
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    assert_eq!(lab.b.failure(Part::Role).ours, ["initiate only"]);
}

#[test]
fn a_stranger_gets_one_short_answer() {
    let mut lab = Lab::with(|_, b| b.remotes[0].remote = ip("192.0.2.77"));
    lab.a.command(Command::Initiate(POLICY));
    let request = lab.a_to_b();
    assert!(lab.b.sent[0].data.len() < request.data.len());
    lab.b.failure(Part::NoRemote);
    // A hundred more in one second: the bound on answers and reports holds.
    for _ in 0..100 {
        lab.b.receive(&request);
    }
    assert_eq!(lab.b.sent.len(), limits::UNPROTECTED_PER_SECOND as usize);
    assert_eq!(lab.b.failures().len(), limits::UNPROTECTED_PER_SECOND as usize);
    assert!(lab.b.endpoint.ike_sas().is_empty());
}

#[test]
fn both_at_once_end_with_both_in_agreement() {
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    lab.b.command(Command::Initiate(POLICY));
    lab.settle();
    lab.assert_mirrored();
    assert_eq!(lab.a.endpoint.ike_sas().len(), lab.b.endpoint.ike_sas().len());
}

// INITIAL_CONTACT after a restart: what the peer still holds goes.
#[test]
fn a_restarted_peer_clears_what_it_left() {
    let mut lab = Lab::up();
    let old = lab.b.ike().spis;
    lab.a = Host::new(lab.a.config.clone(), 99);
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_ne!(lab.b.ike().spis, old);
    assert_eq!(lab.b.sas.len(), 2);
    lab.assert_mirrored();
    let gone = |event: &Event| matches!(event, Event::IkeDown { reason: DownReason::InitialContact, .. });
    assert!(lab.b.events.iter().any(gone));
}

#[test]
fn every_group_and_cipher_of_the_provider_works() {
    for ke in [
        KeMethod::MODP2048,
        KeMethod::MODP3072,
        KeMethod::ECP256,
        KeMethod::ECP384,
        KeMethod::ECP521,
        KeMethod::CURVE25519,
    ] {
        let cbc = vec![
            Transform::Encr(EncrId::AES_CBC, Some(256)),
            Transform::Integ(IntegId::HMAC_SHA2_512_256),
            Transform::Prf(PrfId::HMAC_SHA2_512),
            Transform::Ke(ke),
        ];
        let mut lab = Lab::with(|a, b| {
            for config in [a, b] {
                config.remotes[0].proposals[0].transforms = cbc.clone();
                config.policies[0].proposals = vec![esp_cbc()];
            }
        });
        lab.establish();
        lab.assert_mirrored();
        assert_eq!(lab.a.ike().suite.unwrap().ke, ke);
    }
}

#[test]
fn a_data_plane_that_refuses_ends_the_child_sa_on_both_sides() {
    let mut lab = Lab::new();
    lab.b.refuse = true;
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert_eq!(lab.b.failures()[0].part, Part::DataPlane);
    assert!(!lab.b.events.iter().any(|event| matches!(event, Event::ChildUp { .. })), "{:?}", lab.b.events);
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    assert_eq!((lab.a.ike().state, lab.b.ike().state), ("ESTABLISHED", "ESTABLISHED"));
    assert_eq!(lab.a.children().len() + lab.b.children().len(), 0);
}

#[test]
fn ipv4_and_ipv6_outside_and_inside_in_every_mix() {
    let pairs = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")];
    for (a_out, b_out) in pairs {
        for (a_in, b_in) in [("10.1.0.1", "10.2.0.1"), ("2001:db8:1::1", "2001:db8:2::1")] {
            let mut lab = Lab::with(|a, b| {
                *a = config(a_out, b_out);
                *b = config(b_out, a_out);
                for (config, here, there) in [(a, a_in, b_in), (b, b_in, a_in)] {
                    config.policies[0].policy.local = vec![TrafficSelector::host(ip(here))];
                    config.policies[0].policy.remote = vec![TrafficSelector::host(ip(there))];
                }
            });
            lab.establish();
            lab.assert_mirrored();
            assert_eq!((lab.a.ike().nat, lab.b.ike().nat), ((false, false), (false, false)));
            assert_eq!(lab.a.ike().peer.ip(), ip(b_out));
            let child = lab.a.child();
            assert_eq!(child.remote_ts, [TrafficSelector::host(ip(b_in))]);
            let out = lab.a.sa(Direction::Outbound, child.outbound);
            assert_eq!((out.src, out.dst, out.encap), (ip(a_out), ip(b_out), None));
            for host in [&mut lab.a, &mut lab.b] {
                host.command(Command::RekeyIke("peer".into()));
            }
            lab.settle();
            lab.b.command(Command::RekeyChild(POLICY));
            lab.settle();
            lab.assert_mirrored();
            assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
        }
    }
    // Transport mode needs one family for both.
    let mut lab = Lab::with(|a, b| {
        *a = config("2001:db8::1", "2001:db8::2");
        *b = config("2001:db8::2", "2001:db8::1");
        set_mode(a, Mode::Transport);
        set_mode(b, Mode::Transport);
    });
    lab.establish();
    assert_eq!(lab.b.child().mode, Mode::Transport);
    lab.assert_mirrored();
}
