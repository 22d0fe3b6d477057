//! Policies that populate selectors from packets (RFC 4301 §4.4.1.2): real connections, each on SAs of its own.

use std::collections::BTreeSet;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::thread::{JoinHandle, spawn};

use ravelin_types::dataplane::{DataPlane, DataPlaneEvent, DataPlaneOp, Flow};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Policy, PolicyId};
use ravelin_types::sa::Direction;

use crate::Case;
use crate::lab::{PATIENCE, Tunnel, exchange, pair, socket, wait_for};

pub const CASES: &[Case] = &[("each_connection_to_a_server_has_sas_of_its_own", each_connection)];

/// Connections of each protocol.
const EACH: usize = 20;
const SERVER: &str = "10.0.1.2:5001";

fn populated(mut policy: Policy) -> Policy {
    if let Action::Protect(protection) = &mut policy.action {
        protection.pfp = Pfp::ALL;
    }
    policy
}

fn each_connection() {
    let (a, b) = pair();
    let tunnel = Tunnel::transport(1, "10.0.1.1", "10.0.1.2");
    a.apply(DataPlaneOp::AddPolicy(populated(tunnel.policy())));
    b.apply(DataPlaneOp::AddPolicy(populated(tunnel.swapped().policy())));
    let listener = b.run(|| TcpListener::bind(socket(SERVER)).unwrap());
    let echo = b.run(|| UdpSocket::bind(socket(SERVER)).unwrap());
    spawn(move || {
        for stream in listener.incoming().take(EACH) {
            let stream = stream.unwrap();
            spawn(move || std::io::copy(&mut &stream, &mut &stream));
        }
    });
    spawn(move || {
        let mut datagram = [0; 100];
        while let Ok((len, from)) = echo.recv_from(&mut datagram) {
            echo.send_to(&datagram[..len], from).unwrap();
        }
    });
    // All at once, and each waits for its SA.
    let clients: Vec<JoinHandle<()>> = a.run(|| {
        let tcp = || exchange(TcpStream::connect_timeout(&socket(SERVER), PATIENCE).unwrap(), 20_000);
        let udp = || {
            let client = UdpSocket::bind("10.0.1.1:0").unwrap();
            client.connect(SERVER).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.send(b"hello").unwrap();
            assert_eq!(client.recv(&mut [0; 100]).unwrap(), 5);
        };
        (0..EACH).flat_map(|_| [spawn(tcp), spawn(udp)]).collect()
    });
    let mut flows: BTreeSet<Flow> = BTreeSet::new();
    while flows.len() < 2 * EACH {
        let event = a.run_until(DataPlane::poll_event);
        let DataPlaneEvent::Acquire { policy: PolicyId(1), flow, .. } = event else { panic!("{event:?}") };
        assert!(flows.insert(flow), "{flow} asked again");
        tunnel.of_flow(&flow, flows.len() as u32).add_sas(&a, &b);
    }
    clients.into_iter().for_each(|client| client.join().unwrap());
    let sent = a.plane(DataPlane::list).into_iter().filter(|sa| sa.params.direction == Direction::Outbound);
    let sent: Vec<_> = sent.collect();
    assert_eq!(sent.len(), 2 * EACH);
    for sa in &sent {
        // A connection of TCP takes some packets, a question and an answer of UDP exactly one each.
        let udp = sa.params.local_ts[0].protocol() == 17;
        assert!(sa.counters.packets == 1 && udp || sa.counters.packets > 3 && !udp, "{:?}", sa.counters);
    }
    // What arrived at the server came on those, and nothing asks any more.
    wait_for(|| (b.plane(DataPlane::list).iter().all(|sa| sa.counters.packets > 0)).then_some(()));
    assert_eq!(a.plane(DataPlane::poll_event), None);
    assert_eq!((a.dropped("selectors"), b.dropped("selectors"), b.arrived("clear")), (0, 0, 0));
}
