//! Events and streams over a real socket: who gets them, in which order, and what a client that does not read costs.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use ravelin_control::limits::{MAX_CLIENTS, MAX_PACKET, MAX_QUEUED};
use ravelin_control::packet::{first, framed};
use ravelin_control::{ClientId, Lost, Message, Packet, Request, Server};

const EVENTS: &[&str] = &["log", "list-sa"];

struct Bench {
    directory: PathBuf,
    server: Server,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Bench {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("ravelin-events-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("it works");
        let server = Server::bind(&directory.join("sock")).expect("it works").offering(EVENTS);
        Bench { directory, server }
    }

    fn connect(&mut self) -> Peer {
        let stream = UnixStream::connect(self.directory.join("sock")).expect("it works");
        stream.set_read_timeout(Some(Duration::from_millis(200))).expect("it works");
        self.server.accept();
        Peer { stream, buffer: Vec::new() }
    }

    fn turn(&mut self) -> Vec<Request> {
        self.server.accept();
        let clients: Vec<ClientId> = self.server.interests().filter_map(|interest| interest.client).collect();
        clients.into_iter().filter_map(|client| self.server.ready(client)).collect()
    }
}

struct Peer {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Peer {
    fn send(&mut self, packet: &Packet<'_>) {
        self.stream.write_all(&packet.emit().expect("it works")).expect("it works");
    }

    /// The next packet: its type, and for events the name and message.
    fn next(&mut self) -> Option<(String, Message)> {
        loop {
            if let Ok(Some(body)) = first(&self.buffer) {
                let body = body.to_vec();
                self.buffer.drain(..framed(body.len()));
                return Some(match Packet::parse(&body).expect("it works") {
                    Packet::Event(name, message) => (name, Message::parse(message).expect("it works")),
                    Packet::Response(message) => ("response".into(), Message::parse(message).expect("it works")),
                    Packet::Confirm => ("confirm".into(), Message::new()),
                    Packet::UnknownEvent => ("unknown".into(), Message::new()),
                    other => panic!("{other:?}"),
                });
            }
            let mut chunk = [0; 65536];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(len) => self.buffer.extend(&chunk[..len]),
            }
        }
    }

    fn names(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).map(|(name, _)| name).collect()
    }
}

#[test]
fn events_reach_whoever_registered() {
    let mut bench = Bench::new("register");
    let (mut one, mut other) = (bench.connect(), bench.connect());
    for packet in [
        Packet::Unregister("log".into()),
        Packet::Register("log".into()),
        Packet::Register("log".into()),
        Packet::Register("nonsense".into()),
    ] {
        one.send(&packet);
    }
    assert!(bench.turn().is_empty());
    assert_eq!(one.names(), ["unknown", "confirm", "confirm", "unknown"]);
    assert_eq!(bench.server.awaited().into_iter().collect::<Vec<_>>(), ["log"]);
    bench.server.event("log", &Message::new().with("msg", "hello"));
    let (name, message) = one.next().unwrap();
    assert_eq!((name.as_str(), message.text("msg")), ("log", Some("hello")));
    assert!(other.next().is_none());
    one.send(&Packet::Unregister("log".into()));
    bench.turn();
    bench.server.event("log", &Message::new());
    assert_eq!(one.names(), ["confirm"]);
}

#[test]
fn a_stream_ends_with_its_reply_and_the_next_command_waits_for_it() {
    let mut bench = Bench::new("stream");
    let mut peer = bench.connect();
    peer.send(&Packet::Register("list-sa".into()));
    peer.send(&Packet::Request("list-sas".into(), &[]));
    peer.send(&Packet::Request("version".into(), &[]));
    let request = bench.turn().remove(0);
    let sas = (0..5).map(|id| Message::new().with("uniqueid", id)).collect();
    bench.server.stream(request.client, "list-sa", sas, Message::new().with("done", "yes"));
    let second = bench.server.next_request(request.client).unwrap();
    assert_eq!(second.name, "version");
    assert_eq!(peer.names(), ["confirm", "list-sa", "list-sa", "list-sa", "list-sa", "list-sa", "response"]);
    // Who did not register is not told.
    let mut stranger = bench.connect();
    stranger.send(&Packet::Request("list-sas".into(), &[]));
    let request = bench.turn().remove(0);
    bench.server.stream(request.client, "list-sa", vec![Message::new()], Message::new());
    assert_eq!(stranger.names(), ["response"]);
}

