//! Over the loopback device, with the clock in the hands of the test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use ravelin_wire::tcp_encap::PREFIX;

use super::*;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Tries before what is awaited is taken for lost; each waits a little.
const PATIENCE: usize = 500;

/// Streams that listen, and where.
fn listening() -> (Streams, SocketAddr) {
    let mut streams = Streams::open(&TunConfig { own_mark: 0, ..TunConfig::default() }, false).unwrap();
    let listener = listen(SocketAddr::new(HERE, 0), 0, &streams.epoll, 0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    streams.listeners.push(listener);
    streams.lock().next = 1;
    (streams, at)
}

fn at(seconds: u64) -> Instant {
    Instant::from_duration(Duration::from_secs(seconds))
}

/// Serves until `done` finds what it waits for.
fn until(streams: &Streams, now: Instant, mut done: impl FnMut(Arrived) -> bool) {
    let found = (0..PATIENCE).any(|_| {
        std::thread::sleep(Duration::from_millis(2));
        done(streams.serve(now))
    });
    assert!(found, "what is awaited does not come");
}

/// A connection that somebody else opens, and that is accepted.
fn stranger(streams: &Streams, to: SocketAddr, now: Instant) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let end = stream.local_addr().unwrap();
    until(streams, now, |_| streams.lock().ways.keys().any(|way| way.remote == end));
    stream
}

/// Whether the other side has ended it.
fn is_over(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 16]), Ok(0))
        || stream.take_error().is_ok_and(|error| error.is_some())
        || stream.peer_addr().is_err()
}

// RFC 9329 §3, §4, §6.1: prefix once, then both kinds both ways.
#[test]
fn ike_and_esp_share_a_connection_both_ways() {
    let (there, to) = listening();
    let here = Streams::open(&TunConfig { own_mark: 0, ..TunConfig::default() }, false).unwrap();
    let local = here.connect(HERE, to, at(0)).unwrap();
    let out = Way::tcp(local, to);
    here.send_ike(out, b"before it stands").unwrap();
    let mut back = None;
    until(&there, at(0), |arrived| {
        here.serve(at(0));
        back = arrived.ike.into_iter().next().or(back.take());
        back.is_some()
    });
    let (back, message) = back.unwrap();
    assert_eq!((back, message.as_slice()), (Way::tcp(to, local), &b"before it stands"[..]));

    there.send_esp(back, b"\0\0\x01\0\0\0\0\x01packet");
    there.send_ike(back, b"answer").unwrap();
    let mut seen = Arrived::default();
    until(&here, at(0), |arrived| {
        seen.esp.extend(arrived.esp);
        seen.ike.extend(arrived.ike);
        !seen.ike.is_empty()
    });
    assert_eq!(seen.esp, [(out, b"\0\0\x01\0\0\0\0\x01packet".to_vec())]);
    assert_eq!(seen.ike, [(out, b"answer".to_vec())]);

    // What is closed on purpose is no news; what the other side closes is.
    there.close(back, at(0));
    let mut closed = Vec::new();
    until(&here, at(0), |arrived| {
        there.serve(at(0));
        closed.extend(arrived.closed);
        !closed.is_empty()
    });
    assert_eq!(closed, [out]);
    assert!(there.send_ike(back, b"too late").is_err());
}

// Row 113 of docs/HISTORY.md: a peer that resets its connection in the middle of a message, while as much as may waits for it.
#[test]
fn a_reset_leaves_nothing_behind() {
    let (streams, to) = listening();
    for said in [&PREFIX[..], b"IKETCP\x10", b"IKETCP\x10\0half", b"IKETCP\0\x08\0\0\0\0ok"] {
        let mut stream = stranger(&streams, to, at(0));
        stream.write_all(said).unwrap();
        let way = Way::tcp(to, stream.local_addr().unwrap());
        (0..20_000).for_each(|_| streams.send_esp(way, &[1; 1400]));
        // What was not read makes it a reset.
        drop(stream);
        until(&streams, at(0), |_| streams.lock().streams.is_empty());
        assert!(streams.lock().ways.is_empty());
        streams.send_esp(way, &[1; 1400]);
        assert!(streams.send_ike(way, b"nobody is there").is_err());
    }
    // The next is served as ever.
    let mut stream = stranger(&streams, to, at(0));
    stream.write_all(&[&PREFIX[..], b"\0\x0a\0\0\0\0here"].concat()).unwrap();
    let mut heard = Vec::new();
    until(&streams, at(0), |arrived| {
        heard.extend(arrived.ike);
        !heard.is_empty()
    });
    assert_eq!(heard[0].1, b"here");
}

