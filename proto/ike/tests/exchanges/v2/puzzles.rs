//! Puzzles (RFC 8019): strangers under load, those who are none, and what a responder can have us do.

use std::sync::Arc;
use std::time::Duration;

use ravelin_ike::explain::Part;
use ravelin_ike::{Answer, Command, Config, Input, Puzzle, Question, Transmit, limits};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::PrfId;
use ravelin_wire::ike::header::{ExchangeType, Header};
use ravelin_wire::ike::v2::{Message, NotifyType, Payload, PuzzleSolution};

use crate::lab::*;
use crate::v2::peer::{self, Peer};

const PRF: PrfId = PrfId::HMAC_SHA2_256;
const SECOND: Duration = Duration::from_secs(1);

/// A host at B that takes anybody, and has strangers work.
fn gateway() -> Host {
    let mut config = config(B, A);
    for_anybody(&mut config);
    let mut host = Host::new(config, 2);
    host.endpoint = host.endpoint.with_puzzles(limits::PUZZLE_BITS);
    host
}

/// A peer at one of very many addresses.
fn stranger(number: u64) -> Peer {
    let mut peer = Peer::new(number);
    peer.local = socket(&format!("10.0.{}.{}:500", number / 250, number % 250 + 1));
    peer
}

/// The same request with something in front.
fn behind(request: &[u8], front: &[Payload]) -> Vec<u8> {
    let message = Message::parse(request).unwrap();
    let payloads: Vec<Payload> = front.iter().chain(&message.payloads).cloned().collect();
    peer::clear(&message.header, &payloads)
}

/// What a host answers to IKE_SA_INIT.
fn answer(host: &mut Host, peer: &Peer, request: &[u8]) -> Option<Message> {
    peer.send(host, request);
    let answer = host.sent.pop_front()?;
    assert!(answer.data.len() <= request.len() || Message::parse(&answer.data).unwrap().header.responder_spi.0 != 0);
    Some(Message::parse(&answer.data).unwrap())
}

fn data(message: &Message, kind: NotifyType) -> Option<Vec<u8>> {
    message.payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == kind => Some(notify.data.clone()),
        _ => None,
    })
}

/// Cookie and puzzle of an answer.
fn challenge(message: &Message) -> (Vec<u8>, Option<Puzzle>) {
    let cookie = data(message, NotifyType::COOKIE).expect("a cookie");
    let puzzle = data(message, NotifyType::PUZZLE).map(|data| {
        let [high, low, bits] = data[..] else { panic!("{data:?}") };
        Puzzle { prf: PrfId(u16::from_be_bytes([high, low])), text: cookie.clone(), bits }
    });
    (cookie, puzzle)
}

fn has_begun(message: &Message) -> bool {
    message.payloads.iter().any(|payload| matches!(payload, Payload::Sa(_)))
}

/// Begins half-open IKE SAs until there are so many, by peers that do all that is asked of them.
fn fill(host: &mut Host, to: usize) {
    let mut number = 1000;
    while host.endpoint.ike_sas().len() < to {
        number += 1;
        let mut peer = stranger(number);
        let request = peer.init_request();
        let mut answered = answer(host, &peer, &request).expect("an answer");
        if !has_begun(&answered) {
            let (cookie, puzzle) = challenge(&answered);
            assert_eq!(puzzle, None);
            let again = behind(&request, &[peer::notify(NotifyType::COOKIE, &cookie)]);
            answered = answer(host, &peer, &again).expect("an answer");
        }
        assert!(has_begun(&answered));
    }
}

/// A request that was answered with a puzzle, and drew no lot.
fn puzzled(host: &mut Host, from: u64) -> (Peer, Vec<u8>, Puzzle) {
    for number in from.. {
        let mut peer = stranger(number);
        let request = peer.init_request();
        let (cookie, puzzle) = challenge(&answer(host, &peer, &request).expect("an answer"));
        // Who is served without (one of four) is of no use here: the lot is the last octet.
        if cookie.last().is_some_and(|lot| *lot >= 64) {
            return (peer, request, puzzle.expect("a puzzle"));
        }
    }
    unreachable!()
}

