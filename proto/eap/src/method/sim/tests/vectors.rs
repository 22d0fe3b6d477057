//! Published vectors: the conversations of RFC 4186 and the keys of RFC 9048; and how SIMs are written down.

use super::*;

fn octets(digits: &str) -> Vec<u8> {
    let digits: String = digits.split_whitespace().collect();
    (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect()
}

/// RFC 4186 Appendix A.
pub(super) mod rfc4186 {
    pub const IDENTITY: &[u8] = b"1244070100000001@eapsim.foo";
    pub const TRIPLETS: &str = "101112131415161718191a1b1c1d1e1f,d1d2d3d4,a0a1a2a3a4a5a6a7
        202122232425262728292a2b2c2d2e2f,e1e2e3e4,b0b1b2b3b4b5b6b7
        244070100000001,303132333435363738393a3b3c3d3e3f,f1f2f3f4,c0c1c2c3c4c5c6c7";
    pub const NONCE: &str = "0123456789abcdeffedcba9876543210";
    pub const CHALLENGE: &str = "0b0000 010d0000 101112131415161718191a1b1c1d1e1f
        202122232425262728292a2b2c2d2e2f 303132333435363738393a3b3c3d3e3f
        81050000 9e18b0c29a652263c06efb54dd00a895
        822d0000 55f2939bbdb1b19ea1b47fc0b3e0be4c ab2cf7372d98e3023c6bb92415723d58
        bad66ce084e101b60f5358354bd42182 78aea7bf2cbace33106aeddc625b0c1d
        5aa67a41739ae5b57950973fc7ff8301 073c6f953150fc303ea152d1e10a2d1f
        4f5226daa1ee9005472252bdb3b71d6f 0c3a349031 6c4692987 1bd45cdfdbca6
        112f07f8be717990d25f6dd7f2b7b320 bf4d5a992e880331d729945aec75ae5d
        43c8eda5fe6233fcac494ee67a0d504d
        0b050000 fef324ac3962b59f3bd78253ae4dcb6a";
    pub const ANSWER: &str = "0b0000 0b050000 f56d6433e68ed2976ac11937fc3d1154";
    pub const MSK: &str = "39d45aeaf4e30601983e972b6cfd46d1 c363773365690d09cd44976b525f47d3
        a60a985e955c53b090b2e4b73719196a 402542968fd14a888f46b9a7886e4488";
    pub const PSEUDONYM: &[u8] = b"w8w49PexCazWJ&xCIARmxuMKht5S1sxRDqXSEFBEg3DcZP9cIxTe5J4OyIwNGVzxeJOU1G";
    pub const AGAIN: &[u8] = b"Y24fNSrz8BP274jOJaF17WfxI8YO7QX00pMXk9XMMVOw7broaNhTczuFq53aEpOkk3L0dm@eapsim.foo";
    pub const REAUTHENTICATION: &str = "0d0000 81050000 d585ac7786b90336657c77b46575b9c4
        821d0000 686291a9d2abc58caa3294b6e85b4484 6c44e5dcb2de8b9e80d69d49858a5db8
        4cdc1c9bc95c01b96b6eca313474aea6 d31416e19daa9df70f05008841ca8014
        964d3b30a49bcf43e4d3f18e86295a4a 2b38d96c9705c2bbb05c4aace97d5eaf
        f564046c8bd30bc39be5e17ace2b10a6 0b050000 483a1799b83d7cd3d0a1e401d9ee4770";
    pub const AGAIN_ANSWER: &str = "0d0000 81050000 cdf7ffa65de04c026b56c86b76b102ea
        82050000 b6edd38279e2a1423c1afc5c455c7d56 0b050000 faf76b71fbe2d255b96a3566c915c617";
    pub const AGAIN_MSK: &str = "6263f614973895e1335f7e30cff028ee 2176f519002c9abe732fe0ef00cf167c
        756d9e4ced6d5ed640eb3fe38565ca07 6e7fb8a817cfe8d9adbce441d47c4f5e";
}

fn rfc4186_keys() -> (Keys, Secret) {
    let card = Card::parse(&Secret::from(rfc4186::TRIPLETS.as_bytes())).unwrap();
    let Card::Triplets(triplets) = card else { panic!() };
    let hello = Hello { nonce: hex(rfc4186::NONCE), versions: vec![0, 1], selected: 1 };
    Keys::of_triplets(rfc4186::IDENTITY, &triplets, &hello)
}

#[test]
fn the_conversation_of_rfc_4186() {
    let (keys, msk) = rfc4186_keys();
    assert_eq!(keys.parts()[0], hex::<16>("536e5ebc4465582aa6a8ec9986ebb620"));
    assert_eq!(keys.parts()[1], hex::<16>("25af1942efcbf4bc72b3943421f2a974"));
    assert_eq!(keys.parts()[2], hex::<20>("e576d5ca332e9930018bf1baee2763c795b3c712"));
    assert_eq!(msk.expose(), octets(rfc4186::MSK));
    let data = octets(rfc4186::CHALLENGE);
    let message = Message::parse(Heard { code: 1, identifier: 2, data: &data }).unwrap();
    assert!(message.is_authentic(&keys, Kind::Sim, &hex::<16>(rfc4186::NONCE)));
    let opened = message.open(&keys).unwrap();
    let inner = opened.attributes().unwrap();
    assert_eq!(inner.counted(at::NEXT_PSEUDONYM).unwrap(), Some(rfc4186::PSEUDONYM));
    assert_eq!(inner.counted(at::NEXT_REAUTH_ID).unwrap(), Some(rfc4186::AGAIN));
    // The same, made here.
    let inner =
        Draft::inner().counted(at::NEXT_PSEUDONYM, rfc4186::PSEUDONYM).counted(at::NEXT_REAUTH_ID, rfc4186::AGAIN);
    let rands = message.get(at::RAND).unwrap();
    let draft = Draft::new(11).put(at::RAND, rands).sealed(&keys, hex("9e18b0c29a652263c06efb54dd00a895"), inner);
    assert_eq!(draft.signed(&keys, Kind::Sim, (1, 2), &hex::<16>(rfc4186::NONCE)), data);
    let sres = octets("d1d2d3d4 e1e2e3e4 f1f2f3f4");
    assert_eq!(Draft::new(11).signed(&keys, Kind::Sim, (2, 2), &sres), octets(rfc4186::ANSWER));
}

#[test]
fn the_fast_conversation_of_rfc_4186() {
    let (keys, _) = rfc4186_keys();
    let data = octets(rfc4186::REAUTHENTICATION);
    let message = Message::parse(Heard { code: 1, identifier: 1, data: &data }).unwrap();
    assert!(message.is_authentic(&keys, Kind::Sim, &[]));
    let opened = message.open(&keys).unwrap();
    let inner = opened.attributes().unwrap();
    let nonce = inner.fixed(at::NONCE_S).unwrap().unwrap();
    assert_eq!((inner.number(at::COUNTER), nonce), (Ok(Some(1)), hex(rfc4186::NONCE)));
    assert_eq!(keys.renewed(rfc4186::AGAIN, 1, &nonce).expose(), octets(rfc4186::AGAIN_MSK));
    let inner = Draft::inner().number(at::COUNTER, 1);
    let said = Draft::new(13).sealed(&keys, hex("cdf7ffa65de04c026b56c86b76b102ea"), inner);
    assert_eq!(said.signed(&keys, Kind::Sim, (2, 1), &nonce), octets(rfc4186::AGAIN_ANSWER));
}

// RFC 9048 Appendix D, cases 1 to 4.
#[test]
fn the_keys_of_rfc_9048() {
    let (autn, twos) = ("bb52e91c747ac3ab2a5c23d15ee351d5", "a0".repeat(16));
    let milenage = "5349fbe098649f948f5d2e973a81c00f9744871ad32bf9bbd1dd5ce54e3e2e5a";
    let artificial = ["c0".repeat(16), "b0".repeat(16)].concat();
    for (network, autn, keys, encr, aut, re, msk) in [
        (
            "WLAN",
            autn,
            milenage,
            "766fa0a6c317174b812d52fbcd11a179",
            "0842ea722ff6835bfa2032499fc3ec23c2f0e388b4f07543ffc677f1696d71ea",
            "cf83aa8bc7e0aced892acc98e76a9b2095b558c7795c7094715cb3393aa7d17a",
            "67c42d9aa56c1b79e295e3459fc3d187d42be0bf818d3070e362c5e967a4d544
             e8ecfe19358ab3039aff03b7c930588c055babee58a02650b067ec4e9347c75a",
        ),
        (
            "HRPD",
            autn,
            milenage,
            "05ad73ac915fce89ac77e1520d82187b",
            "5b4acaef62c6ebb8882b2f3d534c4b35277337a00184f20ff25d224c04be2afd",
            "3f90bf5c6e5ef325ff04eb5ef6539fa8cca8398194fbd00be425b3f40dba10ac",
            "87b321570117cd6c95ab6c436fb5073ff15cf85505d2bc5bb7355fc21ea8a757
             57e8f86a2b138002e05752913bb43b82f868a96117e91a2d95f526677d572900",
        ),
        (
            "WLAN",
            &twos,
            &artificial,
            "897d302fa2847416488c28e20dcb7be4",
            "c40700e7722483ae3dc7139eb0b88bb558cb3081eccd057f9207d1286ee7dd53",
            "0a591a22dd8b5b1cf29e3d508c91dbbdb4aee23051892c42b6a2de66ea504473",
            "9f7dca9e37bb22029ed986e7cd09d4a70d1ac76d95535c5cac40a7504699bb89
             61a29ef6f3e90f183de5861ad1bedc81ce9916391b401aa006c98785a5756df7",
        ),
        (
            "HRPD",
            &twos,
            &artificial,
            "745e7439ba238f50fcac4d15d47cd1d9",
            "3e1d2aa4e677025cfd862a4be18361a13a645765571463df833a9759e8099879",
            "99da835e2ae82462576fe6516fad1f802f0fa1191655dd0a273da96d04e0fcd3",
            "c6d3a6e0ceea951eb20d74f32c3061d0680a04b0b086ee8700ace3e0b95fa026
             83c287beee44432294ff98af26d2cc783bace75c4b0af7fdfeb5511ba8e4cbd0",
        ),
    ] {
        let keys = Secret::new(octets(keys));
        let vector = Vector { rand: [0; 16], autn: hex(autn), res: [0; 8], keys };
        let (keys, key) = Keys::of_vector(Kind::AkaPrime, b"0555444333222111", &vector, network.as_bytes());
        assert_eq!(keys.parts(), [&hex::<16>(encr)[..], &hex::<32>(aut), &hex::<32>(re)], "{network}");
        assert_eq!(key.expose(), octets(msk), "{network}");
    }
}

// 3GPP TS 55.205: test set 1 of MILENAGE for GSM.
#[test]
fn a_card_of_umts_is_one_of_gsm() {
    let card = Card::parse(&secret()).unwrap();
    let Some(Triplet { sres, kc, .. }) = card.gsm(&hex("23553cbe9637a89d218ae64dae47bf35")) else { panic!() };
    assert_eq!((sres, kc), (hex("46f8416a"), hex("eae4be823af9a08b")));
}

#[test]
fn what_is_no_sim_is_told() {
    for text in ["", "geheim", "0x00", "1,2,3", "101112131415161718191a1b1c1d1e1f,d1d2d3d4", &"ab".repeat(31)] {
        let error = Card::parse(&Secret::from(text.as_bytes())).err().unwrap();
        assert!(error.contains("64 hexadecimal digits"), "{text}");
    }
    for text in ["465B5CE8B199B49FAA5F0A2EE238A6BCcd63cb71954a9f4e48a5994e37a02baf\n", rfc4186::TRIPLETS] {
        assert!(Card::parse(&Secret::from(text.as_bytes())).is_ok());
    }
}
