//! CREATE_CHILD_SA that comes to nothing: both sides say what did not meet, and nothing else changes.

use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Config, limits};
use ravelin_types::options::{Dscp, SaOptions};
use ravelin_types::policy::{Action, Mode, PolicyId};
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, KeMethod, Transform};
use ravelin_types::{IkeSpi, Spi};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Delete, Ke, NotifyType, Payload};

use crate::lab::*;
use crate::v2::peer::{self, Peer, notifies};

const SECOND: PolicyId = PolicyId(8);
const NEW: Spi = Spi(0x0abc_0002);

/// Two hosts with one Child SA and a second policy each, changed by the test.
fn lab(change: impl FnOnce(&mut Config, &mut Config)) -> Lab {
    let mut lab = Lab::with(|a, b| {
        a.policies.push(policy(SECOND, Mode::Tunnel, "10.1.0.1", "10.2.0.1"));
        b.policies.push(policy(SECOND, Mode::Tunnel, "10.2.0.1", "10.1.0.1"));
        change(a, b);
    });
    lab.establish();
    lab
}

#[test]
fn what_does_not_meet_is_named_on_both_sides() {
    type Change = fn(&mut Config, &mut Config);
    let cases: [(Part, Part, Change); 5] = [
        (Part::ChildProposal, Part::ChildProposal, |_, b| b.policies[1].proposals = vec![esp_cbc()]),
        // PFS with a group that the other does not take, and PFS that only the responder wants.
        (Part::ChildProposal, Part::ChildProposal, |a, b| {
            a.policies[1].proposals = vec![pfs(esp_proposal(), KeMethod::CURVE25519)];
            b.policies[1].proposals = vec![pfs(esp_proposal(), KeMethod::ECP256)];
        }),
        (Part::ChildProposal, Part::ChildProposal, |_, b| {
            b.policies[1].proposals = vec![pfs(esp_proposal(), KeMethod::ECP256)];
        }),
        (Part::TrafficSelectors, Part::TrafficSelectors, |_, b| {
            b.policies[1].policy.local = vec![TrafficSelector::host(ip("10.9.9.9"))];
        }),
        (Part::TrafficSelectors, Part::TrafficSelectors, |a, _| {
            a.policies[1].policy.remote = vec![TrafficSelector::host(ip("2001:db8::1"))];
            a.policies[1].policy.local = vec![TrafficSelector::host(ip("2001:db8::2"))];
        }),
    ];
    for (here, there, change) in cases {
        let mut lab = lab(change);
        lab.a.command(Command::Initiate(SECOND));
        // HDR, SK {SA, Ni, [KEi], TSi, TSr} -->
        assert_eq!(lab.a.next(), Some((CREATE_CHILD, 2, false)));
        lab.a_to_b();
        // <-- HDR, SK {N(error)}
        assert_eq!(lab.b.next(), Some((CREATE_CHILD, 2, true)));
        lab.b_to_a();
        for (host, part) in [(&lab.a, here), (&lab.b, there)] {
            let failure = host.failure(part);
            assert_eq!(failure.exchange, "CREATE_CHILD_SA");
            assert_eq!(failure.remote.as_deref(), Some("peer"));
            assert!(!failure.theirs.is_empty() && !failure.ours.is_empty(), "{failure}");
        }
        assert_eq!(lab.a.failures()[0].policy, Some(SECOND));
        assert_eq!(lab.a.sent.len() + lab.b.sent.len(), 0);
        // The IKE SA and the first Child SA stand.
        assert_eq!((lab.a.ike().state, lab.b.ike().state), ("ESTABLISHED", "ESTABLISHED"));
        assert_eq!(lab.a.children().len(), 1);
        lab.assert_mirrored();
    }
}

#[test]
fn a_rekey_that_the_peer_refuses_is_tried_again_and_the_old_one_goes_on() {
    let mut lab = Lab::up();
    let old = lab.a.child().inbound;
    lab.b.configure(|config| config.policies[0].proposals = vec![esp_cbc()]);
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    lab.a.failure(Part::ChildProposal);
    lab.b.failure(Part::ChildProposal);
    assert_eq!((lab.a.child().inbound, lab.a.child().state), (old, "INSTALLED"));
    // In the meantime somebody mends the configuration.
    lab.b.configure(|config| config.policies[0].proposals = vec![esp_proposal()]);
    lab.a.sleep(limits::REKEY_RETRY);
    lab.settle();
    assert_ne!(lab.a.child().inbound, old);
    lab.assert_mirrored();
}

