//! NAT traversal (RFC 7296 §2.23, §2.23.1). A is 10.0.0.1 behind a NAT that shows it as 198.51.100.1; B is 192.0.2.2.

use std::net::SocketAddr;

use crate::lab::*;
use crate::v2::peer::{Peer, sa_of};
use ravelin_ike::explain::Part;
use ravelin_ike::{Command, Transmit};
use ravelin_types::dataplane::DataPlaneEvent;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::sa::Direction::{Inbound, Outbound};
use ravelin_types::sa::{Encap, OriginalAddresses};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{IntegId, KeMethod, Transform};
use ravelin_wire::ike::header::ExchangeType;

const INSIDE: &str = "10.0.0.1";
const OUTSIDE: &str = "198.51.100.1";

/// A lab with the NAT between, and the port that it gives to A.
struct Natted {
    lab: Lab,
    port: u16,
    outside: &'static str,
}

impl Natted {
    fn new(mode: Mode) -> Self {
        let lab = Lab::with(|a, b| {
            *a = config(INSIDE, B);
            *b = config(B, OUTSIDE);
            b.remotes[0].remote_id = a.remotes[0].local_id.clone();
            set_mode(a, mode);
            set_mode(b, mode);
            if mode == Mode::Tunnel {
                b.policies[0].policy.remote = vec![TrafficSelector::host(ip(INSIDE))];
            }
        });
        Natted { lab, port: 1024, outside: OUTSIDE }
    }

    fn out(&self) -> SocketAddr {
        SocketAddr::new(ip(self.outside), self.port)
    }

    fn a_to_b(&mut self) -> Transmit {
        let message = self.lab.a.take();
        let from = self.out();
        self.lab.b.receive_from(&message, message.remote, from);
        message
    }

    fn b_to_a(&mut self) -> Transmit {
        let message = self.lab.b.take();
        if message.remote == self.out() {
            let inside = SocketAddr::new(ip(INSIDE), message.local.port());
            self.lab.a.receive_from(&message, inside, message.local);
        }
        message
    }

    fn settle(&mut self) {
        while !self.lab.a.sent.is_empty() || !self.lab.b.sent.is_empty() {
            if self.lab.a.sent.is_empty() {
                self.b_to_a();
            } else {
                self.a_to_b();
            }
        }
    }

    fn up(mode: Mode) -> Self {
        Self::new(mode).established()
    }

    fn established(mut self) -> Self {
        self.lab.a.command(Command::Initiate(POLICY));
        self.a_to_b();
        self.b_to_a();
        // The NAT gives another port to the flow from port 4500.
        self.port = 1025;
        self.settle();
        assert_eq!((self.lab.a.failures(), self.lab.b.failures()), (vec![], vec![]));
        assert_eq!((self.lab.a.sas.len(), self.lab.b.sas.len()), (2, 2));
        self
    }
}

// RFC 7296 §2: four zero octets before each message on port 4500.
#[test]
fn a_nat_is_found_and_everything_moves_to_port_4500() {
    let natted = Natted::up(Mode::Tunnel);
    let (here, there) = (natted.lab.a.ike(), natted.lab.b.ike());
    assert_eq!((here.nat, there.nat), ((true, false), (false, true)));
    assert_eq!((here.local, here.peer), (socket("10.0.0.1:4500"), socket("192.0.2.2:4500")));
    assert_eq!((there.local, there.peer), (socket("192.0.2.2:4500"), socket("198.51.100.1:1025")));
    let child = natted.lab.b.child();
    let out = natted.lab.b.sa(Outbound, child.outbound);
    assert_eq!(out.dst, ip(OUTSIDE));
    assert_eq!(out.encap, Some(Encap::udp(4500, 1025)));
    let inbound = natted.lab.b.sa(Inbound, child.inbound);
    assert_eq!(inbound.encap, Some(Encap::udp(1025, 4500)));
    assert_eq!(inbound.original, None);
}

