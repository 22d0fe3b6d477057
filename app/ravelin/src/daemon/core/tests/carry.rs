//! How decisions of the endpoint are carried out.

use super::pair::Pair;
use super::*;

// Each wait for the threads of a data plane is one for them to wake.
#[test]
fn both_sas_of_a_child_sa_come_and_go_in_one_go() {
    let mut pair = Pair::new("carry", ["", ""], ["", ""]);
    pair.initiate();
    let gone = |pair: &Pair, at: usize| std::mem::take(&mut pair.0[at].plane.0.borrow_mut().gone);
    // The initiator offers an SPI before.
    assert_eq!([gone(&pair, 0), gone(&pair, 1)], [vec![1, 2], vec![2]]);
    let now = pair.0[0].now;
    pair.0[0].core.command(Command::TerminateIke(None), now);
    pair.exchange();
    assert_eq!([gone(&pair, 0), gone(&pair, 1)], [vec![2], vec![2]]);
    assert!(pair.0.iter().all(|bench| bench.plane.0.borrow().sas.is_empty()));
}

// One that is refused takes the other back, and nobody hears that the Child SA is up.
#[test]
fn a_refused_sa_takes_its_twin_back() {
    let mut pair = Pair::new("twin", ["", ""], ["", ""]);
    pair.0[0].plane.0.borrow_mut().full = true;
    pair.initiate();
    assert_eq!(pair.0[0].plane.0.borrow().sas.len(), 0);
    assert!(pair.0[0].core.endpoint.ike_sas().iter().all(|ike| ike.children.is_empty()));
    assert_eq!(pair.0[1].plane.0.borrow().sas.len(), 0, "the peer is told");
}
