//! What IKE costs: `cargo bench -p ravelin-ike`. `methods`, `set-up` or `many` after `--` runs one of the three.
//!
//! `methods`: the steps of every key exchange, in the median, with whether it counts as slow (ADR 0071).
//!
//! `set-up`: an IKE SA with its first Child SA, pre-shared key and Curve25519, both ends in this process, against the four
//! scalar multiplications of the same provider that two ends need between them (each makes a public value and a shared
//! secret); and the same with certificates, against these and the signatures and verifications. The two are timed in turns, so
//! that whatever else the machine does falls on both; printed is the ratio of the medians. `many` is a gateway with very many
//! peers: see `many.rs`.

mod ends;
mod many;
mod papers;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use ravelin_crypto::KeAlg;
use ravelin_crypto_aws_lc::{SystemRandom, provider};
use ravelin_ike::{Command, Config};
use ravelin_types::transform::KeMethod;

const ROUNDS: usize = 2000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));
    if wants("methods") {
        methods();
    }
    if wants("set-up") {
        set_up();
    }
    if wants("many") {
        many::run();
    }
}

fn methods() {
    const TIMES: usize = 101;
    for ke in provider().ke.iter().chain(ravelin_crypto_rustcrypto::provider().ke) {
        let (mut generate, mut respond, mut agree) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..TIMES {
            let mut own = None;
            generate.push(time(|| own = Some(ke.generate(&mut SystemRandom))));
            let own = own.expect("it was made");
            let mut theirs = None;
            respond.push(time(|| theirs = Some(ke.respond(own.public(), &mut SystemRandom))));
            let (public, _) = theirs.expect("it was made").expect("a valid public value");
            agree.push(time(|| drop(black_box(own.agree(&public)))));
        }
        let [generate, respond, agree] = [generate, respond, agree].map(median);
        let slow = if ke.is_slow() { ", slow" } else { "" };
        println!("ike/methods: {}: generate {generate:.1?}, respond {respond:.1?}, agree {agree:.1?}{slow}", ke.id());
    }
}

fn set_up() {
    let configs = [ends::config("192.0.2.1", "192.0.2.2"), ends::config("192.0.2.2", "192.0.2.1")];
    let ke = provider().ke(KeMethod::CURVE25519).expect("the provider has Curve25519");
    compare("", "key exchange", &configs, || {}, || exchange(ke));
    let signatures = papers::signatures();
    let [a, b] = configs;
    let configs = [papers::with_certificates(a, 0), papers::with_certificates(b, 1)];
    let all = "key exchange, signatures and verifications";
    let cryptography = || {
        exchange(ke);
        signatures();
    };
    compare(" with ECDSA P-256", all, &configs, papers::forget, cryptography);
    compare(" with ECDSA P-256 of a peer that comes back", all, &configs, || {}, cryptography);
}

/// Set-ups of this configuration against their cryptography, between ends that have had others before; `ready` comes before each.
fn compare(with: &str, what: &str, configs: &[Config; 2], ready: impl Fn(), cryptography: impl Fn()) {
    let configs = configs.each_ref().map(|config| Arc::new(config.clone()));
    let (mut set_up, mut bare) = (Vec::new(), Vec::new());
    let [mut a, mut b] = configs.each_ref().map(ends::endpoint);
    for _ in 0..ROUNDS {
        ready();
        set_up.push(time(|| ends::establish(&mut a, &mut b)));
        ends::run(&mut a, &mut b, Command::TerminateIke(None));
        bare.push(time(&cryptography));
    }
    let (set_up, bare) = (median(set_up), median(bare));
    let ratio = set_up.as_secs_f64() / bare.as_secs_f64();
    println!("ike/set-up{with}: {ratio:.2} of its bare {what}, 1.3 is the bound ({set_up:.1?} against {bare:.1?})");
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Clock::now();
    run();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The key exchange alone: four scalar multiplications.
fn exchange(ke: &dyn KeAlg) {
    let initiator = ke.generate(&mut SystemRandom);
    let (public, shared) = ke.respond(initiator.public(), &mut SystemRandom).expect("a valid public value");
    let same = initiator.agree(&public).expect("a valid public value");
    black_box((shared, same));
}