#[test]
fn transport_mode_keeps_the_addresses_from_before_the_nat() {
    let natted = Natted::up(Mode::Transport);
    let (here, there) = (natted.lab.a.child(), natted.lab.b.child());
    assert_eq!((here.mode, there.mode), (Mode::Transport, Mode::Transport));
    // Each side's selectors hold the addresses that it sees.
    assert_eq!(here.local_ts, [TrafficSelector::host(ip(INSIDE))]);
    assert_eq!(here.remote_ts, [TrafficSelector::host(ip(B))]);
    assert_eq!(there.local_ts, [TrafficSelector::host(ip(B))]);
    assert_eq!(there.remote_ts, [TrafficSelector::host(ip(OUTSIDE))]);
    // What A wrote into its packets, and what B writes.
    let at_b = natted.lab.b.sa(Inbound, there.inbound).original;
    assert_eq!(at_b, Some(OriginalAddresses { src: ip(INSIDE), dst: ip(B) }));
    let at_a = natted.lab.a.sa(Inbound, here.inbound).original;
    assert_eq!(at_a, Some(OriginalAddresses { src: ip(B), dst: ip(OUTSIDE) }));
}

#[test]
fn transport_mode_is_rekeyed_from_either_side_of_the_nat() {
    let mut natted = Natted::up(Mode::Transport);
    for from_a in [true, false] {
        let host = if from_a { &mut natted.lab.a } else { &mut natted.lab.b };
        host.command(Command::RekeyChild(POLICY));
        natted.settle();
        assert_eq!((natted.lab.a.failures(), natted.lab.b.failures()), (vec![], vec![]));
        natted.lab.assert_mirrored();
        let (here, there) = (natted.lab.a.child(), natted.lab.b.child());
        assert_eq!(here.local_ts, [TrafficSelector::host(ip(INSIDE))]);
        assert_eq!(there.remote_ts, [TrafficSelector::host(ip(OUTSIDE))]);
        let at_b = natted.lab.b.sa(Inbound, there.inbound).original;
        assert_eq!(at_b, Some(OriginalAddresses { src: ip(INSIDE), dst: ip(B) }));
    }
}

// The address by which B knows A is another, and so is the selector, which is no narrower for that.
#[test]
fn transport_mode_is_rekeyed_behind_a_new_mapping() {
    let mut natted = Natted::new(Mode::Transport);
    let near = TrafficSelector::prefix(ip(OUTSIDE), 24).unwrap();
    natted.lab.b.configure(|config| config.policies[0].policy.remote = vec![near]);
    let mut natted = natted.established();
    for (outside, from_a) in [("198.51.100.9", true), ("198.51.100.10", false)] {
        natted.outside = outside;
        if !from_a {
            // A is heard from its new address first.
            natted.lab.a.command(Command::CheckLiveness("peer".into()));
            natted.settle();
        }
        let old = natted.lab.b.child().inbound;
        let host = if from_a { &mut natted.lab.a } else { &mut natted.lab.b };
        host.command(Command::RekeyChild(POLICY));
        natted.settle();
        assert_eq!((natted.lab.a.failures(), natted.lab.b.failures()), (vec![], vec![]));
        natted.lab.assert_mirrored();
        assert_ne!(natted.lab.b.child().inbound, old);
        assert_eq!(natted.lab.b.child().remote_ts, [TrafficSelector::host(ip(outside))]);
        assert_eq!(natted.lab.a.child().local_ts, [TrafficSelector::host(ip(INSIDE))]);
    }
}

// What waits for a step of a key exchange has arrived where its last copy did.
#[test]
fn a_mapping_that_changes_meanwhile_is_followed() {
    let mut natted = Natted::new(Mode::Tunnel);
    for host in [&mut natted.lab.a, &mut natted.lab.b] {
        host.configure(|config| config.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::MODP1536)]);
    }
    let mut natted = natted.established();
    natted.lab.a.command(Command::RekeyChild(POLICY));
    assert!(natted.lab.a.answer());
    let request = natted.a_to_b();
    natted.port = 1026;
    natted.lab.b.receive_from(&request, request.remote, natted.out());
    assert!(natted.lab.b.sent.is_empty() && natted.lab.b.answer());
    assert_eq!((natted.lab.b.ike().peer, natted.lab.b.sent[0].remote), (natted.out(), natted.out()));
}

