//! A server and clients over a real socket, in one thread: the server is polled by hand.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use ravelin_control::server::refusal;
use ravelin_control::{BindError, Client, ClientError, Message, Request, Server};

/// A directory of this test alone, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-control-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        Scratch(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("sock")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Everything that can be read now.
fn requests(server: &mut Server) -> Vec<Request> {
    server.accept();
    let clients: Vec<_> = server.interests().filter_map(|interest| interest.client).collect();
    clients.into_iter().filter_map(|client| server.ready(client)).collect()
}

#[test]
fn a_request_is_answered() {
    let scratch = Scratch::new("answer");
    let mut server = Server::bind(&scratch.socket()).unwrap();
    let path = scratch.socket();
    let client = std::thread::spawn(move || {
        let mut client = Client::connect(&path).unwrap();
        let first = client.request("version", &Message::new().with("a", "b")).unwrap();
        let second = client.request("nonsense", &Message::new());
        (first, second)
    });
    let mut seen = Vec::new();
    while seen.len() < 2 {
        for request in requests(&mut server) {
            match request.name.as_str() {
                "version" => server.reply(request.client, &Message::new().with("daemon", "ravelin")),
                _ => server.unknown(request.client),
            }
            seen.push(request.name);
        }
    }
    let (first, second) = client.join().unwrap();
    assert_eq!(first.text("daemon"), Some("ravelin"));
    assert!(matches!(second, Err(ClientError::UnknownCommand(name)) if name == "nonsense"));
}

#[test]
fn commands_sent_together_are_answered_in_order() {
    let scratch = Scratch::new("together");
    let mut server = Server::bind(&scratch.socket()).unwrap();
    let mut stream = UnixStream::connect(scratch.socket()).unwrap();
    stream.write_all(b"\0\0\0\x09\0\x07version\0\0\0\x07\0\x05stats").unwrap();
    let first = requests(&mut server).remove(0);
    assert_eq!(first.name, "version");
    assert!(requests(&mut server).is_empty(), "the second must wait for the first answer");
    server.reply(first.client, &refusal("one"));
    let second = server.next_request(first.client).unwrap();
    assert_eq!(second.name, "stats");
}

#[test]
fn a_malformed_message_is_answered_and_a_malformed_packet_ends_the_connection() {
    let scratch = Scratch::new("malformed");
    let mut server = Server::bind(&scratch.socket()).unwrap();
    let mut stream = UnixStream::connect(scratch.socket()).unwrap();
    // An element of type 9, then a register for an event that is not offered.
    stream.write_all(b"\0\0\0\x0a\0\x07version\x09\0\0\0\x05\x03\x03log").unwrap();
    assert!(requests(&mut server).is_empty());
    let mut answer = [0; 256];
    let len = stream.read(&mut answer).unwrap();
    let text = String::from_utf8_lossy(&answer[..len]);
    assert!(text.contains("unknown element type"), "{text}");
    assert!(answer[..len].ends_with(&[0, 0, 0, 1, 6]));
    for bad in [&b"\0\0\0\0"[..], b"\x7f\xff\xff\xff\0", b"\0\0\0\x01\x09", b"\0\0\0\x01\x01"] {
        let mut stream = UnixStream::connect(scratch.socket()).unwrap();
        stream.write_all(bad).unwrap();
        assert!(requests(&mut server).is_empty());
        assert_eq!(stream.read(&mut answer).unwrap(), 0, "{bad:?} must end the connection");
    }
}

#[test]
fn a_second_daemon_is_told_who_has_the_socket() {
    let scratch = Scratch::new("second");
    let first = Server::bind(&scratch.socket()).unwrap();
    let error = Server::bind(&scratch.socket()).unwrap_err();
    assert!(matches!(error, BindError::InUse { pid: Some(pid), .. } if pid == std::process::id()));
    drop(first);
    assert!(!scratch.socket().exists());
    assert!(matches!(Client::connect(&scratch.socket()), Err(ClientError::NoDaemon(_))));
    Server::bind(&scratch.socket()).unwrap();
}

#[test]
fn a_stale_socket_is_replaced_and_a_file_is_not() {
    let scratch = Scratch::new("stale");
    // What a killed daemon leaves: a socket that nobody listens on and an unlocked lock file.
    drop(std::os::unix::net::UnixListener::bind(scratch.socket()).unwrap());
    std::fs::write(scratch.0.join("sock.lock"), "1\n").unwrap();
    drop(Server::bind(&scratch.socket()).unwrap());
    std::fs::write(scratch.socket(), "precious").unwrap();
    assert!(matches!(Server::bind(&scratch.socket()), Err(BindError::NotASocket(_))));
    assert_eq!(std::fs::read_to_string(scratch.socket()).unwrap(), "precious");
}

#[test]
fn a_link_in_place_of_the_lock_is_not_followed() {
    let scratch = Scratch::new("link");
    let victim = scratch.0.join("victim");
    std::fs::write(&victim, "precious").unwrap();
    std::os::unix::fs::symlink(&victim, scratch.0.join("sock.lock")).unwrap();
    assert!(matches!(Server::bind(&scratch.socket()), Err(BindError::Io(..))));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}