#[test]
fn an_ike_rekey_that_the_peer_refuses_is_told_by_both_and_tried_again() {
    let mut lab = Lab::up();
    let old = lab.a.ike().spis;
    let chacha = Transform::Encr(EncrId::CHACHA20_POLY1305, None);
    lab.a.configure(|config| config.remotes[0].proposals[0].transforms[0] = chacha);
    lab.b.configure(|config| config.remotes[0].proposals[0].transforms[0] = chacha);
    // What an IKE SA was made of stays with it, so both still agree.
    lab.a.command(Command::RekeyIke("peer".into()));
    lab.settle();
    assert_ne!(lab.a.ike().spis, old);
    assert_eq!(lab.a.ike().spis, lab.b.ike().spis);
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
}

// RFC 7296 §1.3.2: an IKE SA is never rekeyed without KE.
#[test]
fn an_ike_rekey_finds_the_group_that_the_peer_wants() {
    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| config.remotes[0].proposals[0].transforms.push(Transform::Ke(KeMethod::ECP256)));
    let mut peer = Peer::up(&mut host);
    let wants = |method: KeMethod| peer::notify(NotifyType::INVALID_KE_PAYLOAD, &method.0.to_be_bytes());
    host.command(Command::RekeyIke("peer".into()));
    let group = |payloads: &[Payload]| {
        payloads.iter().find_map(|payload| match payload {
            Payload::Ke(ke) => Some(ke.method),
            _ => None,
        })
    };
    let (id, asked) = peer.asked(&mut host);
    assert_eq!(group(&asked), Some(KeMethod::CURVE25519));
    // <-- N(INVALID_KE_PAYLOAD), again and again; --> SA, Ni, KEi
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[wants(KeMethod::ECP256)]);
    let (id, asked) = peer.asked(&mut host);
    assert_eq!(group(&asked), Some(KeMethod::ECP256));
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[wants(KeMethod::CURVE25519)]);
    let (id, _) = peer.asked(&mut host);
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[wants(KeMethod::ECP256)]);
    // Row 65: not for ever.
    assert!(host.sent.is_empty());
    host.failure(Part::KeyExchange);
    assert_eq!(host.ike().state, "ESTABLISHED");
    // A group that was never offered is not taken either.
    host.sleep(Duration::from_secs(60));
    host.command(Command::RekeyIke("peer".into()));
    let (id, _) = peer.asked(&mut host);
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[wants(KeMethod::MODP1024)]);
    assert!(host.sent.is_empty());
}

// Rows 19, 25: key exchange values that are none, asked with and answered with.
#[test]
fn bad_key_exchange_values_make_no_sa() {
    let bad = [vec![], vec![0; 32], vec![0; 31], vec![1; 33], vec![0; 60000]];
    for data in bad {
        let ke = Payload::Ke(Ke { method: KeMethod::CURVE25519, data });
        // In place of the IKE SA.
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::up(&mut host);
        let mut request = peer::ike_request(&mut peer, IkeSpi(0xaa), 9).0;
        request[2] = ke.clone();
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
        assert_eq!(notifies(&answer), [NotifyType::INVALID_SYNTAX]);
        // RFC 7296 §2.21.3: fatal at both ends, without a Delete payload.
        assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
        // With PFS.
        let mut host = Host::new(config(B, A), 2);
        host.configure(|config| config.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::CURVE25519)]);
        let mut peer = Peer::up(&mut host);
        let mut request = peer::child_request(NEW, 9);
        request[0] = peer::sa_of(pfs(peer::answered_esp(), KeMethod::CURVE25519), NEW.into());
        request.push(ke.clone());
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
        assert_eq!(notifies(&answer), [NotifyType::INVALID_SYNTAX]);
        assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty());
        // As an answer.
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::up(&mut host);
        host.command(Command::RekeyIke("peer".into()));
        let (id, _) = peer.asked(&mut host);
        let sa = peer::sa_of(ike_proposal(KeMethod::CURVE25519), IkeSpi(0xab).into());
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[sa, peer::nonce(&[9; 32]), ke]);
        // The peer holds an IKE SA that cannot be used, so all of it is given up: <-- HDR, SK {D(IKE)}
        host.failure(Part::Protocol);
        let (_, asked) = peer.asked(&mut host);
        assert_eq!(asked, [Payload::Delete(Delete::Ike)]);
        assert_eq!(host.endpoint.ike_sas().len(), 1);
    }
}

