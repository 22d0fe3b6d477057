//! What was on the wire: a recorder keeps all of it, and [`classify`] says what each frame was.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use socket2::{Domain, Protocol, Socket, Type};

use crate::sys;
use crate::traffic::MARKER;

/// How many bytes of frames may wait for the recorder.
const BACKLOG: usize = 16 << 20;
/// How long the recorder waits for a frame before it looks whether it shall stop.
const LOOK: Duration = Duration::from_millis(50);
/// How long frames may go on coming when it shall stop: dummy packets have no end.
const REST: Duration = Duration::from_secs(1);
/// The header of a file in the classic format of libpcap: microseconds, whole frames, Ethernet.
const FILE_HEADER: [u32; 6] = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 1 << 18, 1];

/// A running capture.
#[derive(Debug)]
pub struct Capture {
    recorder: Option<JoinHandle<Result<()>>>,
    stop: Arc<AtomicBool>,
    file: PathBuf,
}

/// What a capture held.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// ESP as an IP protocol of its own.
    pub esp: usize,
    /// ESP in UDP.
    pub udp_esp: usize,
    /// AH.
    pub ah: usize,
    /// ESP inside GRE.
    pub gre_esp: usize,
    /// IKE messages.
    pub ike: usize,
    /// Frames of ESP and AH in which payload could be read.
    pub readable: usize,
    /// Frames that had no business on the wire, as text.
    pub clear: Vec<String>,
}

impl Capture {
    /// Starts recording what passes at `port` into `file`.
    pub fn start(port: &str, file: &Path) -> Result<Self> {
        let protocol = Protocol::from(i32::from(sys::ALL_PROTOCOLS));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).context("a packet socket")?;
        let index = rustix::net::netdevice::name_to_index(&socket, port).with_context(|| port.to_owned())?;
        socket.bind(&sys::interface_address(index)?)?;
        // More than the usual limit is for real root only; less may lose frames, not invent any.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, BACKLOG);
        socket.set_read_timeout(Some(LOOK))?;
        let mut pcap = BufWriter::new(File::create(file).with_context(|| file.display().to_string())?);
        for word in FILE_HEADER {
            pcap.write_all(&word.to_ne_bytes())?;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let recorder = std::thread::spawn(move || record(&socket, pcap, &told));
        Ok(Self { recorder: Some(recorder), stop, file: file.to_owned() })
    }

    /// Stops recording and reads what there was.
    pub fn stop(mut self) -> Result<Seen> {
        self.join()?;
        let bytes = std::fs::read(&self.file).with_context(|| self.file.display().to_string())?;
        read(&bytes)
    }

    fn join(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.recorder.take() {
            Some(recorder) => recorder.join().map_err(|_| anyhow!("the recorder panicked"))?,
            None => Ok(()),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

/// Writes frames down until it is told to stop and none is left, or for [`REST`] longer.
fn record(mut socket: &Socket, mut pcap: impl Write, stop: &AtomicBool) -> Result<()> {
    let mut frame = vec![0; 1 << 18];
    let mut told = None;
    loop {
        if stop.load(Ordering::Relaxed) && told.get_or_insert_with(Instant::now).elapsed() > REST {
            return Ok(pcap.flush()?);
        }
        match socket.read(&mut frame) {
            Ok(length) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let size = u32::try_from(length)?;
                for word in [now.as_secs() as u32, now.subsec_micros(), size, size] {
                    pcap.write_all(&word.to_ne_bytes())?;
                }
                pcap.write_all(&frame[..length])?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(pcap.flush()?);
                }
            }
            // A child of the lab ended: its signal may come to this thread.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The link goes down with the case's network.
            Err(error) if error.raw_os_error() == Some(libc::ENETDOWN) => return Ok(pcap.flush()?),
            Err(error) => return Err(error).context("recording"),
        }
    }
}

/// Reads a capture in the classic format of libpcap, written on this machine, of Ethernet frames.
pub fn read(bytes: &[u8]) -> Result<Seen> {
    let word = |at: usize| -> Option<u32> { Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
    if word(0) != Some(0xa1b2_c3d4) || word(20) != Some(1) {
        bail!("no capture of Ethernet frames");
    }
    let mut seen = Seen::default();
    let mut at = 24;
    while let Some(length) = word(at + 8) {
        let Some(frame) = bytes.get(at + 16..at + 16 + length as usize) else { break };
        seen.add(frame);
        at += 16 + length as usize;
    }
    Ok(seen)
}

/// What a frame is.
#[derive(Debug, PartialEq, Eq)]
pub enum Kind {
    /// ESP as an IP protocol.
    Esp,
    /// ESP in UDP.
    UdpEsp,
    /// AH.
    Ah,
    /// ESP inside GRE.
    GreEsp,
    /// IKE on port 500 or 4500, or a NAT keepalive.
    Ike,
    /// Address resolution, neighbour discovery, an ICMP error: the network itself.
    Network,
    /// Anything else.
    Other,
}

impl Seen {
    fn add(&mut self, frame: &[u8]) {
        let kind = classify(frame).unwrap_or(Kind::Other);
        let leaks = frame.windows(MARKER.len()).any(|window| window == MARKER);
        match kind {
            Kind::Esp => self.esp += 1,
            Kind::UdpEsp => self.udp_esp += 1,
            Kind::Ah => self.ah += 1,
            Kind::GreEsp => self.gre_esp += 1,
            Kind::Ike => self.ike += 1,
            Kind::Network | Kind::Other => {}
        }
        let protected = matches!(kind, Kind::Esp | Kind::UdpEsp | Kind::Ah | Kind::GreEsp);
        self.readable += usize::from(protected && leaks);
        if !protected && (leaks || kind == Kind::Other) {
            let head: String = frame.iter().take(80).map(|byte| format!("{byte:02x}")).collect();
            self.clear.push(format!("{kind:?} of {} bytes: {head}", frame.len()));
        }
    }
}

/// Looks at an Ethernet frame as far as its transport header; `None` when it is cut short.
pub fn classify(frame: &[u8]) -> Option<Kind> {
    carried(u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]), frame.get(14..)?)
}

