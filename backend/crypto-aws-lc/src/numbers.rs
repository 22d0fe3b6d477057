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

/// RFC 5639 §3.3.
pub(crate) static BRAINPOOL_P224: CurveNumbers = CurveNumbers {
    p: &hex::<28>("d7c134aa264366862a18302575d1d787b09f075797da89f57ec8c0ff"),
    a: &hex::<28>("68a5e62ca9ce6c1c299803a6c1530b514e182ad8b0042a59cad29f43"),
    b: &hex::<28>("2580f63ccfe44138870713b1a92369e33e2135d266dbb372386c400b"),
    x: &hex::<28>("0d9029ad2c7e5cf4340823b2a87dc68c9e4ce3174c1e6efdee12c07d"),
    y: &hex::<28>("58aa56f772c0726f24c6b89e4ecdac24354b9e99caa3f6d3761402cd"),
    n: &hex::<28>("d7c134aa264366862a18302575d0fb98d116bc4b6ddebca3a5a7939f"),
};

/// RFC 5639 §3.4.
pub(crate) static BRAINPOOL_P256: CurveNumbers = CurveNumbers {
    p: &hex::<32>("a9fb57dba1eea9bc3e660a909d838d726e3bf623d52620282013481d1f6e5377"),
    a: &hex::<32>("7d5a0975fc2c3057eef67530417affe7fb8055c126dc5c6ce94a4b44f330b5d9"),
    b: &hex::<32>("26dc5c6ce94a4b44f330b5d9bbd77cbf958416295cf7e1ce6bccdc18ff8c07b6"),
    x: &hex::<32>("8bd2aeb9cb7e57cb2c4b482ffc81b7afb9de27e1e3bd23c23a4453bd9ace3262"),
    y: &hex::<32>("547ef835c3dac4fd97f8461a14611dc9c27745132ded8e545c1d54c72f046997"),
    n: &hex::<32>("a9fb57dba1eea9bc3e660a909d838d718c397aa3b561a6f7901e0e82974856a7"),
};

/// RFC 5639 §3.6.
pub(crate) static BRAINPOOL_P384: CurveNumbers = CurveNumbers {
    p: &hex::<48>("8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b412b1da197fb71123acd3a729901d1a71874700133107ec53"),
    a: &hex::<48>("7bc382c63d8c150c3c72080ace05afa0c2bea28e4fb22787139165efba91f90f8aa5814a503ad4eb04a8c7dd22ce2826"),
    b: &hex::<48>("04a8c7dd22ce28268b39b55416f0447c2fb77de107dcd2a62e880ea53eeb62d57cb4390295dbc9943ab78696fa504c11"),
    x: &hex::<48>("1d1c64f068cf45ffa2a63a81b7c13f6b8847a3e77ef14fe3db7fcafe0cbd10e8e826e03436d646aaef87b2e247d4af1e"),
    y: &hex::<48>("8abe1d7520f9c2a45cb1eb8e95cfd55262b70b29feec5864e19c054ff99129280e4646217791811142820341263c5315"),
    n: &hex::<48>("8cb91e82a3386d280f5d6f7e50e641df152f7109ed5456b31f166e6cac0425a7cf3ab6af6b7fc3103b883202e9046565"),
};

/// RFC 5639 §3.7.
pub(crate) static BRAINPOOL_P512: CurveNumbers = CurveNumbers {
    p: &hex::<64>(
        "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca703308717d4d9b009bc66842aecda12ae6a380e62881ff2f\
        2d82c68528aa6056583a48f3",
    ),
    a: &hex::<64>(
        "7830a3318b603b89e2327145ac234cc594cbdd8d3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a7\
        2bf2c7b9e7c1ac4d77fc94ca",
    ),
    b: &hex::<64>(
        "3df91610a83441caea9863bc2ded5d5aa8253aa10a2ef1c98b9ac8b57f1117a72bf2c7b9e7c1ac4d77fc94cadc083e67984050b7\
        5ebae5dd2809bd638016f723",
    ),
    x: &hex::<64>(
        "81aee4bdd82ed9645a21322e9c4c6a9385ed9f70b5d916c1b43b62eef4d0098eff3b1f78e2d0d48d50d1687b93b97d5f7c6d5047\
        406a5e688b352209bcb9f822",
    ),
    y: &hex::<64>(
        "7dde385d566332ecc0eabfa9cf7822fdf209f70024a57b1aa000c55b881f8111b2dcde494a5f485e5bca4bd88a2763aed1ca2b2f\
        a8f0540678cd1e0f3ad80892",
    ),
    n: &hex::<64>(
        "aadd9db8dbe9c48b3fd4e6ae33c9fc07cb308db3b3c9d20ed6639cca70330870553e5c414ca92619418661197fac10471db1d381\
        085ddaddb58796829ca90069",
    ),
};