// PFS where the peer leaves its value out, or sends one of another group.
#[test]
fn an_answer_without_the_agreed_key_exchange_makes_no_sa() {
    for ke in [None, Some(Ke { method: KeMethod::ECP256, data: vec![4; 64] })] {
        let mut host = Host::new(config(B, A), 2);
        host.configure(|config| config.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::CURVE25519)]);
        let mut peer = Peer::up(&mut host);
        host.command(Command::RekeyChild(POLICY));
        let (id, asked) = peer.asked(&mut host);
        assert!(asked.iter().any(|payload| matches!(payload, Payload::Ke(_))));
        let [tsi, tsr] = peer::ts(B, A);
        let sa = peer::sa_of(pfs(peer::answered_esp(), KeMethod::CURVE25519), NEW.into());
        let mut answer = vec![sa, peer::nonce(&[9; 32]), tsi, tsr];
        answer.extend(ke.map(Payload::Ke));
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &answer);
        assert!(!host.has(Outbound, NEW));
        assert_eq!(host.sas.len(), 2);
        // The peer's half goes: <-- HDR, SK {D(ESP, SPI)}
        assert_eq!(peer::deleted(&peer.asked(&mut host).1), [peer::spi_of(&asked).child().unwrap()]);
    }
    // A downgrade: the peer chooses a proposal without the method that was listed.
    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| config.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::CURVE25519)]);
    let mut peer = Peer::up(&mut host);
    host.command(Command::RekeyChild(POLICY));
    let (id, _) = peer.asked(&mut host);
    let [tsi, tsr] = peer::ts(B, A);
    let sa = peer::sa_of(peer::answered_esp(), NEW.into());
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &[sa, peer::nonce(&[9; 32]), tsi, tsr]);
    assert!(!host.has(Outbound, NEW));
}

// RFC 7296 §2.21.3: a peer that answers with INVALID_SYNTAX has ended the IKE SA without a Delete payload.
#[test]
fn an_answer_of_invalid_syntax_is_the_end_of_the_ike_sa() {
    for command in [
        Command::RekeyChild(POLICY),
        Command::RekeyIke("peer".into()),
        Command::TerminateChild(None),
        Command::TerminateIke(None),
        Command::CheckLiveness("peer".into()),
    ] {
        let mut host = Host::new(config(B, A), 2);
        let mut peer = Peer::up(&mut host);
        host.command(command.clone());
        let message = host.take();
        let (exchange, id, _) = kind(&message.data);
        let error = peer::notify(NotifyType::INVALID_SYNTAX, &[]);
        peer.answer(&mut host, ExchangeType(exchange), id, &[error]);
        assert!(host.endpoint.ike_sas().is_empty() && host.sas.is_empty(), "{command:?}");
        assert!(host.sent.is_empty());
        // Everything is released: the same SPIs can be used again, and a new IKE SA can be made.
        let other = Peer::up(&mut host);
        assert_eq!(host.ike().spis, other.spis);
    }
}

#[test]
fn both_sas_have_the_options_of_the_policy_but_no_padding_that_the_peer_declines() {
    let options = SaOptions { tfc: 256, dscp: Dscp::Set(10), mtu: Some(1400), ..SaOptions::default() };
    for declined in [false, true] {
        let mut host = Host::new(config(B, A), 2);
        host.configure(|config| {
            if let Action::Protect(protection) = &mut config.policies[0].policy.action {
                protection.options = options;
            }
        });
        let mut peer = Peer::up(&mut host);
        // HDR, SK {SA, Ni, TSi, TSr, [N(ESP_TFC_PADDING_NOT_SUPPORTED)]} -->   (RFC 7296 §1.3.1)
        let mut request = peer::child_request(NEW, 9);
        request.extend(declined.then(|| peer::notify(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED, &[])));
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
        assert_eq!(notifies(&answer), []);
        let sending = host.sa(Outbound, NEW).options;
        assert_eq!(sending, SaOptions { tfc: if declined { 0 } else { 256 }, ..options });
        let pair = host.sa(Outbound, NEW).pair;
        assert_eq!(host.sa(Inbound, pair).options, options);
    }
}