// docs/HISTORY.md, row 75: an address changes because of a message that verifies and is new, and of nothing else.
#[test]
fn a_new_mapping_is_followed_when_a_new_message_verifies() {
    let mut natted = Natted::up(Mode::Tunnel);
    natted.lab.a.command(Command::CheckLiveness("peer".into()));
    let old = natted.a_to_b();
    natted.b_to_a();
    let before = natted.out();
    natted.port = 2000;
    natted.outside = "198.51.100.9";
    let after = natted.out();

    // A repetition of an old message from elsewhere is answered there, and moves nothing.
    natted.lab.b.receive_from(&old, old.remote, after);
    assert_eq!(natted.lab.b.take().remote, after);
    assert_eq!(natted.lab.b.ike().peer, before);
    // Nor does a message that does not verify.
    let mut forged = old.clone();
    forged.data[23] += 1;
    natted.lab.b.receive_from(&forged, old.remote, after);
    assert_eq!(natted.lab.b.ike().peer, before);
    assert!(natted.lab.b.moves.is_empty() && natted.lab.b.sent.is_empty());

    natted.lab.a.command(Command::CheckLiveness("peer".into()));
    natted.settle();
    assert_eq!(natted.lab.b.ike().peer, after);
    assert_eq!(natted.lab.b.moves.len(), 2);
    let child = natted.lab.b.child();
    let out = natted.lab.b.sa(Outbound, child.outbound);
    assert_eq!((out.dst, out.encap.unwrap().dst_port), (ip("198.51.100.9"), 2000));
    // Its expiry is still understood under the new name.
    let id = out.id();
    natted.lab.b.event(DataPlaneEvent::SoftExpire(id));
    natted.settle();
    natted.lab.assert_mirrored();
    assert_eq!(natted.lab.b.sas.len(), 2);
}

#[test]
fn a_packet_that_verifies_moves_the_peer_too() {
    let mut natted = Natted::up(Mode::Tunnel);
    let child = natted.lab.b.child();
    let id = natted.lab.b.sa(Inbound, child.inbound).id();
    natted.lab.b.event(DataPlaneEvent::PeerMoved { id, src: ip(OUTSIDE), src_port: Some(3000) });
    assert_eq!(natted.lab.b.ike().peer, socket("198.51.100.1:3000"));
    assert_eq!(natted.lab.b.sa(Outbound, child.outbound).encap.unwrap().dst_port, 3000);
    // Sent on in the other family, the same packets lead nowhere: no SA could follow.
    natted.lab.b.event(DataPlaneEvent::PeerMoved { id, src: ip("2001:db8::66"), src_port: Some(3000) });
    assert_eq!(natted.lab.b.ike().peer, socket("198.51.100.1:3000"));
    assert_eq!(natted.lab.b.moves.len(), 2);
}

// Row 75: two peers may receive on the same SPI where they are not at one address. Who seems to move to the other's stays where it
// was, or the SAs of the two would be one.
#[test]
fn nobody_moves_to_where_another_has_its_spi() {
    let mut natted = Natted::up(Mode::Tunnel);
    let (before, child) = (natted.out(), natted.lab.b.child());
    let mut peer = Peer::new(9);
    peer.local = socket("198.51.100.9:500");
    let host = &mut natted.lab.b;
    host.configure(|config| {
        let (mut remote, mut policy) = (config.remotes[0].clone(), config.policies[0].clone());
        (remote.name, remote.remote, remote.remote_id) = ("other".into(), peer.local.ip(), peer.id.clone());
        (policy.remote, policy.policy.id) = ("other".into(), PolicyId(77));
        policy.policy.remote = vec![TrafficSelector::host(ip(A))];
        config.remotes.push(remote);
        config.policies.push(policy);
    });
    let request = peer.init_request();
    peer.send(host, &request);
    let answer = host.take();
    peer.init_answered(&answer.data);
    let mut payloads = peer.auth_request();
    payloads[2] = sa_of(esp_proposal(), child.outbound.into());
    peer.ask(host, ExchangeType::IKE_AUTH, &payloads);
    assert_eq!(host.children().len(), 2, "{:?}", host.failures());
    let id = host.sa(Inbound, child.inbound).id();
    let at = |host: &Host| host.endpoint.ike_sas().iter().find(|sa| sa.remote == "peer").map(|sa| sa.peer);
    host.event(DataPlaneEvent::PeerMoved { id, src: peer.local.ip(), src_port: Some(3000) });
    assert_eq!(at(host), Some(before));
    host.event(DataPlaneEvent::PeerMoved { id, src: ip("198.51.100.10"), src_port: Some(3000) });
    assert_eq!(at(host), Some(socket("198.51.100.10:3000")));
}

