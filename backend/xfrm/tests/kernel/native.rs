//! What any kernel with XFRM can show, also one without ESP: policies, acquires, what is ours and what is not.

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use ravelin_types::dataplane::{DataPlane, DataPlaneEvent, DataPlaneOp};
use ravelin_types::mark::{Marks, PolicyMark};
use ravelin_types::options::{Dummies, Mark, Offload, SaOptions};
use ravelin_types::pfp::Pfp;
use ravelin_types::policy::{Action, Mode, Policy, PolicyId};
use ravelin_types::sa::Direction;
use ravelin_xfrm::msg::{Body, Message, kind};
use ravelin_xfrm::netlink::{Netlink, Request};
use ravelin_xfrm::{Capabilities, XfrmConfig, XfrmDataPlane, remove_leftovers};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::Case;
use crate::lab::{Host, event, ip, net, plane, sa, send, sh, tunnel_policy, with};

pub const CASES: &[Case] = &[
    ("policies_are_what_ip_xfrm_shows", policies_are_what_ip_xfrm_shows),
    ("a_packet_asks_for_an_sa_and_again_after_a_failure", a_packet_asks_for_an_sa_and_again_after_a_failure),
    (
        "each_flow_asks_once_where_selectors_come_from_the_packet",
        each_flow_asks_once_where_selectors_come_from_the_packet,
    ),
    ("a_burst_of_acquires_is_neither_lost_nor_doubled", a_burst_of_acquires_is_neither_lost_nor_doubled),
    ("what_others_flush_is_put_back_and_what_they_have_stays", what_others_flush_is_put_back_and_what_they_have_stays),
    ("what_others_change_is_put_back", what_others_change_is_put_back),
    ("events_that_found_no_room_are_made_up_for", events_that_found_no_room_are_made_up_for),
    ("a_daemon_after_a_killed_one_takes_up_its_policies", a_daemon_after_a_killed_one_takes_up_its_policies),
    (
        "a_daemon_after_a_killed_one_asks_for_what_others_removed",
        a_daemon_after_a_killed_one_asks_for_what_others_removed,
    ),
    ("no_packet_waits_for_a_daemon_that_has_gone", no_packet_waits_for_a_daemon_that_has_gone),
    ("ike_passes_whatever_the_policies_say", ike_passes_whatever_the_policies_say),
    ("first_messages_of_ike_do_not_displace_others", first_messages_of_ike_do_not_displace_others),
    ("neighbours_are_found_whatever_the_policies_say", neighbours_are_found_whatever_the_policies_say),
    ("a_refusal_says_what_to_do", a_refusal_says_what_to_do),
    ("a_refusal_of_the_kernel_comes_with_the_line_by_hand", a_refusal_of_the_kernel_comes_with_the_line_by_hand),
    ("a_refused_change_leaves_nothing_behind", a_refused_change_leaves_nothing_behind),
];