// RFC 7296 §1.3.1, RFC 4301 §7.3: enabled where both say so, which they do where it means something.
#[test]
fn later_fragments_go_over_an_sa_on_ports_where_both_sides_say_so() {
    let web = |host: &mut Host, mode| {
        host.configure(|config| {
            set_mode(config, mode);
            let local = &mut config.policies[0].policy.local;
            *local = vec![TrafficSelector::host(ip(B)).with(17, 53..=53).unwrap()];
            let remote = &mut config.policies[0].policy.remote;
            *remote = vec![TrafficSelector::host(ip(A)).with(17, 0..=u16::MAX).unwrap()];
        });
    };
    let also = || peer::notify(NotifyType::NON_FIRST_FRAGMENTS_ALSO, &[]);
    // As responder.
    for (ports, asks, agreed) in [(true, true, true), (true, false, false), (false, true, false)] {
        let mut host = Host::new(config(B, A), 2);
        if ports {
            web(&mut host, Mode::Tunnel);
        }
        let mut peer = Peer::up(&mut host);
        let mut request = peer::child_request(NEW, 9);
        request.extend(asks.then(also));
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
        let echoed = answer.iter().any(|payload| *payload == also());
        assert_eq!(echoed, agreed, "{ports} {asks}");
        let sending = host.sa(Outbound, NEW);
        let pair = sending.pair;
        assert_eq!(sending.options.later_fragments, agreed);
        assert_eq!(host.sa(Inbound, pair).options.later_fragments, agreed);
    }
    // As initiator.
    for (ports, answers, agreed) in [(true, true, true), (true, false, false), (false, true, false)] {
        let mut host = Host::new(config(B, A), 2);
        if ports {
            web(&mut host, Mode::Tunnel);
        }
        let mut peer = Peer::up(&mut host);
        host.command(Command::RekeyChild(POLICY));
        let (id, request) = peer.asked(&mut host);
        assert_eq!(request.iter().any(|payload| *payload == also()), ports);
        let find = |tsi: bool| {
            let found = request.iter().find(|payload| match payload {
                Payload::TsI(_) => tsi,
                Payload::TsR(_) => !tsi,
                _ => false,
            });
            found.cloned().expect("selectors")
        };
        let mut answer =
            vec![peer::sa_of(peer::answered_esp(), NEW.into()), peer::nonce(&[9; 32]), find(true), find(false)];
        answer.extend(answers.then(also));
        peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &answer);
        assert_eq!(host.sa(Outbound, NEW).options.later_fragments, agreed, "{ports} {answers}");
    }
    for (mode, agreed) in [(Mode::Tunnel, true), (Mode::Transport, false)] {
        let mut lab = Lab::with(|a, b| {
            for (config, here, there) in [(a, A, B), (b, B, A)] {
                set_mode(config, mode);
                let end = |address| vec![TrafficSelector::host(ip(address)).with(17, 500..=600).unwrap()];
                (config.policies[0].policy.local, config.policies[0].policy.remote) = (end(here), end(there));
            }
        });
        lab.establish();
        for host in [&lab.a, &lab.b] {
            assert_eq!(host.sas.len(), 2);
            // Transport mode has no fragments.
            assert!(host.sas.values().all(|sa| sa.options.later_fragments == agreed), "{mode:?}");
        }
    }
}

#[test]
fn the_answer_may_decline_padding_too() {
    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| {
        if let Action::Protect(protection) = &mut config.policies[0].policy.action {
            protection.options.tfc = 256;
        }
    });
    let mut peer = Peer::up(&mut host);
    host.command(Command::RekeyChild(POLICY));
    let (id, _) = peer.asked(&mut host);
    let [tsi, tsr] = peer::ts(B, A);
    let mut answer = vec![peer::sa_of(peer::answered_esp(), NEW.into()), peer::nonce(&[9; 32]), tsi, tsr];
    answer.push(peer::notify(NotifyType::ESP_TFC_PADDING_NOT_SUPPORTED, &[]));
    peer.answer(&mut host, ExchangeType::CREATE_CHILD_SA, id, &answer);
    assert_eq!(host.sa(Outbound, NEW).options.tfc, 0);
    assert_eq!(host.sa(Outbound, peer::FIRST).options.tfc, 256, "the old one goes on as it was");
}
