//! A peer that is who it says it is, and makes and deletes without end: what is kept of it is bounded.

use ravelin_ike::limits;
use ravelin_types::proposal::ProtocolId;
use ravelin_types::{Identity, IkeSpi, Spi};
use ravelin_wire::ike::header::ExchangeType;
use ravelin_wire::ike::v2::{Delete, NotifyType, Payload};

use super::{spi_of, up};
use crate::lab::*;
use crate::v2::peer::{self, FIRST, Peer, deleted, notifies};

// Row 74.
#[test]
fn child_sas_and_rekeys_without_end() {
    // More Child SAs than one IKE SA may have.
    let (mut host, mut peer) = up();
    for n in 1..limits::CHILDREN_PER_IKE_SA as u32 {
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &peer::child_request(Spi(0x1000 + n), 9));
        assert_eq!(notifies(&answer), [], "Child SA {n}");
    }
    let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &peer::child_request(Spi(0x9999), 9));
    assert_eq!(notifies(&answer), [NotifyType::NO_ADDITIONAL_SAS]);
    assert_eq!(host.children().len(), limits::CHILDREN_PER_IKE_SA);
    assert_eq!(host.ike().state, "ESTABLISHED");
    // They go, many in one message.
    let mut spis: Vec<Spi> = (1..limits::CHILDREN_PER_IKE_SA as u32).map(|n| Spi(0x1000 + n)).collect();
    spis.push(FIRST);
    for spis in spis.chunks(128) {
        let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[peer::delete(spis)]);
        assert_eq!(deleted(&answer).len(), spis.len());
    }
    assert!(host.sas.is_empty());

    // Rekeys whose old SA is never deleted: each old one can be rekeyed once.
    let (mut host, mut peer) = up();
    let mut last = FIRST;
    for n in 1..300u32 {
        let mut payloads = vec![peer::rekey_sa(last)];
        payloads.extend(peer::child_request(Spi(0x2000 + n), 9));
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &payloads);
        match notifies(&answer)[..] {
            [] => last = Spi(0x2000 + n),
            [kind] => assert_eq!(kind, NotifyType::NO_ADDITIONAL_SAS),
            ref other => panic!("{other:?}"),
        }
        assert!(host.children().len() <= limits::CHILDREN_PER_IKE_SA);
    }

    // IKE SAs that are never deleted.
    let (mut host, mut peer) = up();
    for n in 0..40u64 {
        let (request, private) = peer::ike_request(&mut peer, IkeSpi(0xb0_0000 + n), 9);
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
        let shared = private.agree(&peer::find_ke(&answer)).unwrap();
        let spis = (IkeSpi(0xb0_0000 + n), peer::spi_of(&answer).ike().unwrap());
        peer = peer.rekeyed(true, spis, &shared, (vec![9; 32], peer::find_nonce(&answer)));
        host.sleep(std::time::Duration::from_secs(10));
        host.sent.clear();
    }
    let kept = limits::REPLACED_IKE_LIFETIME.as_secs() / 10 + 1;
    assert!(host.endpoint.ike_sas().len() <= kept as usize, "{} IKE SAs", host.endpoint.ike_sas().len());
    assert_eq!(host.children().len(), 1);
}

// Row 74: deletes and rekeys without end change nothing but what they name.
#[test]
fn a_storm_of_deletes_is_answered_and_harmless() {
    let (mut host, mut peer) = up();
    for round in 0..50 {
        let spis = (0..1000).map(|i| Spi(0x4000_0000 + round * 1000 + i)).collect();
        let delete = Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis });
        assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[delete]), []);
    }
    let odd = [
        Payload::Delete(Delete::Child { protocol: ProtocolId::AH, spis: vec![FIRST] }),
        Payload::Delete(Delete::Other { protocol: ProtocolId(99), spi_len: 1, count: 1, spis: vec![1] }),
    ];
    assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &odd), []);
    assert_eq!(host.sas.len(), 2);
    // The same FIRST over and over, in one message: it goes once.
    let delete = Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis: vec![FIRST; 1000] });
    let inbound = host.child().inbound;
    let answer = peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[delete.clone(), delete]);
    let gone = Payload::Delete(Delete::Child { protocol: ProtocolId::ESP, spis: vec![inbound] });
    assert_eq!(answer, [gone]);
    assert!(host.sas.is_empty());
}

// Row 74: IKE SAs without end, by rekeying and from the beginning. What is kept is bounded, the newest works, and
// another peer is left in peace.
#[test]
fn ike_sas_without_end() {
    let (mut host, mut peer) = up();
    for n in 0..300u64 {
        let (request, private) = peer::ike_request(&mut peer, IkeSpi(0xb0_0000 + n), 9);
        let answer = peer.ask(&mut host, ExchangeType::CREATE_CHILD_SA, &request);
        let shared = private.agree(&peer::find_ke(&answer)).unwrap();
        let spis = (IkeSpi(0xb0_0000 + n), peer::spi_of(&answer).ike().unwrap());
        peer = peer.rekeyed(true, spis, &shared, (vec![9; 32], peer::find_nonce(&answer)));
    }
    assert!(host.endpoint.ike_sas().len() <= limits::IKE_SAS_PER_REMOTE + 1);
    assert_eq!(host.child().outbound, FIRST);
    assert_eq!(peer.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);

    let mut host = Host::new(config(B, A), 2);
    host.configure(|config| {
        let mut other = config.remotes[0].clone();
        other.name = "other".into();
        other.remote_id = Identity::Fqdn("other.example.org".into());
        config.remotes.push(other);
    });
    let mut other = Peer::new(500);
    let mut first = None;
    for seed in 0..limits::IKE_SAS_PER_REMOTE as u64 + 20 {
        let mut peer = Peer::new(seed + 1);
        peer.nonces.0 = vec![seed as u8; 32];
        if seed == 10 {
            std::mem::swap(&mut peer, &mut other);
            peer.id = Identity::Fqdn("other.example.org".into());
        }
        let request = peer.init_request();
        peer.send(&mut host, &request);
        let answer = host.take();
        peer.init_answered(&answer.data);
        let mut payloads = peer.auth_request();
        payloads[2] = peer::sa_of(peer::answered_esp(), spi_of(seed as usize).into());
        peer.ask(&mut host, ExchangeType::IKE_AUTH, &payloads);
        if seed == 10 {
            first = Some(peer);
        }
    }
    assert_eq!(host.endpoint.ike_sas().len(), limits::IKE_SAS_PER_REMOTE + 1);
    let mut other = first.unwrap();
    assert_eq!(other.ask(&mut host, ExchangeType::INFORMATIONAL, &[]), []);
}