fn ps(keys: &[u8]) -> Payload {
    Payload::Ps(PuzzleSolution::new(keys).expect("four keys"))
}

fn with(request: &[u8], puzzle: &Puzzle, solution: Option<Payload>) -> Vec<u8> {
    let cookie = peer::notify(NotifyType::COOKIE, &puzzle.text);
    behind(request, &[cookie].into_iter().chain(solution).collect::<Vec<_>>())
}

fn solution(puzzle: &Puzzle) -> PuzzleSolution {
    puzzle.solve(&provider()).expect("a solution")
}

// RFC 8019 §7.1.3: the first four keys whose results end in so many zeros. (The keys that RFC 8019 §4.4 prints have other results
// with HMAC-SHA-256, so they are no vectors.)
#[test]
fn a_solution_is_made_of_the_first_keys_that_will_do() {
    let prf = provider().prf(PRF).unwrap();
    let cookie = vec![0x73; 20];
    let puzzle = Puzzle { prf: PRF, text: cookie, bits: 12 };
    let mut expected = Vec::new();
    for key in 0u32.. {
        let mut result = [0; 32];
        prf.prf(&key.to_be_bytes(), &[&puzzle.text], &mut result);
        if result[31] == 0 && result[30] & 0x0f == 0 {
            expected.push(key.to_be_bytes());
        }
        if expected.len() == 4 {
            break;
        }
    }
    assert!(solution(&puzzle).keys().eq(expected.iter().map(|key| &key[..])));
    // RFC 8019 §9: not everything is tried.
    let hard = Puzzle { bits: limits::PUZZLE_BITS + 1, ..puzzle.clone() };
    assert_eq!(hard.solve(&provider()), None);
    assert_eq!(Puzzle { prf: PrfId(999), ..puzzle }.solve(&provider()), None);
}

// HDR(A,0), SAi1, KEi, Ni                 -->
//     <--  HDR(A,0), N(COOKIE), N(PUZZLE)
// HDR(A,0), N(COOKIE), PS, SAi1, KEi, Ni  -->
//     <--  HDR(A,B), SAr1, KEr, Nr
// RFC 8019 §6, RFC 8019 §7.1.1 and §8.1: cookies first, then puzzles beside them; whoever solves them is served.
#[test]
fn a_stranger_that_solves_its_puzzle_is_served() {
    let mut host = gateway();
    fill(&mut host, limits::PUZZLE_THRESHOLD);
    let cookies = host.endpoint.counters().cookies;
    let mut a = Host::new(config("192.0.2.77", B), 77);
    a.command(Command::Initiate(POLICY));
    let mut lab = Lab { a, b: host };
    lab.a_to_b();
    assert_eq!((lab.b.endpoint.counters().puzzles, lab.b.endpoint.counters().cookies), (1, cookies + 1));
    let first = lab.b_to_a();
    let (cookie, puzzle) = challenge(&Message::parse(&first.data).unwrap());
    assert_eq!(puzzle, Some(Puzzle { prf: PRF, text: cookie, bits: limits::PUZZLE_EASIEST }));
    // RFC 8019 §7.1.2: nothing is sent while somebody works on it, and it is not begun twice.
    assert!(matches!(&lab.a.asked[0].1, Question::Solve(asked) if Some(asked) == puzzle.as_ref()));
    lab.a.receive(&first);
    lab.a.sleep(10 * SECOND);
    assert!(lab.a.sent.is_empty() && lab.a.asked.len() == 1);
    lab.a.answer();
    let request = Message::parse(&lab.a.sent[0].data).unwrap();
    let names: Vec<String> = request.payloads.iter().map(peer::name).collect();
    assert_eq!(names[..5], ["N", "PS", "SA", "KE", "Nonce"]);
    lab.settle();
    assert_eq!((lab.a.failures(), lab.a.children().len()), (vec![], 1));

    // With twice as many it is four times as hard.
    let mut host = gateway();
    host.endpoint = host.endpoint.with_puzzles(limits::PUZZLE_EASIEST + 1);
    fill(&mut host, limits::PUZZLE_THRESHOLD);
    let (.., puzzle) = puzzled(&mut host, 1);
    assert_eq!(puzzle.bits, limits::PUZZLE_EASIEST);
}

