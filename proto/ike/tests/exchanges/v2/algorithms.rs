//! Every algorithm of ESP, AH and IKE, negotiated, with keys of the lengths that its RFC gives.

use ravelin_ike::explain::Part;
use ravelin_ike::{Command, limits};
use ravelin_types::proposal::{AhSuite, EspSuite, Proposal, ProtocolId, Suite};
use ravelin_types::sa::{Direction, SaParams};
use ravelin_types::transform::{EncrId, IntegId, KeMethod, PrfId, SnId, Transform};

use crate::lab::*;

/// Cipher, key length in bits, whether it is sent, and octets of KEYMAT for it: RFC 3602 §2.5, RFC 3686 §5.1, RFC 4106
/// §8.1, RFC 4309 §7.1, RFC 4543 §5.4, RFC 7634 §2, RFC 5529 §5, RFC 2451 §3.3, RFC 2405 §4 and RFC 2410 §2.
const CIPHERS: [(EncrId, u16, bool, usize); 41] = [
    (EncrId::AES_CBC, 128, true, 16),
    (EncrId::AES_CBC, 192, true, 24),
    (EncrId::AES_CBC, 256, true, 32),
    (EncrId::AES_CTR, 128, true, 20),
    (EncrId::AES_CTR, 192, true, 28),
    (EncrId::AES_CTR, 256, true, 36),
    (EncrId::AES_GCM_8, 128, true, 20),
    (EncrId::AES_GCM_8, 192, true, 28),
    (EncrId::AES_GCM_8, 256, true, 36),
    (EncrId::AES_GCM_12, 128, true, 20),
    (EncrId::AES_GCM_12, 192, true, 28),
    (EncrId::AES_GCM_12, 256, true, 36),
    (EncrId::AES_GCM_16, 128, true, 20),
    (EncrId::AES_GCM_16, 192, true, 28),
    (EncrId::AES_GCM_16, 256, true, 36),
    (EncrId::AES_GCM_16_IIV, 128, true, 20),
    (EncrId::AES_GCM_16_IIV, 192, true, 28),
    (EncrId::AES_GCM_16_IIV, 256, true, 36),
    (EncrId::AES_CCM_8, 128, true, 19),
    (EncrId::AES_CCM_8, 192, true, 27),
    (EncrId::AES_CCM_8, 256, true, 35),
    (EncrId::AES_CCM_12, 128, true, 19),
    (EncrId::AES_CCM_12, 192, true, 27),
    (EncrId::AES_CCM_12, 256, true, 35),
    (EncrId::AES_CCM_16, 128, true, 19),
    (EncrId::AES_CCM_16, 192, true, 27),
    (EncrId::AES_CCM_16, 256, true, 35),
    (EncrId::AES_CCM_8_IIV, 128, true, 19),
    (EncrId::AES_CCM_8_IIV, 192, true, 27),
    (EncrId::AES_CCM_8_IIV, 256, true, 35),
    (EncrId::NULL_AES_GMAC, 128, true, 20),
    (EncrId::NULL_AES_GMAC, 192, true, 28),
    (EncrId::NULL_AES_GMAC, 256, true, 36),
    (EncrId::CHACHA20_POLY1305, 256, false, 36),
    (EncrId::CHACHA20_POLY1305_IIV, 256, false, 36),
    (EncrId::CAMELLIA_CBC, 128, true, 16),
    (EncrId::CAMELLIA_CBC, 192, true, 24),
    (EncrId::CAMELLIA_CBC, 256, true, 32),
    (EncrId::DES3, 192, false, 24),
    (EncrId::DES, 64, false, 8),
    (EncrId::NULL, 0, false, 0),
];

