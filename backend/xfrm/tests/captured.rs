//! What `ip xfrm` and strongSwan said to Linux 6.1 and 6.12, and what those answered, byte by byte; and what a newer `ip xfrm` says
//! of devices that take whole packets.

#![allow(clippy::unwrap_used)]

use ravelin_types::Spi;
use ravelin_xfrm::msg::attribute::{Attribute, Offload, ReplayEsn, SA_OUT, offload};
use ravelin_xfrm::msg::info::{SadInfo, SpdInfo};
use ravelin_xfrm::msg::parts::Address;
use ravelin_xfrm::msg::{Body, Message, kind, state};

const CAPTURED: [(&str, &str); 4] = [
    ("6.12-iproute2-6.15", include_str!("captured/6.12-iproute2-6.15.hex")),
    ("6.12-charon-6.0.6", include_str!("captured/6.12-charon-6.0.6.hex")),
    ("6.1-iproute2-6.1", include_str!("captured/6.1-iproute2-6.1.hex")),
    ("6.18-iproute2-7.2", include_str!("captured/6.18-iproute2-7.2.hex")),
];

struct Captured {
    command: String,
    kind: u16,
    dump: bool,
    bytes: Vec<u8>,
}

/// The XFRM messages of a file: the control messages of netlink itself are left out.
fn messages(text: &str) -> Vec<Captured> {
    let mut command = String::new();
    let mut all = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            command = words.to_owned();
            continue;
        }
        let (_, digits) = line.rsplit_once(' ').unwrap();
        let bytes: Vec<u8> = digits
            .as_bytes()
            .chunks(2)
            .map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap())
            .collect();
        let mut rest = bytes.as_slice();
        while rest.len() >= 16 {
            let length = u32::from_ne_bytes(rest[..4].try_into().unwrap()) as usize;
            let kind = u16::from_ne_bytes(rest[4..6].try_into().unwrap());
            let flags = u16::from_ne_bytes(rest[6..8].try_into().unwrap());
            let request = flags & 1 == 1;
            if kind >= kind::NEW_SA {
                let dump = request && flags & 0x300 == 0x300;
                all.push(Captured { command: command.clone(), kind, dump, bytes: rest[16..length].to_vec() });
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
    all
}

#[test]
fn every_captured_message_is_read_and_written_again_to_the_byte() {
    let mut seen = std::collections::BTreeSet::new();
    for (file, text) in CAPTURED {
        let messages = messages(text);
        assert!(messages.len() > 4, "{file}: {}", messages.len());
        for Captured { command, kind, dump, bytes } in messages {
            let message =
                Message::parse(kind, dump, &bytes).unwrap_or_else(|error| panic!("{file}: {command}: {error}"));
            seen.insert(kind);
            let mut again = Vec::new();
            message.emit(&mut again);
            // The kernel rounds up some short messages, `ip xfrm` leaves out a bitmap of zeros and does not clear the
            // padding of an encapsulation.
            let exact = bytes.starts_with(&again) && bytes.len() - again.len() < 4;
            let loose = |a: &Attribute| matches!(a, Attribute::ReplayEsn(_) | Attribute::Encap(_));
            if !exact && message.attributes.iter().any(loose) {
                let twice = Message::parse(kind, dump, &again).unwrap();
                assert_eq!(format!("{twice:?}"), format!("{message:?}"), "{file}: {command}");
            } else {
                assert!(exact, "{file}: {command}: {message:?}\n{bytes:02x?}\n{again:02x?}");
            }
            assert!(!matches!(message.body, Body::Other(_)), "{file}: {command}: {kind:#x}");
            for attribute in &message.attributes {
                // The migration's addresses of the IKE SA, which nobody here needs, and 64-bit alignment.
                assert!(
                    !matches!(attribute, Attribute::Other(kind, _) if *kind != 19),
                    "{file}: {command}: {attribute:?}"
                );
            }
        }
    }
    for expected in [kind::NEW_SA..=kind::GET_AE, kind::MIGRATE..=kind::GET_SPD_INFO].into_iter().flatten() {
        assert!(seen.contains(&expected), "no message {expected:#x} was captured");
    }
}

/// The first message of this kind under a command that has these words.
fn find(file: usize, words: &str, wanted: u16) -> Message {
    let captured = messages(CAPTURED[file].1);
    let found = captured.iter().find(|captured| captured.command.contains(words) && captured.kind == wanted);
    let found = found.unwrap_or_else(|| panic!("no {wanted:#x} under `{words}`"));
    Message::parse(found.kind, found.dump, &found.bytes).unwrap()
}

fn address(text: &str) -> Address {
    text.parse::<std::net::IpAddr>().unwrap().into()
}

#[test]
fn the_values_are_those_of_the_command_line() {
    let message = find(0, "spi 0x1009 reqid 8", kind::NEW_SA);
    let Body::State(state) = &message.body else { panic!("{message:?}") };
    assert_eq!((state.id.spi, state.id.protocol, state.reqid), (Spi(0x1009), 50, 8));
    assert_eq!((state.id.dst, state.src, state.family), (address("192.0.2.2"), address("192.0.2.1"), 2));
    assert_eq!((state.mode, state.flags), (state::mode::TUNNEL, state::flag::ESN));
    let aead = message.find(|a| if let Attribute::Aead(aead) = a { Some(aead) } else { None }).unwrap();
    assert_eq!((aead.name.as_str(), aead.icv_bits, aead.key.len()), ("rfc4106(gcm(aes))", 128, 20));
    let window = message.find(|a| if let Attribute::ReplayEsn(window) = a { Some(window) } else { None }).unwrap();
    assert_eq!((window.sent, window.received, window.window, window.bitmap.len()), (1 << 32 | 7, 1 << 32 | 5, 64, 2));

    let message = find(0, "sport 1234 dport 80", kind::NEW_POLICY);
    let Body::Policy(policy) = &message.body else { panic!("{message:?}") };
    let ports = (policy.selector.src_port.0, policy.selector.src_port_mask.0, policy.selector.dst_port.0);
    assert_eq!((policy.selector.protocol, ports), (6, (1234, 0xffff, 80)));
    let templates = message.find(|a| if let Attribute::Templates(all) = a { Some(all) } else { None }).unwrap();
    assert_eq!((templates.len(), templates[0].reqid, templates[0].id.protocol), (1, 3, 50));

    let message = find(0, "ping", kind::ACQUIRE);
    let Body::Acquire(acquire) = &message.body else { panic!("{message:?}") };
    assert_eq!((acquire.policy.index, acquire.seq != 0, acquire.selector.dst_port.0), (121, true, 1025));
}

#[test]
fn a_device_is_asked_as_ip_xfrm_asks() {
    const PACKET: u8 = offload::PACKET;
    for (words, kind, flags) in [
        ("state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1000", kind::NEW_SA, PACKET),
        ("state add src 192.0.2.2 dst 192.0.2.1 proto esp spi 0x2000", kind::NEW_SA, PACKET | offload::INBOUND),
        ("state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001", kind::NEW_SA, 0),
        ("policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir out", kind::NEW_POLICY, PACKET),
        ("policy add src 10.2.0.0/16 dst 10.1.0.0/16 dir in", kind::NEW_POLICY, PACKET),
    ] {
        let message = find(3, words, kind);
        let found = message.find(|a| if let Attribute::Offload(device) = a { Some(device.clone()) } else { None });
        assert_eq!(found, Some(Offload { interface: 1, flags }), "{words}");
    }
}

#[test]
fn the_tables_tell_their_sizes() {
    let message = find(0, "state count", kind::NEW_SAD_INFO);
    let Body::SadInfo(_, attributes) = &message.body else { panic!("{message:?}") };
    assert!(
        matches!(&attributes[..], [SadInfo::Count(count), SadInfo::Table(table)] if *count > 20 && table.places == 32)
    );
    let message = find(1, "charon starts", kind::NEW_SPD_INFO);
    let Body::SpdInfo(_, attributes) = &message.body else { panic!("{message:?}") };
    assert!(attributes.iter().any(|a| matches!(a, SpdInfo::Threshold6(t) if (t.local, t.remote) == (128, 128))));
}

#[test]
fn an_attribute_that_nobody_knows_survives() {
    let mut captured = messages(CAPTURED[0].1).into_iter().find(|captured| captured.kind == kind::NEW_SA).unwrap();
    captured.bytes.extend([9, 0, 0xee, 0x40, 1, 2, 3, 4, 5, 0, 0, 0]);
    // One that is known, and longer than known: IF_ID with 8 bytes.
    captured.bytes.extend([12, 0, 31, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    let message = Message::parse(captured.kind, false, &captured.bytes).unwrap();
    let mut again = Vec::new();
    message.emit(&mut again);
    assert_eq!(again, captured.bytes);
}

/// What no `ip xfrm` or strongSwan of a Debian says yet: written by hand from `linux/xfrm.h`, in the order of its numbers.
#[test]
fn what_newer_kernels_have_is_read_and_written_again() {
    let plain = messages(CAPTURED[0].1).into_iter().find(|captured| captured.kind == kind::NEW_SA).unwrap();
    let before = Message::parse(plain.kind, false, &plain.bytes).unwrap().attributes.len();
    let mut bytes = plain.bytes;
    let number = |bytes: &mut Vec<u8>, kind: u16, value: &[u8]| {
        bytes.extend((4 + value.len() as u16).to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    };
    // XFRMA_OFFLOAD_DEV: interface 3, inbound, packets.
    number(&mut bytes, 28, &[3i32.to_ne_bytes().as_slice(), &[offload::INBOUND | offload::PACKET, 0, 0, 0]].concat());
    // XFRMA_SA_DIR, XFRMA_NAT_KEEPALIVE_INTERVAL, XFRMA_SA_PCPU.
    number(&mut bytes, 33, &[SA_OUT]);
    number(&mut bytes, 34, &20u32.to_ne_bytes());
    number(&mut bytes, 35, &5u32.to_ne_bytes());
    // XFRMA_IPTFS_DROP_TIME to XFRMA_IPTFS_PKT_SIZE.
    number(&mut bytes, 36, &1000u32.to_ne_bytes());
    number(&mut bytes, 37, &3u16.to_ne_bytes());
    number(&mut bytes, 38, &[]);
    number(&mut bytes, 39, &50u32.to_ne_bytes());
    number(&mut bytes, 40, &10_000u32.to_ne_bytes());
    number(&mut bytes, 41, &1400u32.to_ne_bytes());
    let message = Message::parse(plain.kind, false, &bytes).unwrap();
    let found = &message.attributes[before..];
    assert!(matches!(&found[0], Attribute::Offload(device) if (device.interface, device.flags) == (3, 6)), "{found:?}");
    assert!(
        matches!(
            found[1..],
            [
                Attribute::Direction(SA_OUT),
                Attribute::KeepaliveInterval(20),
                Attribute::Processor(5),
                Attribute::IptfsDropTime(1000),
                Attribute::IptfsReorderWindow(3),
                Attribute::IptfsDontFragment(()),
                Attribute::IptfsInitialDelay(50),
                Attribute::IptfsMaxQueue(10_000),
                Attribute::IptfsPacketSize(1400)
            ]
        ),
        "{found:?}"
    );
    let mut again = Vec::new();
    message.emit(&mut again);
    assert_eq!(again, bytes);
}

#[test]
fn a_message_cut_anywhere_is_refused_or_read_without_what_is_missing() {
    for (_, text) in CAPTURED {
        for Captured { kind, dump, bytes, .. } in messages(text).into_iter().take(60) {
            for end in 0..bytes.len() {
                let _ = Message::parse(kind, dump, &bytes[..end]);
            }
            let Ok(message) = Message::parse(kind, dump, &bytes[..bytes.len() / 2]) else { continue };
            message.emit(&mut Vec::new());
        }
    }
}

// Row 107 of docs/HISTORY.md: the kernel believed the length of the bitmap.
#[test]
fn a_window_brings_a_bitmap_that_holds_it() {
    let template = find(2, "spi 0x1009 reqid 8", kind::NEW_SA);
    let place = template.attributes.iter().position(|a| matches!(a, Attribute::ReplayEsn(_))).unwrap();
    for window in (0..=4096).chain([4097, u32::MAX]) {
        let said = ReplayEsn::new(window);
        assert!(said.window == window.min(4096) && said.window as usize <= 32 * said.bitmap.len(), "{window}");
        assert!(said.bitmap.len() <= 128 && said.bitmap.iter().all(|word| *word == 0), "{window}");
        let mut message = template.clone();
        message.attributes[place] = Attribute::ReplayEsn(said.clone());
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        // Head of the attribute, number of words, four halves, window; then the words.
        let head = u16::try_from(4 + 24 + 4 * said.bitmap.len()).unwrap().to_ne_bytes();
        let words = u32::try_from(said.bitmap.len()).unwrap().to_ne_bytes();
        let expected = [&head[..], &[23, 0], &words].concat();
        assert!(bytes.windows(8).any(|eight| eight == expected), "{window}");
        let again = Message::parse(kind::NEW_SA, false, &bytes).unwrap();
        let read = again.find(|a| if let Attribute::ReplayEsn(window) = a { Some(window) } else { None });
        assert_eq!(read, Some(&said));
    }
}

#[test]
fn a_window_whose_bitmap_lies_is_refused() {
    let message = find(2, "spi 0x1009 reqid 8", kind::NEW_SA);
    let mut bytes = Vec::new();
    message.emit(&mut bytes);
    let at = bytes.windows(4).position(|four| four == [36, 0, 23, 0]).unwrap();
    for (place, value) in [(4, 200u32), (4, 1), (4, 0), (4, 3), (4, u32::MAX), (24, 65), (24, u32::MAX)] {
        let mut bad = bytes.clone();
        bad[at + place..at + place + 4].copy_from_slice(&value.to_ne_bytes());
        assert_eq!(Message::parse(kind::NEW_SA, false, &bad).unwrap_err(), ravelin_xfrm::msg::Malformed::Window);
    }
}