// RFC 8019 §7.1.4, RFC 8019 §7.1.1.3: what is not a solution is worth no more than a cookie, and nobody makes his puzzle easier.
#[test]
fn what_solves_nothing_is_worth_no_more_than_a_cookie() {
    let mut host = gateway();
    fill(&mut host, limits::PUZZLE_THRESHOLD);
    let (peer, request, puzzle) = puzzled(&mut host, 1);
    let good: Vec<Vec<u8>> = solution(&puzzle).keys().map(<[u8]>::to_vec).collect();
    let mut refuse = |keys: Option<Vec<u8>>, what: &str| {
        let again = with(&request, &puzzle, keys.as_deref().map(ps));
        let answer = answer(&mut host, &peer, &again).expect("another puzzle");
        assert!(challenge(&answer).1.is_some() && !has_begun(&answer), "{what}");
    };
    refuse(None, "nothing");
    refuse(Some(vec![0; 4]), "keys of one octet");
    refuse(Some(good[0].repeat(4)), "one key four times");
    refuse(Some([&good[0], &good[1], &good[2], &good[2]].map(Clone::clone).concat()), "three keys");
    refuse(Some([&good[..3].concat()[..], &[0xff; 4]].concat()), "the last key solves nothing");
    // A prf has the same result for a key with zeros behind it, but RFC 8019 §8.2 bounds its length.
    let longer = good.iter().map(|key| [&key[..], &[0; 29]].concat()).collect::<Vec<_>>().concat();
    refuse(Some(longer), "keys longer than the prf has them");
    refuse(Some(vec![0x5a; 4 * 3000]), "keys without end");
    let sas = host.endpoint.ike_sas().len();
    // RFC 8019 §8.2: no four keys of one length.
    for body in [vec![], vec![1; 3], vec![1; 15]] {
        let unfit = Payload::Unknown { kind: ravelin_wire::ike::header::PayloadType::PS, critical: false, body };
        peer.send(&mut host, &with(&request, &puzzle, Some(unfit)));
    }
    host.sent.clear();
    // The cookie of somebody else, and a puzzle made easier.
    let (other, theirs, _) = puzzled(&mut host, 500);
    let foreign = with(&theirs, &puzzle, Some(ps(&good.concat())));
    assert!(!has_begun(&answer(&mut host, &other, &foreign).expect("a puzzle")));
    let mut easier = puzzle.clone();
    easier.text[1] = 1;
    let easy = with(&request, &easier, Some(Payload::Ps(solution(&easier))));
    assert!(!has_begun(&answer(&mut host, &peer, &easy).expect("a puzzle")));
    assert_eq!(host.endpoint.ike_sas().len(), sas);
    // All that does not spoil it.
    let again = with(&request, &puzzle, Some(ps(&good.concat())));
    assert!(has_begun(&answer(&mut host, &peer, &again).expect("an answer")));
}

// RFC 8019 §10: nobody has two half-open IKE SAs for one solution.
#[test]
fn a_solution_is_good_once() {
    let mut host = gateway();
    fill(&mut host, limits::PUZZLE_THRESHOLD);
    let (peer, request, puzzle) = puzzled(&mut host, 1);
    let again = with(&request, &puzzle, Some(Payload::Ps(solution(&puzzle))));
    let sas = host.endpoint.ike_sas().len();
    assert!(has_begun(&answer(&mut host, &peer, &again).expect("an answer")));
    for _ in 0..3 {
        // The same again is answered as before (RFC 7296 §2.1).
        assert!(has_begun(&answer(&mut host, &peer, &again).expect("an answer")));
    }
    assert_eq!(host.endpoint.ike_sas().len(), sas + 1);
    host.sleep(limits::HALF_OPEN_LIFETIME + SECOND);
    assert!(host.endpoint.ike_sas().is_empty());
    fill(&mut host, limits::PUZZLE_THRESHOLD);
    let answer = answer(&mut host, &peer, &again).expect("a puzzle");
    assert!(!has_begun(&answer) && challenge(&answer).1.is_some());
}