fn policies_are_what_ip_xfrm_shows() {
    Host::new().run(|| {
        let mut plane = plane();
        let mut ports = tunnel_policy(2);
        ports.local = vec![net("10.1.0.1", 32).with(6, 5000..=5001).unwrap()];
        ports.remote = vec![net("10.2.0.1", 32).with(6, 0..=65535).unwrap()];
        ports.action = Action::Bypass;
        ports.priority = 3000;
        plane.apply(&DataPlaneOp::AddPolicy(tunnel_policy(1))).unwrap();
        plane.apply(&DataPlaneOp::AddPolicy(ports)).unwrap();
        let shown = sh("ip -s xfrm policy");
        let entries: Vec<String> =
            shown.split("\nsrc ").map(|entry| entry.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let has = |words: [&str; 4]| entries.iter().any(|entry| words.iter().all(|word| entry.contains(word)));
        let reqid = "proto esp spi 0x00000000(0) reqid 1375731713(0x52000001) mode tunnel";
        assert!(
            has(["10.1.0.0/16 dst 10.2.0.0/16 uid 1375731713", "dir out", "tmpl src 192.0.2.1 dst 192.0.2.2", reqid]),
            "{shown}"
        );
        for dir in ["dir in", "dir fwd"] {
            assert!(
                has(["10.2.0.0/16 dst 10.1.0.0/16 uid 1375731713", dir, "tmpl src 0.0.0.0 dst 0.0.0.0", reqid]),
                "{shown}"
            );
        }
        assert!(shown.contains("src 10.1.0.1/32 dst 10.2.0.1/32 proto tcp sport 5000"), "{shown}");
        // As many as the kernel counts, ours and others'.
        sh("ip xfrm policy add src 10.8.0.0/16 dst 10.9.0.0/16 dir out action block");
        let counted = sh("ip xfrm policy count");
        let numbers = counted.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
        let all = numbers.take(3).sum();
        assert!(plane.counters().contains(&("kernel: policies".to_owned(), all)), "{counted} {:?}", plane.counters());
        sh("ip xfrm policy delete src 10.8.0.0/16 dst 10.9.0.0/16 dir out");
        plane.apply(&DataPlaneOp::DeletePolicy(PolicyId(1))).unwrap();
        let shown = sh("ip xfrm policy");
        assert!(!shown.contains("tmpl") && shown.contains("sport 5000"), "{shown}");
        assert!(plane.apply(&DataPlaneOp::DeletePolicy(PolicyId(1))).is_err());
        plane.stop().unwrap();
        assert_eq!(sh("ip xfrm policy"), "", "nothing is left");
    });
}

fn a_packet_asks_for_an_sa_and_again_after_a_failure() {
    let (a, _b) = Host::pair();
    a.run(|| {
        let mut plane = plane();
        plane.apply(&DataPlaneOp::AddPolicy(tunnel_policy(1))).unwrap();
        for _ in 0..3 {
            send("10.1.0.1:4000", "10.2.0.1:5001");
            send("10.1.0.1:4000", "10.2.0.1:5001");
            let DataPlaneEvent::Acquire { policy, flow, .. } = event(&mut plane) else { panic!("another event") };
            assert_eq!((policy, flow.src, flow.dst, flow.protocol), (PolicyId(1), ip("10.1.0.1"), ip("10.2.0.1"), 17));
            assert_eq!((flow.src_port, flow.dst_port), (Some(4000), Some(5001)));
            assert_eq!(plane.poll_event(), None, "the second packet asks for nothing new");
            plane.apply(&DataPlaneOp::FailAcquire(PolicyId(1))).unwrap();
        }
        assert!(!sh("ip xfrm state").contains("spi"), "no note is left in the kernel");
    });
}

fn no_packet_waits_for_a_daemon_that_has_gone() {
    let (a, _b) = Host::pair();
    a.run(|| {
        let note = || sh("ip xfrm state").matches("spi 0x00000000").count();
        let marked = || {
            with(tunnel_policy(2), |p| p.options.marks = Marks::both(PolicyMark::Is(Mark { value: 7, mask: u32::MAX })))
        };
        let ask = || {
            let mut plane = plane();
            plane.apply(&DataPlaneOp::AddPolicy(tunnel_policy(1))).unwrap();
            let marked = Policy { local: vec![net("10.1.0.7", 32)], priority: 3000, ..marked() };
            plane.apply(&DataPlaneOp::AddPolicy(marked)).unwrap();
            plane.settle();
            send("10.1.0.1:4000", "10.2.0.1:5001");
            let DataPlaneEvent::Acquire { policy: PolicyId(1), .. } = event(&mut plane) else {
                panic!("another event")
            };
            sh("ip addr add 10.1.0.7/16 dev lo 2>/dev/null || true; ping -c 1 -W 1 -m 7 -I 10.1.0.7 10.2.0.9 || true");
            let DataPlaneEvent::Acquire { policy: PolicyId(2), .. } = event(&mut plane) else {
                panic!("another event")
            };
            assert_eq!(note(), 2);
            plane
        };
        // Killed: the next one is asked by the same packets.
        drop(ask());
        let plane = ask();
        send("10.1.0.1:4000", "10.2.0.1:5001");
        plane.stop().unwrap();
        assert_eq!(sh("ip xfrm state; ip xfrm policy"), "", "nothing is left");
    });
}

fn each_flow_asks_once_where_selectors_come_from_the_packet() {
    let (a, _b) = Host::pair();
    a.run(|| {
        let mut plane = plane();
        plane.apply(&DataPlaneOp::AddPolicy(with(tunnel_policy(1), |p| p.pfp = Pfp::ALL))).unwrap();
        for round in 0..2 {
            for port in 5001..=5020 {
                send("10.1.0.1:4000", &format!("10.2.0.1:{port}"));
                if round == 0 {
                    let DataPlaneEvent::Acquire { flow, .. } = event(&mut plane) else { panic!("another event") };
                    assert_eq!(flow.dst_port, Some(port));
                }
                assert_eq!(plane.poll_event(), None);
            }
        }
        let notes = sh("ip xfrm state").matches("spi").count();
        assert_eq!(notes, 0, "the kernel's notes do not pile up");
    });
}

/// A trap for all hosts of 10.64.0.0/10.
fn trap_for_all_hosts() -> Policy {
    let mut trap = with(tunnel_policy(1), |p| {
        p.mode = Mode::Transport;
        p.local = None;
        p.remote = ip("0.0.0.0");
    });
    trap.remote = vec![net("10.64.0.0", 10)];
    trap
}

/// A trap for all hosts of a network, and 100,000 of them are spoken to faster than anybody looks.
fn a_burst_of_acquires_is_neither_lost_nor_doubled() {
    const HOSTS: u32 = 100_000;
    let (a, _b) = Host::pair();
    a.run(|| {
        let mut plane = plane();
        plane.apply(&DataPlaneOp::AddPolicy(trap_for_all_hosts())).unwrap();
        let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
        let start = Instant::now();
        for host in 0..HOSTS {
            let to = std::net::Ipv4Addr::from_bits(0x0a40_0000 + host);
            for _ in 0..2 {
                let _ = socket.send_to(b"x", (to, 9));
            }
        }
        let sent = start.elapsed();
        let mut asked = std::collections::BTreeMap::new();
        while let Some(event) = plane.poll_event() {
            let DataPlaneEvent::Acquire { flow, .. } = event else { panic!("{event:?}") };
            *asked.entry(flow.dst).or_insert(0) += 1;
        }
        println!("{HOSTS} acquires raised in {sent:?}, taken in after {:?}", start.elapsed());
        let doubled = asked.values().filter(|count| **count > 1).count();
        assert_eq!((asked.len(), doubled), (HOSTS as usize, 0));
        plane.stop().unwrap();
    });
}

fn what_others_flush_is_put_back_and_what_they_have_stays() {
    Host::new().run(|| {
        let theirs = "ip xfrm policy add src 10.8.0.0/16 dst 10.9.0.0/16 dir out priority 7 tmpl proto esp reqid 5 mode transport";
        sh(theirs);
        let mut plane = plane();
        plane.apply(&DataPlaneOp::AddPolicy(tunnel_policy(1))).unwrap();
        let before = sh("ip -s xfrm policy").matches("uid").count();
        assert_eq!(plane.differences().unwrap(), Vec::<String>::new());
        sh("ip xfrm policy flush");
        let missing = plane.differences().unwrap();
        assert!(missing.iter().any(|line| line.starts_with("+ ip xfrm policy add src 10.1.0.0/16")), "{missing:?}");
        sh(theirs);
        assert_eq!(plane.poll_event(), None);
        let shown = sh("ip -s xfrm policy");
        assert_eq!(shown.matches("uid").count(), before, "{shown}");
        assert!(shown.contains("10.1.0.0/16 dst 10.2.0.0/16 uid"), "{shown}");
        assert_eq!(plane.differences().unwrap(), Vec::<String>::new());
        plane.stop().unwrap();
        assert!(sh("ip xfrm policy").contains("src 10.8.0.0/16"), "what others have stays");
    });
}

fn what_others_change_is_put_back() {
    Host::new().run(|| {
        let mut plane = plane();
        plane.apply(&DataPlaneOp::AddPolicy(tunnel_policy(1))).unwrap();
        assert_eq!(plane.poll_event(), None);
        // A program that knows more than `ip` does, which cannot name our entries.
        let mut netlink = Netlink::open().unwrap();
        let ours = netlink.dump(&Message::new(kind::GET_POLICY, Body::Empty), Some).unwrap();
        for mut message in ours {
            let Body::Policy(policy) = &mut message.body else { panic!("{message:?}") };
            if policy.priority == 4000 {
                policy.priority = 4001;
                message.kind = kind::UPD_POLICY;
                netlink.request(&Request::from(message)).unwrap();
            }
        }
        let changed = plane.differences().unwrap();
        assert_eq!(changed.len(), 3, "{changed:?}");
        assert!(changed.iter().all(|line| line.starts_with("~ ip xfrm policy update src 10.")), "{changed:?}");
        assert_eq!(plane.poll_event(), None);
        assert_eq!(plane.differences().unwrap(), Vec::<String>::new());
        assert_eq!(sh("ip xfrm policy").matches("priority 4000").count(), 3);
        plane.stop().unwrap();
    });
}

/// The sockets in which the kernel tells of its IPsec in this namespace: the name of each, and what it has lost.
fn event_sockets() -> Vec<(String, u64)> {
    const XFRM: &str = "6";
    let table = fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
    let row = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, XFRM, _, groups, .., drops, inode] if groups != "00000000" => {
            Some((format!("socket:[{inode}]"), drops.parse().unwrap()))
        }
        _ => None,
    };
    table.lines().filter_map(row).collect()
}

