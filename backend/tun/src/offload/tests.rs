//! Splitting and merging against a plain reference that builds each packet on its own, and against what does not fit.

use ravelin_wire::ip::checksum::{finish, fold, sum};

use super::*;
use crate::slots::{BATCH, MAX_PACKET};

/// Reproducible numbers (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// A TCP packet or UDP datagram, to be built in the plain way.
#[derive(Clone)]
struct Packet {
    v6: bool,
    udp: bool,
    tos: u8,
    id: u16,
    dont_fragment: bool,
    port: u16,
    sequence: u32,
    flags: u8,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Packet {
    fn tcp(v6: bool, payload: Vec<u8>) -> Packet {
        let options = vec![1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        Packet {
            v6,
            udp: false,
            tos: 2,
            id: 0xfffe,
            dont_fragment: true,
            port: 5001,
            sequence: 0xffff_f000,
            flags: ACK,
            options,
            payload,
        }
    }

    fn udp(v6: bool, payload: Vec<u8>) -> Packet {
        Packet { udp: true, options: Vec::new(), ..Packet::tcp(v6, payload) }
    }

    /// The packet; with `partial`, only the sum of the pseudo header in the checksum of TCP or UDP.
    fn build(&self, partial: bool) -> Vec<u8> {
        let (source, destination) = ((1..=16).collect::<Vec<u8>>(), (101..=116).collect::<Vec<u8>>());
        let address_len = if self.v6 { 16 } else { 4 };
        let (source, destination) = (&source[..address_len], &destination[..address_len]);
        let mut transport = Vec::new();
        let protocol = if self.udp { 17 } else { 6 };
        transport.extend(self.port.to_be_bytes());
        transport.extend(443u16.to_be_bytes());
        if self.udp {
            transport.extend((8 + self.payload.len() as u16).to_be_bytes());
            transport.extend([0, 0]);
        } else {
            transport.extend(self.sequence.to_be_bytes());
            transport.extend(77u32.to_be_bytes());
            transport.extend([((20 + self.options.len()) as u8 / 4) << 4, self.flags, 0x12, 0x34, 0, 0, 0, 0]);
            transport.extend(&self.options);
        }
        let header_len = transport.len();
        transport.extend(&self.payload);
        let pseudo = sum(source) + sum(destination) + protocol + transport.len() as u64;
        let checksum = if partial { fold(pseudo) } else { finish(pseudo + sum(&transport)) };
        let at = if self.udp { 6 } else { 16 };
        assert!(at + 2 <= header_len);
        let checksum = if checksum == 0 { 0xffff } else { checksum };
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        let mut packet = Vec::new();
        if self.v6 {
            packet.extend([0x60 | self.tos >> 4, self.tos << 4, 0x12, 0x34]);
            packet.extend((transport.len() as u16).to_be_bytes());
            packet.extend([protocol as u8, 64]);
        } else {
            packet.extend([0x45, self.tos]);
            packet.extend((20 + transport.len() as u16).to_be_bytes());
            packet.extend(self.id.to_be_bytes());
            packet.extend([if self.dont_fragment { 0x40 } else { 0 }, 0, 64, protocol as u8, 0, 0]);
        }
        packet.extend(source);
        packet.extend(destination);
        if !self.v6 {
            let checksum = finish(sum(&packet)).to_be_bytes();
            packet[10..12].copy_from_slice(&checksum);
        }
        packet.extend(transport);
        packet
    }

    fn header_len(&self) -> usize {
        let transport = if self.udp { 8 } else { 20 + self.options.len() };
        transport + if self.v6 { 40 } else { 20 }
    }

    /// What describes this packet as a super-packet.
    fn vnet(&self, size: usize) -> VnetHeader {
        VnetHeader {
            flags: VnetHeader::NEEDS_CSUM,
            gso_type: match (self.udp, self.v6) {
                (true, _) => VnetHeader::GSO_UDP_L4,
                (false, false) => VnetHeader::GSO_TCPV4,
                (false, true) => VnetHeader::GSO_TCPV6,
            },
            hdr_len: self.header_len() as u16,
            gso_size: size as u16,
            csum_start: if self.v6 { 40 } else { 20 },
            csum_offset: if self.udp { 6 } else { 16 },
        }
    }

    /// The packets that this one stands for, each built by itself.
    fn segments(&self, size: usize) -> Vec<Vec<u8>> {
        let chunks: Vec<&[u8]> = self.payload.chunks(size).collect();
        let segment = |(i, chunk): (usize, &&[u8])| {
            let mut segment = Packet { payload: chunk.to_vec(), ..self.clone() };
            segment.id = self.id.wrapping_add(i as u16);
            segment.sequence = self.sequence.wrapping_add((i * size) as u32);
            if i > 0 {
                segment.flags &= !CWR;
            }
            if i + 1 < chunks.len() {
                segment.flags &= !(FIN | PSH);
            }
            segment.build(false)
        };
        chunks.iter().enumerate().map(segment).collect()
    }
}

fn split(header: &VnetHeader, packet: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut splitter = Splitter::new();
    let len = VnetHeader::LEN + packet.len();
    splitter.room()[..VnetHeader::LEN].copy_from_slice(&header.emit());
    splitter.room()[VnetHeader::LEN..len].copy_from_slice(packet);
    let loaded = splitter.load(len);
    assert_eq!(loaded.is_ok(), splitter.has_more());
    let mut room = vec![0xaa; MAX_PACKET];
    let packets: Vec<_> = std::iter::from_fn(|| splitter.next(&mut room).map(|len| room[..len].to_vec())).collect();
    assert_eq!((loaded.is_err(), splitter.has_more()), (packets.is_empty(), false));
    loaded.ok().map(|()| packets)
}

/// What a device is given for these packets of one batch.
fn merge(packets: &[Vec<u8>]) -> Vec<(VnetHeader, Vec<u8>, usize)> {
    merge_by(packets, (true, true))
}

fn merge_by(packets: &[Vec<u8>], merging: (bool, bool)) -> Vec<(VnetHeader, Vec<u8>, usize)> {
    let mut merger = Merger::new();
    merger.add(0, |_| &[0x45]);
    merger.clear(merging);
    for i in 0..packets.len() {
        merger.add(i, |i| &packets[i]);
    }
    let groups = merger.groups().iter().map(|group| {
        let mut whole = packets[group.first].clone();
        let header = match group.count {
            1 => VnetHeader::default(),
            _ => group.finish(&mut whole, group.flags(&packets[group.last])),
        };
        let (mut at, mut count) = (merger.next(group.first), 1);
        while at != NONE {
            whole.extend(&packets[at][group.header_len..]);
            at = merger.next(at);
            count += 1;
        }
        assert_eq!(count, group.count);
        (header, whole, count)
    });
    groups.collect()
}

#[test]
fn a_super_packet_becomes_the_packets_built_one_by_one() {
    let mut numbers = Numbers(0x1234_5678_9abc_def1);
    for round in 0..400 {
        let (v6, udp) = (round % 2 == 0, round % 4 < 2);
        let len = 1 + numbers.below([100, 3000, 65_000][round % 3]);
        let largest = [20, 1400, 9000][numbers.below(3)];
        let size = 1 + numbers.below(largest);
        let payload = numbers.bytes(len);
        let mut packet = if udp { Packet::udp(v6, payload) } else { Packet::tcp(v6, payload) };
        packet.flags = [ACK, ACK | PSH, ACK | FIN, ACK | PSH | FIN | ECE, ACK | CWR | PSH][numbers.below(5)];
        packet.id = numbers.below(0x10000) as u16;
        packet.sequence = numbers.below(1 << 32) as u32;
        let mut header = packet.vnet(size);
        if !udp && packet.flags & CWR != 0 {
            header.gso_type |= VnetHeader::GSO_ECN;
        }
        let found = split(&header, &packet.build(true)).unwrap();
        assert!(found == packet.segments(size), "round {round}: {len} bytes by {size}");
    }
}

#[test]
fn datagrams_without_a_checksum_stay_without() {
    let packet = Packet::udp(false, vec![7; 300]);
    let mut built = packet.build(true);
    built[26..28].fill(0);
    let found = split(&packet.vnet(100), &built).unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|packet| packet[26..28] == [0, 0] && packet.len() == 128));
}

