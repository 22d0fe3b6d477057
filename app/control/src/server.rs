//! The daemon's end, for an event loop that polls: nothing here waits.
//!
//! A connection has at most one request under way. While the daemon works on it (or while an answer is still being
//! written) nothing more is read from that client, so a client can make the daemon hold one packet and no more.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::sockopt::socket_peercred;

use crate::limits::MAX_CLIENTS;
use crate::message::Message;
use crate::packet::{self, Packet};
use crate::socket::{BindError, ControlSocket};

/// Names a connection; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// A command that waits for [`Server::reply`] or [`Server::unknown`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asks.
    pub client: ClientId,
    /// The command.
    pub name: String,
    /// Its message.
    pub message: Message,
}

/// What the event loop shall wait for on one descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Interest<'a> {
    /// Whose; `None` is the listening socket.
    pub client: Option<ClientId>,
    /// The descriptor.
    pub fd: BorrowedFd<'a>,
    /// Wait until it can be read.
    pub read: bool,
    /// Wait until it can be written.
    pub write: bool,
}

/// The listening socket and its connections.
#[derive(Debug)]
pub struct Server {
    socket: ControlSocket,
    clients: BTreeMap<ClientId, Connection>,
    next: u64,
    /// Besides root, who may command.
    owner: u32,
}

#[derive(Debug)]
struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// A request is under way.
    busy: bool,
    /// Close when `output` is written.
    closing: bool,
}

impl Server {
    /// Listens at `path` for root and for the user whom this process runs as.
    ///
    /// # Errors
    /// When another daemon listens there, something else is in the way, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let owner = rustix::process::geteuid().as_raw();
        Ok(Server { socket: ControlSocket::bind(path)?, clients: BTreeMap::new(), next: 0, owner })
    }

    /// What to wait for.
    pub fn interests(&self) -> impl Iterator<Item = Interest<'_>> {
        let listening = Interest {
            client: None,
            fd: self.socket.listener.as_fd(),
            read: self.clients.len() < MAX_CLIENTS,
            write: false,
        };
        let clients = self.clients.iter().map(|(id, connection)| Interest {
            client: Some(*id),
            fd: connection.stream.as_fd(),
            read: !connection.busy && connection.output.is_empty() && !connection.closing,
            write: !connection.output.is_empty(),
        });
        std::iter::once(listening).chain(clients)
    }

    /// Takes the connections that wait.
    pub fn accept(&mut self) {
        while self.clients.len() < MAX_CLIENTS
            && let Ok((stream, _)) = self.socket.listener.accept()
        {
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let allowed = socket_peercred(&stream).is_ok_and(|peer| {
                let uid = peer.uid.as_raw();
                uid == 0 || uid == self.owner
            });
            let id = ClientId(self.next);
            self.next += 1;
            let (input, output) = (Vec::new(), Vec::new());
            self.clients.insert(id, Connection { stream, input, output, busy: false, closing: !allowed });
            if !allowed {
                self.send(id, &refusal("only root and the user whom the daemon runs as may command it"));
            }
        }
    }

    /// Moves bytes on a connection that became ready; a request that is now whole is returned.
    pub fn ready(&mut self, client: ClientId) -> Option<Request> {
        self.write(client);
        let connection = self.clients.get_mut(&client)?;
        if connection.busy || connection.closing || !connection.output.is_empty() {
            return None;
        }
        if !connection.fill() {
            self.clients.remove(&client);
            return None;
        }
        self.next_request(client)
    }

    /// The client's next request when it is already here: to be asked after an answer was given, since a client may
    /// send several commands at once.
    pub fn next_request(&mut self, client: ClientId) -> Option<Request> {
        loop {
            let connection = self.clients.get_mut(&client)?;
            if connection.busy || connection.closing || !connection.output.is_empty() {
                return None;
            }
            let Ok(frame) = packet::first(&connection.input) else {
                self.clients.remove(&client);
                return None;
            };
            let body = frame?.to_vec();
            connection.input.drain(..packet::framed(body.len()));
            match Packet::parse(&body) {
                Ok(Packet::Request(name, bytes)) => match Message::parse(bytes) {
                    Ok(message) => {
                        connection.busy = true;
                        return Some(Request { client, name, message });
                    }
                    Err(error) => self.send(client, &refusal(&format!("the command's message is {error}"))),
                },
                // No event is offered yet.
                Ok(Packet::Register(_) | Packet::Unregister(_)) => self.send_packet(client, &Packet::UnknownEvent),
                // What only a daemon sends, or what nobody does: the stream cannot be trusted any further.
                Ok(_) | Err(_) => {
                    self.clients.remove(&client);
                    return None;
                }
            }
        }
    }

    /// Forgets a client that hung up: what it waits for has no reader any more.
    pub fn disconnect(&mut self, client: ClientId) {
        self.clients.remove(&client);
    }

    /// Answers the request under way. A client that has gone is no error.
    pub fn reply(&mut self, client: ClientId, message: &Message) {
        if let Some(connection) = self.clients.get_mut(&client) {
            connection.busy = false;
            self.send(client, message);
        }
    }

    /// Says that the command of the request under way is not known.
    pub fn unknown(&mut self, client: ClientId) {
        if let Some(connection) = self.clients.get_mut(&client) {
            connection.busy = false;
            self.send_packet(client, &Packet::UnknownCommand);
        }
    }

    fn send(&mut self, client: ClientId, message: &Message) {
        let mut body = Vec::new();
        match message.emit(&mut body) {
            Ok(()) => self.send_packet(client, &Packet::Response(&body)),
            Err(error) => {
                let mut body = Vec::new();
                if refusal(&error.to_string()).emit(&mut body).is_ok() {
                    self.send_packet(client, &Packet::Response(&body));
                }
            }
        }
    }

    fn send_packet(&mut self, client: ClientId, packet: &Packet<'_>) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        match packet.emit() {
            Ok(frame) => connection.output.extend(frame),
            // An answer of more than MAX_PACKET: the client cannot be served.
            Err(_) => connection.closing = true,
        }
        self.write(client);
    }

    fn write(&mut self, client: ClientId) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        let alive = connection.flush();
        if !alive || (connection.closing && connection.output.is_empty()) {
            self.clients.remove(&client);
        }
    }
}

impl Connection {
    /// Reads what is there, up to one packet of the largest size. `false`: the connection is over.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let bound = packet::framed(crate::limits::MAX_PACKET);
        while self.input.len() < bound {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(len) => self.input.extend(chunk.iter().take(len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes what fits. `false`: the connection is over.
    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return false,
                Ok(len) => drop(self.output.drain(..len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

/// The answer to a command that failed, as strongSwan's clients read it.
pub fn refusal(why: &str) -> Message {
    Message::new().with("success", "no").with("errmsg", why)
}
