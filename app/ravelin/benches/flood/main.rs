//! What a flood of first messages from everywhere does to a gateway: `cargo xtask bench flood`, or with strongSwan installed
//! `cargo bench -p ravelin --bench flood -- [OPTIONS]`.
//!
//! Two network namespaces are joined by a veth pair. On the right there is the gateway, pinned to a processor of its own; on
//! the left an honest peer, and a program that sends IKE_SA_INIT requests in the name of 131,072 others, as many a second
//! as it is told. The request is one of the honest peer's own, each time with another SPI, so that nothing but its
//! address tells one from the other. Pings cross the connection that was there before and is rekeyed under way; the other
//! connections are made one after the other. Gateway and honest peer are Ravelin and strongSwan, in all pairs.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic is how a benchmark fails

#[path = "../tunnel/lab.rs"]
mod lab;
#[expect(dead_code, reason = "the benchmark of set-ups uses more of it")]
#[path = "../setups/peer.rs"]
mod peer;
mod pings;
mod strangers;

use std::time::{Duration, Instant};

use clap::Parser;
use ravelin_control::{Client, Message};

use lab::{LEFT, Lab, RIGHT};
use peer::{Daemon, Kind, Load};
use pings::Pings;
use strangers::Strangers;

#[derive(Parser)]
struct Args {
    /// First messages a second
    #[arg(long, default_value_t = 100_000)]
    rate: u64,
    /// Connections that are made meanwhile
    #[arg(long, default_value_t = 10)]
    connections: usize,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Honest peer and gateway.
const PAIRS: [(Kind, Kind); 4] = [
    (Kind::Ravelin, Kind::Ravelin),
    (Kind::StrongSwan, Kind::Ravelin),
    (Kind::Ravelin, Kind::StrongSwan),
    (Kind::StrongSwan, Kind::StrongSwan),
];

/// How long a connection may take to be made before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// So long there is nothing but the flood and the pings.
const ALONE: Duration = Duration::from_secs(2);

fn main() {
    let args = Args::parse();
    if !lab::enter() {
        return;
    }
    if let Some(missing) = peer::missing() {
        println!("flood: not measured: there is no {missing}");
        return;
    }
    let _lab = Lab::new();
    strangers::live(LEFT);
    peer::inner_addresses(1 + args.connections);
    for (honest, gateway) in PAIRS {
        println!("flood/{honest} to {gateway}: {}", measure(honest, gateway, &args));
    }
}

fn measure(honest: Kind, gateway: Kind, args: &Args) -> String {
    let load = Load { connections: 1 + args.connections, strangers: true };
    let peer = Daemon::start(honest, LEFT, &load);
    let mut client = Client::connect(&peer.socket()).unwrap();
    client.set_timeout(Some(2 * PATIENCE)).unwrap();
    let request = strangers::request(RIGHT, || initiate(&mut Client::connect(&peer.socket()).unwrap(), 1, 100));
    let daemon = Daemon::start(gateway, RIGHT, &load);
    daemon.pin(RIGHT);
    assert!(initiate(&mut client, 0, PATIENCE.as_millis()), "no connection before the flood");

    let strangers = Strangers::start(LEFT, RIGHT, request, args.rate);
    let pings = Pings::start(0, Duration::from_millis(20));
    std::thread::sleep(ALONE);
    client.request("rekey", &Message::new().with("ike", peer::connection(0))).unwrap();
    let mut times = Vec::new();
    for number in 1..=args.connections {
        let begin = Instant::now();
        if initiate(&mut client, number, PATIENCE.as_millis()) {
            times.push(begin.elapsed().as_secs_f64() * 1e3);
        }
    }
    let (lost, sent) = pings.end();
    let memory = daemon.resident();
    let rate = strangers.end();
    times.sort_by(f64::total_cmp);
    let made = match times.as_slice() {
        [] => "none".to_owned(),
        times => format!(
            "{} after {:.0} ms in the middle, {:.0} at most",
            times.len(),
            times[times.len() / 2],
            times[times.len() - 1]
        ),
    };
    format!(
        "{:.0} thousand first messages a second; of {} connections {made}, 1000 is the bound; {lost} of {sent} pings lost; {memory} MiB",
        rate / 1e3,
        args.connections,
    )
}

/// Has a connection made; whether it was.
fn initiate(client: &mut Client, number: usize, milliseconds: u128) -> bool {
    let name = peer::connection(number);
    let message = Message::new().with("ike", name.clone()).with("child", name).with("timeout", milliseconds);
    client.request("initiate", &message).unwrap().text("success") == Some("yes")
}