// RFC 8019 §7.1: peers that know no puzzles draw lots, once they have shown that they receive.
#[test]
fn peers_without_puzzles_draw_lots() {
    let mut host = gateway();
    fill(&mut host, limits::PUZZLE_THRESHOLD);
    let mut served = 0;
    for number in 1..=100 {
        let mut peer = stranger(number);
        let request = peer.init_request();
        let (cookie, puzzle) = challenge(&answer(&mut host, &peer, &request).expect("an answer"));
        assert!(puzzle.is_some(), "nobody is served at once");
        let again = behind(&request, &[peer::notify(NotifyType::COOKIE, &cookie)]);
        served += usize::from(has_begun(&answer(&mut host, &peer, &again).expect("an answer")));
    }
    assert!((10..=45).contains(&served), "about a quarter: {served}");
}

// RFC 8019 §4.5: whoever was here is no stranger, and there is room left for it however many come.
#[test]
fn who_was_here_gets_back_in() {
    let mut host = gateway();
    let mut friend = stranger(7);
    let request = friend.init_request();
    let begun = answer(&mut host, &friend, &request).expect("an answer");
    assert!(has_begun(&begun));
    // It authenticates.
    let mut friend = Lab { a: Host::new(config("192.0.2.77", B), 77), b: host };
    friend.a.command(Command::Initiate(POLICY));
    friend.settle();
    assert_eq!(friend.a.children().len(), 1);
    let mut host = friend.b;
    fill(&mut host, limits::PUZZLE_THRESHOLD + 1);
    // It crashed: a cookie, and no puzzle.
    let mut again = Lab { a: Host::new(config("192.0.2.77", B), 78), b: host };
    again.a.command(Command::Initiate(POLICY));
    again.settle();
    assert_eq!((again.a.failures(), again.a.children().len(), again.b.endpoint.counters().puzzles), (vec![], 1, 0));
    // Others have to work.
    let (.., puzzle) = puzzled(&mut again.b, 1);
    assert_eq!(puzzle.bits, limits::PUZZLE_EASIEST);
}

// RFC 8019 §6: by default there are none.
#[test]
fn without_being_asked_for_there_are_no_puzzles() {
    let mut host = gateway();
    host.endpoint = ravelin_ike::Endpoint::new(
        Arc::new(host.config.clone()),
        provider(),
        Box::new(ravelin_testkit::SeededRandom::new(2)),
        host.now,
    );
    fill(&mut host, limits::PUZZLE_THRESHOLD + 10);
    assert_eq!(host.endpoint.counters().puzzles, 0);
}

/// An initiator at B that asked, and the peer that answers.
fn asking() -> (Host, Peer, Vec<u8>) {
    let mut host = Host::new(config(B, A), 2);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let mut peer = Peer::new(5);
    peer.initiator = false;
    (host, peer, request.data)
}

/// `HDR(A,0), N(COOKIE), N(PUZZLE)`
fn gives(request: &[u8], cookie: &[u8], puzzle: &[u8]) -> Vec<u8> {
    let header = Message::parse(request).unwrap().header;
    let header = Header { flags: ravelin_wire::ike::header::Flags::RESPONSE, ..header };
    let payloads = [peer::notify(NotifyType::COOKIE, cookie), peer::notify(NotifyType::PUZZLE, puzzle)];
    peer::clear(&header, &payloads)
}

fn sent(host: &mut Host) -> Vec<String> {
    let message = host.take();
    Message::parse(&message.data).unwrap().payloads.iter().map(peer::name).collect()
}