#[test]
fn options_and_extension_headers_go_into_each_packet() {
    // IPv4 with a router alert; IPv6 with destination options.
    let packet = Packet::tcp(false, vec![9; 250]);
    let mut built = packet.build(true);
    built.splice(20..20, [0x94, 4, 0, 0]);
    built[0] = 0x46;
    let total = built.len() as u16;
    built[2..4].copy_from_slice(&total.to_be_bytes());
    let header = VnetHeader { csum_start: 24, ..packet.vnet(100) };
    let found = split(&header, &built).unwrap();
    let lengths: Vec<_> = found.iter().map(Vec::len).collect();
    assert_eq!(lengths, [156, 156, 106]);
    for (found, plain) in found.iter().zip(packet.segments(100)) {
        assert_eq!(finish(sum(&found[..24])), 0);
        assert!(found[20..24] == [0x94, 4, 0, 0] && found[24..] == plain[20..]);
    }
    let packet = Packet::tcp(true, vec![9; 250]);
    let mut built = packet.build(true);
    built.splice(40..40, [6, 0, 1, 4, 0, 0, 0, 0]);
    built[6] = 60;
    let total = built.len() as u16 - 40;
    built[4..6].copy_from_slice(&total.to_be_bytes());
    let header = VnetHeader { csum_start: 48, ..packet.vnet(100) };
    for (found, plain) in split(&header, &built).unwrap().iter().zip(packet.segments(100)) {
        assert!(found[40..48] == [6, 0, 1, 4, 0, 0, 0, 0] && found[48..] == plain[40..]);
    }
}

