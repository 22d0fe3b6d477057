//! Packets that are compressed before they are protected: one more proposal of a number (RFC 2408 §4.2, RFC 3173 §4.1).

use ravelin_ike::Command;
use ravelin_ike::limits::{V1_RETIREMENT, V1_SWITCH};
use ravelin_types::policy::Mode;
use ravelin_types::transform::IntegId;

use super::lab;
use crate::ipcomp::{assert_agreed, give, labels};
use crate::lab::{POLICY, set_mode};

#[test]
fn each_side_tells_its_label_and_another_with_each_quick_mode() {
    for (mode, ah) in [(Mode::Tunnel, false), (Mode::Transport, false), (Mode::Tunnel, true)] {
        let mut lab = lab(|a, b| {
            for config in [a, b] {
                give(config, true);
                set_mode(config, mode);
                if ah {
                    config.policies[0].ah = vec![IntegId::HMAC_SHA2_256_128];
                }
            }
        });
        lab.establish();
        let mut seen = vec![assert_agreed(&lab)];
        assert_eq!(lab.a.child().suite.ah().is_some(), ah);
        for by_b in [false, true] {
            let host = if by_b { &mut lab.b } else { &mut lab.a };
            host.command(Command::RekeyChild(POLICY));
            lab.settle();
            lab.sleep(V1_SWITCH);
            lab.sleep(V1_SWITCH + V1_RETIREMENT);
            lab.settle();
            let now = assert_agreed(&lab);
            assert!(seen.iter().all(|before| before.inbound != now.inbound && before.outbound != now.outbound));
            seen.push(now);
        }
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
}

// What goes together is taken together or not at all, so all else is offered once more without.
#[test]
fn the_child_sa_goes_without_where_one_side_does_not_want_it_or_cannot() {
    for (a, b) in [(true, false), (false, true)] {
        for cannot in [false, true] {
            let mut lab = lab(|first, second| {
                for (config, wants) in [(first, a), (second, b)] {
                    give(config, wants || cannot);
                    config.ipcomp = wants;
                }
            });
            lab.establish();
            assert_eq!((labels(&lab.a), labels(&lab.b)), (None, None));
            assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        }
    }
}
