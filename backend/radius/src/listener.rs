//! The socket behind the door: UDP port 3799, open while there is somebody who may come (RFC 5176 §2.3).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ravelin_types::Instant;

use crate::door::{Authorizer, Demand, Door, Knock, Verdict};
use crate::{Heard, clock};

/// RFC 5176 §2.3.
const PORT: u16 = 3799;
/// Packets taken before the servers get their turn.
const BURST: usize = 64;

#[derive(Default)]
pub(crate) struct Listener {
    door: Door,
    socket: Option<UdpSocket>,
}

impl Listener {
    /// From now on these may come. Why they cannot be heard, where that is so.
    pub(crate) fn admit(&mut self, authorizers: Vec<Authorizer>) -> Option<String> {
        let wanted = !authorizers.is_empty();
        self.door.admit(authorizers);
        if !wanted {
            self.socket = None;
        } else if self.socket.is_none() {
            match open() {
                Ok(socket) => self.socket = Some(socket),
                Err(error) => {
                    return Some(format!(
                        "nobody who wants sessions ended by RADIUS is heard: UDP port {PORT}: {error}"
                    ));
                }
            }
        }
        None
    }

    /// Answers a demand.
    pub(crate) fn answer(&mut self, demand: &Demand, verdict: Verdict) {
        if let Some(answer) = self.door.answer(demand, verdict) {
            self.send(&answer, demand.from);
        }
    }

    /// Takes what has come.
    pub(crate) fn hear<T>(&mut self, now: Instant, hear: &mut impl FnMut(Heard<T>)) {
        let mut packet = [0; 4096];
        for _ in 0..BURST {
            // No packet, or one that could not be received.
            let Some(Ok((length, from))) = self.socket.as_ref().map(|socket| socket.recv_from(&mut packet)) else {
                return;
            };
            match self.door.knock(packet.get(..length).unwrap_or_default(), from, clock(), now) {
                Knock::Ask(demand) => hear(Heard::Demand(demand)),
                Knock::Again(answer) => self.send(&answer, from),
                Knock::Dropped(why) => why.into_iter().for_each(|why| hear(Heard::Trouble(why))),
            }
        }
    }

    pub(crate) fn socket(&self) -> Option<&UdpSocket> {
        self.socket.as_ref()
    }

    fn send(&self, answer: &[u8], to: SocketAddr) {
        // What is lost is asked for again.
        let _ = self.socket.as_ref().map(|socket| socket.send_to(answer, to));
    }
}

fn open() -> std::io::Result<UdpSocket> {
    // Where there is no IPv6, IPv4 alone.
    let both = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT));
    let socket = both.or_else(|_| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
