//! A packet filter that follows the policies a little later.

use ravelin_ike::{Output, Transmit};

use super::pair::Pair;
use super::*;

/// Two daemons whose policy is in force with its SAs only; the filter of the one at `late` is late.
fn pair(name: &str, late: usize) -> Pair {
    let mut pair = Pair::new(name, ["", ""], ["", ""]);
    for bench in &mut pair.0 {
        let mut newer = bench.core.model.clone();
        newer.set_trap(newer.find_policy("p1").unwrap().id, false);
        bench.core.adopt(newer, bench.now).unwrap();
    }
    pair.0[late].plane.0.borrow_mut().late = true;
    pair
}

fn sas(bench: &Bench) -> usize {
    bench.plane.0.borrow().sas.len()
}

/// The filter has come as far as it was told to, or refuses to.
fn settle(bench: &mut Bench, result: Result<(), DataPlaneError>) {
    let change = bench.plane.0.borrow().begun;
    bench.plane.0.borrow_mut().settled = Some(Settled { change, result });
    bench.core.plane_events(bench.now, 1);
}

#[test]
fn an_sa_and_the_message_that_makes_the_peer_rely_on_it_wait_for_the_filter() {
    let mut pair = pair("behind-answer", 1);
    pair.initiate();
    let policies = |bench: &Bench| bench.plane.0.borrow().policies.len();
    assert_eq!((policies(&pair.0[1]), sas(&pair.0[1])), (1, 0), "the policy goes first");
    assert_eq!(sas(&pair.0[0]), 0, "it has no answer yet");
    assert!(!pair.0[1].core.is_idle());
    // A repeated request is answered behind the SA, too.
    let request = pair.1.last().unwrap().clone();
    let (local, remote) = ("10.0.0.2:500".parse().unwrap(), "10.0.0.1:500".parse().unwrap());
    let datagram = Datagram { local, remote, carrier: ravelin_types::Carrier::Udp, data: &request };
    pair.0[1].core.datagram(datagram, Instant::ZERO);
    assert!(pair.0[1].plane.0.borrow().sent.is_empty());
    settle(&mut pair.0[1], Ok(()));
    assert_eq!(sas(&pair.0[1]), 2);
    pair.exchange();
    assert_eq!((sas(&pair.0[0]), sas(&pair.0[1])), (2, 2));
}

#[test]
fn who_asked_for_an_sa_is_told_that_it_is_up_behind_the_filter() {
    let mut pair = pair("behind-ask", 0);
    assert!(pair.0[0].send("ike initiate p1").is_none());
    pair.exchange();
    assert_eq!((sas(&pair.0[0]), sas(&pair.0[1])), (0, 2));
    assert!(pair.0[0].answers().is_empty(), "not before its packets are captured");
    settle(&mut pair.0[0], Ok(()));
    assert_eq!(sas(&pair.0[0]), 2);
    assert_eq!(pair.0[0].answers()[0].1.text("errmsg"), None);
}

#[test]
fn who_asked_for_an_sa_is_told_that_the_data_plane_refused_it() {
    let mut behind = pair("behind-refused-ask", 0);
    assert!(behind.0[0].send("ike initiate p1").is_none());
    behind.exchange();
    settle(&mut behind.0[0], Err(DataPlaneError::System("nft is gone".into())));
    let why = behind.0[0].answers()[0].1.text("errmsg").map(str::to_owned);
    assert!(why.as_deref().is_some_and(|why| why.contains("nft is gone")), "{why:?}");
}

#[test]
fn without_the_filter_there_is_no_sa() {
    let mut pair = pair("behind-refused", 1);
    pair.initiate();
    settle(&mut pair.0[1], Err(DataPlaneError::System("nft is gone".into())));
    assert_eq!(sas(&pair.0[1]), 0);
    assert!(pair.0[1].plane.0.borrow().policies.is_empty(), "what its SA asked for goes with it");
    settle(&mut pair.0[1], Ok(()));
    pair.exchange();
    assert_eq!((sas(&pair.0[0]), sas(&pair.0[1])), (0, 0), "the peer was told");
}

#[test]
fn other_peers_do_not_wait() {
    let mut pair = pair("behind-others", 1);
    pair.initiate();
    let to = |address: &str| {
        Output::Transmit(Transmit {
            local: "10.0.0.2:500".parse().unwrap(),
            remote: address.parse().unwrap(),
            carrier: ravelin_types::Carrier::Udp,
            data: vec![1],
        })
    };
    let core = &mut pair.0[1].core;
    assert!(core.behind.hold(to("10.0.0.9:500")).is_some());
    assert!(core.behind.hold(to("10.0.0.1:500")).is_none());
}
