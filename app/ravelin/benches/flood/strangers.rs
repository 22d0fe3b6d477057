//! Who floods: a request in the name of many.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use crate::lab::Host;

/// Any of 198.18.0.0/15.
const FIRST: u32 = 0xc612_0000;
const ADDRESSES: u32 = 1 << 17;
/// Requests with one system call, from one address.
const BATCH: usize = 64;
/// Requests from as many sockets as there are at a time, before others take their places.
const ROUND: u64 = 64 * BATCH as u64;
const SOCKETS: u32 = 64;
const IKE: u16 = 500;

/// Gives a host the addresses of strangers.
pub fn live(host: Host) {
    host.sh("ip route add local 198.18.0.0/15 dev lo");
    host.peer().sh(&format!("ip route add 198.18.0.0/15 via {}", host.link));
}

/// The first message that comes to a host on which nobody answers, while a peer of it is `asking`.
pub fn request(host: Host, asking: impl FnOnce() -> bool) -> Vec<u8> {
    let ear = host.spawn(move || UdpSocket::bind((host.link, IKE)).unwrap()).join().unwrap();
    ear.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(!asking(), "somebody answered");
    let mut request = vec![0; 4096];
    let length = ear.recv(&mut request).unwrap();
    request.truncate(length);
    request
}

/// The flood, until its end.
pub struct Strangers(Arc<AtomicBool>, JoinHandle<f64>);

impl Strangers {
    pub fn start(from: Host, to: Host, request: Vec<u8>, rate: u64) -> Strangers {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let to = SocketAddrV4::new(to.link.parse().unwrap(), IKE);
        Strangers(stop, from.spawn(move || flood(to, &request, rate, &asked)))
    }

    /// Ends it; requests a second.
    pub fn end(self) -> f64 {
        self.0.store(true, Relaxed);
        self.1.join().unwrap()
    }
}

fn flood(to: SocketAddrV4, request: &[u8], rate: u64, stop: &AtomicBool) -> f64 {
    let begin = Instant::now();
    let (mut sent, mut first) = (0u64, 0u32);
    let mut sockets = Vec::new();
    let mut requests = vec![request.to_vec(); BATCH];
    while !stop.load(Relaxed) {
        if sent.is_multiple_of(ROUND) {
            sockets.clear();
            for number in 0..SOCKETS {
                let address = Ipv4Addr::from(FIRST + (first + number) % ADDRESSES);
                sockets.push(UdpSocket::bind((address, 0)).unwrap());
            }
            first += SOCKETS;
        }
        for request in &mut requests {
            sent += 1;
            request[..8].copy_from_slice(&(sent << 8 | 1).to_be_bytes());
        }
        send(&sockets[(sent / BATCH as u64 % u64::from(SOCKETS)) as usize], &to.into(), &requests);
        let due = Duration::from_secs_f64(sent as f64 / rate as f64);
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    sent as f64 / begin.elapsed().as_secs_f64()
}

fn send(socket: &UdpSocket, to: &SocketAddrAny, requests: &[Vec<u8>]) {
    let slices: Vec<[IoSlice<'_>; 1]> = requests.iter().map(|request| [IoSlice::new(request)]).collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> =
        requests.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let messages = slices.iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new_with_addr(to, slice, control));
    let mut messages: Vec<MMsgHdr<'_>> = messages.collect();
    // What finds no room is lost, as on any link.
    let _ = sendmmsg(socket, &mut messages, SendFlags::empty());
}