#[test]
fn single_packets_pass_with_their_checksum_completed() {
    for packet in [Packet::tcp(true, vec![3; 99]), Packet::udp(false, vec![1; 1000])] {
        let header = VnetHeader { gso_type: VnetHeader::GSO_NONE, gso_size: 0, ..packet.vnet(0) };
        assert_eq!(split(&header, &packet.build(true)).unwrap(), [packet.build(false)]);
        assert_eq!(split(&VnetHeader::default(), &packet.build(false)).unwrap(), [packet.build(false)]);
    }
}

#[test]
fn what_does_not_fit_its_description_is_rejected() {
    let packet = Packet::tcp(false, vec![5; 5000]);
    let (good, built) = (packet.vnet(1000), packet.build(true));
    assert!(split(&good, &built).is_some());
    let headers: [VnetHeader; 9] = [
        VnetHeader { gso_size: 0, ..good },
        VnetHeader { flags: 0, ..good },
        VnetHeader { gso_type: VnetHeader::GSO_TCPV6, ..good },
        VnetHeader { gso_type: VnetHeader::GSO_UDP_L4, ..good },
        VnetHeader { gso_type: 3, ..good },
        VnetHeader { csum_start: 24, ..good },
        VnetHeader { csum_start: u16::MAX, ..good },
        VnetHeader { csum_offset: 6, ..good },
        VnetHeader { gso_type: VnetHeader::GSO_NONE, csum_start: 5039, ..good },
    ];
    for header in headers {
        assert_eq!(split(&header, &built), None, "{header:?}");
    }
    let changed = |at: usize, value: u8| {
        let mut built = built.clone();
        built[at] = value;
        split(&good, &built)
    };
    // IP version and header length, total length, fragment, protocol, TCP header length.
    for (at, value) in [(0, 0x65), (0, 0x44), (0, 0x4f), (2, 0), (2, 0xff), (6, 0x20), (9, 17), (32, 0x40), (32, 0x00)]
    {
        assert_eq!(changed(at, value), None, "{at} {value:#x}");
    }
    for len in 0..packet.header_len() + 1 {
        assert_eq!(split(&good, &built[..len]), None, "{len}");
    }
    assert_eq!(split(&VnetHeader::default(), &[]), None);
    assert_eq!(split(&VnetHeader::default(), &[0x45; MAX_PACKET + 1]), None);
    assert!(Splitter::new().load(VnetHeader::LEN - 1).is_err());
    assert!(Splitter::new().load(usize::MAX).is_err());
}

#[test]
fn any_description_of_any_bytes_is_survived() {
    let mut numbers = Numbers(42);
    let packets = [Packet::tcp(false, vec![1; 200]).build(true), Packet::udp(true, vec![1; 200]).build(true)];
    let mut accepted = 0;
    for round in 0..20_000 {
        let mut bytes = packets[round % 2].clone();
        for _ in 0..numbers.below(3) {
            let at = numbers.below(64);
            bytes[at] = numbers.below(256) as u8;
        }
        bytes.truncate(1 + numbers.below(bytes.len()) * 4);
        let header = VnetHeader {
            flags: numbers.below(2) as u8,
            gso_type: [0, 1, 4, 5][numbers.below(4)],
            hdr_len: numbers.below(100) as u16,
            gso_size: numbers.below(300) as u16,
            csum_start: [20, 40, 0, 239][numbers.below(4)],
            csum_offset: [6, 16, 0, 238][numbers.below(4)],
        };
        accepted += usize::from(split(&header, &bytes).is_some());
        merge(&[bytes.clone(), bytes]);
    }
    assert!((100..19_000).contains(&accepted), "{accepted}");
}