#[test]
fn a_client_that_does_not_read_costs_a_bounded_amount_and_nobody_waits_for_it() {
    let mut bench = Bench::new("slow");
    let (mut slow, mut quick) = (bench.connect(), bench.connect());
    slow.send(&Packet::Register("log".into()));
    quick.send(&Packet::Register("log".into()));
    bench.turn();
    assert_eq!(quick.names(), ["confirm"]);
    let line = Message::new().with("msg", "x".repeat(1000));
    let sent = 4 * MAX_QUEUED / 1000;
    let mut seen = 0;
    for _ in 0..sent {
        bench.server.event("log", &line);
        seen += usize::from(quick.next().is_some());
    }
    assert_eq!(seen, sent, "the quick one has seen all");
    let lost = usize::try_from(bench.server.lost().unread).unwrap();
    assert!(lost > 0);
    // The events that were not dropped come whole and in order once it reads.
    let mut got = 0;
    loop {
        let names = slow.names();
        got += names.iter().filter(|name| *name == "log").count();
        if names.is_empty() {
            break;
        }
        bench.turn();
    }
    assert_eq!(got + lost, sent);
}

#[test]
fn a_long_stream_is_made_as_fast_as_it_is_read() {
    let mut bench = Bench::new("long");
    let mut peer = bench.connect();
    peer.send(&Packet::Register("list-sa".into()));
    peer.send(&Packet::Request("list-sas".into(), &[]));
    let request = bench.turn().remove(0);
    let count = 8 * MAX_QUEUED / 1000;
    let sas = (0..count).map(|_| Message::new().with("data", "x".repeat(1000))).collect();
    bench.server.stream(request.client, "list-sa", sas, Message::new());
    let mut names = Vec::new();
    while names.last().is_none_or(|last| last != "response") {
        let more = peer.names();
        names.extend(more);
        bench.turn();
    }
    assert_eq!(names.len(), count + 2, "a confirmation, every event and a reply");
    assert_eq!(bench.server.lost(), Lost::default());
}

/// An event of about this many bytes.
fn long(bytes: usize) -> Message {
    let mut message = Message::new();
    (0..bytes / 1000).for_each(|at| message.put(&at.to_string(), "x".repeat(1000)));
    message
}

#[test]
fn an_event_longer_than_a_packet_is_counted_and_the_command_says_so() {
    let mut bench = Bench::new("too-long");
    let mut peer = bench.connect();
    peer.send(&Packet::Register("list-sa".into()));
    bench.turn();
    assert_eq!(peer.names(), ["confirm"]);
    bench.server.event("list-sa", &long(MAX_PACKET + 1000));
    assert_eq!(bench.server.lost(), Lost { unread: 0, too_long: 1 });
    // One that a packet holds comes, if nothing waits before it.
    bench.server.event("list-sa", &long(3 * MAX_QUEUED));
    let mut names = Vec::new();
    while names.is_empty() {
        names = peer.names();
        bench.turn();
    }
    assert_eq!(names, ["list-sa"]);
    peer.send(&Packet::Request("list-sas".into(), &[]));
    let request = bench.turn().remove(0);
    bench.server.stream(request.client, "list-sa", vec![long(MAX_PACKET + 1000), Message::new()], Message::new());
    assert_eq!(peer.next().unwrap().0, "list-sa");
    let (name, reply) = peer.next().unwrap();
    assert_eq!((name.as_str(), reply.text("success")), ("response", Some("no")));
    assert!(reply.text("errmsg").unwrap().contains("too long to be sent"), "{reply:?}");
    assert_eq!(bench.server.lost().too_long, 2);
}

#[test]
fn a_thousand_clients_are_served() {
    let mut bench = Bench::new("thousand");
    // This process has both ends of every connection.
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let room = maximum.map_or(MAX_CLIENTS, |room| usize::try_from(room).unwrap() / 2 - 64);
    let most = room.min(MAX_CLIENTS);
    let mut peers: Vec<Peer> = (0..most).map(|_| bench.connect()).collect();
    for peer in &mut peers {
        peer.send(&Packet::Register("log".into()));
        peer.send(&Packet::Request("version".into(), &[]));
    }
    let requests = bench.turn();
    assert_eq!(requests.len(), most);
    for request in &requests {
        bench.server.reply(request.client, &Message::new().with("daemon", "ravelin"));
    }
    bench.server.event("log", &Message::new().with("msg", "x"));
    for peer in &mut peers {
        assert_eq!(peer.next().unwrap().0, "confirm");
        assert_eq!(peer.next().unwrap().1.text("daemon"), Some("ravelin"));
        assert_eq!(peer.next().unwrap().0, "log");
    }
}