/// Integrity algorithm, octets of KEYMAT, and whether ESP may use it: RFC 2403 §3, RFC 2404 §3, RFC 4868 §2.1.1, RFC 3566
/// §4, RFC 4494 §2 and RFC 4543 §5.4.
const INTEGRITY: [(IntegId, usize, bool); 10] = [
    (IntegId::HMAC_SHA2_256_128, 32, true),
    (IntegId::HMAC_MD5_96, 16, true),
    (IntegId::HMAC_SHA1_96, 20, true),
    (IntegId::HMAC_SHA2_384_192, 48, true),
    (IntegId::HMAC_SHA2_512_256, 64, true),
    (IntegId::AES_XCBC_96, 16, true),
    (IntegId::AES_CMAC_96, 16, true),
    (IntegId::AES_128_GMAC, 20, false),
    (IntegId::AES_192_GMAC, 28, false),
    (IntegId::AES_256_GMAC, 36, false),
];

const SNS: [SnId; 2] = [SnId::SEQUENTIAL_32, SnId::PARTIAL_64];

fn of(protocol: ProtocolId, transforms: &[Transform]) -> Vec<Proposal> {
    vec![Proposal { protocol, transforms: transforms.to_vec() }]
}

/// Two hosts whose one policy has this proposal, after the exchange; inbound and outbound SA of the initiator.
fn agreed(proposals: &[Proposal]) -> (SaParams, SaParams) {
    let mut lab = Lab::with(|a, b| {
        a.policies[0].proposals = proposals.to_vec();
        b.policies[0].proposals = proposals.to_vec();
    });
    lab.establish();
    lab.assert_mirrored();
    let child = lab.a.child();
    assert_eq!(child.suite, lab.b.child().suite);
    (lab.a.sa(Direction::Inbound, child.inbound).clone(), lab.a.sa(Direction::Outbound, child.outbound).clone())
}

#[test]
fn every_cipher_gets_its_keys() {
    for (encr, bits, sent, key_len) in CIPHERS {
        let aead = provider().encr(encr).unwrap().is_aead();
        for (integ, integ_len, _) in INTEGRITY.into_iter().filter(|(.., esp)| *esp).take(if aead { 1 } else { 7 }) {
            let sn = SNS[integ_len / 16 % 2];
            let proposals = [Transform::Encr(encr, sent.then_some(bits)), Transform::Integ(integ), Transform::Sn(sn)];
            let (inbound, outbound) = agreed(&of(ProtocolId::ESP, &proposals));
            let (integ, integ_len) = if aead { (IntegId::NONE, 0) } else { (integ, integ_len) };
            for sa in [&inbound, &outbound] {
                assert_eq!(sa.suite, Suite::Esp(EspSuite { encr, encr_key_bits: bits, integ, sn }));
                assert_eq!((sa.keys.encr.len(), sa.keys.integ.len()), (key_len, integ_len), "{encr} {bits} {integ}");
                assert!(sa.keys.ah.is_empty());
            }
            // docs/HISTORY.md, row 94: a key for short blocks is not used without end.
            let short = matches!(encr, EncrId::DES | EncrId::DES3);
            for sa in [&inbound, &outbound] {
                assert_eq!(sa.lifetime.soft.bytes, short.then_some(limits::SHORT_BLOCKS_SOFT), "{encr}");
                assert_eq!(sa.lifetime.hard.bytes, short.then_some(limits::SHORT_BLOCKS_HARD), "{encr}");
            }
            let whole = |sa: &SaParams| [sa.keys.encr.expose(), sa.keys.integ.expose()].concat();
            assert_ne!(whole(&inbound), whole(&outbound), "each direction has its own");
        }
    }
}

#[test]
fn every_integrity_algorithm_makes_an_ah_sa() {
    for (integ, key_len, _) in INTEGRITY {
        for sn in SNS {
            let (inbound, outbound) = agreed(&of(ProtocolId::AH, &[Transform::Integ(integ), Transform::Sn(sn)]));
            for sa in [&inbound, &outbound] {
                assert_eq!(sa.suite, Suite::Ah(AhSuite { integ, sn }));
                assert_eq!(sa.keys.ah.len(), key_len, "{integ}");
                assert!(sa.keys.encr.is_empty() && sa.keys.integ.is_empty());
            }
            assert_ne!(inbound.keys.ah.expose(), outbound.keys.ah.expose());
        }
    }
}