#[test]
fn who_is_behind_a_nat_follows_nobody() {
    let mut natted = Natted::up(Mode::Tunnel);
    let child = natted.lab.a.child();
    let id = natted.lab.a.sa(Inbound, child.inbound).id();
    natted.lab.a.event(DataPlaneEvent::PeerMoved { id, src: ip("203.0.113.66"), src_port: Some(4500) });
    assert_eq!(natted.lab.a.ike().peer, socket("192.0.2.2:4500"));
    assert!(natted.lab.a.moves.is_empty());
}

#[test]
fn without_a_nat_nothing_moves() {
    let mut lab = Lab::up();
    let child = lab.b.child();
    let id = lab.b.sa(Inbound, child.inbound).id();
    lab.b.event(DataPlaneEvent::PeerMoved { id, src: ip("203.0.113.66"), src_port: None });
    assert_eq!(lab.b.ike().peer, socket("192.0.2.1:500"));
    assert!(lab.b.moves.is_empty());
}

#[test]
fn an_initiator_that_does_not_know_its_address_uses_udp() {
    let mut lab = Lab::with(|a, _| a.remotes[0].local = None);
    lab.a.command(Command::Initiate(POLICY));
    let message = lab.a.take();
    assert!(message.local.ip().is_unspecified());
    // The system chooses the source address.
    lab.b.receive_from(&message, message.remote, socket("192.0.2.1:500"));
    lab.settle();
    lab.assert_mirrored();
    let child = lab.a.child();
    assert_eq!(lab.a.sa(Outbound, child.outbound).src, ip(A));
    assert!(lab.a.sa(Outbound, child.outbound).encap.is_some());
    assert!(lab.b.sa(Outbound, lab.b.child().outbound).encap.is_some());
}

#[test]
fn either_end_can_ask_for_udp_without_a_nat() {
    for (a_asks, b_asks) in [(true, false), (false, true), (true, true)] {
        let mut lab = Lab::with(|a, b| (a.remotes[0].encap, b.remotes[0].encap) = (a_asks, b_asks));
        lab.establish();
        assert_eq!((lab.a.ike().nat, lab.b.ike().nat), ((a_asks, b_asks), (b_asks, a_asks)));
        assert_eq!(lab.a.ike().peer, socket("192.0.2.2:4500"));
        let encap = Some(Encap::udp(4500, 4500));
        assert_eq!(lab.a.sa(Outbound, lab.a.child().outbound).encap, encap);
        assert_eq!(lab.b.sa(Outbound, lab.b.child().outbound).encap, encap);
        lab.assert_mirrored();
    }
}

