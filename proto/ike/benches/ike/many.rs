//! A gateway with 100,000 peers, each with an IKE SA and a Child SA of its own: the memory that one takes, and whether the
//! rekeys of one cost more than with ten. The peers come from this process, too, and are gone before memory is read.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::{Command, Endpoint};

use crate::ends::{self, POLICY};
use crate::{median, time};

const FEW: u32 = 10;
const MANY: u32 = 100_000;
const REKEYS: usize = 50;

/// Octets of one page of memory on every system that the benchmarks run on.
const PAGE: u64 = 4096;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Runs it.
pub fn run() {
    let mut gateway = ends::endpoint(&Arc::new(ends::gateway(&GATEWAY.to_string())));
    for number in 1..FEW {
        join(number, &mut gateway);
    }
    let mut peer = join(FEW, &mut gateway);
    let few = rekeys(&mut peer, &mut gateway);
    let before = resident();
    for number in FEW + 1..=MANY {
        join(number, &mut gateway);
    }
    let each = (resident() - before) / u64::from(MANY - FEW);
    assert_eq!(gateway.ike_sas().len(), MANY as usize);
    println!("ike/many: {each} octets for an IKE SA with a Child SA among {MANY}, 6144 is the bound");
    let many = rekeys(&mut peer, &mut gateway);
    for (what, few, many) in [("a Child SA", few.0, many.0), ("an IKE SA", few.1, many.1)] {
        let ratio = many.as_secs_f64() / few.as_secs_f64();
        println!("ike/many: to rekey {what} takes {ratio:.2} of the time among {FEW} ({many:.1?} against {few:.1?})");
    }
}

/// A new peer with an IKE SA and a Child SA.
fn join(number: u32, gateway: &mut Endpoint) -> Endpoint {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number);
    let mut peer = ends::endpoint(&Arc::new(ends::config(&address.to_string(), &GATEWAY.to_string())));
    ends::establish(&mut peer, gateway);
    peer
}

/// How long this peer's rekeys of its Child SA and of its IKE SA take both ends; the medians.
fn rekeys(peer: &mut Endpoint, gateway: &mut Endpoint) -> (Duration, Duration) {
    let mut rekey = |command: Command, added| {
        let mut run = || time(|| assert_eq!(ends::run(peer, gateway, command.clone()), added));
        median((0..REKEYS).map(|_| run()).collect())
    };
    (rekey(Command::RekeyChild(POLICY), 4), rekey(Command::RekeyIke(ends::PEER.into()), 0))
}

/// Memory of this process, in octets.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * PAGE
}
