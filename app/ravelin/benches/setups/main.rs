//! What an IKE SA with a Child SA costs a processor, beside strongSwan: `cargo xtask bench set-ups`, or with strongSwan
//! installed `cargo bench -p ravelin --bench set-ups -- [OPTIONS]`.
//!
//! Two network namespaces are joined by a veth pair, with one daemon in each: strongSwan against itself, Ravelin against
//! itself, and strongSwan as the initiator of Ravelin. Clients of the control socket of the left one have connections made
//! and ended, several at a time, by pre-shared keys and Curve25519, with ESP in user space. The same commands of the same
//! protocol go to both. Counted is the processor time of each daemon, by set-up and end.
//!
//! `load` is how long `swanctl --load-all` takes for very many connections, which it loads one by one, and for the same again.
//!
//! strongSwan's own load tester is in no package of Debian; this is its work with the commands that are.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic is how a benchmark fails

#[expect(dead_code, reason = "the benchmark of the tunnels uses more of it")]
#[path = "../tunnel/lab.rs"]
mod lab;
#[expect(dead_code, reason = "the benchmark of floods uses more of it")]
mod peer;

use std::time::Duration;

use clap::Parser;
use ravelin_control::{Client, Message};

use lab::{LEFT, Lab, RIGHT};
use peer::{Daemon, Kind, Load};

#[derive(Parser)]
struct Args {
    /// How often everybody is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Set-ups of each connection in a round
    #[arg(long, default_value_t = 250)]
    count: usize,
    /// Connections, each of which is made and ended by a client of its own; of strongSwan's 16 threads each takes some
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// Who initiates, and who answers.
const PAIRS: [(Kind, Kind); 3] =
    [(Kind::StrongSwan, Kind::StrongSwan), (Kind::Ravelin, Kind::Ravelin), (Kind::StrongSwan, Kind::Ravelin)];

/// Connections that are loaded.
const MANY: usize = 1000;

/// How long a connection may take to be made or to end.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let args = Args::parse();
    if !lab::enter() {
        return;
    }
    if let Some(missing) = peer::missing() {
        println!("set-ups: not measured: there is no {missing}");
        return;
    }
    let _lab = Lab::new();
    peer::inner_addresses(args.connections);
    let mut figures = PAIRS.map(|_| Vec::new());
    for _ in 0..args.rounds {
        for (pair, figures) in PAIRS.iter().zip(&mut figures) {
            figures.push(measure(*pair, &args));
        }
    }
    for (pair, figures) in PAIRS.iter().zip(&figures) {
        let [initiator, responder] = [0, 1].map(|side| median(figures.iter().map(|both| both[side]).collect()));
        println!(
            "set-ups/{} to {}: {initiator:.0} us of the initiator, {responder:.0} us of the responder",
            pair.0, pair.1
        );
    }
    for kind in [Kind::StrongSwan, Kind::Ravelin] {
        let daemon = Daemon::start(kind, LEFT, &Load { connections: 0, strangers: false });
        let times = [daemon.load_many(MANY), daemon.load_many(MANY)].map(|time| time.as_secs_f64() * 1e3);
        println!("set-ups/load: {MANY} connections take {kind} {:.0} ms, and again {:.0} ms", times[0], times[1]);
    }
    let both = |at: usize| median(figures[at].iter().map(|both| both[0] + both[1]).collect());
    println!(
        "set-ups/ravelin: {:.1} times strongSwan's for each second of a processor, 5 is the bound",
        both(0) / both(1)
    );
}

/// Microseconds of initiator and responder for a connection made and ended.
fn measure((initiator, responder): (Kind, Kind), args: &Args) -> [f64; 2] {
    let load = Load { connections: args.connections, strangers: false };
    let daemons = [(initiator, LEFT), (responder, RIGHT)].map(|(kind, host)| Daemon::start(kind, host, &load));
    let run = |count: usize| {
        std::thread::scope(|scope| {
            for number in 0..args.connections {
                let socket = daemons[0].socket();
                scope.spawn(move || cycle(&mut Client::connect(&socket).unwrap(), number, count));
            }
        });
    };
    // What is made at the first use is made before.
    run(1);
    let before = daemons.each_ref().map(Daemon::processor_time);
    run(args.count);
    let after = daemons.each_ref().map(Daemon::processor_time);
    [0, 1].map(|side| (after[side] - before[side]) * 1e6 / (args.count * args.connections) as f64)
}

fn cycle(client: &mut Client, number: usize, count: usize) {
    client.set_timeout(Some(2 * PATIENCE)).unwrap();
    for _ in 0..count {
        ask(client, "initiate", number);
        ask(client, "terminate", number);
    }
}

/// Has a connection made or ended.
fn ask(client: &mut Client, command: &str, number: usize) {
    let mut message = Message::new().with("ike", peer::connection(number)).with("timeout", PATIENCE.as_millis());
    if command == "initiate" {
        message.put("child", peer::connection(number));
    }
    let answer = client.request(command, &message).unwrap();
    assert_eq!(answer.text("success"), Some("yes"), "{command}: {answer:?}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
