//! What is sent through a tunnel.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::lab::{LEFT, Lab, RIGHT};
use crate::sys;

const UDP_PORT: u16 = 7777;
/// How many answers are timed.
const ANSWERS: usize = 3000;
/// How long a rate is tried.
const TRIAL: Duration = Duration::from_millis(400);
/// A rate that fails is tried again: it may have been something else on the machine.
const TRIES: usize = 3;
/// Between two bursts of the sender.
const TICK: Duration = Duration::from_micros(250);
/// Rates between which the search ends.
const PRECISION: f64 = 1.05;
/// The lowest and the highest rate that is looked for, per second.
const RATES: (f64, f64) = (20e3, 2e6);

/// One TCP stream from left to right: gigabits per second, and bytes in all.
pub fn tcp(_lab: &Lab, far: Ipv4Addr, seconds: u32) -> (f64, f64) {
    let mut server = RIGHT.command(&format!("iperf3 -s -1 -B {far}")).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let json = LEFT.sh(&format!("iperf3 -c {far} -t {seconds} -J"));
    server.wait().unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let sum = &json["end"]["sum_received"];
    (sum["bits_per_second"].as_f64().unwrap() / 1e9, sum["bytes"].as_f64().unwrap())
}

/// Median round trip, in microseconds.
pub fn round_trip(_lab: &Lab, far: Ipv4Addr) -> f64 {
    let text = LEFT.sh(&format!("ping -i 0.002 -c 501 {far}"));
    let times = text.lines().filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse::<f64>().ok());
    let mut times: Vec<f64> = times.collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2] * 1e3
}

/// Median round trip of datagrams of which each answers the one before, in microseconds.
pub fn answers(_lab: &Lab, far: Ipv4Addr) -> f64 {
    let echo = RIGHT.spawn(move || {
        let socket = UdpSocket::bind((far, UDP_PORT)).unwrap();
        let mut data = [0; 64];
        // An empty datagram ends it.
        while let Ok((len @ 1.., from)) = socket.recv_from(&mut data) {
            socket.send_to(&data[..len], from).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(10));
    let times = LEFT.spawn(move || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        socket.connect((far, UDP_PORT)).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut data = [0; 64];
        let mut times = Vec::new();
        for _ in 0..ANSWERS {
            let begin = Instant::now();
            socket.send(&[0x55; 64]).unwrap();
            if socket.recv(&mut data).is_ok() {
                times.push(begin.elapsed());
            }
        }
        socket.send(&[]).unwrap();
        times
    });
    let mut times = times.join().unwrap();
    echo.join().unwrap();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

/// The highest rate of datagrams that crosses with less than one in a thousand lost.
pub fn datagrams(_lab: &Lab, far: Ipv4Addr) -> f64 {
    let (mut crosses, mut fails) = RATES;
    while fails / crosses > PRECISION {
        let rate = (crosses * fails).sqrt();
        match (0..TRIES).find_map(|_| trial(far, rate)) {
            Some(reached) => crosses = reached,
            None => fails = rate,
        }
    }
    crosses
}

/// The rate that was reached, `None` when too many were lost or the sender could not keep the rate.
fn trial(far: Ipv4Addr, rate: f64) -> Option<f64> {
    let Flood { sent, received, took } = flood(far, rate, TRIAL);
    let reached = sent as f64 / took.as_secs_f64();
    (received as f64 >= sent as f64 * 0.999 && reached >= 0.97 * rate).then_some(reached.min(rate))
}

/// Datagrams that cross when there are 100,000 per second for a time.
pub fn some_datagrams(_lab: &Lab, far: Ipv4Addr) -> f64 {
    flood(far, 100e3, Duration::from_secs(2)).received as f64
}

struct Flood {
    sent: usize,
    received: u64,
    took: Duration,
}

fn flood(far: Ipv4Addr, rate: f64, time: Duration) -> Flood {
    let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let receiver = RIGHT.spawn({
        let (received, stop) = (received.clone(), stop.clone());
        move || {
            let socket = UdpSocket::bind((far, UDP_PORT)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            while !stop.load(Relaxed) {
                received.fetch_add(sys::receive(&socket) as u64, Relaxed);
            }
        }
    });
    std::thread::sleep(Duration::from_millis(10));
    let (sent, took) = LEFT.spawn(move || send(far, rate, time)).join().unwrap();
    let begin = Instant::now();
    let enough = (sent as f64 * 0.999).ceil() as u64;
    while received.load(Relaxed) < enough && begin.elapsed() < Duration::from_millis(100) {
        std::thread::sleep(Duration::from_millis(5));
    }
    stop.store(true, Relaxed);
    receiver.join().unwrap();
    Flood { sent, received: received.load(Relaxed), took }
}

fn send(far: Ipv4Addr, rate: f64, time: Duration) -> (usize, Duration) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.connect((far, UDP_PORT)).unwrap();
    let (begin, mut sent) = (Instant::now(), 0);
    while begin.elapsed() < time {
        let due = (begin.elapsed().as_secs_f64() * rate) as usize;
        while sent < due {
            sent += sys::send(&socket, due - sent);
        }
        std::thread::sleep(TICK);
    }
    (sent, begin.elapsed())
}
