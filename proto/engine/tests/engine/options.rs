//! The options of an SA, in both families and their mixes.

use crate::common::*;
use ravelin_engine::{DropReason, Verdict};
use ravelin_types::options::{Df, Dscp, SaOptions};
use ravelin_types::policy::Mode;
use ravelin_types::sa::{Direction, SaParams};
use ravelin_wire::ip::{Header, checksum, v4, v6};

const INNER: [(&str, &str); 2] = [("10.1.0.1", "10.2.0.2"), ("2001:db8:1::1", "2001:db8:2::2")];
const OUTER: [(&str, &str); 2] = [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")];

/// Every mix of the families inside and outside.
fn mixes() -> impl Iterator<Item = ((&'static str, &'static str), (&'static str, &'static str))> {
    INNER.into_iter().flat_map(|inner| OUTER.into_iter().map(move |outer| (inner, outer)))
}

fn tunnel(outer: (&str, &str), options: SaOptions) -> SaParams {
    SaParams { options, ..sa(Direction::Outbound, Mode::Tunnel, outer.0, outer.1, AES_GCM) }
}

fn set_tos(packet: &mut [u8], tos: u8) {
    match packet[0] >> 4 {
        4 => v4::set_tos(packet.first_chunk_mut().unwrap(), tos),
        _ => v6::set_tos(packet.first_chunk_mut().unwrap(), tos),
    }
}

fn clear_df(packet: &mut [u8]) {
    packet[6..8].fill(0);
    let (total_len, protocol) = (packet.len() as u16, packet[v4::PROTOCOL_AT]);
    v4::rewrite(&mut packet[..v4::HEADER_LEN], total_len, protocol);
}

/// The outer header of `clear` once protected with these options; it opens to `clear` again.
fn outer_header(outer: (&str, &str), options: SaOptions, clear: &[u8]) -> Header {
    let mut engine = looped(&tunnel(outer, options));
    let (verdict, sealed) = send(&mut engine, clear, NOW);
    let Verdict::Send(sent) = verdict else { panic!("{verdict:?}") };
    let header = Header::parse(&sealed).unwrap();
    assert_eq!((sent.tos, sent.dont_fragment), (header.tos, header.dont_fragment), "the verdict says what was written");
    if header.src.is_ipv4() {
        assert_eq!(checksum::finish(checksum::sum(&sealed[..v4::HEADER_LEN])), 0);
    }
    assert_eq!(receive(&mut engine, &sealed), (Verdict::Deliver, clear.to_vec()));
    header
}

#[test]
fn the_outer_ecn_field_follows_rfc_6040() {
    // RFC 6040 §4.1, figure 3: normal mode copies, compatibility mode sends Not-ECT.
    for (inner, outer) in mixes() {
        for ecn in 0..4 {
            let mut clear = udp(inner.0, inner.1, (1, 2), 40);
            set_tos(&mut clear, 0b1011_1000 | ecn);
            for full_ecn in [true, false] {
                let options = SaOptions { full_ecn, ..SaOptions::default() };
                let expected = 0b1011_1000 | if full_ecn { ecn } else { 0 };
                assert_eq!(outer_header(outer, options, &clear).tos, expected);
            }
        }
    }
}

#[test]
fn dscp_is_copied_or_set_and_leaves_ecn_alone() {
    for (inner, outer) in mixes() {
        let mut clear = udp(inner.0, inner.1, (1, 2), 40);
        set_tos(&mut clear, 0b1011_1010);
        for (dscp, expected) in
            [(Dscp::Copy, 0b1011_1010), (Dscp::Set(0), 0b10), (Dscp::Set(10), 10 << 2 | 0b10), (Dscp::Set(63), 0xfe)]
        {
            let options = SaOptions { dscp, ..SaOptions::default() };
            assert_eq!(outer_header(outer, options, &clear).tos, expected, "{dscp:?}");
        }
    }
}

#[test]
fn the_dont_fragment_flag_is_copied_set_or_cleared() {
    for (inner, outer) in mixes() {
        for inner_df in [true, false] {
            let mut clear = udp(inner.0, inner.1, (1, 2), 40);
            if !inner_df && inner.0.contains('.') {
                clear_df(&mut clear);
            }
            // RFC 4213 §3.2.2: what every path of IPv6 takes may be cut in IPv4.
            let copied = Header::parse(&clear).unwrap().dont_fragment && inner.0.contains('.');
            for (df, expected) in [(Df::Copy, copied), (Df::Set, true), (Df::Clear, false)] {
                let options = SaOptions { df, ..SaOptions::default() };
                // Nobody on the way fragments IPv6.
                let expected = expected || outer.0.contains(':');
                assert_eq!(outer_header(outer, options, &clear).dont_fragment, expected, "{df:?} {inner:?} {outer:?}");
            }
        }
        let long = udp(inner.0, inner.1, (1, 2), 1300);
        let copy = SaOptions { df: Df::Copy, ..SaOptions::default() };
        assert!(outer_header(outer, copy, &long).dont_fragment);
    }
}

#[test]
fn the_hop_limit_is_that_of_the_option() {
    for (inner, outer) in mixes() {
        for hop_limit in [1, 64, 255] {
            let options = SaOptions { hop_limit, ..SaOptions::default() };
            assert_eq!(outer_header(outer, options, &udp(inner.0, inner.1, (1, 2), 40)).ttl, hop_limit);
        }
    }
}

#[test]
fn padding_is_checked_unless_the_option_says_not() {
    let mut clear = udp("10.1.0.1", "10.2.0.2", (1, 2), 1);
    let payload_len = clear.len();
    let pad = ravelin_wire::esp::padding(payload_len, 4);
    assert!(pad > 0);
    for pad_check in [true, false] {
        let params = tunnel(OUTER[0], SaOptions { pad_check, ..SaOptions::default() });
        let mut plain = padded(&clear, 4);
        plain[payload_len] = 0x77;
        let (verdict, opened) = receive_esp(&mut looped(&params), &params, &authentic(&params, 1, &plain));
        if pad_check {
            assert_eq!(verdict, Verdict::Drop(DropReason::BadPadding));
        } else {
            assert_eq!((verdict, opened), (Verdict::Deliver, std::mem::take(&mut clear)));
        }
    }
}

#[test]
fn udp_in_ipv6_goes_without_checksum_where_both_ends_agree() {
    // RFC 6935 §5, RFC 6936 §5. In IPv4 there is none anyway.
    let params = |zero_checksum| {
        let options = SaOptions { zero_checksum, ..SaOptions::default() };
        in_udp(tunnel(OUTER[1], options), 4500, 4500)
    };
    let clear = udp("10.1.0.1", "10.2.0.2", (1, 2), 40);
    for ours in [true, false] {
        let wire = sealed(&mut looped(&params(ours)), &clear);
        assert_eq!(wire[46..48] == [0, 0], ours);
        assert!(ours || checksum_holds(&wire));
        for theirs in [true, false] {
            let (verdict, _) = receive(&mut looped(&params(theirs)), &wire);
            let expected = if ours && !theirs { Verdict::Drop(DropReason::BadEncapsulation) } else { Verdict::Deliver };
            assert_eq!(verdict, expected, "{ours} {theirs}");
        }
        // RFC 6936 §5: without a checksum the addresses must be those of the tunnel.
        let mut elsewhere = wire.clone();
        elsewhere[23] ^= 1;
        let (verdict, _) = receive(&mut looped(&params(true)), &elsewhere);
        assert_eq!(verdict, if ours { Verdict::Drop(DropReason::BadEncapsulation) } else { Verdict::Deliver });
    }
}
