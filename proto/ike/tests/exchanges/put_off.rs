//! Key exchanges that take long, of both versions: whatever needs a step has not happened before it is answered, and a test
//! answers when it likes.

use ravelin_ike::{Answer, Command, Config, Input, OpId, Question, limits};
use ravelin_types::policy::{Mode, PolicyId};
use ravelin_types::transform::{Additional, KeMethod, Transform};

use crate::lab::*;
use crate::v1;

/// One for each key exchange, so that none is taken for another.
const FIRST: KeMethod = KeMethod::MODP1536;
const SECOND: KeMethod = KeMethod::MODP1024;
/// Values of this one come in fragments.
const LONG: KeMethod = KeMethod::MODP8192;

/// What is asked: who, and which step.
type Steps = Vec<(char, &'static str)>;

/// One key exchange that A begins.
const BY_A: [(char, &str); 3] = [('a', "generate"), ('b', "exchange"), ('a', "agree")];
const BY_B: [(char, &str); 3] = [('b', "generate"), ('a', "exchange"), ('b', "agree")];

fn step(question: &Question) -> &'static str {
    match question {
        Question::Generate { .. } => "generate",
        Question::Agree { .. } => "agree",
        Question::Exchange { .. } => "exchange",
        other => panic!("{other:?}"),
    }
}

/// Everything arrives, twice, and only then the next question is answered. `stop` is asked before each answer.
fn settle_slowly(lab: &mut Lab, stop: &mut dyn FnMut(&mut Lab, usize) -> bool) -> Steps {
    let mut steps = Vec::new();
    for _ in 0..1000 {
        if let Some(message) = lab.a.sent.pop_front() {
            lab.b.receive(&message);
            lab.b.receive(&message);
        } else if let Some(message) = lab.b.sent.pop_front() {
            lab.a.receive(&message);
            lab.a.receive(&message);
        } else {
            let asks = if lab.a.asked.is_empty() { 'b' } else { 'a' };
            let host = if asks == 'a' { &mut lab.a } else { &mut lab.b };
            let Some((_, question)) = host.asked.front() else { return steps };
            assert_eq!(host.asked.len(), 1, "a message that comes again asks nothing anew");
            steps.push((asks, step(question)));
            if stop(lab, steps.len() - 1) {
                return steps;
            }
            let host = if asks == 'a' { &mut lab.a } else { &mut lab.b };
            host.answer();
        }
    }
    panic!("the two never come to rest");
}

fn slowly(lab: &mut Lab) -> Steps {
    settle_slowly(lab, &mut |_, _| false)
}

/// IKEv2 with these methods one after the other, for the IKE SA and for Child SAs.
fn v2(methods: [KeMethod; 2]) -> Lab {
    Lab::with(|a, b| {
        for config in [a, b] {
            let more = Transform::AddKe(Additional::new(1).unwrap(), methods[1]);
            config.remotes[0].proposals = vec![ike_proposal(methods[0])];
            config.remotes[0].proposals[0].transforms.push(more);
            config.policies[0].proposals = vec![pfs(esp_proposal(), methods[0])];
            config.policies[0].proposals[0].transforms.push(more);
        }
    })
}

/// IKEv1 in one of its modes, with PFS.
fn v1(aggressive: bool) -> Lab {
    Lab::with(|a, b| {
        for config in [a, b] {
            v1::v1(config, aggressive);
            config.remotes[0].proposals = vec![v1::proposal(SECOND)];
            config.policies[0].proposals = vec![pfs(esp_cbc(), FIRST)];
        }
    })
}

fn assert_whole(lab: &Lab) {
    assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    assert_eq!((lab.a.children().len(), lab.b.children().len()), (1, 1));
    lab.assert_mirrored();
}

// RFC 9370 §2.2: IKE_SA_INIT, IKE_INTERMEDIATE, CREATE_CHILD_SA and IKE_FOLLOWUP_KE, each from either side.
#[test]
fn every_step_of_ikev2_is_put_off() {
    for methods in [[FIRST, LONG], [LONG, FIRST]] {
        let mut lab = v2(methods);
        lab.a.command(Command::Initiate(POLICY));
        assert!(lab.a.sent.is_empty() && lab.a.ike().state == "IKE_SA_INIT");
        assert_eq!(slowly(&mut lab), [BY_A, BY_A].concat());
        assert_whole(&lab);
        for command in [Command::RekeyChild(POLICY), Command::RekeyIke("peer".into())] {
            let old = (lab.a.child().inbound, lab.a.ike().spis);
            lab.a.command(command.clone());
            assert_eq!(slowly(&mut lab), [BY_A, BY_A].concat(), "{command:?}");
            lab.b.command(command);
            assert_eq!(slowly(&mut lab), [BY_B, BY_B].concat());
            assert_whole(&lab);
            assert!(lab.a.child().inbound != old.0 || lab.a.ike().spis != old.1);
        }
        lab.a.command(Command::CheckLiveness("peer".into()));
        assert_eq!(slowly(&mut lab), []);
    }
}

