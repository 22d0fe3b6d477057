//! The daemon's end, for an event loop that polls: nothing here waits.
//!
//! ```text
//! request ──► Request ──► the daemon ──► reply, or stream: a run of events and then the reply
//! register ──► noted here ◄── event: to whoever registered, progress: to the one whose command is under way
//! ```
//! A connection has at most one request under way. While the daemon works on it (or while an answer is still being
//! written) nothing more is read from that client, so a client can make the daemon hold one packet and no more. A
//! stream is written as fast as its client reads. Events that nobody asked for one by one wait for a slow client up to
//! a bound; beyond it they are dropped for this client, and counted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::net::sockopt::socket_peercred;
use zeroize::{Zeroize, Zeroizing};

use crate::limits::{MAX_CLIENTS, MAX_QUEUED};
use crate::message::{Message, TooLong};
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
    /// The events that can be registered for.
    offered: &'static [&'static str],
    lost: Lost,
}

/// Events that somebody registered for and did not get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Their client does not read.
    pub unread: u64,
    /// They are longer than a packet may be.
    pub too_long: u64,
}

#[derive(Debug)]
struct Connection {
    socket: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// What it registered for.
    events: BTreeSet<&'static str>,
    /// The answer under way, as far as it is not in `output` yet.
    stream: Option<Stream>,
    /// A request is under way.
    busy: bool,
    /// Close when `output` is written.
    closing: bool,
}

#[derive(Debug)]
struct Stream {
    event: &'static str,
    rest: VecDeque<Message>,
    reply: Message,
}

impl Server {
    /// Listens at `path` for root and for the user whom this process runs as.
    ///
    /// # Errors
    /// When another daemon listens there, something else is in the way, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let owner = rustix::process::geteuid().as_raw();
        let socket = ControlSocket::bind(path)?;
        Ok(Server { socket, clients: BTreeMap::new(), next: 0, owner, offered: &[], lost: Lost::default() })
    }

    /// The same, where clients may register for these events.
    #[must_use]
    pub fn offering(self, offered: &'static [&'static str]) -> Self {
        Server { offered, ..self }
    }

    /// The events that somebody has registered for.
    pub fn awaited(&self) -> BTreeSet<&'static str> {
        self.clients.values().flat_map(|connection| connection.events.iter().copied()).collect()
    }

    /// What was dropped.
    pub fn lost(&self) -> Lost {
        self.lost
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
            fd: connection.socket.as_fd(),
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
            self.clients.insert(id, Connection::new(stream, !allowed));
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
            let body = Zeroizing::new(frame?.to_vec());
            connection.take(packet::framed(body.len()));
            match Packet::parse(&body) {
                Ok(Packet::Request(name, bytes)) => match Message::parse(bytes) {
                    Ok(message) => {
                        connection.busy = true;
                        return Some(Request { client, name, message });
                    }
                    Err(error) => self.send(client, &refusal(&format!("the command's message is {error}"))),
                },
                Ok(Packet::Register(name)) => {
                    let known = self.offered.iter().find(|known| **known == name);
                    let packet = known.map_or(Packet::UnknownEvent, |known| {
                        connection.events.insert(known);
                        Packet::Confirm
                    });
                    self.send_packet(client, &packet);
                }
                Ok(Packet::Unregister(name)) => {
                    let known = connection.events.remove(name.as_str());
                    self.send_packet(client, if known { &Packet::Confirm } else { &Packet::UnknownEvent });
                }
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

    /// Answers the request under way with a run of events and then the reply. A client that did not register for the
    /// event gets the reply alone.
    pub fn stream(&mut self, client: ClientId, event: &'static str, messages: Vec<Message>, reply: Message) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        let rest = if connection.events.contains(event) { messages.into() } else { VecDeque::new() };
        connection.stream = Some(Stream { event, rest, reply });
        self.write(client);
    }

    /// Tells everybody who registered for the event.
    pub fn event(&mut self, name: &'static str, message: &Message) {
        let clients = self.clients.iter().filter(|(_, connection)| connection.events.contains(name));
        let clients: Vec<ClientId> = clients.map(|(id, _)| *id).collect();
        if !clients.is_empty() {
            self.tell(&clients, name, message);
        }
    }

    /// Tells one client, if it registered for the event.
    pub fn progress(&mut self, client: ClientId, name: &'static str, message: &Message) {
        let awaited = self.clients.get(&client).is_some_and(|connection| connection.events.contains(name));
        if awaited {
            self.tell(&[client], name, message);
        }
    }

    fn tell(&mut self, clients: &[ClientId], name: &str, message: &Message) {
        match event_frame(name, message) {
            Ok(frame) => clients.iter().for_each(|client| self.queue(*client, &frame)),
            Err(_) => self.lost.too_long += clients.len() as u64,
        }
    }

    fn queue(&mut self, client: ClientId, frame: &[u8]) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        if !connection.output.is_empty() && connection.output.len() + frame.len() > MAX_QUEUED {
            self.lost.unread += 1;
            return;
        }
        connection.output.extend(frame);
        self.write(client);
    }

    fn send(&mut self, client: ClientId, message: &Message) {
        let frame = |message: &Message| {
            let mut body = Vec::new();
            message.emit(&mut body)?;
            Packet::Response(&body).emit()
        };
        let too_long = |what: TooLong| frame(&refusal(&format!("the answer is too long to be sent: {what}")));
        self.send_frame(client, frame(message).or_else(too_long));
    }

    fn send_packet(&mut self, client: ClientId, packet: &Packet<'_>) {
        self.send_frame(client, packet.emit());
    }

    fn send_frame(&mut self, client: ClientId, frame: Result<Vec<u8>, TooLong>) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        match frame {
            Ok(frame) => connection.output.extend(frame),
            // Not even the refusal can be sent.
            Err(_) => connection.closing = true,
        }
        self.write(client);
    }

    fn write(&mut self, client: ClientId) {
        let Some(connection) = self.clients.get_mut(&client) else { return };
        let mut alive = connection.flush();
        while alive
            && connection.output.is_empty()
            && let Some(stream) = &mut connection.stream
        {
            match stream.rest.pop_front() {
                Some(message) => match event_frame(stream.event, &message) {
                    Ok(frame) => connection.output.extend(frame),
                    Err(what) => {
                        self.lost.too_long += 1;
                        stream.reply = refusal(&format!("a part of the answer is too long to be sent: {what}"));
                    }
                },
                None => {
                    let reply = std::mem::take(&mut stream.reply);
                    connection.stream = None;
                    connection.busy = false;
                    // Comes back here, with nothing left to stream.
                    return self.send(client, &reply);
                }
            }
            alive = connection.flush();
        }
        if !alive || (connection.closing && connection.output.is_empty()) {
            self.clients.remove(&client);
        }
    }
}

