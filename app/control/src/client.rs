//! A blocking client, for a command line and for tests.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::message::{Malformed, Message, TooLong};
use crate::packet::{self, Packet};

/// A connection to a daemon.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    buffer: Vec<u8>,
}

/// Why a command could not be carried to the daemon and back.
#[derive(Debug)]
pub enum ClientError {
    /// Nobody listens there.
    NoDaemon(PathBuf),
    /// The socket may not be used.
    Denied(PathBuf),
    /// The daemon does not know the command.
    UnknownCommand(String),
    /// The connection broke or timed out.
    Io(io::Error),
    /// The daemon's bytes make no sense.
    Malformed(Malformed),
    /// The command does not fit into a packet.
    TooLong(TooLong),
}

impl Client {
    /// Connects to the daemon that listens at `path`.
    ///
    /// # Errors
    /// When nobody listens there or the socket may not be used.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoDaemon(path.to_owned()),
            io::ErrorKind::PermissionDenied => ClientError::Denied(path.to_owned()),
            _ => ClientError::Io(error),
        })?;
        Ok(Client { stream, buffer: Vec::new() })
    }

    /// Gives up on an answer after this time; `None` waits as long as the daemon takes.
    ///
    /// # Errors
    /// When the system refuses the time-out.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> Result<(), ClientError> {
        self.stream.set_read_timeout(timeout).map_err(ClientError::Io)
    }

    /// Registers for an event.
    ///
    /// # Errors
    /// When the connection breaks, or the daemon does not know the event.
    pub fn register(&mut self, event: &str) -> Result<(), ClientError> {
        let frame = Packet::Register(event.to_owned()).emit().map_err(ClientError::TooLong)?;
        self.stream.write_all(&frame).map_err(ClientError::Io)?;
        match Packet::parse(&self.read_packet()?).map_err(ClientError::Malformed)? {
            Packet::Confirm => Ok(()),
            Packet::UnknownEvent => Err(ClientError::UnknownCommand(event.to_owned())),
            _ => Err(ClientError::Malformed(Malformed { offset: 0, what: "not an answer to a registration" })),
        }
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the daemon does not know the command.
    pub fn request(&mut self, name: &str, message: &Message) -> Result<Message, ClientError> {
        self.request_hearing(name, message, |_, _| Ok(()))
    }

    /// Sends a command and waits for its answer; what the daemon tells meanwhile goes to `heard`, with the name of the event.
    ///
    /// # Errors
    /// When the connection breaks, the daemon does not know the command, or `heard` has failed.
    pub fn request_hearing(
        &mut self,
        name: &str,
        message: &Message,
        mut heard: impl FnMut(&str, &Message) -> io::Result<()>,
    ) -> Result<Message, ClientError> {
        let frame = packet::request(name, message).map_err(ClientError::TooLong)?;
        // A daemon that refuses this user closes at once; what it had to say is still there to be read.
        let sent = self.stream.write_all(&frame);
        let mut answer = match (self.read_packet(), sent) {
            (Err(_), Err(error)) => return Err(ClientError::Io(error)),
            (answer, _) => answer?,
        };
        loop {
            match Packet::parse(&answer).map_err(ClientError::Malformed)? {
                Packet::Response(body) => return Message::parse(body).map_err(ClientError::Malformed),
                Packet::UnknownCommand => return Err(ClientError::UnknownCommand(name.to_owned())),
                Packet::Event(event, body) => {
                    let message = Message::parse(body).map_err(ClientError::Malformed)?;
                    heard(&event, &message).map_err(ClientError::Io)?;
                }
                _ => return Err(ClientError::Malformed(Malformed { offset: 0, what: "not an answer to a command" })),
            }
            answer = self.read_packet()?;
        }
    }

    fn read_packet(&mut self) -> Result<Vec<u8>, ClientError> {
        loop {
            if let Some(body) = packet::first(&self.buffer).map_err(ClientError::Malformed)? {
                let body = body.to_vec();
                self.buffer.drain(..packet::framed(body.len()));
                return Ok(body);
            }
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk).map_err(ClientError::Io)? {
                0 => return Err(ClientError::Io(io::ErrorKind::UnexpectedEof.into())),
                len => self.buffer.extend(chunk.iter().take(len)),
            }
        }
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NoDaemon(path) => {
                write!(f, "no daemon listens on {}: start one with `ravelin daemon`", path.display())
            }
            ClientError::Denied(path) => {
                write!(f, "{} may be used only by root and by the user whom the daemon runs as", path.display())
            }
            ClientError::UnknownCommand(name) => write!(f, "the daemon does not know the command `{name}`"),
            ClientError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the daemon closed the connection without an answer")
            }
            ClientError::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {
                f.write_str("the daemon does not answer")
            }
            ClientError::Io(error) => write!(f, "the connection to the daemon failed: {error}"),
            ClientError::Malformed(error) => write!(f, "the daemon's answer makes no sense: {error}"),
            ClientError::TooLong(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}