// RFC 2409 §5: main mode, aggressive mode and quick mode with PFS.
#[test]
fn every_step_of_ikev1_is_put_off() {
    for aggressive in [false, true] {
        let mut lab = v1(aggressive);
        lab.a.command(Command::Initiate(POLICY));
        assert_eq!(slowly(&mut lab), [BY_A, BY_A].concat(), "aggressive: {aggressive}");
        assert_whole(&lab);
        let old = lab.b.child().inbound;
        lab.b.command(Command::RekeyChild(POLICY));
        assert_eq!(slowly(&mut lab), BY_B);
        assert!(lab.b.children().iter().any(|child| child.inbound != old));
        lab.b.command(Command::RekeyIke("peer".into()));
        assert_eq!(slowly(&mut lab), BY_B);
        assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
    }
}

/// What is done with an IKE SA, and how many questions there are in it.
type Case = fn() -> (Lab, Command, usize);

const EVERYTHING: [Case; 6] = [
    || (v2([FIRST, SECOND]), Command::Initiate(POLICY), 6),
    || (up(v2([FIRST, SECOND])), Command::RekeyChild(POLICY), 6),
    || (up(v2([FIRST, SECOND])), Command::RekeyIke("peer".into()), 6),
    || (v1(false), Command::Initiate(POLICY), 6),
    || (v1(true), Command::Initiate(POLICY), 6),
    || (up(v1(false)), Command::RekeyChild(POLICY), 3),
];

fn up(mut lab: Lab) -> Lab {
    lab.establish();
    lab
}

#[test]
fn an_answer_that_finds_nobody_is_dropped() {
    for case in EVERYTHING {
        let mut last = 0;
        loop {
            let (mut lab, command, steps_of_all) = case();
            if last == steps_of_all {
                break;
            }
            lab.a.command(command.clone());
            let steps = settle_slowly(&mut lab, &mut |_, at| at == last);
            assert_eq!(steps.len(), last + 1, "{command:?}");
            lab.a.command(Command::TerminateIke(None));
            lab.b.command(Command::TerminateIke(None));
            while !(lab.a.sent.is_empty() && lab.b.sent.is_empty()) {
                if !lab.a.sent.is_empty() {
                    lab.a_to_b();
                } else {
                    lab.b_to_a();
                }
            }
            // What a stranger has begun waits a while for its next message.
            while !lab.b.endpoint.ike_sas().is_empty() {
                lab.sleep(limits::HALF_OPEN_LIFETIME);
            }
            for host in [&mut lab.a, &mut lab.b] {
                assert_eq!(host.endpoint.ike_sas().len(), 0, "{command:?}, {last}");
                host.sent.clear();
                while host.answer() {}
                assert!(host.sent.is_empty() && host.endpoint.ike_sas().is_empty(), "{command:?}, {last}");
                assert!(host.sas.is_empty());
            }
            last += 1;
        }
    }
}

#[test]
fn what_nobody_computes_for_us_we_compute() {
    for case in EVERYTHING {
        let (mut lab, command, steps) = case();
        lab.a.command(command.clone());
        let mut refused = 0;
        loop {
            let quiet = lab.a.sent.is_empty() && lab.b.sent.is_empty();
            let host = if lab.a.asked.is_empty() { &mut lab.b } else { &mut lab.a };
            match host.asked.pop_front() {
                Some((op, _)) => {
                    refused += 1;
                    host.input(Input::Done(op, Answer::Refused("there is nobody".into()).into()));
                }
                None if quiet => break,
                None if !lab.a.sent.is_empty() => drop(lab.a_to_b()),
                None => drop(lab.b_to_a()),
            }
        }
        // Whoever takes one step of a message takes the others, too.
        assert!(refused <= steps && refused >= steps / 2, "{command:?}: {refused}");
        // IKEv1 goes over to what takes the place of another some time later.
        lab.sleep(limits::V1_SWITCH);
        lab.sleep(limits::V1_RETIREMENT);
        lab.settle();
        assert_whole(&lab);
    }
}

/// Answers to other questions, and twice.
#[test]
fn an_answer_to_another_question_is_none() {
    let mut lab = v2([FIRST, SECOND]);
    lab.a.command(Command::Initiate(POLICY));
    let (op, _) = lab.a.asked.pop_front().unwrap();
    for op in [OpId(op.0 + 1000), op, op] {
        lab.a.input(Input::Done(op, Answer::Proven.into()));
    }
    assert_eq!(lab.a.sent.len(), 1, "it took the step itself, once");
    lab.settle();
    assert_whole(&lab);
}

/// A and B with a slow group for all, and C, for which B has Curve25519.
fn with_another() -> (Lab, Host) {
    const C: &str = "192.0.2.3";
    let mut lab = v2([FIRST, SECOND]);
    lab.b.configure(|config| {
        let mut other = remote(B, C);
        other.name = "other".into();
        let mut child = policy(PolicyId(8), Mode::Tunnel, B, C);
        child.remote = "other".into();
        config.remotes.push(other);
        config.policies.push(child);
    });
    (lab, Host::new(config(C, B), 3))
}

