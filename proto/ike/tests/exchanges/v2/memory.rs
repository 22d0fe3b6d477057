//! How often the two ends of a set-up ask for memory, as a bound: each time costs as much as a compression of SHA-256, and they
//! grow back one by one unseen. What it takes of time is for the benchmark `ike`.

use std::sync::Arc;

use ravelin_ike::{Command, Datagram, Endpoint, Input, Output};
use ravelin_testkit::SeededRandom;
use ravelin_types::policy::Mode;
use ravelin_types::{Carrier, Identity, Instant};

use crate::lab::{A, B, POLICY, config, ip, provider, set_mode};
use crate::sys::allocations;

/// Of an IKE SA with its first Child SA, with a pre-shared key, both ends.
const SET_UP: u64 = 131;
/// Of the deletion of that IKE SA.
const DELETION: u64 = 21;

fn host(local: &str, peer: &str, seed: u64) -> Endpoint {
    let mut config = config(local, peer);
    set_mode(&mut config, Mode::Transport);
    config.remotes[0].local_id = Identity::from(ip(local));
    config.remotes[0].remote_id = Identity::from(ip(peer));
    Endpoint::new(Arc::new(config), provider(), Box::new(SeededRandom::new(seed)), Instant::ZERO)
}

/// Carries out what `from` decides until it waits. Whether it sent something to `to`.
fn carry_out(from: &mut Endpoint, to: &mut Endpoint) -> bool {
    let mut sent = false;
    loop {
        match from.poll() {
            Output::Transmit(message) => {
                let (local, remote) = (message.remote, message.local);
                let datagram = Datagram { local, remote, carrier: Carrier::Udp, data: &message.data };
                to.handle(Input::Datagram(datagram), Instant::ZERO);
                sent = true;
            }
            Output::Apply(op, _) => from.handle(Input::Done(op, Ok(()).into()), Instant::ZERO),
            Output::Event(_) => {}
            Output::Wait(_) => return sent,
            Output::Ask(..) | Output::Stream(..) => unreachable!("nothing of that is configured"),
        }
    }
}

/// How often the two ask for memory while they carry out a command of the first.
fn asked(a: &mut Endpoint, b: &mut Endpoint, command: Command) -> u64 {
    let before = allocations();
    a.handle(Input::Command(command), Instant::ZERO);
    while carry_out(a, b) | carry_out(b, a) {}
    allocations() - before
}

#[test]
fn a_set_up_does_not_ask_for_memory_more_often_than_it_did() {
    let (mut a, mut b) = (host(A, B, 1), host(B, A, 2));
    let mut last = [0; 2];
    // Tables that were there before stay: the first time is not like the others.
    for _ in 0..4 {
        let set_up = asked(&mut a, &mut b, Command::Initiate(POLICY));
        assert_eq!([&a, &b].map(|end| end.ike_sas()[0].children.len()), [1; 2]);
        let deletion = asked(&mut a, &mut b, Command::TerminateIke(None));
        assert_eq!([&a, &b].map(|end| end.ike_sas().len()), [0; 2]);
        last = [set_up, deletion];
    }
    assert!(last[0] <= SET_UP && last[1] <= DELETION, "{last:?} of [{SET_UP}, {DELETION}]");
}
