//! IKE_SA_INIT requests from addresses that nobody has, without end.

use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::config::{IdPattern, Open, OwnedKey};
use ravelin_ike::{Command, Transmit, limits};
use ravelin_types::selector::TrafficSelector;

use crate::lab::*;

/// Requests in all.
const STRANGERS: u32 = 100_000;

/// Strangers, each from an address, with an SPI and a nonce of its own.
struct Strangers {
    request: Transmit,
    nonce_at: usize,
    sent: u32,
}

impl Strangers {
    fn new() -> Self {
        let mut stranger = Host::new(config(A, B), 99);
        stranger.command(Command::Initiate(POLICY));
        let request = stranger.take();
        // SA of 48 octets, KE of 40, and the header of the nonce.
        let nonce_at = request.data.windows(4).position(|head| head == [41, 0, 0, 36]).expect("a nonce") + 4;
        Strangers { request, nonce_at, sent: 0 }
    }

    /// A fifth of them arrives at `host`, and nobody hears its answers.
    fn storm(&mut self, host: &mut Host) {
        let mut others = std::mem::take(&mut host.sent);
        for _ in 0..STRANGERS / 5 {
            self.sent += 1;
            let number = self.sent.to_be_bytes();
            self.request.data[..4].copy_from_slice(&number);
            self.request.data[self.nonce_at..][..4].copy_from_slice(&number);
            let [_, b, c, d] = number;
            host.receive_from(&self.request, socket("192.0.2.2:500"), (ip(&format!("10.{b}.{c}.{d}")), 500).into());
            assert!(host.sent.iter().all(|answer| answer.data.len() <= self.request.data.len()));
            host.sent.clear();
        }
        host.sent.append(&mut others);
    }
}

// RFC 7296 §2.6: nothing is kept for a stranger that has not shown that it receives; whoever has gets in at once.
#[test]
fn a_flood_of_strangers_keeps_nobody_out_and_disturbs_nobody() {
    let mut lab = Lab::with(|_, b| {
        let remote = &mut b.remotes[0];
        remote.remote = ip("0.0.0.0");
        remote.open = Open {
            from: vec![ip("0.0.0.0")..=ip("255.255.255.255")],
            peers: Some(IdPattern::Any),
            keys: Some(Arc::from([OwnedKey { owners: Vec::new(), secret: SECRET.into() }])),
            ..Open::default()
        };
        b.policies[0].policy.remote = Vec::new();
        b.policies[0].dynamic.remote = vec![TrafficSelector::any_v4()];
    });
    lab.establish();
    let mut strangers = Strangers::new();
    strangers.storm(&mut lab.b);
    assert_eq!(lab.b.endpoint.ike_sas().len(), limits::COOKIE_THRESHOLD + 1);
    // An established peer: both sides ask and answer, and rekey.
    for host in [true, false] {
        let host = if host { &mut lab.a } else { &mut lab.b };
        host.command(Command::CheckLiveness("peer".into()));
        lab.settle();
    }
    lab.a.command(Command::RekeyChild(POLICY));
    strangers.storm(&mut lab.b);
    lab.settle();
    assert_eq!((lab.a.failures(), lab.a.children().len()), (vec![], 1));
    // A new peer, a message at a time between the strangers': first with a cookie for an answer.
    let mut honest = Lab { a: Host::new(config("192.0.2.77", B), 77), b: lab.b };
    honest.a.command(Command::Initiate(POLICY));
    for _ in 0..3 {
        strangers.storm(&mut honest.b);
        honest.a_to_b();
        honest.b_to_a();
    }
    assert_eq!((honest.a.failures(), honest.a.children().len()), (vec![], 1));
    assert_eq!(strangers.sent, STRANGERS);
    // What the strangers left is bounded, and goes by itself.
    let counters = honest.b.endpoint.counters();
    assert!(counters.cookies >= u64::from(STRANGERS) - limits::COOKIE_THRESHOLD as u64);
    let half_open = |host: &Host| host.endpoint.ike_sas().iter().filter(|sa| sa.state != "ESTABLISHED").count();
    assert_eq!(half_open(&honest.b), limits::COOKIE_THRESHOLD);
    honest.b.sleep(limits::HALF_OPEN_LIFETIME + Duration::from_secs(1));
    assert_eq!(half_open(&honest.b), 0);
}