fn event_frame(name: &str, message: &Message) -> Result<Vec<u8>, TooLong> {
    let mut body = Vec::new();
    message.emit(&mut body)?;
    Packet::Event(name.to_owned(), &body).emit()
}

impl Connection {
    fn new(socket: UnixStream, closing: bool) -> Self {
        let (input, output) = (Vec::new(), Vec::new());
        Connection { socket, input, output, events: BTreeSet::new(), stream: None, busy: false, closing }
    }

    /// Reads what is there, up to one packet of the largest size. `false`: the connection is over.
    fn fill(&mut self) -> bool {
        let mut chunk = [0; 16 * 1024];
        let bound = packet::framed(crate::limits::MAX_PACKET);
        while self.input.len() < bound {
            match self.socket.read(&mut chunk) {
                Ok(0) => return false,
                Ok(len) => {
                    let (read, rest) = chunk.split_at_mut(len);
                    self.append(read);
                    read.zeroize();
                    // What comes behind a short one makes the socket ready again.
                    if !rest.is_empty() {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// Appends to the input. Where it has to move, nothing of it is left in its old place: a key may be in it.
    fn append(&mut self, bytes: &[u8]) {
        if self.input.capacity() - self.input.len() < bytes.len() {
            let mut larger = Vec::with_capacity((self.input.len() + bytes.len()) * 2);
            larger.extend_from_slice(&self.input);
            self.input.zeroize();
            self.input = larger;
        }
        self.input.extend_from_slice(bytes);
    }

    /// Takes `len` bytes off the front of the input, and wipes them.
    fn take(&mut self, len: usize) {
        let whole = self.input.len();
        let rest = whole.saturating_sub(len);
        self.input.copy_within((whole - rest).., 0);
        if let Some(old) = self.input.get_mut(rest..) {
            old.zeroize();
        }
        self.input.truncate(rest);
    }

    /// Writes what fits. `false`: the connection is over.
    fn flush(&mut self) -> bool {
        while !self.output.is_empty() {
            match self.socket.write(&self.output) {
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

#[cfg(test)]
mod tests {
    use rustix::fs::Mode;
    use rustix::process::{Uid, geteuid};

    use super::*;

    // Row 125 of docs/HISTORY.md: the file lets him connect, and that is all.
    #[test]
    fn nobody_but_root_and_the_user_of_the_daemon_commands() {
        let directory = std::env::temp_dir().join(format!("ravelin-control-stranger-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        rustix::fs::chmod(&directory, Mode::from_raw_mode(0o755)).unwrap();
        let path = directory.join("sock");
        let mut server = Server::bind(&path).unwrap().offering(&["log"]);
        rustix::fs::chmod(&path, Mode::from_raw_mode(0o666)).unwrap();
        // Root can be anybody; to others this server is that of somebody else.
        let own = geteuid();
        let stranger = Uid::from_raw(if own.is_root() { 65_534 } else { own.as_raw() });
        if !own.is_root() {
            server.owner = own.as_raw() + 1;
        }
        let connect = move |uid: Uid, path: std::path::PathBuf| {
            let connecting = move || {
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
                UnixStream::connect(path).unwrap()
            };
            std::thread::spawn(connecting).join().unwrap()
        };
        let mut client = connect(stranger, path.clone());
        // A command that stands there already, and to be told of events.
        client.write_all(b"\0\0\0\x09\0\x07version\0\0\0\x05\x03\x03log").unwrap();
        server.accept();
        let clients: Vec<_> = server.interests().filter_map(|interest| interest.client).collect();
        assert!(clients.iter().all(|client| server.ready(*client).is_none() && server.next_request(*client).is_none()));
        assert!(server.awaited().is_empty());
        let mut said = Vec::new();
        let _ = client.read_to_end(&mut said);
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains("only root and the user whom the daemon runs as may command it"), "{said}");
        assert_eq!(server.clients.len(), 0);

        server.owner = own.as_raw();
        let mut client = connect(own, path);
        client.write_all(b"\0\0\0\x09\0\x07version").unwrap();
        server.accept();
        let clients: Vec<_> = server.interests().filter_map(|interest| interest.client).collect();
        let request = clients.into_iter().find_map(|client| server.ready(client));
        assert_eq!(request.unwrap().name, "version");
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
