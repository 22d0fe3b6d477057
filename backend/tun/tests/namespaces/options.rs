//! The options of a policy, as they show on the wire and to the hosts.

use std::num::NonZeroU64;
use std::time::Duration;

use ravelin_types::dataplane::{DataPlane, DataPlaneOp};
use ravelin_types::if_id::IfIds;
use ravelin_types::mark::{Marks, PolicyMark};
use ravelin_types::options::{AggFrag, Df, Dscp, Dummies, Mark, Mss, Offload, Processors, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::sa::Direction;

use crate::Case;
use crate::lab::{Host, Tunnel, ip, pair, reaches, tcp, wait_for};

pub const CASES: &[Case] = &[
    ("outer_headers_are_as_the_options_say", outer_headers),
    ("senders_are_told_the_path_and_keep_to_it", path),
    ("hidden_traffic_crosses", hidden),
    ("packets_share_payloads_and_are_spread_over_them", shared),
    ("at_a_rate_packets_of_one_length_go_all_the_time", constant),
    ("what_only_the_kernel_can_is_refused", of_the_kernel),
];

fn tunnel(ends: (&str, &str), options: SaOptions) -> Tunnel {
    let traffic = Tunnel::transport(1, "10.0.1.1", "10.0.1.2");
    Tunnel { mode: Mode::Tunnel, ends: (ip(ends.0), ip(ends.1)), options, ..traffic }
}

fn of_the_kernel() {
    let (a, _b) = pair();
    let (mark, usual) = (Some(Mark { value: 5, mask: u32::MAX }), SaOptions::default());
    for (options, why) in [
        (SaOptions { marks: Marks::both(PolicyMark::Unique), ..usual }, "carries no marks"),
        (SaOptions { set_mark: mark, ..usual }, "carries no marks"),
        (SaOptions { output_mark: mark, ..usual }, "carries no marks"),
        (SaOptions { offload: Offload::Packet, ..usual }, "say --offload auto"),
        (SaOptions { if_ids: IfIds::both(42.into()), ..usual }, "vti add DEVICE --if-id"),
        (SaOptions { processors: Processors::Each, ..usual }, "leave --per-cpu out"),
    ] {
        let policy = tunnel(("10.0.1.1", "10.0.1.2"), options).policy();
        let refused = a.plane(move |plane| plane.apply(&DataPlaneOp::AddPolicy(policy))).unwrap_err().to_string();
        assert!(refused.contains(why) && refused.contains("`kernel`"), "{refused}");
    }
}

/// Counts what arrives that is `wanted`, and what is sealed and otherwise.
fn expect(host: &Host, wanted: &str) {
    host.nft(&format!(
        "table inet options {{
           counter wanted {{ }}
           counter other {{ }}
           chain arrived {{
             type filter hook prerouting priority -399;
             iifname != \"e1\" return
             {wanted} counter name wanted return
             meta l4proto esp counter name other
             udp dport 4500 counter name other
           }}
         }}"
    ));
}