/// Looks at what an EtherType announces.
fn carried(kind: u16, packet: &[u8]) -> Option<Kind> {
    const ARP: u16 = 0x0806;
    match kind {
        ARP => Some(Kind::Network),
        0x0800 => {
            let header = usize::from(packet.first()? & 15) * 4;
            let first = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff == 0;
            transport(*packet.get(9)?, packet.get(header..)?, first)
        }
        0x86dd => {
            let (mut next, mut rest, mut first) = (*packet.get(6)?, packet.get(40..)?, true);
            // Hop-by-hop options and the fragment header are the only ones the lab's hosts send.
            while next == 0 || next == 44 {
                if next == 44 {
                    first &= u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]) & 0xfff8 == 0;
                }
                let length = if next == 44 { 8 } else { 8 + 8 * usize::from(*rest.get(1)?) };
                (next, rest) = (*rest.first()?, rest.get(length..)?);
            }
            transport(next, rest, first)
        }
        _ => Some(Kind::Other),
    }
}

fn transport(protocol: u8, rest: &[u8], first: bool) -> Option<Kind> {
    Some(match protocol {
        50 => Kind::Esp,
        51 => Kind::Ah,
        // RFC 2784 §2: no checksum, version 0, and the EtherType.
        47 if first && rest.starts_with(&[0, 0]) => {
            match carried(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]), rest.get(4..)?)? {
                Kind::Esp => Kind::GreEsp,
                kind @ (Kind::Ike | Kind::Network) => kind,
                _ => Kind::Other,
            }
        }
        // Later fragments have no ports; their first one was looked at.
        17 if !first => Kind::Network,
        17 => udp(rest)?,
        // Destination unreachable, time exceeded, parameter problem.
        1 if matches!(rest.first()?, 3 | 11 | 12) => Kind::Network,
        // The same for IPv6, packet too big, multicast listeners and neighbour discovery.
        58 if matches!(rest.first()?, 1..=4 | 130..=137 | 143) => Kind::Network,
        // Multicast group membership.
        2 => Kind::Network,
        _ => Kind::Other,
    })
}

fn udp(datagram: &[u8]) -> Option<Kind> {
    let ports =
        [[*datagram.first()?, *datagram.get(1)?], [*datagram.get(2)?, *datagram.get(3)?]].map(u16::from_be_bytes);
    let payload = datagram.get(8..)?;
    Some(if ports.contains(&500) {
        Kind::Ike
    } else if ports.contains(&4500) {
        // RFC 3948 §2.2, §2.3: four zero octets mark IKE, a single 0xff is a keepalive, anything else is ESP.
        if payload.starts_with(&[0; 4]) || payload == [0xff] { Kind::Ike } else { Kind::UdpEsp }
    } else {
        Kind::Other
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipv4(protocol: u8, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; 12];
        frame.extend([8, 0, 0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2]);
        frame.extend(rest);
        frame
    }

    #[test]
    fn frames_are_told_apart() {
        let port = |port: u16, payload: &[u8]| {
            let mut datagram = vec![0x20, 0];
            datagram.extend(port.to_be_bytes());
            datagram.extend([0; 4]);
            datagram.extend(payload);
            ipv4(17, &datagram)
        };
        assert_eq!(classify(&ipv4(50, &[0; 8])), Some(Kind::Esp));
        assert_eq!(classify(&ipv4(51, &[6, 4])), Some(Kind::Ah));
        let in_gre = |protocol, rest: &[u8]| ipv4(47, &[&[0, 0, 8, 0], &ipv4(protocol, rest)[14..]].concat());
        assert_eq!(classify(&in_gre(50, &[0; 8])), Some(Kind::GreEsp));
        assert_eq!(classify(&in_gre(6, &[0; 20])), Some(Kind::Other));
        assert_eq!(classify(&port(4500, &[0, 0, 0, 0, 1])), Some(Kind::Ike));
        assert_eq!(classify(&port(4500, &[0, 0, 0, 1, 1])), Some(Kind::UdpEsp));
        assert_eq!(classify(&port(53, b"x")), Some(Kind::Other));
        assert_eq!(classify(&ipv4(1, &[8, 0])), Some(Kind::Other));
        assert_eq!(classify(&ipv4(1, &[3, 3])), Some(Kind::Network));
        assert_eq!(classify(&ipv4(6, &[0; 20])), Some(Kind::Other));
    }

    #[test]
    fn payload_in_the_clear_is_found_wherever_it_is() {
        let mut seen = Seen::default();
        seen.add(&ipv4(50, b"12345678RAVELIN-CLEAR-"));
        assert_eq!((seen.esp, seen.readable, seen.clear.len()), (1, 1, 0));
        seen.add(&ipv4(1, b"\x03345678RAVELIN-CLEAR-"));
        assert_eq!((seen.readable, seen.clear.len()), (1, 1));
    }

    #[test]
    fn a_file_that_is_no_capture_is_refused() {
        assert!(read(b"something else that is long enough").is_err());
    }
}