// Row 75: whoever catches IKE_AUTH and sends it on from elsewhere does not get the Child SA's packets.
#[test]
fn ike_auth_from_elsewhere_leads_nobody_anywhere() {
    let elsewhere = socket("203.0.113.66:500");
    let mut lab = Lab::new();
    lab.a.command(Command::Initiate(POLICY));
    lab.a_to_b();
    lab.b_to_a();
    let request = lab.a.take();
    lab.b.receive_from(&request, request.remote, elsewhere);
    // RFC 7296 §2.11: the answer goes to where the request came from.
    let answer = lab.b.take();
    assert_eq!(answer.remote, elsewhere);
    assert_eq!(lab.b.ike().peer, socket("192.0.2.1:500"));
    lab.a.receive_from(&answer, socket("192.0.2.1:500"), elsewhere);
    assert_eq!(lab.a.ike().peer, socket("192.0.2.2:500"));
    lab.assert_mirrored();
    assert!(lab.b.sas.values().all(|sa| [ip(A), ip(B)].contains(&sa.dst)));

    // Nor does it lead the end that is behind a NAT.
    let mut natted = Natted::new(Mode::Tunnel);
    natted.lab.a.command(Command::Initiate(POLICY));
    natted.a_to_b();
    natted.b_to_a();
    natted.a_to_b();
    let answer = natted.lab.b.take();
    natted.lab.a.receive_from(&answer, socket("10.0.0.1:4500"), socket("203.0.113.66:4500"));
    assert_eq!(natted.lab.a.ike().peer, socket("192.0.2.2:4500"));
    let child = natted.lab.a.child();
    assert_eq!(natted.lab.a.sa(Outbound, child.outbound).dst, ip(B));
}

#[test]
fn a_responder_behind_a_nat_is_found_and_followed() {
    // The NAT shows B as 198.51.100.1 and passes 500 and 4500 on to it.
    let mut lab = Lab::with(|a, b| {
        *a = config(A, OUTSIDE);
        *b = config(INSIDE, A);
        a.remotes[0].remote_id = b.remotes[0].local_id.clone();
        b.policies[0].policy.local = vec![TrafficSelector::host(ip(OUTSIDE))];
    });
    lab.a.command(Command::Initiate(POLICY));
    let mut outside = OUTSIDE;
    for _ in 0..4 {
        if let Some(message) = lab.a.sent.pop_front() {
            assert_eq!(message.remote.ip(), ip(outside));
            let inside = SocketAddr::new(ip(INSIDE), message.remote.port());
            lab.b.receive_from(&message, inside, message.local);
        } else if let Some(message) = lab.b.sent.pop_front() {
            lab.a.receive_from(&message, message.remote, SocketAddr::new(ip(outside), message.local.port()));
        }
    }
    assert_eq!((lab.a.ike().nat, lab.b.ike().nat), ((false, true), (true, false)));
    assert_eq!(lab.a.ike().peer, socket("198.51.100.1:4500"));
    assert_eq!(lab.b.ike().local, socket("10.0.0.1:4500"));
    let encap = Some(Encap::udp(4500, 4500));
    assert_eq!(lab.a.sa(Outbound, lab.a.child().outbound).encap, encap);
    assert_eq!(lab.b.sa(Outbound, lab.b.child().outbound).encap, encap);
    assert_eq!(lab.b.sa(Outbound, lab.b.child().outbound).src, ip(INSIDE));
    lab.assert_mirrored();
    // A new mapping: A follows the first message that verifies.
    outside = "198.51.100.7";
    lab.b.command(Command::CheckLiveness("peer".into()));
    let message = lab.b.take();
    lab.a.receive_from(&message, message.remote, SocketAddr::new(ip(outside), 4500));
    assert_eq!(lab.a.ike().peer, socket("198.51.100.7:4500"));
    assert_eq!(lab.a.sa(Outbound, lab.a.child().outbound).dst, ip("198.51.100.7"));
}

// RFC 3715 §2.1: AH covers the addresses that the NAT changes.
#[test]
fn ah_is_refused() {
    let mut natted = Natted::new(Mode::Tunnel);
    let ah = || {
        let transforms = vec![Transform::Integ(IntegId::HMAC_SHA2_256_128)];
        vec![Proposal { protocol: ProtocolId::AH, transforms }]
    };
    natted.lab.a.configure(|config| config.policies[0].proposals = ah());
    natted.lab.b.configure(|config| config.policies[0].proposals = ah());
    natted.lab.a.command(Command::Initiate(POLICY));
    natted.settle();
    let failure = natted.lab.a.failure(Part::Configuration);
    assert!(failure.ours[0].contains("AH does not pass the NAT"), "{failure:?}");
    assert!(natted.lab.a.sas.is_empty() && natted.lab.b.sas.is_empty());
}
