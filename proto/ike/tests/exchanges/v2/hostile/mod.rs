//! Peers that break the protocol, and strangers that try to: counted and dropped, or answered as the RFC says, with no
//! SA disturbed by what does not verify. Rows are those of docs/HISTORY.md.

mod authenticated;
mod endless;
mod initial;
mod intermediate;
mod order;
mod responder;
mod strangers;
mod wire;

use ravelin_crypto::ikev2::IkeCipher;
use ravelin_ike::{IkeSecrets, Transmit};
use ravelin_testkit::SeededRandom;
use ravelin_types::transform::EncrId;
use ravelin_types::{IkeSpi, Spi};
use ravelin_wire::ike::header::Header;
use ravelin_wire::ike::v2::{Chain, Message, NotifyType, Payload, emit_head, parse_chain};

use crate::lab::*;
use crate::v2::peer::{self, Peer};

/// A host B, and a peer at A that has yet to say a word.
fn fresh() -> (Host, Peer) {
    (Host::new(config(B, A), 2), Peer::new(1))
}

/// The two after IKE_SA_INIT.
fn keyed() -> (Host, Peer) {
    let mut host = Host::new(config(B, A), 2);
    let peer = Peer::keyed(&mut host);
    (host, peer)
}

/// The two with an IKE SA and a Child SA.
fn up() -> (Host, Peer) {
    let mut host = Host::new(config(B, A), 2);
    let peer = Peer::up(&mut host);
    (host, peer)
}

/// The error notifies of an answer.
fn errors(answer: &[Payload]) -> Vec<NotifyType> {
    peer::notifies(answer).into_iter().filter(|kind| kind.is_error()).collect()
}

/// SA, TSi, TSr
fn child_payloads(spi: Spi) -> Vec<Payload> {
    let [tsi, tsr] = peer::ts(A, B);
    vec![peer::sa(vec![peer::answered_esp()], spi.into()), tsi, tsr]
}

/// What CREATE_CHILD_SA may be asked for: a Child SA, and another IKE SA.
fn every_request(peer: &mut Peer) -> [Vec<Payload>; 2] {
    [peer::child_request(peer::FIRST, 9), peer::ike_request(peer, IkeSpi(0xaa), 9).0]
}

/// A message as somebody would say it who has the keys of the IKE SA: those of `keyed`, one of the two ends.
pub fn said_otherwise(
    keyed: &Host,
    message: &Transmit,
    change: impl FnOnce(&mut Header, &mut Vec<Payload>),
) -> Transmit {
    let Message { mut header, protected, .. } = Message::parse(&message.data).unwrap();
    let spis = (header.initiator_spi, header.responder_spi);
    let ours = keyed.endpoint.ike_sas().into_iter().find(|sa| sa.spis == spis).unwrap();
    let our_spi = if ours.initiator { spis.0 } else { spis.1 };
    let Some(IkeSecrets::V2 { encr, .. }) = keyed.endpoint.secrets(our_spi) else { panic!("no keys") };
    let key = &encr[usize::from(!header.flags.is_initiator())];
    let aead = provider().encr(EncrId::AES_GCM_16).unwrap();
    let mut cipher = IkeCipher::new(aead, None, key.expose(), &[]).unwrap();
    let protected = protected.unwrap();
    let inner = cipher.open(&message.data, protected.body_at).unwrap();
    let mut payloads = parse_chain(protected.first, &inner).unwrap();
    change(&mut header, &mut payloads);
    let chain = Chain::new(&payloads).unwrap();
    let mut data = emit_head(&header, chain.first(), None, cipher.body_len(chain.bytes().len()));
    cipher.seal(&mut data, chain.bytes(), &mut SeededRandom::new(1));
    Transmit { data, ..message.clone() }
}

fn spi_of(at: usize) -> Spi {
    Spi(0x0100_0000 + at as u32)
}

/// Everything about a host that hostile input must leave as it is: SAs, their keys and states.
fn state(host: &Host) -> String {
    let keys: Vec<_> = host.sas.values().map(|sa| (sa.keys.encr.expose(), sa.keys.integ.expose())).collect();
    format!("{:?} {:?} {keys:?}", host.endpoint.ike_sas(), host.sas)
}

/// Nothing is left.
fn is_down(host: &Host) -> bool {
    host.endpoint.ike_sas().is_empty() && host.sas.is_empty()
}