// RFC 8019 §7.1.2: what is no puzzle, or too hard, is passed over; the cookie goes back alone.
#[test]
fn what_we_do_not_solve_is_passed_over() {
    for puzzle in [&[0, 5][..], &[0, 5, 8, 0], &[], &[0, 7, 8], &[0xff, 0xff, 8]] {
        let (mut host, peer, request) = asking();
        peer.send(&mut host, &gives(&request, b"cookie", puzzle));
        assert!(host.asked.is_empty());
        assert_eq!(sent(&mut host)[..2], ["N", "SA"]);
        assert_eq!(host.failures(), []);
    }
    // RFC 8019 §9: the operator hears of one that is too hard, once.
    let (mut host, peer, request) = asking();
    for cookie in [b"one", b"two"] {
        peer.send(&mut host, &gives(&request, cookie, &[0, 5, limits::PUZZLE_BITS + 1]));
        assert!(host.asked.is_empty());
        assert_eq!(sent(&mut host)[..2], ["N", "SA"]);
    }
    let failure = host.failure(Part::Limit);
    assert_eq!(
        (failure.theirs[0].as_str(), failure.ours[0].as_str()),
        ("wants a puzzle of 21 bits solved", "puzzles of up to 20 bits")
    );
    // Without a cookie there is nothing to solve.
    let (mut host, peer, request) = asking();
    let header = Message::parse(&request).unwrap().header;
    let header = Header { flags: ravelin_wire::ike::header::Flags::RESPONSE, ..header };
    peer.send(&mut host, &peer::clear(&header, &[peer::notify(NotifyType::PUZZLE, &[0, 5, 8])]));
    assert!(host.asked.is_empty() && host.sent.is_empty());
    assert_eq!(host.endpoint.counters().malformed, 1);
}

// RFC 8019 §7.1.1.1: where we choose, we choose something.
#[test]
fn a_responder_may_leave_it_to_us_how_hard_it_is() {
    let (mut host, peer, request) = asking();
    peer.send(&mut host, &gives(&request, b"cookie", &[0, 5, 0]));
    let expected = Puzzle { prf: PRF, text: b"cookie".to_vec(), bits: limits::PUZZLE_OWN_CHOICE };
    assert!(matches!(&host.asked[0].1, Question::Solve(puzzle) if *puzzle == expected));
}

// Whoever speaks for the responder has us compute only so often, and only so much at once.
#[test]
fn a_responder_without_end_has_us_compute_so_often() {
    let (mut host, peer, request) = asking();
    let mut asked = 0;
    for cookie in 0..10u8 {
        peer.send(&mut host, &gives(&request, &[cookie], &[0, 5, 8]));
        asked += host.asked.len() as u32;
        while host.answer() {}
        host.sent.clear();
    }
    assert_eq!(asked, limits::PUZZLES_PER_INIT);
    // Several remotes at once.
    let more = |config: &mut Config| {
        for number in 0..5 {
            let mut remote = config.remotes[0].clone();
            remote.name = format!("peer-{number}");
            remote.remote = ip(&format!("198.51.100.{}", number + 1));
            config.remotes.push(remote);
        }
    };
    let mut host = Host::new(config(B, A), 2);
    host.configure(more);
    for number in 0..5 {
        host.command(Command::InitiateIke(format!("peer-{number}")));
    }
    let requests: Vec<Transmit> = host.sent.drain(..).collect();
    assert_eq!(requests.len(), 5);
    for request in &requests {
        let challenge = gives(&request.data, b"cookie", &[0, 5, 8]);
        host.receive_from(&Transmit { data: challenge, ..request.clone() }, request.local, request.remote);
    }
    assert_eq!(host.asked.len(), limits::PUZZLES_AT_ONCE);
    assert_eq!(host.sent.len(), 5 - limits::PUZZLES_AT_ONCE, "the others go on without");
}

