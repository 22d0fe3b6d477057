//! First messages whose key exchange takes long: a test answers the question when it likes, so nobody measures time. What
//! comes after them is in `put_off`.

use std::net::SocketAddr;

use ravelin_ike::{Command, Config, Datagram, Input, Question, Transmit, limits};
use ravelin_types::Carrier;
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::transform::KeMethod;

use crate::lab::*;

const C: &str = "192.0.2.3";

/// A with MODP-8192, and B, which has Curve25519 for C, too.
fn lab() -> Lab {
    Lab::with(|a, b| {
        for config in [a, &mut *b] {
            config.remotes[0].proposals = vec![ike_proposal(KeMethod::MODP8192)];
        }
        let mut other = remote(B, C);
        other.name = "other".into();
        let mut child = policy(PolicyId(8), Mode::Tunnel, B, C);
        child.remote = "other".into();
        b.remotes.push(other);
        b.policies.push(child);
    })
}

/// Everything between a host and B arrives; B answers no question.
fn talk(host: &mut Host, b: &mut Host) {
    loop {
        if let Some(message) = host.sent.pop_front() {
            b.receive(&message);
        } else if let Some(message) = b.sent.pop_front() {
            host.receive(&message);
        } else {
            return;
        }
    }
}

// RFC 7296 §2.1: meanwhile the request that comes again is the same one.
#[test]
fn a_key_exchange_that_takes_long_keeps_nobody_else_waiting() {
    let mut lab = lab();
    lab.a.command(Command::Initiate(POLICY));
    lab.a.answer();
    let request = lab.a_to_b();
    lab.b.receive(&request);
    assert_eq!((lab.b.asked.len(), lab.b.endpoint.counters().repeated), (1, 1));
    assert!(
        matches!(&lab.b.asked[0].1, Question::Exchange { method: KeMethod::MODP8192, public } if public.len() == 1024)
    );
    assert!(lab.b.sent.is_empty() && lab.b.endpoint.ike_sas().is_empty());

    let mut c = Host::new(config(C, B), 3);
    c.command(Command::Initiate(POLICY));
    talk(&mut c, &mut lab.b);
    assert_eq!((c.children().len(), lab.b.children().len()), (1, 1));

    assert!(lab.b.answer());
    lab.settle();
    assert_eq!(lab.a.ike().suite.unwrap().ke, KeMethod::MODP8192);
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 2));
    assert_eq!((lab.a.failures(), lab.b.failures(), c.failures()), (vec![], vec![], vec![]));
}

// A request may wait for its answer while the configuration changes.
#[test]
fn a_remote_that_is_gone_when_the_key_exchange_is_done_is_answered_as_nobody() {
    let mut lab = lab();
    lab.a.command(Command::Initiate(POLICY));
    lab.a.answer();
    lab.a_to_b();
    lab.b.configure(|config: &mut Config| config.remotes.retain(|remote| remote.name == "other"));
    lab.b.answer();
    assert!(lab.b.endpoint.ike_sas().is_empty());
    assert_eq!(lab.b.failures().len(), 1);
}

#[test]
fn strangers_have_only_so_much_computed_for_them() {
    // Anybody is welcome at B, with MODP alone.
    let anybody = |config: &mut Config| {
        config.remotes[0].proposals = vec![ike_proposal(KeMethod::MODP2048)];
        config.remotes[0].remote = ip("0.0.0.0");
        config.remotes[0].open.from = vec![ip("0.0.0.0")..=ip("255.255.255.255")];
    };
    let mut lab = Lab::with(|a, b| {
        a.remotes[0].proposals = vec![ike_proposal(KeMethod::MODP2048)];
        anybody(b);
    });
    lab.a.command(Command::Initiate(POLICY));
    lab.a.answer();
    let request = lab.a.take();
    let mut number = 0u64;
    let mut stranger = |from: &str, lab: &mut Lab| {
        number += 1;
        let mut request: Transmit = request.clone();
        request.data[..8].copy_from_slice(&number.to_be_bytes());
        lab.b.receive_from(&request, socket("192.0.2.2:500"), socket(from));
    };
    for _ in 0..10 {
        stranger("198.51.100.1:500", &mut lab);
    }
    assert_eq!(lab.b.asked.len(), limits::SLOW_EXCHANGES_PER_ADDRESS);
    // What waits is half-open: beyond the threshold it takes a cookie, which goes to whom it may concern.
    for host in 0..200 {
        stranger(&format!("198.51.101.{host}:500"), &mut lab);
    }
    assert_eq!(lab.b.asked.len(), limits::COOKIE_THRESHOLD);
    assert_eq!(lab.b.endpoint.counters().cookies as usize, 200 + 4 - limits::COOKIE_THRESHOLD);
    assert!(lab.b.sent.iter().all(|answer| answer.data.len() < request.data.len()));
    // Who has opened a connection needs none (RFC 9329 §6.3), and is held to the bound on all.
    for host in 0..2 * limits::SLOW_EXCHANGES {
        let from = SocketAddr::from(([198, 51, 102 + (host / 256) as u8, host as u8], 500));
        let mut data = request.data.clone();
        data[..8].copy_from_slice(&(1_000_000 + host as u64).to_be_bytes());
        let (local, carrier) = (socket("192.0.2.2:500"), Carrier::Tcp);
        lab.b.input(Input::Datagram(Datagram { local, remote: from, carrier, data: &data }));
    }
    assert_eq!(lab.b.asked.len(), limits::SLOW_EXCHANGES);
}
