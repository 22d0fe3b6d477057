//! Key exchanges that take long, and what goes on beside them.

use super::pair::Pair;
use super::*;

/// A peer at 10.0.0.3 that has nothing to wait for.
fn another() -> Bench {
    let mut bench = Bench::new("slow-another");
    bench.ok("ike remote -n gw -w -u -r 10.0.0.2 --local 10.0.0.3 -h psk -d CURVE25519");
    bench.ok("ipsec policy -n p3 -g gw -m tunnel -r 10.0.0.2 -s 10.3.0.0/16 -d 10.2.0.0/16");
    bench
}

/// Carries what `there` and `other`, at 10.0.0.3, say to one another; what is for the third waits. Nobody answers questions.
fn talk(there: &mut Bench, other: &mut Bench) {
    loop {
        let (for_other, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut there.plane.0.borrow_mut().sent)
            .into_iter()
            .partition(|(to, _)| to.ip() == std::net::IpAddr::from([10, 0, 0, 3]));
        there.plane.0.borrow_mut().sent = kept;
        let for_there = std::mem::take(&mut other.plane.0.borrow_mut().sent);
        if for_other.is_empty() && for_there.is_empty() {
            return;
        }
        for (bench, from, messages) in
            [(&mut *other, [10, 0, 0, 2], for_other), (&mut *there, [10, 0, 0, 3], for_there)]
        {
            for (local, data) in messages {
                let remote = SocketAddr::new(from.into(), local.port());
                let datagram = Datagram { local, remote, carrier: ravelin_types::Carrier::Udp, data: &data };
                bench.core.datagram(datagram, bench.now);
            }
        }
    }
}

// Issue 5: nothing that a single peer does delays another peer. Nobody measures time: the question is just not answered.
#[test]
fn a_rekey_that_takes_long_keeps_no_other_peer_waiting() {
    for version in ["", "-z 1 -e AES128-CBC -a SHA256"] {
        let (remote, policy) = (format!("{version} -d MODP8192"), "-e AES128-CBC -a HMAC-SHA-1 --pfs MODP8192");
        let name = if version.is_empty() { "slow-2" } else { "slow-1" };
        let mut pair = Pair::new(name, [&remote, policy], [&remote, policy]);
        pair.0[1].ok("ike remote -n other -w -u -r 10.0.0.3 --local 10.0.0.2 -h psk -d CURVE25519");
        pair.0[1].ok("ipsec policy -n p3 -g other -m tunnel -r 10.0.0.3 -s 10.2.0.0/16 -d 10.3.0.0/16");
        pair.initiate();
        assert_eq!(pair.0[1].plane.0.borrow().sas.len(), 2, "{version}");

        // 10.0.0.1 asks for a rekey; what 10.0.0.2 needs for its answer is not there.
        assert_eq!(pair.0[0].send("ike rekey --child p1"), None);
        while pair.0[0].answer_questions() {}
        let requests = std::mem::take(&mut pair.0[0].plane.0.borrow_mut().sent);
        assert!(!requests.is_empty());
        let there = &mut pair.0[1];
        for (local, data) in requests {
            let remote = SocketAddr::new([10, 0, 0, 1].into(), local.port());
            let datagram = Datagram { local, remote, carrier: ravelin_types::Carrier::Udp, data: &data };
            there.core.datagram(datagram, there.now);
        }
        let asked = there.core.questions();
        assert_eq!(asked.len(), 1);
        assert!(there.plane.0.borrow().sent.is_empty());

        let mut other = another();
        other.core.command(Command::Initiate(other.core.model.find_policy("p3").unwrap().id), other.now);
        talk(there, &mut other);
        assert_eq!((there.plane.0.borrow().sas.len(), other.plane.0.borrow().sas.len()), (4, 2), "{version}");
        assert!(there.core.questions().is_empty());

        there.core.asked = asked;
        pair.exchange();
        let rekeyed = pair.0[0].plane.0.borrow().sas.len();
        assert!(rekeyed >= 2, "{version}: {rekeyed}");
        assert!(pair.0[1].core.questions().is_empty());
    }
}
