//! IKE_SA_INIT requests from addresses that nobody has, without end.

use std::time::Duration;

use ravelin_ike::{Command, Transmit, limits};

use crate::lab::*;
use crate::v2::peer::{self, Peer};
use ravelin_wire::ike::v2::{Message, NotifyType, Payload};

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
        self.some(host, STRANGERS as usize / 5);
    }

    /// So many do.
    fn some(&mut self, host: &mut Host, count: usize) {
        let mut others = std::mem::take(&mut host.sent);
        for _ in 0..count {
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
    let mut lab = Lab::with(|_, b| for_anybody(b));
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

// RFC 7296 §2.6: a cookie that is not ours is answered with another, but not for ever; and whatever somebody sends in the name of an
// honest peer, that one gets in.
#[test]
fn wrong_cookies_are_answered_now_and_then_and_keep_nobody_out() {
    let mut host = Host::new(config(B, A), 2);
    host.configure(for_anybody);
    Strangers::new().some(&mut host, limits::COOKIE_THRESHOLD);
    let mut peer = Peer::new(7);
    let first = peer.init_payloads();
    let with = |peer: &mut Peer, cookie: &[u8]| {
        let cookie = peer::notify(NotifyType::COOKIE, cookie);
        peer.init_message(&[&[cookie], &first[..]].concat())
    };
    let answers = |host: &mut Host, message: &[u8], times: usize| {
        (0..times).for_each(|_| peer.send(host, message));
        host.sent.drain(..).collect::<Vec<_>>()
    };
    let wrong = with(&mut Peer::new(7), &[7; 35]);
    for _ in 0..3 {
        assert_eq!(answers(&mut host, &wrong, 1000).len(), limits::WRONG_COOKIES_PER_ADDRESS);
        host.sleep(Duration::from_secs(1));
    }
    assert_eq!(host.endpoint.counters().rate_limited, 3 * (1000 - limits::WRONG_COOKIES_PER_ADDRESS as u64));
    answers(&mut host, &wrong, 1000);
    let plain = Peer::new(7).init_message(&first);
    let challenges = answers(&mut host, &plain, 1000);
    assert_eq!(challenges.len(), 1000, "without a cookie everybody gets one");
    let cookie = Message::parse(&challenges[0].data).unwrap().payloads;
    let [Payload::Notify(cookie)] = &cookie[..] else { panic!("{cookie:?}") };
    let right = with(&mut Peer::new(7), &cookie.data);
    let before = host.endpoint.ike_sas().len();
    assert_eq!(answers(&mut host, &right, 1).len(), 1);
    assert_eq!(host.endpoint.ike_sas().len(), before + 1);
}