// A puzzle that nobody solves in time, or at all, does not end the attempt.
#[test]
fn a_puzzle_that_nobody_solves_ends_nothing() {
    let (mut host, peer, request) = asking();
    peer.send(&mut host, &gives(&request, b"cookie", &[0, 5, 20]));
    let (op, _) = host.asked.pop_front().unwrap();
    host.input(Input::Done(op, Answer::Refused("no luck".into()).into()));
    assert_eq!(sent(&mut host)[..2], ["N", "SA"]);
    peer.send(&mut host, &gives(&request, b"another", &[0, 5, 20]));
    let (op, _) = host.asked.pop_front().unwrap();
    host.sleep(limits::ANSWER);
    assert_eq!(sent(&mut host)[..2], ["N", "SA"]);
    // Too late.
    host.input(Input::Done(op, Answer::Refused("no luck".into()).into()));
    assert!(host.sent.is_empty() && host.failures().is_empty());
}

// HDR(A,0), SAi1, KEi, Ni                     -->
//     <--  HDR(A,B), SAr1, KEr, Nr, N(PUZZLE)
// HDR, PS, SK {IDi, AUTH, SAi2, TSi, TSr}     -->
// RFC 8019 §7.2.2 and §7.2.3: four keys of Nr and SPIr, in clear before SK and under its protection.
#[test]
fn a_puzzle_of_the_second_exchange_is_solved() {
    let (mut host, mut peer, request) = asking();
    let answered = peer.answer_init_with(&request, &[peer::notify(NotifyType::PUZZLE, &[0, 5, 9])]);
    peer.send(&mut host, &answered);
    let text = [&peer.nonces.1[..], &peer.spis.1.0.to_be_bytes()].concat();
    let puzzle = Puzzle { prf: PRF, text, bits: 9 };
    assert!(matches!(&host.asked[0].1, Question::Solve(asked) if *asked == puzzle));
    assert!(host.sent.is_empty());
    host.answer();
    let request = host.take();
    let message = Message::parse(&request.data).unwrap();
    let [Payload::Ps(keys)] = &message.payloads[..] else { panic!("{:?}", message.payloads) };
    assert_eq!(*keys, solution(&puzzle));
    let inside = peer.open(&request);
    assert!(inside.iter().any(|payload| matches!(payload, Payload::Auth(_))));
    assert!(!inside.iter().any(|payload| matches!(payload, Payload::Ps(_))));
    let answer = peer.auth_answer();
    peer.answer(&mut host, ExchangeType::IKE_AUTH, 1, &answer);
    assert_eq!((host.failures(), host.children().len()), (vec![], 1));

    // RFC 8019 §9: one that is too hard ends it, and is told.
    let (mut host, mut peer, request) = asking();
    let answered = peer.answer_init_with(&request, &[peer::notify(NotifyType::PUZZLE, &[0, 5, 30])]);
    peer.send(&mut host, &answered);
    assert!(host.asked.is_empty() && host.endpoint.ike_sas().is_empty());
    host.failure(Part::Limit);
}

// RFC 8019 §7.2.2: of a request in fragments the first alone has it.
#[test]
fn of_fragments_the_first_has_the_solution() {
    let (mut host, mut peer, request) = asking_much();
    let more =
        [peer::notify(NotifyType::PUZZLE, &[0, 5, 8]), peer::notify(NotifyType::IKEV2_FRAGMENTATION_SUPPORTED, &[])];
    let answered = peer.answer_init_with(&request, &more);
    peer.send(&mut host, &answered);
    host.answer();
    let parts: Vec<Message> = host.sent.iter().map(|part| Message::parse(&part.data).unwrap()).collect();
    assert!(parts.len() > 1);
    let solved: Vec<bool> = parts.iter().map(|part| matches!(part.payloads[..], [Payload::Ps(_)])).collect();
    assert!(solved[0] && !solved[1..].contains(&true), "{solved:?}");
    assert!(host.sent.iter().all(|part| part.data.len() <= 1228));
}

/// With a request that takes fragments.
fn asking_much() -> (Host, Peer, Vec<u8>) {
    let mut config = config(B, A);
    let selectors = (1..=100).map(|host| TrafficSelector::host(ip(&format!("10.1.0.{host}"))));
    config.policies[0].policy.local = selectors.collect();
    let mut host = Host::new(config, 2);
    host.command(Command::Initiate(POLICY));
    let request = host.take();
    let mut peer = Peer::new(5);
    peer.initiator = false;
    (host, peer, request.data)
}
