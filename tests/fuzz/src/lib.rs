//! Fuzz targets: each takes any bytes and panics when a decoder breaks a promise. A target never judges whether input
//! is accepted, only that what is accepted is consistent.
//!
//! Targets are data, not programs: [`targets`] lists them, one for every row of the payload tables of `ravelin-wire`
//! among them. `cargo test -p ravelin-fuzz` replays `corpus/<target>/` and small changes of it through every target;
//! `cargo xtask fuzz TARGET` searches with libFuzzer, through the one program `src/bin/fuzz.rs`. Read `ike.rs` first.
#![deny(unsafe_code)]

mod aggfrag;
mod c_interface;
mod chains;
mod ciphers;
mod decoding;
mod eap;
mod ike;
mod ike_v1;
mod kernel;
mod management;
mod operator;
mod packet;
mod papers;
mod radius;

use std::path::PathBuf;

use ravelin_crypto::SecureRandom;
use ravelin_engine::{Engine, EngineConfig, NoMatch};

use ravelin_wire::ike::{PayloadKind, v1, v2};

/// An engine without SAs, of which every run is the same: what is random is zero.
fn engine() -> Engine {
    struct Zero;
    impl SecureRandom for Zero {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(0);
        }
    }
    let config = EngineConfig { no_match: NoMatch::Bypass, ..EngineConfig::default() };
    Engine::new(config, ravelin_crypto_rustcrypto::provider(), Box::new(Zero))
}

/// Something to fuzz.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    decoder: Decoder,
}

#[derive(Clone, Copy, Debug)]
enum Decoder {
    Named(&'static str, fn(&[u8])),
    Payload(PayloadKind),
    V1Payload(PayloadKind),
}

/// Every target.
pub fn targets() -> Vec<Target> {
    let named = [
        Decoder::Named("message", ike::message),
        Decoder::Named("chain", ike::chain),
        Decoder::Named("v1-message", ike_v1::message),
        Decoder::Named("v1-chain", ike_v1::chain),
        Decoder::Named("ip", packet::ip),
        Decoder::Named("ip-options", packet::ip_options),
        Decoder::Named("esp", packet::esp),
        Decoder::Named("ah", packet::ah),
        Decoder::Named("udp-encap", packet::udp_encap),
        Decoder::Named("packets-in-pieces", chains::packets),
        Decoder::Named("aggfrag", aggfrag::payloads),
        Decoder::Named("management-request", management::request),
        Decoder::Named("management-answer", management::answer),
        Decoder::Named("management-event", management::event),
        Decoder::Named("radius", radius::packet),
        Decoder::Named("eap-sim", eap::sims),
        Decoder::Named("eap-methods", eap::methods),
        Decoder::Named("certificate", papers::certificate),
        Decoder::Named("revocation-list", papers::revocation_list),
        Decoder::Named("attribute-certificate", papers::attribute_certificate),
        Decoder::Named("ocsp-answer", papers::ocsp_answer),
        Decoder::Named("certificate-bundle", papers::certificate_bundle),
        Decoder::Named("key-file", papers::key_file),
        Decoder::Named("token-uri", operator::token_uri),
        Decoder::Named("control", operator::control),
        Decoder::Named("command-line", operator::command_line),
        Decoder::Named("swanctl", operator::swanctl),
        Decoder::Named("setkey", operator::setkey),
        Decoder::Named("vici-connection", operator::vici_connection),
        Decoder::Named("xfrm", kernel::message),
        Decoder::Named("decode-frame", decoding::frame),
        Decoder::Named("decode-capture", decoding::capture_file),
        Decoder::Named("decode-keys", decoding::keys),
        Decoder::Named("c-interface", c_interface::calls),
        Decoder::Named("ciphers", ciphers::single),
        Decoder::Named("cipher-batches", ciphers::batch),
    ];
    let payloads = v2::PAYLOADS.iter().copied().map(Decoder::Payload);
    let payloads = payloads.chain(v1::PAYLOADS.iter().copied().map(Decoder::V1Payload));
    named.into_iter().chain(payloads).map(|decoder| Target { decoder }).collect()
}

impl Target {
    /// The name, which is also that of the folder in the corpus.
    pub fn name(&self) -> String {
        match self.decoder {
            Decoder::Named(name, _) => name.into(),
            Decoder::Payload(payload) => format!("payload-{}", payload.name),
            Decoder::V1Payload(payload) => format!("v1-payload-{}", payload.name.replace('_', "-")),
        }
    }

    /// Feeds one input.
    ///
    /// # Panics
    /// When the decoder breaks a promise.
    pub fn run(&self, input: &[u8]) {
        match self.decoder {
            Decoder::Named(_, run) => run(input),
            Decoder::Payload(payload) => ike::payload(payload.kind, input),
            Decoder::V1Payload(payload) => ike_v1::payload(payload.kind, input),
        }
    }
}

/// The committed inputs, a folder for each target.
pub fn corpus() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "corpus"].iter().collect()
}