#[test]
fn split_and_merged_again_is_the_same_super_packet() {
    let mut numbers = Numbers(7);
    for round in 0..200 {
        let size = 1000 + numbers.below(400);
        let count = 2 + numbers.below(44);
        let len = size * (count - 1) + 1 + numbers.below(size);
        let payload = numbers.bytes(len);
        let udp = round % 5 < 2;
        let mut packet = if udp { Packet::udp(round % 2 == 0, payload) } else { Packet::tcp(round % 2 == 0, payload) };
        packet.dont_fragment = round % 3 == 0;
        packet.flags = [ACK, ACK | PSH, ACK | FIN | PSH | ECE][numbers.below(3)];
        let segments = split(&packet.vnet(size), &packet.build(true)).unwrap();
        assert_eq!(merge(&segments), [(packet.vnet(size), packet.build(true), count)], "round {round}");
    }
}

#[test]
fn flows_that_alternate_are_merged_each_by_itself() {
    let flow = |port: u16| {
        let (v6, payload) = (port.is_multiple_of(2), vec![port as u8; 3000]);
        Packet { port, ..if port < 4 { Packet::udp(v6, payload) } else { Packet::tcp(v6, payload) } }
    };
    let flows: Vec<Vec<Vec<u8>>> = (1..9).map(|port| flow(port).segments(1000)).collect();
    let mixed: Vec<Vec<u8>> = (0..3).flat_map(|i| flows.iter().map(move |flow| flow[i].clone())).collect();
    let merged = merge(&mixed);
    assert_eq!(merged.len(), 8);
    for (port, (header, bytes, _)) in (1..9).zip(merged) {
        assert_eq!((header, bytes), (flow(port).vnet(1000), flow(port).build(true)));
    }
}

#[test]
fn a_difference_that_a_super_packet_cannot_express_keeps_packets_apart() {
    let a = Packet { dont_fragment: false, ..Packet::tcp(false, vec![1; 100]) };
    let b = Packet { id: a.id + 1, sequence: a.sequence + 100, ..a.clone() };
    let count = |a: &Packet, b: &Packet| merge(&[a.build(false), b.build(false)]).len();
    assert_eq!(count(&a, &b), 1);
    let changes: [fn(&mut Packet); 9] = [
        |p| p.tos ^= 1,
        |p| p.id = p.id.wrapping_add(1),
        |p| p.dont_fragment = true,
        |p| p.port += 1,
        |p| p.sequence += 1,
        |p| p.flags |= 0x20,
        |p| p.flags |= CWR,
        |p| p.flags |= ECE,
        |p| p.options[11] ^= 1,
    ];
    for (i, change) in changes.into_iter().enumerate() {
        let mut b = b.clone();
        change(&mut b);
        assert_eq!(count(&a, &b), 2, "change {i}");
    }
    for flags in [0, ACK | 0x02, ACK | 0x04, ACK | PSH, ACK | FIN] {
        assert_eq!(count(&Packet { flags, ..a.clone() }, &b), 2, "{flags:#x} first");
    }
    let longer = Packet { payload: vec![1; 101], ..b.clone() };
    assert_eq!(count(&a, &longer), 2);
    let empty = Packet { payload: Vec::new(), ..b.clone() };
    assert_eq!(count(&a, &empty), 2);
    // A byte that changed on the way before it was protected: the stack must see the checksum.
    for at in [10, 15, 36, 60, 151] {
        for place in 0..2 {
            let mut packets = [a.build(false), b.build(false)];
            packets[place][at] ^= 0x10;
            assert_eq!(merge(&packets).len(), 2, "{at} {place}");
        }
    }
}

#[test]
fn a_connection_keeps_its_order() {
    let mut numbers = Numbers(99);
    for _ in 0..300 {
        // Two connections whose packets are in order, repeated, odd, or hidden behind an IP option.
        let mut sequences = [0u32; 2];
        let mut packets = Vec::new();
        for i in 0..BATCH {
            let which = numbers.below(2);
            let mut packet = Packet::tcp(false, vec![i as u8; [50, 50, 50, 50, 20, 0][numbers.below(6)]]);
            packet.port = which as u16;
            packet.sequence = sequences[which];
            packet.flags = [ACK, ACK, ACK, ACK, ACK | PSH, ACK | CWR][numbers.below(6)];
            sequences[which] += if numbers.below(9) == 0 { 0 } else { packet.payload.len() as u32 };
            packets.push(packet.build(false));
        }
        let merged = merge(&packets);
        assert!(merged.len() < BATCH);
        for port in 0..2u8 {
            let of = |packet: &Vec<u8>| packet[21] == port;
            let expected: Vec<u8> = packets.iter().filter(|p| of(p)).flat_map(|p| p[52..].to_vec()).collect();
            let found: Vec<u8> = merged.iter().filter(|m| of(&m.1)).flat_map(|m| m.1[52..].to_vec()).collect();
            assert!(found == expected);
        }
    }
}