// RFC 7296 §2.8, §3.11: SPIs of AH are named as such when the SA is rekeyed and deleted.
#[test]
fn an_ah_sa_is_rekeyed_and_deleted() {
    let ah = of(ProtocolId::AH, &[Transform::Integ(IntegId::HMAC_SHA2_256_128), Transform::Ke(KeMethod::CURVE25519)]);
    let mut lab = Lab::with(|a, b| {
        a.policies[0].proposals = ah.clone();
        b.policies[0].proposals = ah.clone();
    });
    lab.establish();
    let old = lab.a.child();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    let new = lab.a.child();
    assert_ne!(new.inbound, old.inbound);
    assert_eq!((lab.a.sas.len(), lab.b.sas.len()), (2, 2));
    lab.assert_mirrored();
    lab.b.command(Command::TerminateChild(Some(POLICY)));
    lab.settle();
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
    assert!(lab.a.failures().is_empty() && lab.b.failures().is_empty());
}

#[test]
fn esp_and_ah_have_nothing_in_common() {
    let integ = Transform::Integ(IntegId::HMAC_SHA2_256_128);
    let mut lab = Lab::with(|a, _| a.policies[0].proposals = of(ProtocolId::AH, &[integ]));
    lab.a.command(Command::Initiate(POLICY));
    lab.settle();
    assert!(lab.a.failure(Part::ChildProposal).theirs[0].contains("NO_PROPOSAL_CHOSEN"));
    let failure = lab.b.failure(Part::ChildProposal);
    assert!(failure.theirs[0].starts_with("AH: HMAC-SHA-2-256") && failure.ours[0].starts_with("ESP:"), "{failure:?}");
    assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
}

// RFC 7296 §5, RFC 8750 §7, RFC 4543 §5.3: what is not for IKE or for ESP is no proposal of theirs.
#[test]
fn what_a_protocol_cannot_use_is_a_mistake() {
    let (prf, ke) = (Transform::Prf(PrfId::HMAC_SHA2_256), Transform::Ke(KeMethod::CURVE25519));
    let sha2 = Transform::Integ(IntegId::HMAC_SHA2_256_128);
    for (encr, bits) in [(EncrId::NULL, None), (EncrId::NULL_AES_GMAC, Some(128)), (EncrId::AES_GCM_16_IIV, Some(128))]
    {
        let mut config = config(A, B);
        config.remotes[0].proposals = of(ProtocolId::IKE, &[Transform::Encr(encr, bits), sha2, prf, ke]);
        assert_eq!(config.mistakes(&provider()).len(), 1, "{encr}");
    }
    let gmac = Transform::Integ(IntegId::AES_128_GMAC);
    let cbc = Transform::Encr(EncrId::AES_CBC, Some(128));
    for proposals in [
        of(ProtocolId::ESP, &[cbc, gmac]),
        of(ProtocolId::ESP, &[Transform::Encr(EncrId::NULL, None)]),
        of(ProtocolId::AH, &[cbc]),
        of(ProtocolId::AH, &[Transform::Integ(IntegId::NONE)]),
        of(ProtocolId(4), &[cbc, sha2]),
        [of(ProtocolId::ESP, &[cbc, sha2]), of(ProtocolId::AH, &[sha2])].concat(),
    ] {
        let mut config = config(A, B);
        config.policies[0].proposals = proposals;
        assert_eq!(config.mistakes(&provider()).len(), 1, "{:?}", config.policies[0].proposals);
    }
}

fn ike_of(transforms: &[Transform]) -> Lab {
    let proposals = of(ProtocolId::IKE, transforms);
    Lab::with(|a, b| {
        a.remotes[0].proposals = proposals.clone();
        b.remotes[0].proposals = proposals;
    })
}