fn events_that_found_no_room_are_made_up_for() {
    const HOSTS: u8 = 40;
    let (a, _b) = Host::pair();
    a.run(|| {
        let mut plane = plane();
        plane.apply(&DataPlaneOp::AddPolicy(trap_for_all_hosts())).unwrap();
        assert_eq!(plane.poll_event(), None);
        let sockets = event_sockets();
        assert_eq!(sockets.len(), 3);
        for entry in fs::read_dir("/proc/self/fd").unwrap().map(Result::unwrap) {
            let name = fs::read_link(entry.path()).map(|path| path.display().to_string()).unwrap_or_default();
            if sockets.iter().any(|(socket, _)| *socket == name) {
                let number = entry.file_name().to_str().unwrap().parse().unwrap();
                // SAFETY: the data plane has it open.
                let socket = unsafe { BorrowedFd::borrow_raw(number) };
                // As little as there can be.
                socket2::SockRef::from(&socket).set_recv_buffer_size(1).unwrap();
            }
        }
        let lost = || event_sockets().iter().filter(|(_, lost)| *lost > 0).count();
        sh("for i in $(seq 40); do ip xfrm policy add src 10.8.0.$i/32 dst 10.9.0.0/16 dir out action block; done; ip xfrm policy flush");
        assert_eq!(lost(), 1, "those about policies");
        assert!(!plane.differences().unwrap().is_empty());
        assert_eq!(plane.poll_event(), None);
        assert_eq!(plane.differences().unwrap(), Vec::<String>::new(), "what was flushed is back");

        let mut asked = BTreeSet::new();
        let ask = |hosts: &[u8]| hosts.iter().for_each(|host| send("10.1.0.1:4000", &format!("10.64.0.{host}:9")));
        let mut take = |plane: &mut XfrmDataPlane| {
            while let Some(event) = plane.poll_event() {
                let DataPlaneEvent::Acquire { flow, .. } = event else { panic!("{event:?}") };
                assert!(asked.insert(flow.dst), "{flow} is told twice");
            }
            asked.len()
        };
        let hosts: Vec<u8> = (1..=HOSTS).collect();
        ask(&hosts);
        let told = take(&mut plane);
        assert!(told < HOSTS.into() && lost() == 2, "{told} of {HOSTS}");
        // The next packets of those that were lost ask, as no note is kept of them.
        hosts.iter().for_each(|host| {
            ask(&[*host]);
            take(&mut plane);
        });
        assert_eq!(take(&mut plane), usize::from(HOSTS));
        plane.stop().unwrap();
    });
}