fn counted(host: &Host, counter: &str) -> u64 {
    let text = host.nft(&format!("list counter inet options {counter}"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "packets").unwrap();
    words[at + 1].parse().unwrap()
}

fn outer_headers() {
    let options = SaOptions { df: Df::Set, hop_limit: 9, dscp: Dscp::Set(46), ..SaOptions::default() };
    let cleared = SaOptions { df: Df::Clear, ..options };
    let v4 = ("10.0.1.1", "10.0.1.2");
    for (ends, options, encap, wanted) in [
        (v4, options, false, "ip protocol esp ip ttl 9 ip dscp 46 ip frag-off & 0x4000 == 0x4000"),
        (v4, options, true, "udp dport 4500 ip ttl 9 ip dscp 46 ip frag-off & 0x4000 == 0x4000"),
        (v4, cleared, false, "ip protocol esp ip ttl 9 ip dscp 46 ip frag-off & 0x4000 == 0"),
        (v4, cleared, true, "udp dport 4500 ip ttl 9 ip dscp 46 ip frag-off & 0x4000 == 0"),
        (("fd00:1::1", "fd00:1::2"), options, false, "meta l4proto esp ip6 hoplimit 9 ip6 dscp 46"),
        (("fd00:1::1", "fd00:1::2"), options, true, "udp dport 4500 ip6 hoplimit 9 ip6 dscp 46"),
    ] {
        let (a, b) = pair();
        expect(&b, wanted);
        Tunnel { encap, ..tunnel(ends, options) }.add(&a, &b);
        tcp(&a, &b, "10.0.1.2:5001", 1 << 20);
        // Trains of UDP arrive as one packet.
        assert!(counted(&b, "wanted") > 10, "{wanted}");
        assert_eq!((counted(&b, "other"), b.arrived("clear")), (0, 0), "{wanted}");
    }
}

fn path() {
    // Nothing longer than 1280 bytes is on the wire, and TCP does not stall: it heeds ICMP, or the lower segment size.
    for (ends, options) in [
        (("10.0.1.1", "10.0.1.2"), SaOptions { mtu: Some(1280), ..SaOptions::default() }),
        (("10.0.1.1", "10.0.1.2"), SaOptions { mtu: Some(1280), df: Df::Copy, ..SaOptions::default() }),
        (("10.0.1.1", "10.0.1.2"), SaOptions { mtu: Some(1280), mss: Mss::Path, ..SaOptions::default() }),
        (("fd00:1::1", "fd00:1::2"), SaOptions { mtu: Some(1280), ..SaOptions::default() }),
    ] {
        let (a, b) = pair();
        expect(&b, "meta l4proto esp meta length <= 1280");
        tunnel(ends, options).add(&a, &b);
        tcp(&a, &b, "10.0.1.2:5001", 1 << 20);
        assert!(counted(&b, "wanted") > 500);
        assert_eq!((counted(&b, "other"), b.arrived("clear")), (0, 0));
        let told = a.dropped("too big for the path") > 0;
        assert_eq!(told, options.mss == Mss::Off, "{options:?}");
        // The host remembers what it was told; what may be cut is cut before it is protected.
        assert!(reaches(&a, &b, "10.0.1.2:5002", 4000));
        assert_eq!((counted(&b, "other"), b.arrived("clear")), (0, 0));
    }
}

fn hidden() {
    let dummies = Some(Dummies { size: 200, interval: Duration::from_millis(50) });
    let options = SaOptions { tfc: 256, dummies, ..SaOptions::default() };
    for tunnel in [
        tunnel(("10.0.1.1", "10.0.1.2"), options),
        tunnel(("fd00:1::1", "fd00:1::2"), options),
        Tunnel { encap: true, ..tunnel(("10.0.1.1", "10.0.1.2"), options) },
        Tunnel { options, ..Tunnel::transport(1, "10.0.1.1", "10.0.1.2") },
    ] {
        let (a, b) = pair();
        tunnel.add(&a, &b);
        tcp(&a, &b, "10.0.1.2:5001", 1 << 20);
        assert!(reaches(&a, &b, "10.0.1.2:5002", 700));
        let dummies = |host: &Host, direction| {
            let list = host.plane(DataPlane::list);
            list.iter().filter(|sa| sa.params.direction == direction).map(|sa| sa.counters.dummies).sum::<u64>()
        };
        wait_for(|| (dummies(&b, Direction::Inbound) > 5).then_some(()));
        assert!(dummies(&a, Direction::Outbound) > 5);
        assert_eq!((a.arrived("clear"), b.arrived("clear")), (0, 0));
    }
}

// RFC 9347. Each packet of TCP is longer than the path takes, and none on the wire is.
fn shared() {
    let narrow = |mtu| SaOptions { aggfrag: Some(AggFrag::default()), mtu: Some(mtu), ..SaOptions::default() };
    for (ends, mtu, encap) in [
        (("10.0.1.1", "10.0.1.2"), 600, false),
        (("10.0.1.1", "10.0.1.2"), 1280, true),
        (("fd00:1::1", "fd00:1::2"), 1280, false),
    ] {
        let (a, b) = pair();
        let length = if encap { "udp dport 4500" } else { "meta l4proto esp" };
        expect(&b, &format!("{length} meta length <= {mtu}"));
        Tunnel { encap, ..tunnel(ends, narrow(mtu)) }.add(&a, &b);
        tcp(&a, &b, "10.0.1.2:5001", 1 << 20);
        for len in [0, 700, 9000] {
            assert!(reaches(&a, &b, "10.0.1.2:5002", len), "{len}");
        }
        // Trains of UDP arrive as one packet, which is as long as all of them.
        assert!(counted(&b, "wanted") + counted(&b, "other") > 10);
        assert!(encap || counted(&b, "other") == 0);
        let sas = a.plane(DataPlane::list);
        assert!(sas.iter().all(|sa| sa.counters.packets > 0 && sa.counters.bad_inner == 0), "{sas:?}");
        assert_eq!((a.dropped("too big for the path"), a.arrived("clear"), b.arrived("clear")), (0, 0, 0));
    }
}

// RFC 9347 §2.4.1.
fn constant() {
    let rate = NonZeroU64::new(20_000_000);
    let aggfrag = Some(AggFrag { rate, ..AggFrag::default() });
    let options = SaOptions { aggfrag, mtu: Some(1400), ..SaOptions::default() };
    let (a, b) = pair();
    // 20 bytes of IP header, 8 of ESP's, IV and ICV of 24: a multiple of 4 is left.
    expect(&b, "meta l4proto esp meta length == 1400");
    tunnel(("10.0.1.1", "10.0.1.2"), options).add(&a, &b);
    wait_for(|| (counted(&b, "wanted") > 100).then_some(()));
    let dummies = |host: &Host| host.plane(DataPlane::list).iter().map(|sa| sa.counters.dummies).sum::<u64>();
    assert!(dummies(&a) > 100 && dummies(&b) > 100);
    tcp(&a, &b, "10.0.1.2:5001", 1 << 18);
    assert!(reaches(&a, &b, "10.0.1.2:5002", 4000));
    assert_eq!((counted(&b, "other"), a.arrived("clear"), b.arrived("clear")), (0, 0, 0));
}
