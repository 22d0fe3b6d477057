//! What a tunnel between two hosts carries, side by side with others who do the same in user space:
//! `cargo xtask bench tunnel`, or with everything installed `cargo bench -p ravelin --bench tunnel -- [OPTIONS]`.
//!
//! Two network namespaces are joined by a veth pair. In each runs one daemon, pinned to a processor of its own; the
//! programs that make the load are not pinned. Everybody is measured in each round, in alternating order, and the table
//! shows medians, so that a machine that slows down does so for all.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic is how a benchmark fails

mod lab;
mod load;
mod peer;
mod sys;

use clap::Parser;

use lab::Lab;
use peer::{Peer, Tunnel};

#[derive(Parser)]
struct Args {
    /// How often everybody is measured
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure only those whose name contains this
    #[arg(long, default_value = "")]
    only: String,
    /// Seconds of TCP
    #[arg(long, default_value_t = 3)]
    seconds: u32,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// One peer in one round.
struct Figures {
    /// Gigabits of payload per second, one TCP stream.
    tcp: f64,
    /// Processor time of both daemons for 10^9 bytes of it, in seconds.
    cpu: f64,
    /// Processor time of both daemons for a million datagrams of 64 bytes, in seconds.
    cpu_datagrams: f64,
    /// Datagrams of 64 bytes per second with less than one in a thousand lost.
    datagrams: f64,
    /// Median round trip of a ping now and then, in microseconds.
    round_trip: f64,
    /// Median round trip of datagrams that answer each other, in microseconds.
    answers: f64,
}

fn main() {
    let args = Args::parse();
    if !lab::enter() {
        return;
    }
    let lab = Lab::new();
    let mut all: Vec<(Peer, Vec<Figures>)> = Vec::new();
    for peer in Peer::ALL.into_iter().filter(|peer| peer.name().contains(&args.only)) {
        match peer.missing() {
            None => all.push((peer, Vec::new())),
            Some(why) => println!("tunnel/{}: not measured: {why}", peer.name()),
        }
    }
    for round in 0..args.rounds {
        for place in 0..all.len() {
            let place = if round % 2 == 0 { place } else { all.len() - 1 - place };
            let (peer, figures) = &mut all[place];
            eprintln!("round {} of {}: {}", round + 1, args.rounds, peer.name());
            figures.push(measure(&lab, *peer, args.seconds));
        }
    }
    print(&all);
}

fn measure(lab: &Lab, peer: Peer, seconds: u32) -> Figures {
    let tunnel = Tunnel::start(lab, peer);
    let before = tunnel.processor_time();
    let (tcp, bytes) = load::tcp(lab, tunnel.far, seconds);
    let cpu = (tunnel.processor_time() - before) / (bytes / 1e9);
    let round_trip = load::round_trip(lab, tunnel.far);
    let answers = load::answers(lab, tunnel.far);
    let before = tunnel.processor_time();
    let crossed = load::some_datagrams(lab, tunnel.far);
    let cpu_datagrams = (tunnel.processor_time() - before) / (crossed / 1e6);
    let datagrams = load::datagrams(lab, tunnel.far);
    let thousands = datagrams / 1e3;
    eprintln!(
        "    {tcp:.2} Gbit/s, {cpu:.2} s/GB, {thousands:.0} thousand datagrams/s, {cpu_datagrams:.2} s/M, {round_trip:.0} us, \
         {answers:.0} us"
    );
    Figures { tcp, cpu, datagrams, cpu_datagrams, round_trip, answers }
}

fn print(all: &[(Peer, Vec<Figures>)]) {
    let heads = ["", "TCP", "CPU", "64-byte UDP", "CPU", "round trip", "answers"];
    let units = ["", "Gbit/s", "s/GB", "thousand/s", "s/M", "us", "us"];
    for [a, b, c, d, e, f, g] in [heads, units] {
        println!("{a:<22} {b:>8} {c:>8} {d:>12} {e:>8} {f:>11} {g:>8}");
    }
    for (peer, figures) in all {
        println!(
            "{:<22} {:>8.2} {:>8.2} {:>12.0} {:>8.2} {:>11.0} {:>8.0}",
            peer.name(),
            median(figures, |f| f.tcp),
            median(figures, |f| f.cpu),
            median(figures, |f| f.datagrams) / 1e3,
            median(figures, |f| f.cpu_datagrams),
            median(figures, |f| f.round_trip),
            median(figures, |f| f.answers)
        );
    }
    for (ours, own) in all.iter().filter(|(peer, _)| peer.is_ours()) {
        for (theirs, other) in all.iter().filter(|(peer, _)| peer.is_rival()) {
            println!(
                "tunnel/{} to {}: {:.2} of its TCP, {:.2} of its datagrams",
                ours.name(),
                theirs.name(),
                median(own, |f| f.tcp) / median(other, |f| f.tcp),
                median(own, |f| f.datagrams) / median(other, |f| f.datagrams)
            );
        }
    }
}

fn median(figures: &[Figures], of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = figures.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
