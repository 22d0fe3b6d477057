//! The one door in and the one queue out.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use ravelin_crypto::{CryptoProvider, SecureRandom};
use ravelin_types::Instant;

use crate::config::Config;
use crate::input::Input;
use crate::output::Output;
use crate::view::IkeSaView;

/// All IKE SAs of one host.
pub struct Endpoint {
    config: Arc<Config>,
    crypto: CryptoProvider,
    rng: Box<dyn SecureRandom>,
}

impl Endpoint {
    /// An endpoint without SAs.
    pub fn new(config: Arc<Config>, crypto: CryptoProvider, rng: Box<dyn SecureRandom>, now: Instant) -> Self {
        let _ = now;
        Endpoint { config, crypto, rng }
    }

    /// Takes one input. Nonsense from peers is counted and dropped, never returned.
    pub fn handle(&mut self, input: Input<'_>, now: Instant) {
        let _ = (input, now, &self.config, &self.crypto, &mut self.rng);
    }

    /// The next decision; call until it says [`Output::Wait`].
    pub fn poll(&mut self) -> Output {
        Output::Wait(None)
    }

    /// Every IKE SA, half-open ones included.
    pub fn ike_sas(&self) -> Vec<IkeSaView> {
        Vec::new()
    }
}