#[test]
fn what_is_not_plain_passes_alone_and_a_hidden_header_ends_all_groups() {
    let segments = Packet::tcp(false, vec![1; 400]).segments(100);
    let udp = Packet::udp(false, vec![2; 50]).build(false);
    let mut datagram_fragment = udp.clone();
    datagram_fragment[6] = 0x20;
    let icmp = [&[0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1], &[0; 18][..]].concat();
    let mut fragment = segments[1].clone();
    fragment[6] = 0x20;
    let counts = |packets: &[Vec<u8>]| merge(packets).iter().map(|merged| merged.2).collect::<Vec<_>>();
    assert_eq!(counts(&[segments[0].clone(), udp.clone(), icmp, segments[1].clone()]), [2, 1, 1]);
    assert_eq!(counts(&[udp.clone(), datagram_fragment, udp]), [1, 1, 1]);
    assert_eq!(counts(&[segments[0].clone(), fragment, segments[1].clone(), segments[2].clone()]), [1, 1, 2]);
    assert_eq!(counts(&[Vec::new(), vec![0x45], vec![0x60; 39], vec![0; 60]]), [1, 1, 1, 1]);
}

#[test]
fn datagrams_are_merged_while_they_are_of_one_length_and_end_with_a_shorter_one() {
    let datagrams = |lengths: &[usize]| -> Vec<Vec<u8>> {
        let packet = |(i, &len): (usize, &usize)| Packet {
            id: i as u16,
            dont_fragment: false,
            ..Packet::udp(false, vec![i as u8; len])
        };
        lengths.iter().enumerate().map(|place| packet(place).build(false)).collect()
    };
    let counts = |lengths: &[usize]| merge(&datagrams(lengths)).iter().map(|merged| merged.2).collect::<Vec<_>>();
    assert_eq!(counts(&[64, 64, 64, 64]), [4]);
    assert_eq!(counts(&[64, 64, 10, 64, 64]), [3, 2]);
    assert_eq!(counts(&[10, 64, 64]), [1, 2]);
    assert_eq!(counts(&[64, 0, 64]), [1, 1, 1]);
    assert_eq!(counts(&[64, 1, 1]), [2, 1]);
    // What was merged is what the stack cuts into the same datagrams.
    let whole = datagrams(&[64, 64, 30]);
    let merged = merge(&whole);
    assert_eq!(split(&merged[0].0, &merged[0].1).unwrap(), whole);
}

#[test]
fn datagrams_without_or_with_a_wrong_checksum_or_a_length_of_their_own_stay_alone() {
    for v6 in [false, true] {
        let at = if v6 { 40 } else { 20 };
        let plain = vec![Packet::udp(v6, vec![1; 100]).build(false); 3];
        assert_eq!(merge(&plain).len(), 1);
        let changes: [fn(&mut [u8]); 4] =
            [|udp| udp[6..8].fill(0), |udp| udp[7] ^= 1, |udp| udp[50] ^= 1, |udp| udp[5] -= 1];
        for (i, change) in changes.into_iter().enumerate() {
            let mut packets = plain.clone();
            change(&mut packets[1][at..]);
            assert_eq!(merge(&packets).len(), 3, "{v6} {i}");
        }
    }
}

#[test]
fn what_the_device_does_not_take_is_not_merged() {
    let tcp = Packet::tcp(false, vec![1; 300]).segments(100);
    let udp = Packet::udp(false, vec![1; 300]).segments(100);
    let all = [tcp, udp].concat();
    for (merging, count) in [((true, true), 2), ((true, false), 4), ((false, true), 4), ((false, false), 6)] {
        assert_eq!(merge_by(&all, merging).len(), count, "{merging:?}");
    }
}

#[test]
fn a_super_packet_is_not_longer_than_an_ip_packet() {
    let mut packets = Vec::new();
    for i in 0..10u32 {
        packets.push(Packet { sequence: i * 9000, ..Packet::tcp(false, vec![1; 9000]) }.build(false));
    }
    let merged = merge(&packets);
    assert_eq!(merged.iter().map(|merged| merged.2).collect::<Vec<_>>(), [7, 3]);
    assert!(merged.iter().all(|merged| merged.1.len() <= MAX_PACKET));
}

#[test]
fn the_description_of_a_packet_survives_its_form() {
    let header = Packet::tcp(true, vec![0; 3]).vnet(1234);
    assert_eq!(VnetHeader::parse(&header.emit()), header);
}
