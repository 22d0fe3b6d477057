//! Proves that the crates which promise `no_std` keep the promise: types, wire, crypto, pki, radius, eap, engine, ike, manage and the
//! portable crypto provider, with all that is below.
//!
//! A program has one panic handler, and std has one. With the feature `prove` this crate defines another, so it compiles
//! exactly when nothing it depends on links std. `cargo xtask check` compiles it; it has no other use.
#![no_std]

pub use {
    ravelin_crypto, ravelin_crypto_rustcrypto, ravelin_eap, ravelin_engine, ravelin_ike, ravelin_manage, ravelin_pki,
    ravelin_radius, ravelin_types, ravelin_wire,
};

#[cfg(feature = "prove")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
