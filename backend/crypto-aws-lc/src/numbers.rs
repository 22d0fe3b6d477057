//! The numbers of the groups that the library does not bring along, as their RFCs print them.

/// A group of points: field, curve `y^2 = x^3 + ax + b`, generator `(x, y)` and its order, a prime. All have the length
/// of the field.
pub(crate) struct CurveNumbers {
    pub(crate) p: &'static [u8],
    pub(crate) a: &'static [u8],
    pub(crate) b: &'static [u8],
    pub(crate) x: &'static [u8],
    pub(crate) y: &'static [u8],
    pub(crate) n: &'static [u8],
}

/// Digits to bytes, at compile time.
const fn hex<const N: usize>(text: &str) -> [u8; N] {
    const fn digit(c: u8) -> u8 {
        match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'f' => c - b'a' + 10,
            _ => panic!("not a hexadecimal digit"),
        }
    }
    let text = text.as_bytes();
    assert!(text.len() == 2 * N, "the number has another length");
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = digit(text[2 * i]) << 4 | digit(text[2 * i + 1]);
        i += 1;
    }
    bytes
}

/// RFC 2409 §6.1.
pub(crate) const PRIME_768: &[u8] = &hex::<96>(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3\
     cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a63a3620ffffffffffffffff",
);
/// RFC 2409 §6.2.
pub(crate) const PRIME_1024: &[u8] = &hex::<128>(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3\
     cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5\
     ae9f24117c4b1fe649286651ece65381ffffffffffffffff",
);
/// RFC 5114 §2.1.
pub(crate) const PRIME_1024_160: &[u8] = &hex::<128>(
    "b10b8f96a080e01dde92de5eae5d54ec52c99fbcfb06a3c69a6a9dca52d23b616073e28675a23d189838ef1e2ee652c013ecb4ae\
     a906112324975c3cd49b83bfaccbdd7d90c4bd7098488e9c219a73724effd6fae5644738faa31a4ff55bccc0a151af5f0dc8b4bd\
     45bf37df365c1a65e68cfda76d4da708df1fb2bc2e4a4371",
);
/// RFC 5114 §2.1.
pub(crate) const GENERATOR_1024_160: &[u8] = &hex::<128>(
    "a4d1cbd5c3fd34126765a442efb99905f8104dd258ac507fd6406cff14266d31266fea1e5c41564b777e690f5504f213160217b4\
     b01b886a5e91547f9e2749f4d7fbd7d3b9a92ee1909d0d2263f80a76a6a24c087a091f531dbf0a0169b6a28ad662a4d18e73afa3\
     2d779d5918d08bc8858f4dcef97c2a24855e6eeb22b3b2e5",
);
/// RFC 5114 §2.1.
pub(crate) const ORDER_1024_160: &[u8] = &hex::<20>("f518aa8781a8df278aba4e7d64b7cb9d49462353");
/// RFC 5114 §2.2.
pub(crate) const PRIME_2048_224: &[u8] = &hex::<256>(
    "ad107e1e9123a9d0d660faa79559c51fa20d64e5683b9fd1b54b1597b61d0a75e6fa141df95a56dbaf9a3c407ba1df15eb3d688a\
     309c180e1de6b85a1274a0a66d3f8152ad6ac2129037c9edefda4df8d91e8fef55b7394b7ad5b7d0b6c12207c9f98d11ed34dbf6\
     c6ba0b2c8bbc27be6a00e0a0b9c49708b3bf8a317091883681286130bc8985db1602e714415d9330278273c7de31efdc7310f712\
     1fd5a07415987d9adc0a486dcdf93acc44328387315d75e198c641a480cd86a1b9e587e8be60e69cc928b2b9c52172e413042e9b\
     23f10b0e16e79763c9b53dcf4ba80a29e3fb73c16b8e75b97ef363e2ffa31f71cf9de5384e71b81c0ac4dffe0c10e64f",
);
/// RFC 5114 §2.2.
pub(crate) const GENERATOR_2048_224: &[u8] = &hex::<256>(
    "ac4032ef4f2d9ae39df30b5c8ffdac506cdebe7b89998caf74866a08cfe4ffe3a6824a4e10b9a6f0dd921f01a70c4afaab739d77\
     00c29f52c57db17c620a8652be5e9001a8d66ad7c17669101999024af4d027275ac1348bb8a762d0521bc98ae247150422ea1ed4\
     09939d54da7460cdb5f6c6b250717cbef180eb34118e98d119529a45d6f834566e3025e316a330efbb77a86f0c1ab15b051ae3d4\
     28c8f8acb70a8137150b8eeb10e183edd19963ddd9e263e4770589ef6aa21e7f5f2ff381b539cce3409d13cd566afbb48d6c0191\
     81e1bcfe94b30269edfe72fe9b6aa4bd7b5a0f1c71cfff4c19c418e1f6ec017981bc087f2a7065b384b890d3191f2bfa",
);
/// RFC 5114 §2.2.
pub(crate) const ORDER_2048_224: &[u8] = &hex::<28>("801c0d34c58d93fe997177101f80535a4738cebcbf389a99b36371eb");
/// RFC 5114 §2.3.
pub(crate) const PRIME_2048_256: &[u8] = &hex::<256>(
    "87a8e61db4b6663cffbbd19c651959998ceef608660dd0f25d2ceed4435e3b00e00df8f1d61957d4faf7df4561b2aa3016c3d911\
     34096faa3bf4296d830e9a7c209e0c6497517abd5a8a9d306bcf67ed91f9e6725b4758c022e0b1ef4275bf7b6c5bfc11d45f9088\
     b941f54eb1e59bb8bc39a0bf12307f5c4fdb70c581b23f76b63acae1caa6b7902d52526735488a0ef13c6d9a51bfa4ab3ad83477\
     96524d8ef6a167b5a41825d967e144e5140564251ccacb83e6b486f6b3ca3f7971506026c0b857f689962856ded4010abd0be621\
     c3a3960a54e710c375f26375d7014103a4b54330c198af126116d2276e11715f693877fad7ef09cadb094ae91e1a1597",
);
/// RFC 5114 §2.3.
pub(crate) const GENERATOR_2048_256: &[u8] = &hex::<256>(
    "3fb32c9b73134d0b2e77506660edbd484ca7b18f21ef205407f4793a1a0ba12510dbc15077be463fff4fed4aac0bb555be3a6c1b\
     0c6b47b1bc3773bf7e8c6f62901228f8c28cbb18a55ae31341000a650196f931c77a57f2ddf463e5e9ec144b777de62aaab8a862\
     8ac376d282d6ed3864e67982428ebc831d14348f6f2f9193b5045af2767164e1dfc967c1fb3f2e55a4bd1bffe83b9c80d052b985\
     d182ea0adb2a3b7313d3fe14c8484b1e052588b9b7d2bbd2df016199ecd06e1557cd0915b3353bbb64e0ec377fd028370df92b52\
     c7891428cdc67eb6184b523d1db246c32f63078490f00ef8d647d148d47954515e2327cfef98c582664b4c0f6cc41659",
);
/// RFC 5114 §2.3.
pub(crate) const ORDER_2048_256: &[u8] = &hex::<32>("8cf83642a709a097b447997640129da299b1a47d1eb3750ba308b0fe64f5fbd3");

/// RFC 5114 §2.4.
pub(crate) static P192: CurveNumbers = CurveNumbers {
    p: &hex::<24>("fffffffffffffffffffffffffffffffeffffffffffffffff"),
    a: &hex::<24>("fffffffffffffffffffffffffffffffefffffffffffffffc"),
    b: &hex::<24>("64210519e59c80e70fa7e9ab72243049feb8deecc146b9b1"),
    x: &hex::<24>("188da80eb03090f67cbf20eb43a18800f4ff0afd82ff1012"),
    y: &hex::<24>("07192b95ffc8da78631011ed6b24cdd573f977a11e794811"),
    n: &hex::<24>("ffffffffffffffffffffffff99def836146bc9b1b4d22831"),
};