// Messages of both directions are opened: those of the initial exchanges, of a rekey and of a delete.
// RFC 7296 §3.14: padding to the block, an IV of its own, a checksum over all.
#[test]
fn every_cipher_of_ike_protects_its_messages() {
    let esp_alone = [
        EncrId::AES_GCM_16_IIV,
        EncrId::AES_CCM_8_IIV,
        EncrId::CHACHA20_POLY1305_IIV,
        EncrId::NULL_AES_GMAC,
        EncrId::NULL,
    ];
    let prfs = [1, 2, 4, 5, 6, 7, 8].map(PrfId);
    for (i, (encr, bits, sent, _)) in CIPHERS.into_iter().filter(|(encr, ..)| !esp_alone.contains(encr)).enumerate() {
        let aead = provider().encr(encr).unwrap().is_aead();
        for (integ, ..) in INTEGRITY.into_iter().filter(|(.., esp)| *esp).take(if aead { 1 } else { 7 }) {
            let mut transforms = vec![
                Transform::Encr(encr, sent.then_some(bits)),
                Transform::Prf(prfs[(i + usize::from(integ.0)) % prfs.len()]),
                Transform::Ke(KeMethod::CURVE25519),
            ];
            if !aead {
                transforms.push(Transform::Integ(integ));
            }
            let mut lab = ike_of(&transforms);
            lab.establish();
            let suite = lab.a.ike().suite.unwrap();
            assert_eq!((suite.encr, suite.encr_key_bits), (encr, bits));
            assert_eq!(suite.integ, if aead { IntegId::NONE } else { integ });
            lab.b.command(Command::RekeyIke("peer".into()));
            lab.settle();
            lab.a.command(Command::TerminateIke(None));
            lab.settle();
            assert!(lab.a.endpoint.ike_sas().is_empty() && lab.b.endpoint.ike_sas().is_empty(), "{encr} {integ}");
        }
    }
}

// RFC 7296 §2.14: two of them cut the nonces.
// RFC 7296 §2.13: keys of every length that a prf may have.
#[test]
fn every_prf_and_every_group_make_the_same_keys_at_both_ends() {
    for prf in [1, 2, 4, 5, 6, 7, 8].map(PrfId) {
        let ke = Transform::Ke(KeMethod::CURVE25519);
        let mut lab = ike_of(&[Transform::Encr(EncrId::AES_GCM_16, Some(256)), Transform::Prf(prf), ke]);
        lab.establish();
        lab.a.command(Command::RekeyIke("peer".into()));
        lab.settle();
        lab.a.command(Command::RekeyChild(POLICY));
        lab.settle();
        lab.assert_mirrored();
        assert_eq!(lab.b.ike().suite.unwrap().prf, prf);
    }
    let modp = [1, 2, 5, 14, 15, 16, 17, 18, 22, 23, 24];
    let curves = [19, 20, 21, 25, 26, 27, 28, 29, 30, 31, 32];
    for ke in modp.into_iter().chain(curves).map(KeMethod) {
        let mut lab = ike_of(&ike_proposal(ke).transforms);
        for host in [&mut lab.a, &mut lab.b] {
            host.configure(|config| config.policies[0].proposals = vec![pfs(esp_proposal(), ke)]);
        }
        lab.establish();
        lab.a.command(Command::RekeyChild(POLICY));
        lab.settle();
        lab.assert_mirrored();
        assert_eq!(lab.b.ike().suite.unwrap().ke, ke);
    }
}

// ADR 0012: a policy that names no group does not take a weak one because the peer wants it.
#[test]
fn a_weak_group_is_taken_from_no_peer() {
    let mut lab = Lab::with(|a, _| a.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::MODP1024)]);
    lab.establish();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.settle();
    assert_eq!(lab.b.failures()[0].part, Part::ChildProposal);
}