fn a_daemon_after_a_killed_one_takes_up_its_policies() {
    Host::new().run(|| {
        let mut first = plane();
        first.apply(&DataPlaneOp::AddPolicy(tunnel_policy(1))).unwrap();
        let mut gone = tunnel_policy(2);
        gone.remote = vec![net("10.77.0.0", 16)];
        first.apply(&DataPlaneOp::AddPolicy(gone)).unwrap();
        let numbers = "ip -s xfrm policy | grep -A2 'uid 13' | grep -o 'index [0-9]*' | sort";
        let before = sh(numbers);
        drop(first); // As if killed: nothing is taken back.
        assert!(sh("ip xfrm policy").contains("10.77.0.0/16"));

        let mut second = plane();
        let shown = sh("ip xfrm policy");
        assert!(shown.contains("10.2.0.0/16"), "they hold meanwhile");
        second.apply(&DataPlaneOp::AddPolicy(tunnel_policy(1))).unwrap();
        second.settle();
        let shown = sh("ip xfrm policy");
        assert!(shown.contains("10.2.0.0/16") && !shown.contains("10.77.0.0/16"), "{shown}");
        let after = sh(numbers);
        assert_eq!(after.lines().count() + 3, before.lines().count(), "{before} {after}");
        assert!(after.lines().all(|index| before.contains(index)), "the entries are the same ones, not new ones");
        drop(second);
        assert!(remove_leftovers().unwrap() > 0);
        assert_eq!(sh("ip xfrm policy"), "");
    });
}

