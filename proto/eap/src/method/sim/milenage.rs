//! MILENAGE, the example algorithms of authentication and key agreement (3GPP TS 35.206), on AES-128.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use ravelin_types::Secret;
use zeroize::Zeroizing;

/// The functions under one subscriber's key and one operator's variant.
pub(super) struct Milenage {
    cipher: Aes128,
    opc: Zeroizing<[u8; 16]>,
}

/// What a challenge gives: f2 to f5.
pub(super) struct Given {
    pub(super) res: [u8; 8],
    /// CK, then IK.
    pub(super) keys: Secret,
    /// AK, which hides the sequence number.
    pub(super) hides: [u8; 6],
}

impl Milenage {
    /// With K, then OPc.
    pub(super) fn new(both: &[u8; 32]) -> Self {
        let (k, variant) = both.split_at(16);
        let mut opc = Zeroizing::new([0; 16]);
        opc.copy_from_slice(variant);
        Milenage { cipher: Aes128::new_from_slice(k).expect("K is the first half"), opc }
    }

    /// f1 and f1*: what proves the network to the card, and the card to the network when it asks for another number.
    pub(super) fn f1(&self, rand: &[u8; 16], sqn: [u8; 6], amf: [u8; 2]) -> ([u8; 8], [u8; 8]) {
        let mut twice = [0; 16];
        for half in twice.chunks_exact_mut(8) {
            half[..6].copy_from_slice(&sqn);
            half[6..].copy_from_slice(&amf);
        }
        let mut block = xor(twice, *self.opc);
        block.rotate_left(8);
        let out = self.encrypt(xor(block, self.temp(rand)));
        let ([network, ..], [.., card]) = (halves(&out), halves(&out));
        (network, card)
    }

    /// f2, f3, f4 and f5.
    pub(super) fn f2345(&self, rand: &[u8; 16]) -> Given {
        let [first, res] = halves(&self.out(rand, 0, 1));
        let [a, b, c, d, e, f, ..] = first;
        let keys = [self.out(rand, 4, 2), self.out(rand, 8, 4)].concat();
        Given { res, keys: Secret::new(keys), hides: [a, b, c, d, e, f] }
    }

    /// f5*: hides the number that the card has seen.
    pub(super) fn f5_star(&self, rand: &[u8; 16]) -> [u8; 6] {
        let [a, b, c, d, e, f, ..] = self.out(rand, 12, 8);
        [a, b, c, d, e, f]
    }

    fn temp(&self, rand: &[u8; 16]) -> [u8; 16] {
        let mut block = xor(*rand, *self.opc).into();
        self.cipher.encrypt_block(&mut block);
        block.into()
    }

    /// TS 35.206 §4.1: rotated by so many octets, with this constant.
    fn out(&self, rand: &[u8; 16], octets: usize, constant: u8) -> [u8; 16] {
        let mut block = xor(self.temp(rand), *self.opc);
        block.rotate_left(octets);
        block[15] ^= constant;
        self.encrypt(block)
    }

    fn encrypt(&self, block: [u8; 16]) -> [u8; 16] {
        let mut block = block.into();
        self.cipher.encrypt_block(&mut block);
        xor(block.into(), *self.opc)
    }
}

pub(super) fn xor<const N: usize>(mut a: [u8; N], b: [u8; N]) -> [u8; N] {
    a.iter_mut().zip(b).for_each(|(a, b)| *a ^= b);
    a
}

fn halves(block: &[u8; 16]) -> [[u8; 8]; 2] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *block;
    [[a, b, c, d, e, f, g, h], rest]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::sim::tests::hex;

    // 3GPP TS 35.208: test sets 1 and 19, of which the latter is that of RFC 9048 Appendix D, too.
    #[test]
    fn the_published_sets() {
        for [k, opc, rand, sqn, amf, f1, f1_star, res, ck, ik, hides, hides_star] in [
            [
                "465b5ce8b199b49faa5f0a2ee238a6bc",
                "cd63cb71954a9f4e48a5994e37a02baf",
                "23553cbe9637a89d218ae64dae47bf35",
                "ff9bb4d0b607",
                "b9b9",
                "4a9ffac354dfafb3",
                "01cfaf9ec4e871e9",
                "a54211d5e3ba50bf",
                "b40ba9a3c58b2a05bbf0d987b21bf8cb",
                "f769bcd751044604127672711c6d3441",
                "aa689c648370",
                "451e8beca43b",
            ],
            [
                "5122250214c33e723a5dd523fc145fc0",
                "981d464c7c52eb6e5036234984ad0bcf",
                "81e92b6c0ee0e12ebceba8d92a99dfa5",
                "16f3b3f70fc2",
                "c3ab",
                "2a5c23d15ee351d5",
                "62dae3853f3af9d2",
                "28d7b0f2a2ec3de5",
                "5349fbe098649f948f5d2e973a81c00f",
                "9744871ad32bf9bbd1dd5ce54e3e2e5a",
                "ada15aeb7bb8",
                "d461bc15475d",
            ],
        ] {
            let milenage = Milenage::new(&hex(&[k, opc].concat()));
            let rand = hex(rand);
            assert_eq!(milenage.f1(&rand, hex(sqn), hex(amf)), (hex(f1), hex(f1_star)));
            let given = milenage.f2345(&rand);
            assert_eq!((given.res, given.hides), (hex(res), hex(hides)));
            assert_eq!(given.keys.expose(), [hex::<16>(ck), hex(ik)].concat());
            assert_eq!(milenage.f5_star(&rand), hex(hides_star));
        }
    }
}
