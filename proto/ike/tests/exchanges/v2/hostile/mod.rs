//! Peers that break the protocol, and strangers that try to: counted and dropped, or answered as the RFC says, with no
//! SA disturbed by what does not verify. Rows are those of the security history of other implementations.

mod authenticated;
mod endless;
mod initial;
mod responder;
mod strangers;
mod wire;

use ravelin_types::Spi;
use ravelin_wire::ike::v2::{NotifyType, Payload};

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