fn a_daemon_after_a_killed_one_asks_for_what_others_removed() {
    let (a, b) = Host::pair();
    let unused = Policy { remote: vec![net("10.77.0.0", 16)], ..tunnel_policy(2) };
    let bypass =
        Policy { remote: vec![net("10.2.7.0", 24)], action: Action::Bypass, priority: 3000, ..tunnel_policy(3) };
    let policies = [tunnel_policy(1), unused, bypass].map(DataPlaneOp::AddPolicy);
    let begin = move || {
        let mut plane = plane();
        plane.apply_all(&policies).unwrap();
        plane.settle();
        let asked: Vec<PolicyId> = std::iter::from_fn(|| plane.poll_event())
            .map(|event| if let DataPlaneEvent::Acquire { policy, .. } = event { policy } else { panic!("{event:?}") })
            .collect();
        (plane, asked)
    };
    let (first, asked) = a.run(begin.clone());
    assert_eq!(asked, [], "nobody was there before");
    // What arrives has met its policy, though no SA is there.
    b.run(|| {
        sh("ip addr add 10.2.7.1/32 dev lo");
        send("10.2.7.1:4000", "10.1.0.1:5001");
        send("10.2.0.1:4000", "10.1.0.1:5001");
    });
    drop(first); // As if killed.
    let (second, asked) = a.run(begin);
    assert_eq!(asked, [PolicyId(1)], "the one that packets have met, and that protects them");
    a.run(|| second.stop().unwrap());
}

