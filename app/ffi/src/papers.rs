//! What IKE asks about certificates, signatures and logins, answered at once with what lines named: keys and revocation lists
//! that were read with them. Nobody elsewhere is asked.

use std::time::{SystemTime, UNIX_EPOCH};

use ravelin_config::Model;
use ravelin_crypto::SecureRandom;
use ravelin_crypto_aws_lc::SystemRandom;
use ravelin_eap::{Forgetful, Tools};
use ravelin_ike::{Answer, Desk, Question};
use ravelin_pki::auth::World;
use ravelin_pki::{Time, memory};
use ravelin_tls::Maker;

use crate::crypto::provider;

/// The answer; it takes up to some milliseconds, and with a key on a token as long as that.
pub(crate) fn answer(question: Question, model: Option<&Model>) -> Answer {
    let papers = model.map(|model| model.certificates().papers()).unwrap_or_default();
    let keys = |name: &str| papers.keys.get(name).cloned();
    let crypto = provider();
    // Certificates are valid by the calendar, which the time of an endpoint knows nothing of.
    let now = Time(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()));
    let world = World { now, crls: &papers.crls, answers: &[], memory: &memory::Forgetful };
    let tls = Maker { keys: &keys, world, register: None, crypto: &crypto };
    let eap = Tools { memory: &Forgetful, random: &|out| SystemRandom.fill(out), tls: &tls };
    question.answer(Desk { keys: &keys, world, crypto: &crypto, eap })
}
