//! The socket of external keying programs: UNIX, SOCK_SEQPACKET, one management message in each packet.
//!
//! Only root and the user of the daemon may connect: whoever sends by it decides what is protected, and how. Nothing
//! here waits. A client whose reply cannot be written is not read from until it can; events beyond what
//! `ravelin-manage` keeps for it are lost to it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ravelin_manage::AppId;
use ravelin_manage::limits::MAX_APPLICATIONS;
use ravelin_types::Secret;
use ravelin_wire::mgmt::{Header, MAX_DATA_LEN};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, recv,
    send, socket_with, sockopt,
};

/// The listening socket and its clients; the file goes when this is dropped.
pub struct KeyingSocket {
    listener: OwnedFd,
    path: PathBuf,
    clients: BTreeMap<AppId, Client>,
    next: u32,
}

struct Client {
    socket: OwnedFd,
    /// What could not be written yet.
    unsent: Option<Vec<u8>>,
}

/// What a client wants to be polled for.
pub struct Interest<'a> {
    /// `None` is the listening socket.
    pub client: Option<AppId>,
    /// What to poll.
    pub fd: BorrowedFd<'a>,
    /// Whether it is to be written to; else it is to be read from.
    pub write: bool,
}

/// What came from a client.
pub enum Received {
    /// One packet.
    Message(Secret),
    /// Nothing yet.
    Nothing,
    /// It hung up, or sent what cannot be a message.
    Gone,
}

impl KeyingSocket {
    /// Listens at `path`. The control socket's lock says that no other daemon is there, so a socket that is belongs to a
    /// daemon that was killed.
    ///
    /// # Errors
    /// What the system refuses, or a file that is no socket in the way.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        bind(&listener, &SocketAddrUnix::new(path)?)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listen(&listener, MAX_APPLICATIONS as i32)?;
        Ok(KeyingSocket { listener, path: path.to_owned(), clients: BTreeMap::new(), next: 0 })
    }

    /// Everybody who is connected.
    pub fn clients(&self) -> impl Iterator<Item = AppId> {
        self.clients.keys().copied()
    }

    /// What to poll for. For those `to_tell` an event waits.
    pub fn interests(&self, to_tell: &BTreeSet<AppId>) -> Vec<Interest<'_>> {
        let room = self.clients.len() < MAX_APPLICATIONS;
        let listener = room.then(|| Interest { client: None, fd: self.listener.as_fd(), write: false });
        let clients = self.clients.iter().flat_map(|(id, client)| {
            let fd = client.socket.as_fd();
            let write = client.unsent.is_some() || to_tell.contains(id);
            let read = client.unsent.is_none();
            let interest = move |write| Interest { client: Some(*id), fd, write };
            [read.then(|| interest(false)), write.then(|| interest(true))].into_iter().flatten()
        });
        listener.into_iter().chain(clients).collect()
    }

    /// Takes up one client.
    pub fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = accept_with(&self.listener, flags) else { return };
        let own = rustix::process::geteuid();
        match sockopt::socket_peercred(&socket) {
            Ok(peer) if peer.uid.is_root() || peer.uid == own => {
                self.next = self.next.wrapping_add(1);
                self.clients.insert(AppId(self.next), Client { socket, unsent: None });
            }
            Ok(peer) => tracing::warn!("the user {} was turned away from the keying socket", peer.uid.as_raw()),
            Err(error) => tracing::warn!("a client of the keying socket is unknown: {error}"),
        }
    }

    /// The next message of a client.
    pub fn receive(&mut self, id: AppId) -> Received {
        let Some(client) = self.clients.get(&id) else { return Received::Gone };
        // One more than a message has, so that a longer one is seen.
        let mut buffer = vec![0; Header::LEN + MAX_DATA_LEN + 1];
        match recv(&client.socket, &mut buffer[..], RecvFlags::empty()) {
            Ok((0, _)) => Received::Gone,
            Ok((len, _)) => {
                buffer.truncate(len);
                Received::Message(Secret::new(buffer))
            }
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Received::Nothing,
            Err(_) => Received::Gone,
        }
    }

    /// Sends a packet, or keeps it until it can be sent. To be called only while nothing is kept.
    pub fn send(&mut self, id: AppId, message: Vec<u8>) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.unsent = Some(message);
            self.flush(id);
        }
    }

    /// Tries again to send what is kept; whether nothing is left.
    pub fn flush(&mut self, id: AppId) -> bool {
        let Some(client) = self.clients.get_mut(&id) else { return false };
        let Some(message) = &client.unsent else { return true };
        match send(&client.socket, message, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => false,
            // A client that hung up is seen when it is read from.
            _ => {
                client.unsent = None;
                true
            }
        }
    }

    /// The client is gone.
    pub fn disconnect(&mut self, id: AppId) {
        self.clients.remove(&id);
    }
}

impl Drop for KeyingSocket {
    fn drop(&mut self) {
        // Nothing more can be done about a file that cannot be removed; the next start replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::DirBuilderExt;

    use rustix::net::connect;
    use rustix::process::{Uid, geteuid};

    use super::*;

    // Row 125 of docs/HISTORY.md: whoever sends by it has the keys of all.
    #[test]
    fn nobody_but_root_and_the_user_of_the_daemon_keys() {
        let directory = std::env::temp_dir().join(format!("ravelin-keying-stranger-{}", std::process::id()));
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&directory).unwrap();
        let path = directory.join("keying");
        let mut socket = KeyingSocket::bind(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let come = |uid: Uid| {
            let path = path.clone();
            let coming = move || {
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
                let socket =
                    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
                connect(&socket, &SocketAddrUnix::new(path).unwrap()).unwrap();
                socket
            };
            std::thread::spawn(coming).join().unwrap()
        };
        // Only root can be another one.
        if geteuid().is_root() {
            let stranger = come(Uid::from_raw(65_534));
            socket.accept();
            assert_eq!(socket.clients().count(), 0);
            assert!(send(&stranger, b"anything", SendFlags::NOSIGNAL).is_err(), "nobody hears him");
        }
        let _own = come(geteuid());
        socket.accept();
        assert_eq!(socket.clients().count(), 1);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
