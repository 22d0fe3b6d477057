//! What the wire between the two hosts carries.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::Socket;

use super::namespace::Namespace;
use super::sys;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ESP: u8 = 50;

/// Packets by kind.
#[derive(Debug, Default)]
pub struct Counts {
    /// ESP, as IP protocol 50.
    pub esp: AtomicU64,
    /// UDP of IKE.
    pub ike: AtomicU64,
    /// TCP in the clear.
    pub clear: AtomicU64,
    /// Packets of any kind in which the text of the connection can be read.
    pub readable: AtomicU64,
}

/// A running capture; ends when dropped.
pub struct Capture {
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Watches `interface`, looking for `text`.
    pub fn start(namespace: &Namespace, interface: &'static str, text: &'static [u8]) -> Result<Self> {
        let socket = namespace.run(move || sys::packet_socket(interface))?;
        let socket = socket.with_context(|| format!("cannot capture on {interface}"))?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let (counts, stop) = (Arc::new(Counts::default()), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let (counts, stop) = (counts.clone(), stop.clone());
            move || watch(socket, text, &counts, &stop)
        });
        Ok(Capture { counts, stop, thread: Some(thread) })
    }

    /// What was seen so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It panics nowhere, and a capture that ended early shows in its counts.
            let _ = thread.join();
        }
    }
}

fn watch(mut socket: Socket, text: &[u8], counts: &Counts, stop: &AtomicBool) {
    let mut packet = [0; 65536];
    while !stop.load(Relaxed) {
        if let Ok(len) = socket.read(&mut packet) {
            count(packet.get(..len).unwrap_or_default(), text, counts);
        }
    }
}

fn count(packet: &[u8], text: &[u8], counts: &Counts) {
    match (protocol(packet), ports(packet)) {
        (Some(ESP), _) => &counts.esp,
        (Some(UDP), Some((500 | 4500, _) | (_, 500 | 4500))) => &counts.ike,
        (Some(TCP), _) => &counts.clear,
        _ => return,
    }
    .fetch_add(1, Relaxed);
    if packet.windows(text.len()).any(|window| window == text) {
        counts.readable.fetch_add(1, Relaxed);
    }
}

/// The protocol of an IPv4 packet; others do not travel here.
fn protocol(packet: &[u8]) -> Option<u8> {
    (packet.first()? >> 4 == 4).then_some(*packet.get(9)?)
}

fn ports(packet: &[u8]) -> Option<(u16, u16)> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    match packet.get(header..header + 4)? {
        [a, b, c, d] => Some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; 20];
        packet[0] = 0x45;
        packet[9] = protocol;
        packet.extend(payload);
        packet
    }

    #[test]
    fn packets_are_told_apart() {
        let counts = Counts::default();
        for bytes in [
            packet(ESP, b"\0\0\0\0some text"),
            packet(TCP, b"\0\x07\0\x08 text"),
            packet(UDP, &[1, 0xf4, 0x12, 0x34, 0]),
            packet(UDP, &[0, 53, 0x12, 0x34, 0]),
            vec![0, 1, 8, 0],
            vec![],
        ] {
            count(&bytes, b"text", &counts);
        }
        let [esp, ike, clear, readable] =
            [&counts.esp, &counts.ike, &counts.clear, &counts.readable].map(|counter| counter.load(Relaxed));
        assert_eq!((esp, ike, clear, readable), (1, 1, 1, 2));
    }
}
