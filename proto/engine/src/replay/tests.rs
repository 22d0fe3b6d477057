use super::*;

/// A window that remembers every number: what the ring must agree with.
struct Model {
    seen: std::collections::BTreeSet<u64>,
    size: u64,
}

impl Model {
    fn check(&self, sequence: u64) -> Result<(), Stale> {
        let top = self.seen.last().copied().unwrap_or(0);
        if sequence == 0 || (sequence <= top && top - sequence >= self.size) {
            Err(Stale::TooOld)
        } else if self.seen.contains(&sequence) {
            Err(Stale::Seen)
        } else {
            Ok(())
        }
    }
}

// docs/HISTORY.md, row 114: windows of every size agree with the plain model, across word and ring borders.
#[test]
fn the_ring_agrees_with_a_model() {
    for (n, size) in [1u32, 31, 32, 33, 63, 64, 65, 127, 128, 1000, 1024, 4095, 4096].into_iter().enumerate() {
        // New, or one that was another before, of the least or the largest size.
        let mut window = ReplayWindow::new([size, 0, 4096][n % 3]);
        window.accept(77);
        window.renew(size);
        let mut model = Model { seen: Default::default(), size: size.into() };
        let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ u64::from(size);
        let mut centre = 1u64;
        for step in 0..20_000u64 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = state >> 33;
            centre += match step % 97 {
                0 => random % (3 * u64::from(size) + 100),
                _ => 1,
            };
            let sequence = (centre + 8).saturating_sub(random % (u64::from(size) * 2 + 10));
            let expected = model.check(sequence);
            assert_eq!(window.check(sequence), expected, "size {size} step {step} sequence {sequence}");
            if expected.is_ok() {
                let newest = window.accept(sequence);
                assert_eq!(newest, model.seen.last().is_none_or(|&top| sequence > top));
                model.seen.insert(sequence);
                if model.seen.len() > 10_000 {
                    model.seen.pop_first();
                }
            }
        }
    }
}

#[test]
fn a_jump_of_any_length_clears_the_ring() {
    let mut window = ReplayWindow::new(64);
    for sequence in [1u64, 2, 63, 64, 64 + 128, 64 + 256, 1 << 40, (1 << 40) + 64] {
        assert_eq!(window.check(sequence), Ok(()));
        assert!(window.accept(sequence));
        assert_eq!(window.check(sequence), Err(Stale::Seen));
        assert_eq!(window.check(sequence + 1), Ok(()));
    }
    assert_eq!(window.check((1 << 40) + 1), Ok(()), "the last but 63 is still in the window");
    assert_eq!(window.check(1 << 40), Err(Stale::TooOld));
}

#[test]
fn zero_is_never_a_number_and_no_window_takes_all() {
    assert_eq!(ReplayWindow::new(32).check(0), Err(Stale::TooOld));
    let mut off = ReplayWindow::new(0);
    for sequence in [5, 5, 1, 0] {
        assert_eq!(off.check(sequence), Ok(()));
        off.accept(sequence);
    }
    assert_eq!(off.top(), 5);
}

// docs/HISTORY.md, row 114, RFC 4303 Appendix A2: T = 0, both sides of the wrap, windows that straddle it.
#[test]
fn the_high_half_is_inferred() {
    let at = |top: u64, size: u32| {
        let mut window = ReplayWindow::new(size);
        window.top = top;
        window
    };
    assert_eq!(at(0, 64).infer(1), Some(1));
    assert_eq!(at(0, 64).infer(0x7fff_ffff), Some(0x7fff_ffff));
    assert_eq!(at(0, 64).infer(0xffff_fffe), None, "before the first number of all");
    assert_eq!(at(0, 1).infer(0xffff_fffe), Some(0xffff_fffe));
    // Case A: the window lies within one subspace.
    assert_eq!(at(0xffff_fff0, 64).infer(0xffff_fffe), Some(0xffff_fffe));
    assert_eq!(at(0xffff_fff0, 64).infer(5), Some(0x1_0000_0005));
    assert_eq!(at(0xffff_ffff, 64).infer(0), Some(0x1_0000_0000));
    // Case B: it straddles two.
    assert_eq!(at(0x1_0000_0005, 64).infer(0xffff_fffe), Some(0xffff_fffe));
    assert_eq!(at(0x1_0000_0005, 64).infer(6), Some(0x1_0000_0006));
    assert_eq!(at(0x1_0000_0005, 4096).infer(0xffff_f006), Some(0xffff_f006));
    assert_eq!(at(0x1_0000_0005, 4096).infer(0xffff_f005), Some(0x1_ffff_f005), "left of the window is ahead");
    // The bottom of the window exactly.
    assert_eq!(at(0x1_0000_003f, 64).infer(0), Some(0x1_0000_0000));
    assert_eq!(at(0x1_0000_003e, 64).infer(0xffff_ffff), Some(0xffff_ffff));
    assert_eq!(at(u64::MAX, 64).infer(5), None, "beyond 64 bits");
}
