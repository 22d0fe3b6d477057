//! IKE_SA_INIT requests from addresses that nobody has, as many as a thread can send, while connections are made.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ravelin_control::{Client, Message};
use ravelin_types::IkeSpi;
use ravelin_types::proposal::{Proposal, ProtocolId};
use ravelin_types::transform::{EncrId, KeMethod, PrfId, Transform};
use ravelin_wire::ike::header::{ExchangeType, Flags, Header, Version};
use ravelin_wire::ike::v2::{AnySpi, Chain, Ke, Nonce, OfferedProposal, Payload, Sa, emit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::lab::{LEFT, RIGHT};
use crate::peer::{Daemon, Kind, connection};
use crate::{PATIENCE, ask};

/// Requests between two looks at the clock.
const BURST: u32 = 100;

/// Of an IPv4 header.
const IP: usize = 20;
/// Of a UDP header.
const UDP: usize = 8;

/// Sends `rate` requests a second to an established daemon, for as long as the other connections take to be made.
pub fn run(rate: u32, connections: usize) {
    RIGHT.sh(&format!("ip route replace default via {}", LEFT.link));
    let [left, _right] = [LEFT, RIGHT].map(|host| Daemon::start(Kind::Ravelin, host, connections, true));
    let mut client = Client::connect(&left.socket()).unwrap();
    client.set_timeout(Some(2 * PATIENCE)).unwrap();
    ask(&mut client, "initiate", 0);
    let over = AtomicBool::new(false);
    let (sent, worst) = std::thread::scope(|scope| {
        let over = &over;
        let flood = scope.spawn(move || LEFT.enter(|| send(rate, over)));
        std::thread::sleep(Duration::from_secs(1));
        let mut worst = Duration::ZERO;
        for number in 1..connections {
            let begin = Instant::now();
            ask(&mut client, "initiate", number);
            worst = worst.max(begin.elapsed());
            std::thread::sleep(Duration::from_millis(100));
        }
        over.store(true, Ordering::Relaxed);
        (flood.join().unwrap(), worst)
    });
    // Whatever was made is there still.
    for number in 0..connections {
        let known = Message::new().with("ike", connection(number)).with("timeout", PATIENCE.as_millis());
        let answer = client.request("terminate", &known).unwrap();
        assert_eq!(answer.text("matches"), Some("1"), "{} is gone: {answer:?}", connection(number));
    }
    println!(
        "set-ups/flood: {:.0} requests a second of strangers, {} set-ups at the first attempt, the slowest in {worst:.0?}; 1 s is the \
         bound",
        sent,
        connections - 1
    );
}

/// Requests a second, until it is over.
fn send(rate: u32, over: &AtomicBool) -> f64 {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).unwrap();
    let to: Ipv4Addr = RIGHT.link.parse().unwrap();
    let mut datagram = datagram(to);
    let begin = Instant::now();
    let mut sent = 0u32;
    while !over.load(Ordering::Relaxed) {
        for _ in 0..BURST {
            sent += 1;
            let number = sent.to_be_bytes();
            datagram[12..IP].copy_from_slice(&[
                10,
                number[1],
                number[2],
                number[3],
                to.octets()[0],
                to.octets()[1],
                to.octets()[2],
                to.octets()[3],
            ]);
            // The initiator's SPI.
            datagram[IP + UDP..][..4].copy_from_slice(&number);
            // What does not fit into a queue is not sent.
            sent -= u32::from(socket.send_to(&datagram, &SocketAddrV4::new(to, 0).into()).is_err());
        }
        let due = Duration::from_secs_f64(f64::from(sent) / f64::from(rate));
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    f64::from(sent) / begin.elapsed().as_secs_f64()
}

/// A request in UDP in IP. The kernel fills in lengths and the checksum of IP; UDP over IPv4 needs none.
fn datagram(to: Ipv4Addr) -> Vec<u8> {
    let transforms = vec![
        Transform::Encr(EncrId::AES_GCM_16, Some(128)),
        Transform::Prf(PrfId::HMAC_SHA2_256),
        Transform::Ke(KeMethod::CURVE25519),
    ];
    let proposal = Proposal { protocol: ProtocolId::IKE, transforms };
    let payloads = [
        Payload::Sa(Sa(vec![OfferedProposal { number: 1, spi: AnySpi::None, proposal }])),
        Payload::Ke(Ke { method: KeMethod::CURVE25519, data: vec![9; 32] }),
        Payload::Nonce(Nonce::new(vec![7; 200]).unwrap()),
    ];
    let header = Header {
        initiator_spi: IkeSpi(1),
        responder_spi: IkeSpi::ZERO,
        version: Version::V2,
        exchange: ExchangeType::IKE_SA_INIT,
        flags: Flags::INITIATOR,
        message_id: 0,
    };
    let message = emit(&header, &Chain::new(&payloads).unwrap());
    let mut datagram = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    datagram.extend([[0; 4], to.octets()].concat());
    let length = u16::try_from(UDP + message.len()).unwrap();
    datagram.extend([500u16, 500, length, 0].map(u16::to_be_bytes).concat());
    datagram.extend(message);
    datagram
}