#[test]
fn what_nobody_accepts_is_told() {
    let (_, to) = listening();
    let here = Streams::open(&TunConfig { own_mark: 0, ..TunConfig::default() }, false).unwrap();
    let local = here.connect(HERE, to, at(0));
    // The kernel may refuse at once.
    let Ok(local) = local else { return };
    let mut closed = Vec::new();
    until(&here, at(0), |arrived| {
        closed.extend(arrived.closed);
        !closed.is_empty()
    });
    assert_eq!(closed, [Way::tcp(local, to)]);
}

// A stream that is slow, that never goes on, or that is something else holds nothing for long.
#[test]
fn who_dawdles_or_talks_nonsense_is_dropped() {
    let cases: [(&[u8], u64, u64); 5] = [
        (b"", 4, 6),
        (b"IKET", 4, 6),
        (b"IKETCP\x10\0half", 29, 31),
        (b"IKETCP", 149, 151),
        (b"IKETCP\0\x08\0\0\0\0ok", 149, 151),
    ];
    for (said, stays, goes) in cases {
        let (streams, to) = listening();
        let mut stream = stranger(&streams, to, at(0));
        stream.write_all(said).unwrap();
        // What was said is read before the clock goes on.
        (0..20).for_each(|_| {
            std::thread::sleep(Duration::from_millis(2));
            streams.serve(at(0));
        });
        streams.serve(at(stays));
        assert_eq!(streams.lock().streams.len(), 1, "{said:?} after {stays} s");
        streams.serve(at(goes));
        assert_eq!(streams.lock().streams.len(), 0, "{said:?} after {goes} s");
        assert!(is_over(&mut stream));
    }
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"IKETCP\0\0", b"IKETCP\0\x01", b"IKETCP\0\x05abc"] {
        let (streams, to) = listening();
        let mut stream = stranger(&streams, to, at(0));
        stream.write_all(nonsense).unwrap();
        until(&streams, at(0), |_| streams.lock().streams.is_empty());
        assert!(is_over(&mut stream), "{nonsense:?}");
    }
}

#[test]
fn one_address_has_few_connections_unless_it_has_proved_who_it_is() {
    let (streams, to) = listening();
    let first = stranger(&streams, to, at(0));
    let way = Way::tcp(to, first.local_addr().unwrap());
    streams.lock().prove(way);
    let _others: Vec<TcpStream> = (0..2 * MAX_PER_ADDRESS).map(|_| stranger(&streams, to, at(0))).collect();
    let table = streams.lock();
    assert_eq!(table.streams.len(), MAX_PER_ADDRESS + 1);
    assert!(table.ways.contains_key(&way), "who has proved who it is stays");
}

// A peer that does not read costs what is kept for it, and no more.
#[test]
fn what_waits_for_a_peer_is_bounded() {
    let (streams, to) = listening();
    let mut stream = stranger(&streams, to, at(0));
    stream.write_all(&PREFIX).unwrap();
    let way = Way::tcp(to, stream.local_addr().unwrap());
    let packet = vec![1; 1400];
    (0..20_000).for_each(|_| streams.send_esp(way, &packet));
    let counted = streams.lock().counted;
    assert!(counted.full > 0);
    assert!(streams.send_ike(way, b"there is room for IKE yet").is_ok());
    // And what was kept comes whole, in order.
    let kept = std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut octets = Vec::new();
            let end = b"there is room for IKE yet";
            while !octets.ends_with(end) {
                let mut room = [0; 65536];
                let count = stream.read(&mut room).expect("what was kept");
                octets.extend_from_slice(&room[..count]);
            }
            octets
        });
        while !reader.is_finished() {
            streams.serve(at(0));
            std::thread::sleep(Duration::from_millis(1));
        }
        reader.join().expect("a reader")
    });
    assert_eq!(kept.len() % 1402, 6 + 25, "whole packets, then the message with marker and length");
    assert!(kept.chunks(1402).take(kept.len() / 1402).all(|message| message[..3] == [0x05, 0x7a, 1]));
}
