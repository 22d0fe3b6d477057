//! Policies that come with their SAs, whom the packet filter follows, and packets that come before theirs.

use std::net::UdpSocket;
use std::time::Duration;

use ravelin_types::Spi;
use ravelin_types::dataplane::{DataPlaneOp, Settled};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::sa::Direction;

use crate::Case;
use crate::lab::{Host, Tunnel, ip, link, pair, selector, wait_for};

pub const CASES: &[Case] = &[
    ("two_hundred_peers_at_once_take_a_few_changes_of_the_filter", crowd),
    ("a_filter_that_is_refused_is_told_of_and_comes_later", refused),
    ("packets_that_come_before_an_sa_on_offer_wait_for_it", early),
];

/// Peers that come at once, and the most runs of `nft` for them. It was one for each; what it is now depends on how long one
/// takes.
const PEERS: u32 = 200;
const MOST: u64 = 40;

/// What is between a gateway and a road warrior.
fn tunnel(peer: u32) -> Tunnel {
    let (local, remote) = (selector("10.0.1.1"), selector(&format!("10.7.0.{peer}")));
    let ends = (ip("10.0.1.1"), ip("10.0.1.2"));
    Tunnel { mode: Mode::Tunnel, ends, local, remote, ..Tunnel::transport(peer, "10.0.1.1", "10.0.1.2") }
}

fn runs(host: &Host) -> u64 {
    host.plane(|plane| plane.counters().filter_runs)
}

/// Begins all operations; when the filter has followed, how it went.
fn begin(host: &Host, ops: Vec<DataPlaneOp>) -> Settled {
    let last = host.plane(move |plane| ops.iter().filter_map(|op| plane.begin(op).unwrap()).last()).unwrap();
    host.run_until(move |plane| plane.poll_settled().filter(|settled| settled.change == last))
}

fn crowd() {
    let (gateway, peers) = (Host::new("a"), Host::new("b"));
    link(&gateway, &peers, 1);
    for peer in 1..=PEERS {
        peers.ip(&format!("addr add 10.7.0.{peer}/32 dev lo"));
    }
    gateway.ip("route add 10.7.0.0/24 via 10.0.1.2");
    gateway.start();
    peers.start();
    let theirs: Vec<_> = (1..=PEERS).map(|peer| DataPlaneOp::AddPolicy(tunnel(peer).swapped().policy())).collect();
    peers.plane(move |plane| plane.apply_all(&theirs)).unwrap();
    assert_eq!((runs(&gateway), runs(&peers)), (0, 1));

    let ours = (1..=PEERS).map(|peer| DataPlaneOp::AddPolicy(tunnel(peer).policy())).collect();
    assert_eq!(begin(&gateway, ours).result, Ok(()));
    let come = runs(&gateway);
    assert!((1..=MOST).contains(&come), "{come} runs of nft for {PEERS} peers");
    (1..=PEERS).for_each(|peer| tunnel(peer).add_sas(&gateway, &peers));
    let server = peers.run(|| UdpSocket::bind("0.0.0.0:5001").unwrap());
    server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    for peer in 1..=PEERS {
        gateway
            .run(move || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(&[7; 100], format!("10.7.0.{peer}:5001")))
            .unwrap();
        assert_eq!(server.recv(&mut [0; 200]).unwrap(), 100);
    }
    assert_eq!((peers.arrived("sealed"), peers.arrived("clear")), (u64::from(PEERS), 0));

    // The same policies again, of other peers: nothing that the filter asks for.
    let moved =
        |peer| DataPlaneOp::AddPolicy(Tunnel { ends: (ip("10.0.1.1"), ip("10.0.1.9")), ..tunnel(peer) }.policy());
    assert_eq!(begin(&gateway, (1..=PEERS).map(moved).collect()).result, Ok(()));
    assert_eq!(runs(&gateway), come);
    let gone = (1..=PEERS).map(|peer| DataPlaneOp::DeletePolicy(PolicyId(peer))).collect();
    assert_eq!(begin(&gateway, gone).result, Ok(()));
    assert!(runs(&gateway) <= come + MOST);
    assert!(!gateway.nft("list chain inet ravelin select").contains("10.7.0."));
}

fn refused() {
    let (a, b) = pair();
    let broken = "flush chain inet ravelin inbound; delete chain inet ravelin ike_in";
    a.nft(broken);
    let one = Tunnel::transport(1, "10.0.1.1", "10.0.1.2");
    // Who waits is told at once, and nothing has changed.
    let add = DataPlaneOp::AddPolicy(one.policy());
    let error = a.plane({
        let add = add.clone();
        move |plane| ravelin_types::dataplane::DataPlane::apply(plane, &add)
    });
    assert!(error.unwrap_err().to_string().contains("nft refused the packet filter"));
    let unknown = a.plane(|plane| plane.begin(&DataPlaneOp::DeletePolicy(PolicyId(1)))).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no policy 1");
    // Who does not wait is told later. When the cause has gone, the filter follows.
    let told = begin(&a, vec![add]).result.unwrap_err();
    assert!(told.to_string().contains("nft refused the packet filter"), "{told}");
    assert!(!a.nft("list chain inet ravelin select").contains("10.0.1.2"));
    a.nft("add chain inet ravelin ike_in");
    wait_for(|| a.nft("list chain inet ravelin select").contains("10.0.1.2").then_some(()));
    drop(b);
}

/// Who answered an offer sends before who asked has the SA.
fn early() {
    let (a, b) = pair();
    let tunnel =
        |generation| Tunnel { generation, encap: generation % 2 == 1, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") };
    tunnel(0).add_policies(&a, &b);
    let server = a.run(|| UdpSocket::bind("10.0.1.1:5001").unwrap());
    let send = |generation| {
        let back = tunnel(generation).spis().1;
        b.apply(DataPlaneOp::AddSa(tunnel(generation).swapped().sa(Direction::Outbound, back)));
        for packet in 1..=3 {
            b.run(move || UdpSocket::bind("10.0.1.2:0").unwrap().send_to(&[packet; 100], "10.0.1.1:5001")).unwrap();
        }
        back
    };
    for (generation, held) in [(0, 3), (1, 6)] {
        a.apply(DataPlaneOp::OfferSa(Spi(tunnel(generation).spis().1)));
        let back = send(generation);
        a.run_until(move |plane| (plane.counters().early == held).then_some(()));
        a.apply(DataPlaneOp::AddSa(tunnel(generation).sa(Direction::Inbound, back)));
        server.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        for packet in 1..=3 {
            let mut buffer = [0; 200];
            assert_eq!((server.recv(&mut buffer).unwrap(), buffer[0]), (100, packet), "in their order");
        }
        assert_eq!((a.packets(back), a.dropped("no SA with this SPI")), (3, 0));
    }
    // Nothing was offered.
    let back = send(2);
    wait_for(|| (a.dropped("no SA with this SPI") == 3).then_some(()));
    a.apply(DataPlaneOp::AddSa(tunnel(2).sa(Direction::Inbound, back)));
    server.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(server.recv(&mut [0; 200]).is_err());
    assert_eq!(a.plane(|plane| plane.counters().early), 6);
}
