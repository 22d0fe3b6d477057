use alloc::vec::Vec;

use super::*;

/// Bytes of which nothing can be said in fewer.
fn noise(len: usize, mut seed: u64) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Words in any order.
fn text(len: usize, seed: u64) -> Vec<u8> {
    let words =
        [&b"GET /index.html "[..], b"HTTP/1.1\r\n", b"Host: example.org\r\n", b"Accept: */*\r\n", b"\x00\x01\x02"];
    let mut text: Vec<u8> =
        noise(len, seed).into_iter().flat_map(|byte| words[usize::from(byte) % 5].to_vec()).collect();
    text.truncate(len);
    text
}

#[test]
fn what_is_compressed_expands_to_what_it_was() {
    let (mut compressor, mut expander) = (Compressor::new(), Expander::new());
    for seed in 0..20u64 {
        let len = match seed {
            0 => MAX_PACKET,
            1 => WINDOW,
            2 => WINDOW + 1,
            _ => THRESHOLD + (seed as usize * 370) % 3000,
        };
        let payload = text(len, seed);
        let shorter = compressor.compress(&payload).unwrap_or_else(|| panic!("{len} of {seed}")).to_vec();
        assert!(HEADER_LEN + shorter.len() < len);
        assert_eq!(expander.expand(&shorter), Some(&payload[..]), "{len} of {seed}");
        // What hides its length is none of it.
        assert_eq!(expander.expand(&[&shorter[..], &[7; 30]].concat()), Some(&payload[..]));
        // Nothing of what was not shorter is seen in what comes after.
        assert_eq!(compressor.compress(&noise(len, seed)), None);
    }
}

#[test]
fn copies_stay_within_the_window_of_linux() {
    let mut compressor = Compressor::new();
    // The same noise again, just so far away that the window ends before it.
    let payload = noise(WINDOW, 1).repeat(3);
    assert_eq!(compressor.compress(&payload), None);
    // Within it is found.
    let near = noise(WINDOW / 2, 1).repeat(3);
    assert!(compressor.compress(&near).is_some_and(|shorter| shorter.len() < near.len() * 3 / 4));
}

#[test]
fn it_goes_on_when_the_compressor_was_renewed() {
    let (mut compressor, mut expander) = (Compressor::new(), Expander::new());
    let payload = text(1000, 1);
    compressor.fed = RENEWAL;
    for _ in 0..3 {
        let shorter = compressor.compress(&payload).unwrap().to_vec();
        assert_eq!(expander.expand(&shorter), Some(&payload[..]));
    }
    assert_eq!(compressor.fed, 3 * payload.len());
}

#[test]
fn whatever_a_peer_sends_expands_to_no_more_than_a_packet() {
    let (mut compressor, mut expander) = (Compressor::new(), Expander::new());
    let shorter = compressor.compress(&text(2000, 5)).unwrap().to_vec();
    for len in (0..shorter.len()).step_by(3) {
        assert_eq!(expander.expand(&shorter[..len]), None, "{len}");
    }
    for seed in 0..500 {
        let mut damaged = shorter.clone();
        for hit in noise(3, seed) {
            damaged[usize::from(hit) % shorter.len()] ^= 1 << (seed % 8);
        }
        assert!(expander.expand(&damaged).is_none_or(|out| out.len() <= MAX_PACKET));
        expander.expand(&noise(seed as usize % 300, seed));
    }
    // A bomb: more zeros than a packet has, in some hundred bytes.
    let mut bomb = vec![0; 2000];
    let zeros = vec![0; MAX_PACKET + 1];
    let (status, _, len) = compress(&mut CompressorOxide::new(FLAGS), &zeros, &mut bomb, TDEFLFlush::Finish);
    assert_eq!(status, TDEFLStatus::Done);
    assert_eq!(expander.expand(&bomb[..len]), None);
    assert_eq!(expander.expand(&shorter), Some(&text(2000, 5)[..]), "the next packet is as if there had been none");
}

#[test]
fn what_never_shrinks_is_tried_more_and_more_seldom() {
    let mut patience = Patience::default();
    let mut tried = Vec::new();
    for packet in 0..100_000u32 {
        if patience.tries() {
            tried.push(packet);
            patience.note(false);
        }
    }
    let gaps: Vec<u32> = tried.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(gaps[..12], [1, 1, 1, 9, 17, 33, 65, 129, 257, 513, 1025, 1025]);
    assert!(gaps[12..].iter().all(|gap| *gap == 1025));
    // RFC 3173 §2.2: once one shrinks, all are tried again.
    while !patience.tries() {}
    patience.note(true);
    assert!((0..3).all(|_| patience.tries()));
}
