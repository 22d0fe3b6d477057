//! Everything that two endpoints say in the life of an IKE SA, changed, cut short and repeated on the way.

use std::time::Duration;

use ravelin_ike::{Command, Transmit};
use ravelin_types::transform::KeMethod;

use super::is_down;
use crate::lab::*;

/// What stands between the two; half-open IKE SAs are nothing yet.
fn standing(host: &Host) -> String {
    let views = host.endpoint.ike_sas();
    let standing: Vec<_> = views.iter().filter(|sa| sa.state != "IKE_SA_INIT").collect();
    let keys: Vec<_> = host.sas.values().map(|sa| (sa.keys.encr.expose(), sa.keys.integ.expose())).collect();
    format!("{standing:?} {:?} {keys:?}", host.sas)
}

/// All the bits of a message, one at a time, and all its lengths, with the length field as it was and mended.
fn disfigured(real: &Transmit) -> Vec<Transmit> {
    let mut all = Vec::new();
    // IKE_SA_INIT is not protected; what becomes of a change there shows in IKE_AUTH.
    if kind(&real.data).0 != SA_INIT {
        for bit in 0..real.data.len() * 8 {
            let mut flipped = real.clone();
            flipped.data[bit / 8] ^= 1 << (bit % 8);
            all.push(flipped);
        }
    }
    for len in 0..real.data.len() {
        let mut cut = real.clone();
        cut.data.truncate(len);
        all.push(cut.clone());
        if len >= 28 {
            cut.data[24..28].copy_from_slice(&(len as u32).to_be_bytes());
            all.push(cut);
        }
    }
    let mut longer = real.clone();
    longer.data.push(0);
    all.push(longer.clone());
    let len = longer.data.len() as u32;
    longer.data[24..28].copy_from_slice(&len.to_be_bytes());
    all.push(longer);
    all
}

/// Two endpoints and all that was said so far.
struct Life {
    lab: Lab,
    said: Vec<(bool, Transmit)>,
}

impl Life {
    /// Until nobody has more to say: before each message arrives, everything that it is not, and everything that was
    /// said before it, last first.
    fn settle(&mut self) {
        loop {
            let from_a = !self.lab.a.sent.is_empty();
            let Some(real) = self.lab.a.sent.pop_front().or_else(|| self.lab.b.sent.pop_front()) else { return };
            let to = if from_a { &mut self.lab.b } else { &mut self.lab.a };
            let (before, waiting) = (standing(to), to.sent.len());
            for wrong in disfigured(&real) {
                to.receive(&wrong);
            }
            // All that came back was without protection, and told nothing.
            for answer in to.sent.drain(waiting..) {
                assert_eq!(answer.data.len(), 36, "{answer:?}");
            }
            for (_, old) in self.said.iter().rev().filter(|(by_a, _)| *by_a == from_a) {
                to.receive(old);
            }
            // What came back now were repetitions, cookies and answers in clear.
            for answer in to.sent.drain(waiting..) {
                let (exchange, _, response) = kind(&answer.data);
                assert!(response);
                let repeated = self.said.iter().any(|(_, old)| *old == answer);
                assert!(repeated || exchange == SA_INIT || answer.data.len() == 36, "{answer:?}");
            }
            assert_eq!(standing(to), before);
            to.receive(&real);
            self.said.push((from_a, real));
        }
    }

    fn command(&mut self, by_a: bool, command: Command) {
        let host = if by_a { &mut self.lab.a } else { &mut self.lab.b };
        host.command(command);
        self.settle();
        self.lab.assert_mirrored();
    }
}

#[test]
fn no_change_of_a_message_and_no_repetition_changes_anything() {
    let lab = Lab::with(|a, b| {
        for config in [a, b] {
            config.policies[0].proposals = vec![pfs(esp_proposal(), KeMethod::CURVE25519)];
        }
    });
    let mut life = Life { lab, said: Vec::new() };
    life.command(true, Command::Initiate(POLICY));
    assert_eq!(life.lab.a.children().len(), 1);
    for by_a in [true, false] {
        let (ike, child) = (life.lab.a.ike().spis, life.lab.a.child().inbound);
        life.command(by_a, Command::RekeyChild(POLICY));
        assert_ne!(life.lab.a.child().inbound, child);
        life.command(by_a, Command::CheckLiveness("peer".into()));
        life.command(by_a, Command::RekeyIke("peer".into()));
        life.lab.sleep(Duration::from_millis(1));
        life.settle();
        assert!(life.lab.a.endpoint.ike_sas().iter().all(|sa| sa.spis != ike));
        life.command(by_a, Command::TerminateChild(None));
        assert!(life.lab.a.sas.is_empty() && life.lab.b.sas.is_empty());
        life.command(by_a, Command::Initiate(POLICY));
        assert_eq!(life.lab.a.children().len(), 1);
    }
    // The operator hears of an answer to IKE_SA_INIT that cannot be read; it has no other effect.
    let told = |host: &Host| host.failures().into_iter().filter(|failure| failure.exchange != "IKE_SA_INIT").count();
    assert_eq!((told(&life.lab.a), told(&life.lab.b)), (0, 0));
    life.command(true, Command::TerminateIke(None));
    life.lab.sleep(Duration::from_secs(60));
    assert!(is_down(&life.lab.a) && is_down(&life.lab.b));
    assert!(life.said.len() > 30);
}

// RFC 7296 §2.15: AUTH covers both IKE_SA_INIT messages, so who changes one of them on the way gets no IKE SA.
#[test]
fn a_changed_ike_sa_init_message_never_leads_to_an_ike_sa() {
    for answer in [false, true] {
        let mut at = 0;
        loop {
            let mut lab = Lab::new();
            lab.a.command(Command::Initiate(POLICY));
            if answer {
                lab.a_to_b();
            }
            let mut message = if answer { lab.b.take() } else { lab.a.take() };
            if at == message.data.len() {
                break;
            }
            message.data[at] ^= 1 << (at % 8);
            if answer {
                lab.a.receive(&message)
            } else {
                lab.b.receive(&message)
            }
            for _ in 0..20 {
                if let Some(message) = lab.a.sent.pop_front() {
                    lab.b.receive(&message);
                }
                if let Some(message) = lab.b.sent.pop_front() {
                    lab.a.receive(&message);
                }
            }
            assert!(lab.a.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"), "{answer} {at}");
            assert!(lab.b.endpoint.ike_sas().iter().all(|sa| sa.state != "ESTABLISHED"), "{answer} {at}");
            assert!(lab.a.sas.is_empty() && lab.b.sas.is_empty());
            at += 1;
        }
        assert!(at > 100);
    }
}