fn ike_passes_whatever_the_policies_say() {
    let (a, b) = Host::pair();
    let serve = |host: &Host| {
        host.run(|| {
            let mut plane = plane();
            let mut discard = tunnel_policy(1);
            discard.local = vec![net("0.0.0.0", 0), net("::", 0)];
            discard.remote = vec![net("0.0.0.0", 0), net("::", 0)];
            discard.action = Action::Discard;
            plane.apply(&DataPlaneOp::AddPolicy(discard)).unwrap();
            plane
        })
    };
    let (mut ours, mut theirs) = (serve(&a), serve(&b));
    for (local, remote) in [
        ("192.0.2.1:500", "192.0.2.2:500"),
        ("192.0.2.1:4500", "192.0.2.2:4500"),
        ("[2001:db8::1]:500", "[2001:db8::2]:500"),
        ("[2001:db8::1]:4500", "[2001:db8::2]:4500"),
    ] {
        ours.send_ike(local.parse().unwrap(), remote.parse().unwrap(), b"an IKE message").unwrap();
        let start = Instant::now();
        let got = loop {
            if let Some(got) = theirs.poll_ike() {
                break got;
            }
            assert!(start.elapsed() < crate::lab::PATIENCE, "nothing came from {local}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert_eq!((got.local, got.remote), (remote.parse().unwrap(), local.parse().unwrap()));
        assert_eq!(got.data, b"an IKE message");
    }
    assert_eq!(a.run(move || ours.source_towards(ip("192.0.2.2"))), Some(ip("192.0.2.1")));
}

fn first_messages_of_ike_do_not_displace_others() {
    /// So many first messages wait.
    const ROOM: u64 = 256;
    let (a, b) = Host::pair();
    let (mut gateway, mut peer) = (a.run(plane), b.run(plane));
    let mut send = |responder: u8, number: u8| {
        let (from, to) = ("192.0.2.2:500".parse().unwrap(), "192.0.2.1:500".parse().unwrap());
        let (message, start) = ([[number; 8], [responder; 8]].concat(), Instant::now());
        // No socket has to hold many of them, and on a busy machine one may.
        while peer.send_ike(from, to, &message).is_err() {
            assert!(start.elapsed() < crate::lab::PATIENCE, "the socket does not take a message");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    (0..=ROOM).for_each(|_| send(0, 1));
    send(7, 2);
    send(0, 1);
    // Both that found no room were read, and so was what came between them.
    let start = Instant::now();
    let dropped = |(name, count): &(String, u64)| name.starts_with("first IKE messages") && *count == 2;
    while !gateway.counters().iter().any(dropped) {
        assert!(start.elapsed() < crate::lab::PATIENCE, "{:?}", gateway.counters());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert_eq!(gateway.poll_ike().unwrap().data[0], 2);
    assert_eq!(std::iter::from_fn(|| gateway.poll_ike()).count() as u64, ROOM);
}

fn neighbours_are_found_whatever_the_policies_say() {
    let (a, _b) = Host::pair();
    a.run(|| {
        let mut plane = plane();
        let mut discard = tunnel_policy(1);
        (discard.local, discard.remote) = (vec![net("::", 0)], vec![net("::", 0)]);
        discard.action = Action::Discard;
        plane.apply(&DataPlaneOp::AddPolicy(discard)).unwrap();
        // IKE is let through, and needs to know where to.
        plane.send_ike("[2001:db8::1]:500".parse().unwrap(), "[2001:db8::2]:500".parse().unwrap(), b"x").unwrap();
        let start = Instant::now();
        while !sh("ip -6 neigh show 2001:db8::2").contains("lladdr") {
            assert!(start.elapsed() < crate::lab::PATIENCE, "{}", sh("ip -6 neigh"));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
}

fn a_refusal_says_what_to_do() {
    Host::new().run(|| {
        let mut plane = plane();
        let dummies =
            with(tunnel_policy(1), |p| p.options = SaOptions { dummies: Some(Dummies::default()), ..p.options });
        let error = plane.apply(&DataPlaneOp::AddPolicy(dummies)).unwrap_err().to_string();
        assert!(error.contains("policy policy1: the kernel's IPsec has no dummy packets"), "{error}");
        let policy = tunnel_policy(1);
        plane.apply(&DataPlaneOp::AddPolicy(policy.clone())).unwrap();
        let result = plane.apply(&DataPlaneOp::AddSa(sa(&policy, Direction::Outbound, 0x1001, 0x2002)));
        if !ravelin_xfrm::probe().unwrap().is_usable() {
            let error = result.unwrap_err().to_string();
            assert!(error.contains("esp4") || error.contains("does not have it"), "{error}");
            let line = "by hand: `ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x00001001";
            assert!(error.contains(line), "{error}");
            assert!(!error.contains("01020304"), "no key in it: {error}");
        }
        // Nobody has found out what this kernel can.
        sh("ip addr add 192.0.2.1/24 dev lo");
        let packets = with(tunnel_policy(2), |p| p.options = SaOptions { offload: Offload::Packet, ..p.options });
        let error = plane.apply(&DataPlaneOp::AddPolicy(packets)).unwrap_err().to_string();
        assert!(
            error.contains("this kernel gives no device whole packets") && error.contains("--offload auto"),
            "{error}"
        );
        assert!(error.contains("by hand: `ip xfrm policy add") && error.contains("offload packet dev lo"), "{error}");
        let auto = with(tunnel_policy(2), |p| p.options = SaOptions { offload: Offload::Auto, ..p.options });
        plane.apply(&DataPlaneOp::AddPolicy(auto)).unwrap();
        let mut wrong = sa(&policy, Direction::Outbound, 0x1003, 0x2002);
        wrong.keys.encr = ravelin_types::Secret::new(vec![1; 19]);
        let error = plane.apply(&DataPlaneOp::AddSa(wrong)).unwrap_err().to_string();
        assert!(error.contains("takes a key of 20 bytes with its salt, not of 19"), "{error}");
    });
}

fn a_refusal_of_the_kernel_comes_with_the_line_by_hand() {
    Host::new().run(|| {
        let mut plane = plane();
        let config = XfrmConfig { ike_port: 1500, nat_port: 14500, ..XfrmConfig::default() };
        let mut other = XfrmDataPlane::start(config, Capabilities::default()).unwrap();
        other.apply(&DataPlaneOp::AddPolicy(tunnel_policy(1))).unwrap();
        let before = sh("ip -s xfrm policy");
        let refused = |plane: &mut XfrmDataPlane, policy: Policy| {
            plane.apply(&DataPlaneOp::AddPolicy(policy)).unwrap_err().to_string()
        };
        let error = refused(&mut plane, tunnel_policy(1));
        let line = "by hand: `ip xfrm policy add src 10.";
        assert!(error.contains("File exists") && error.contains("another program has put it there"), "{error}");
        assert!(error.contains(line), "{error}");
        assert_eq!(sh("ip -s xfrm policy"), before, "what the other has stays");

        let sets = capabilities(None).unwrap();
        let fewer = CapabilitySets { effective: sets.effective - CapabilitySet::NET_ADMIN, ..sets };
        set_capabilities(None, fewer).unwrap();
        let error = refused(&mut plane, Policy { remote: vec![net("10.3.0.0", 16)], ..tunnel_policy(2) });
        set_capabilities(None, sets).unwrap();
        assert!(error.contains("Operation not permitted") && error.contains("CAP_NET_ADMIN"), "{error}");
        assert!(error.contains(line), "{error}");
    });
}

fn a_refused_change_leaves_nothing_behind() {
    Host::new().run(|| {
        let mut plane = plane();
        let before = sh("ip xfrm policy");
        let first = tunnel_policy(1);
        let mut second = tunnel_policy(2);
        second.remote = vec![net("10.3.0.0", 16)];
        // Somebody has the very entry: numbered like ours.
        sh("ip xfrm policy add src 10.3.0.0/16 dst 10.1.0.0/16 dir fwd action block");
        let mut bad = tunnel_policy(3);
        bad.local = vec![
            ravelin_types::selector::TrafficSelector::new(ip("10.0.0.1")..=ip("10.255.255.254"), 6, 1..=65534).unwrap(),
        ];
        bad.remote = bad.local.clone();
        let ops = [first, second, bad].map(DataPlaneOp::AddPolicy);
        let (index, error) = plane.apply_all(&ops).unwrap_err();
        assert_eq!(index, 2, "{error}");
        assert!(sh("ip xfrm policy").contains("10.3.0.0/16"), "those before it are in force");
        for id in [1, 2] {
            plane.apply(&DataPlaneOp::DeletePolicy(PolicyId(id))).unwrap();
        }
        sh("ip xfrm policy delete src 10.3.0.0/16 dst 10.1.0.0/16 dir fwd");
        assert_eq!(sh("ip xfrm policy"), before);
    });
}
