//! What the two nodes do beyond the plain protocol: the extensions of each, such that they still come together.

use core::time::Duration;

use ravelin_ike::extensions::{Childless, Extensions, FullTranscript, Ppk, PpkIn, Ppks, Unique};

use crate::rng::Rng;

/// Those of both nodes; `windows` is how many requests each takes at once.
pub fn manners(rng: &mut Rng, windows: [u32; 2]) -> [Extensions; 2] {
    let childless = *rng.pick(&[
        [Childless::Never, Childless::Never],
        [Childless::Never, Childless::Allow],
        [Childless::Prefer, Childless::Never],
        [Childless::Prefer, Childless::Allow],
        [Childless::Force, Childless::Prefer],
    ]);
    let full_transcript = *rng.pick(&[
        [FullTranscript::Allow, FullTranscript::Allow],
        [FullTranscript::Never, FullTranscript::Allow],
        [FullTranscript::Require, FullTranscript::Allow],
    ]);
    let ppk = ppks(rng);
    let turned = rng.chance(500);
    [0, 1].map(|node| {
        let side = if turned { 1 - node } else { node };
        Extensions {
            window: windows[node],
            reauth: rng.chance(300).then(|| Duration::from_secs(rng.in_range(20..300))),
            resumption: rng.chance(400),
            crash_detection: rng.chance(400),
            unique: *rng.pick(&[Unique::No, Unique::No, Unique::Never, Unique::Replace, Unique::Keep]),
            childless: childless[side],
            full_transcript: full_transcript[side],
            ppk: ppk[side].clone(),
            ..Extensions::default()
        }
    })
}

/// Post-quantum pre-shared keys: none, on one side that does not insist, or on both.
fn ppks(rng: &mut Rng) -> [Ppks; 2] {
    const ID: &[u8] = b"key of the simulation";
    const KEY: &[u8] = b"a key that no quantum computer finds";
    let own = |required, exchange| {
        let keys = [Ppk { id: ID.to_vec(), secret: KEY.into() }];
        Ppks { id: Some(ID.to_vec()), required, exchange, keys: keys.into() }
    };
    let exchange = *rng.pick(&[PpkIn::Either, PpkIn::Auth, PpkIn::Intermediate]);
    match rng.in_range(0..6) {
        0 => [own(false, exchange), Ppks::default()],
        1 => [own(true, exchange), own(false, exchange)],
        2 => [own(false, exchange), own(false, exchange)],
        _ => [Ppks::default(), Ppks::default()],
    }
}