// Issue 5: nothing that a single peer does delays another peer.
#[test]
fn another_peer_goes_on_at_every_step() {
    for last in 0..6 {
        for command in [Command::Initiate(POLICY), Command::RekeyChild(POLICY), Command::RekeyIke("peer".into())] {
            let (mut lab, mut c) = with_another();
            if !matches!(command, Command::Initiate(_)) {
                lab.establish();
            }
            lab.b.command(command.clone());
            settle_slowly(&mut lab, &mut |_, at| at == last);
            let before = lab.b.children().len();
            c.command(Command::Initiate(POLICY));
            while let Some(message) = c.sent.pop_front() {
                lab.b.receive(&message);
                // What is for A waits.
                lab.b.sent.retain(|message| message.remote.ip() == ip("192.0.2.3"));
                while let Some(message) = lab.b.sent.pop_front() {
                    c.receive(&message);
                }
            }
            assert_eq!((c.children().len(), lab.b.children().len()), (1, before + 1), "{command:?}, {last}");
            assert!(!(lab.a.asked.is_empty() && lab.b.asked.is_empty()));
            slowly(&mut lab);
            assert_eq!((lab.a.failures(), lab.b.failures()), (vec![], vec![]));
        }
    }
}

// RFC 7296 §2.8: both sides at once, each put off at every step.
#[test]
fn rekeys_of_both_sides_meet() {
    for command in [Command::RekeyChild(POLICY), Command::RekeyIke("peer".into())] {
        for order in 0..8 {
            let mut lab = v2([FIRST, SECOND]);
            lab.establish();
            lab.a.command(command.clone());
            lab.b.command(command.clone());
            for round in 0..200 {
                let [first, second] = match (order >> (round % 3)) & 1 {
                    0 => [&mut lab.a, &mut lab.b],
                    _ => [&mut lab.b, &mut lab.a],
                };
                let answered = first.answer() || second.answer();
                for _ in 0..2 {
                    if let Some(message) = lab.a.sent.pop_front() {
                        lab.b.receive(&message);
                    }
                    if let Some(message) = lab.b.sent.pop_front() {
                        lab.a.receive(&message);
                    }
                }
                if !answered && lab.a.sent.is_empty() && lab.b.sent.is_empty() {
                    break;
                }
            }
            lab.settle();
            // The loser tries again a while later, or lets go of what it made.
            for _ in 0..40 {
                lab.sleep(std::time::Duration::from_secs(2));
                lab.settle();
            }
            assert_whole(&lab);
            assert_eq!((lab.a.endpoint.ike_sas().len(), lab.b.endpoint.ike_sas().len()), (1, 1), "{command:?}");
        }
    }
}

// A message is kept as long as a question may be open, and not longer.
#[test]
fn what_nobody_answers_ends() {
    for aggressive in [false, true] {
        let mut lab = if aggressive { v1(true) } else { v2([FIRST, SECOND]) };
        lab.a.command(Command::Initiate(POLICY));
        let (op, question) = lab.a.asked.pop_front().unwrap();
        lab.a.command(Command::Initiate(POLICY));
        assert!(lab.a.asked.is_empty(), "one is under way");
        lab.a.sleep(limits::ANSWER);
        assert_eq!((lab.a.failures().len(), lab.a.endpoint.ike_sas().len()), (1, 0));
        let answer = lab.a.papers.answer(question);
        lab.a.input(Input::Done(op, answer.into()));
        assert!(lab.a.sent.is_empty() && lab.a.endpoint.ike_sas().is_empty());
    }
    let mut lab = v2([FIRST, SECOND]);
    lab.establish();
    lab.a.command(Command::RekeyChild(POLICY));
    lab.a.answer();
    let requests: Vec<_> = lab.a.sent.drain(..).collect();
    let ask = |lab: &mut Lab| requests.iter().for_each(|request| lab.b.receive(request));
    ask(&mut lab);
    ask(&mut lab);
    assert_eq!(lab.b.asked.len(), 1);
    lab.b.sleep(limits::ANSWER);
    ask(&mut lab);
    assert_eq!(lab.b.asked.len(), 2);
    // Of the first question nobody knows any more.
    lab.b.answer();
    assert!(lab.b.sent.is_empty());
    lab.settle();
    assert_whole(&lab);
}

#[test]
fn what_is_not_wanted_any_more_is_not_sent() {
    let mut lab = v2([FIRST, SECOND]);
    lab.establish();
    lab.a.configure(|config: &mut Config| {
        let mut more = config.policies[0].clone();
        more.policy.id = PolicyId(9);
        config.policies.push(more);
    });
    lab.a.command(Command::Initiate(PolicyId(9)));
    assert_eq!((lab.a.asked.len(), lab.a.sent.len()), (1, 0));
    lab.a.configure(|config: &mut Config| drop(config.policies.pop()));
    lab.a.answer();
    assert_eq!((lab.a.asked.len(), lab.a.sent.len()), (0, 0));
    assert_whole(&lab);
}
