//! What the host does with its protected TCP: a server that returns what it receives, and connections that send a text
//! and check that it comes back.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Result, anyhow};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, SocketBuffer, State};
use smoltcp::time::Duration;

use crate::shell::Shell;

/// Connections that the server serves at a time.
const SERVED: usize = 4;
const ROOM: usize = 1 << 16;
/// How long a connection may make no progress.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where the ports of outgoing connections begin (RFC 6335 §6).
const FIRST_PORT: u16 = 49152;

/// The connections.
pub struct Traffic {
    port: u16,
    served: Vec<SocketHandle>,
    sending: Vec<(SocketHandle, Sending)>,
    next_port: u16,
}

/// A text on its way there and back.
pub struct Sending {
    to: SocketAddr,
    text: Vec<u8>,
    bytes: usize,
    sent: usize,
    back: usize,
}

impl Traffic {
    /// Listens on `port`.
    pub fn new(port: u16, sockets: &mut SocketSet<'_>) -> Result<Self> {
        let mut served = Vec::new();
        for _ in 0..SERVED {
            let mut socket = socket();
            socket.listen(port).map_err(|error| anyhow!("TCP port {port}: {error}"))?;
            served.push(sockets.add(socket));
        }
        Ok(Traffic { port, served, sending: Vec::new(), next_port: FIRST_PORT })
    }

    /// Connects from the address `from` and begins to send.
    pub fn send(
        &mut self,
        interface: &mut Interface,
        sockets: &mut SocketSet<'_>,
        from: IpAddr,
        sending: Sending,
    ) -> Result<()> {
        let mut socket = socket();
        let (from, to) = (SocketAddr::new(from, self.next_port), sending.to);
        socket.connect(interface.context(), to, from).map_err(|error| anyhow!("{to}: {error}"))?;
        self.next_port = self.next_port.checked_add(1).unwrap_or(FIRST_PORT);
        self.sending.push((sockets.add(socket), sending));
        Ok(())
    }

    /// Moves bytes.
    pub fn poll(&mut self, sockets: &mut SocketSet<'_>, shell: &mut Shell) {
        for handle in &self.served {
            serve(sockets.get_mut(*handle), self.port);
        }
        self.sending.retain_mut(|(handle, sending)| {
            let Some(outcome) = sending.poll(sockets.get_mut(*handle)) else { return true };
            match outcome {
                Ok(()) => shell.say(&format!("sent {} {}", sending.to, sending.bytes)),
                Err(why) => shell.say(&format!("failed {} {why}", sending.to)),
            }
            sockets.remove(*handle);
            false
        });
    }
}

fn socket() -> tcp::Socket<'static> {
    let mut socket = tcp::Socket::new(SocketBuffer::new(vec![0; ROOM]), SocketBuffer::new(vec![0; ROOM]));
    socket.set_timeout(Some(PATIENCE));
    socket
}

fn serve(socket: &mut tcp::Socket<'_>, port: u16) {
    while socket.can_recv() && socket.can_send() {
        let room = socket.send_capacity() - socket.send_queue();
        let Ok(Some(received)) = socket.recv(|bytes| {
            let take = bytes.len().min(room);
            (take, (take > 0).then(|| bytes[..take].to_vec()))
        }) else {
            break;
        };
        // There was room for all of it.
        let _ = socket.send_slice(&received);
    }
    match socket.state() {
        State::CloseWait if !socket.can_recv() => socket.close(),
        State::Closed => drop(socket.listen(port)),
        _ => {}
    }
}

impl Sending {
    /// `bytes` bytes of `text`, over and over.
    pub fn new(to: SocketAddr, bytes: usize, text: &str) -> Self {
        Sending { to, text: text.as_bytes().to_vec(), bytes, sent: 0, back: 0 }
    }

    /// `None` while it goes on.
    fn poll(&mut self, socket: &mut tcp::Socket<'_>) -> Option<Result<(), &'static str>> {
        if socket.state() == State::Closed {
            return Some(Err("the connection was refused, reset or timed out"));
        }
        let (text, bytes) = (&self.text, self.bytes);
        while self.sent < bytes && socket.can_send() {
            let at = self.sent % text.len();
            let piece = &text[at..text.len().min(at + bytes - self.sent)];
            self.sent += socket.send_slice(piece).ok()?;
        }
        while socket.can_recv() {
            let back = self.back;
            let expected = (back..bytes).map(|at| text[at % text.len()]);
            let received =
                socket.recv(|got| (got.len(), (got.len(), got.iter().copied().eq(expected.take(got.len())))));
            match received {
                Ok((count, true)) => self.back += count,
                _ => return Some(Err("other bytes came back than were sent")),
            }
        }
        if self.back == bytes {
            socket.close();
            return Some(Ok(()));
        }
        (!socket.may_recv() && socket.may_send()).then_some(Err("the far end closed early"))
    }
}
