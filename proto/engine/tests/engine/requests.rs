//! The asynchronous form, with hardware that answers late, in any order, and not always.

use std::collections::{BTreeMap, BTreeSet};

use crate::common::*;
use crate::sys::allocations;
use ravelin_engine::{
    Accelerator, Completion, DropReason, Engine, EngineConfig, Fault, HEADROOM, Job, Label, Mark, Outcome, Request,
    Requests, Share, Software, TAILROOM, Verdict,
};
use ravelin_types::dataplane::DataPlaneOp;
use ravelin_types::options::SaOptions;
use ravelin_types::policy::Mode;
use ravelin_types::sa::{Direction, SaId, SaParams};
use ravelin_types::selector::TrafficSelector;
use ravelin_types::transform::{EncrId, IntegId};
use ravelin_wire::ip::Header;

type Source = Vec<Vec<u8>>;
type Queue<A> = Requests<Source, Vec<u8>, A>;

/// Does tunnel mode over IPv4 with AES-GCM, or the cipher of any SA.
#[derive(Default)]
struct Hardware {
    /// What it takes of an SA.
    share: Share,
    sas: BTreeMap<SaId, SaParams>,
    jobs: Vec<Job<Source, Vec<u8>>>,
    room: usize,
    /// Nothing is finished.
    asleep: bool,
    /// One of so many jobs is not done; 0: all are.
    fails: usize,
    polled: usize,
    numbers: BTreeSet<u64>,
}

impl Hardware {
    fn with_room(room: usize) -> Self {
        Hardware { share: Share::Whole, room, ..Hardware::default() }
    }

    fn of_ciphers(room: usize) -> Self {
        Hardware { share: Share::Cipher, room, ..Hardware::default() }
    }

    fn work(&self, job: &mut Job<Source, Vec<u8>>) -> Outcome {
        if job.share == Share::Cipher { self.cipher(job) } else { self.whole(job) }
    }

    /// The cipher of an ESP packet that is ready for it, in its place.
    fn cipher(&self, job: &mut Job<Source, Vec<u8>>) -> Outcome {
        let params = &self.sas[&job.sa];
        let suite = params.suite.esp().unwrap();
        let alg = ravelin_crypto_aws_lc::provider().encr(suite.encr).unwrap();
        let encr = alg.key(params.keys.encr.expose()).unwrap();
        let integ_alg = ravelin_crypto_aws_lc::provider().integ(suite.integ);
        let integ = integ_alg.map(|alg| alg.key(params.keys.integ.expose()).unwrap());
        let icv_len = integ_alg.map_or(alg.icv_len(), |alg| alg.icv_len());
        let esp = &mut job.result[job.packet.clone()][job.esp_at..];
        assert_eq!(esp[4..8], (job.sequence as u32).to_be_bytes());
        let (head, rest) = esp.split_at_mut(8 + alg.iv_len());
        let (text, icv) = rest.split_at_mut(rest.len() - icv_len);
        let (header, iv) = head.split_at(8);
        let forged = |_| Fault::Bad(DropReason::Forged);
        match (job.sa.direction, integ) {
            (Direction::Outbound, None) => encr.seal(iv, header, text, icv),
            (Direction::Inbound, None) => encr.open(iv, header, text, icv).map_err(forged)?,
            (Direction::Outbound, Some(integ)) => {
                encr.seal(iv, &[], text, &mut []);
                integ.sign(&[head, text], icv);
            }
            (Direction::Inbound, Some(integ)) => {
                integ.verify(&[head, text], icv).map_err(forged)?;
                encr.open(iv, &[], text, &[]).map_err(forged)?;
            }
        }
        Ok(job.packet.clone())
    }

    fn whole(&self, job: &mut Job<Source, Vec<u8>>) -> Outcome {
        let params = &self.sas[&job.sa];
        let packet = job.result[job.packet.clone()].to_vec();
        assert_eq!(packet, job.source.concat(), "the job comes with the packet in one piece");
        let out = match job.sa.direction {
            Direction::Outbound => {
                let esp = authentic(params, job.sequence as u32, &padded(&packet, 4));
                crate::common::packet(params.src, params.dst, 50, &esp)
            }
            Direction::Inbound => {
                let esp = &packet[job.esp_at..];
                assert_eq!(esp[4..8], (job.sequence as u32).to_be_bytes());
                let key = ravelin_crypto_aws_lc::provider().encr(encr_of(params)).unwrap();
                let key = key.key(params.keys.encr.expose()).unwrap();
                let (head, rest) = esp.split_at(16);
                let (text, icv) = rest.split_at(rest.len() - 16);
                let mut text = text.to_vec();
                key.open(&head[8..], &head[..8], &mut text, icv).map_err(|_| Fault::Bad(DropReason::Forged))?;
                let len = Header::parse(&text).unwrap().total_len;
                text.truncate(len);
                text
            }
        };
        job.result[..out.len()].copy_from_slice(&out);
        Ok(0..out.len())
    }
}

fn encr_of(params: &SaParams) -> ravelin_types::transform::EncrId {
    match params.suite {
        ravelin_types::proposal::Suite::Esp(suite) => suite.encr,
        _ => panic!("only ESP is offered"),
    }
}

impl Accelerator<Source, Vec<u8>> for Hardware {
    fn add(&mut self, params: &SaParams, most: Share) -> Share {
        assert_eq!(most == Share::Whole, params.options.tfc == 0, "padding is no work for hardware");
        self.sas.insert(params.id(), params.clone());
        self.share
    }

    fn delete(&mut self, id: SaId) {
        self.sas.remove(&id);
    }

    fn submit(&mut self, job: Job<Source, Vec<u8>>) -> Option<Job<Source, Vec<u8>>> {
        if self.jobs.len() == self.room {
            return Some(job);
        }
        assert!(
            job.sa.direction == Direction::Inbound || self.numbers.insert(job.sequence),
            "number {} is given out twice",
            job.sequence
        );
        self.jobs.push(job);
        None
    }

    fn poll(&mut self) -> Option<(Job<Source, Vec<u8>>, Outcome)> {
        if self.asleep || self.jobs.is_empty() {
            return None;
        }
        self.polled += 1;
        let mut job = self.jobs.swap_remove(self.polled * 7 % self.jobs.len());
        let gone = !self.sas.contains_key(&job.sa);
        if gone || (self.fails > 0 && self.polled.is_multiple_of(self.fails)) {
            job.result.fill(0xee);
            return Some((job, Err(Fault::Failed)));
        }
        let outcome = self.work(&mut job);
        Some((job, outcome))
    }
}

/// The packet in pieces of 1 to 13 bytes: no header is in one piece.
fn pieces(packet: &[u8]) -> Source {
    let mut rest = packet;
    let mut pieces = Vec::new();
    for len in (1..=13).cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, more) = rest.split_at(len.min(rest.len()));
        pieces.push(piece.to_vec());
        rest = more;
    }
    pieces
}

fn request(direction: Direction, packet: &[u8], token: u64) -> Request<Source, Vec<u8>> {
    let result = vec![0; HEADROOM + packet.len() + TAILROOM];
    Request { direction, source: pieces(packet), result, label: Label { token, ..Label::default() } }
}

fn queue<A: Accelerator<Source, Vec<u8>>>(accelerator: A, params: &SaParams) -> Queue<A> {
    let mut queue = Requests::new(engine(), accelerator, 16);
    let ops = [
        DataPlaneOp::AddPolicy(protect_all(1)),
        DataPlaneOp::AddSa(params.clone()),
        DataPlaneOp::AddSa(received(params)),
    ];
    ops.iter().for_each(|op| queue.apply(op, NOW).unwrap());
    queue
}

fn gcm() -> SaParams {
    sa(Direction::Outbound, Mode::Tunnel, "192.0.2.1", "192.0.2.2", AES_GCM)
}

fn clear(n: u64) -> Vec<u8> {
    udp("10.0.0.1", "10.9.9.9", (7, n as u16), 20 + n as usize)
}

fn packet_of(done: &Completion<Source, Vec<u8>>) -> &[u8] {
    &done.result[done.packet.clone()]
}

/// Sends `count` packets over `queue` and back into it; returns in which order they were sealed.
fn cross<A: Accelerator<Source, Vec<u8>>>(queue: &mut Queue<A>, count: u64) -> Vec<u64> {
    let (mut order, mut arrived) = (Vec::new(), BTreeSet::new());
    let mut next = 0;
    while arrived.len() < count as usize {
        while next < count && queue.submit(request(Direction::Outbound, &clear(next), next), NOW).is_ok() {
            next += 1;
        }
        let mut sealed = Vec::new();
        while let Some(done) = queue.poll(NOW) {
            assert!(matches!(done.verdict, Verdict::Send(outer) if outer.dst == ip("192.0.2.2")), "{:?}", done.verdict);
            assert_eq!(done.label.mark, Mark::Sealed(Mode::Tunnel));
            assert_eq!(done.source.concat(), clear(done.label.token), "the source is as it was");
            order.push(done.label.token);
            sealed.push((done.label.token, packet_of(&done).to_vec()));
        }
        for (token, packet) in sealed {
            queue.submit(request(Direction::Inbound, &packet, token), NOW).unwrap();
        }
        while let Some(done) = queue.poll(NOW) {
            assert_eq!(done.verdict, Verdict::Deliver);
            assert_eq!(done.label.mark, Mark::Opened(Mode::Tunnel));
            assert_eq!(packet_of(&done), clear(done.label.token));
            assert!(arrived.insert(done.label.token), "once each");
        }
    }
    order
}

fn sequence_of(engine: &Engine, direction: Direction) -> (u64, u64) {
    let list = engine.list();
    let sa = list.iter().find(|sa| sa.params.direction == direction).unwrap();
    (sa.counters.packets, sa.counters.sequence)
}

#[test]
fn packets_in_pieces_cross_by_software() {
    let mut queue = queue(Software, &gcm());
    assert_eq!(cross(&mut queue, 50), (0..50).collect::<Vec<u64>>());
    assert_eq!(sequence_of(queue.engine(), Direction::Inbound), (50, 50));
}

#[test]
fn hardware_completes_in_any_order_and_each_packet_once() {
    let mut queue = queue(Hardware::with_room(16), &gcm());
    let order = cross(&mut queue, 200);
    assert!(!order.is_sorted(), "the hardware of this test keeps no order");
    assert_eq!(sequence_of(queue.engine(), Direction::Outbound), (200, 200));
    assert_eq!(sequence_of(queue.engine(), Direction::Inbound), (200, 200));
    assert_eq!(queue.engine().outbound.counters().protected, 200);
}

#[test]
fn what_hardware_does_not_do_software_does_with_another_number() {
    let mut queue = queue(Hardware { fails: 3, ..Hardware::with_room(16) }, &gcm());
    cross(&mut queue, 90);
    let (packets, sequence) = sequence_of(queue.engine(), Direction::Outbound);
    assert_eq!(packets, 90);
    assert!(sequence > 90, "a number that hardware may have used is not used again");

    // Hardware with little room, and with none.
    for room in [0, 3] {
        let mut queue = super::requests::queue(Hardware::with_room(room), &gcm());
        cross(&mut queue, 60);
    }
}

#[test]
fn the_queue_is_bounded_and_gives_requests_back() {
    let mut queue = queue(Hardware { asleep: true, ..Hardware::with_room(100) }, &gcm());
    for n in 0..16 {
        queue.submit(request(Direction::Outbound, &clear(n), n), NOW).unwrap();
    }
    let back = queue.submit(request(Direction::Outbound, &clear(16), 16), NOW).unwrap_err();
    assert_eq!((back.label.token, back.source.concat()), (16, clear(16)));
    assert!(queue.poll(NOW).is_none());
}

#[test]
fn a_packet_twice_in_the_hands_of_hardware_is_delivered_once() {
    let mut queue = queue(Hardware::with_room(16), &gcm());
    queue.submit(request(Direction::Outbound, &clear(1), 0), NOW).unwrap();
    let sealed = packet_of(&queue.poll(NOW).unwrap()).to_vec();
    let mut forged = sealed.clone();
    *forged.last_mut().unwrap() ^= 1;
    for packet in [&forged, &sealed, &sealed] {
        queue.submit(request(Direction::Inbound, packet, 0), NOW).unwrap();
    }
    let mut verdicts: Vec<Verdict> = std::iter::from_fn(|| queue.poll(NOW)).map(|done| done.verdict).collect();
    verdicts.sort_by_key(|verdict| verdict.code());
    assert_eq!(
        verdicts,
        [Verdict::Deliver, Verdict::Drop(DropReason::Replayed), Verdict::Drop(DropReason::Forged)],
        "by the numbers of their codes"
    );
    let counters = queue.engine().inbound.list()[0].counters;
    assert_eq!((counters.packets, counters.forged, counters.replayed), (1, 1, 1));
}

#[test]
fn an_sa_that_ends_while_its_packets_are_away_is_not_used() {
    let params = gcm();
    let mut queue = queue(Hardware::with_room(16), &params);
    queue.submit(request(Direction::Outbound, &clear(1), 0), NOW).unwrap();
    let sealed = packet_of(&queue.poll(NOW).unwrap()).to_vec();
    queue.submit(request(Direction::Outbound, &clear(2), 1), NOW).unwrap();
    queue.submit(request(Direction::Inbound, &sealed, 2), NOW).unwrap();
    for id in [params.id(), received(&params).id()] {
        queue.apply(&DataPlaneOp::DeleteSa(id), NOW).unwrap();
    }
    // Even when another of the same name is there.
    queue.apply(&DataPlaneOp::AddSa(received(&params)), NOW).unwrap();
    let mut done: Vec<_> = std::iter::from_fn(|| queue.poll(NOW)).collect();
    done.sort_by_key(|done| done.label.token);
    assert!(matches!(done[0].verdict, Verdict::Hold(_)), "{:?}", done[0].verdict);
    assert_eq!(done[1].verdict, Verdict::Deliver, "by the SA of that name, whose keys are the same");
}

#[test]
fn clear_packets_and_bad_ones_need_no_hardware() {
    let mut queue = queue(Hardware::with_room(16), &gcm());
    let mut small = request(Direction::Outbound, &clear(1), 0);
    small.result.truncate(HEADROOM + 10);
    let mut again = request(Direction::Outbound, &clear(1), 3);
    again.label.mark = Mark::Sealed(Mode::Tunnel);
    for request in
        [small, request(Direction::Inbound, &clear(1), 1), request(Direction::Outbound, &[0x45; 10], 2), again]
    {
        queue.submit(request, NOW).unwrap();
    }
    let verdicts: Vec<Verdict> = std::iter::from_fn(|| queue.poll(NOW)).map(|done| done.verdict).collect();
    let drops = [DropReason::NoRoom, DropReason::ExpectedProtection, DropReason::BadIpHeader].map(Verdict::Drop);
    assert_eq!(verdicts[..3], drops);
    assert_eq!(verdicts[3], Verdict::Bypass);
}

#[test]
fn requests_do_not_allocate() {
    let mut queue = queue(Software, &gcm());
    let mut requests: Vec<_> = (0..16).map(|n| request(Direction::Outbound, &clear(n), n)).collect();
    let before = allocations();
    for _ in 0..16 {
        queue.submit(requests.pop().unwrap(), NOW).unwrap();
        let done = queue.poll(NOW).unwrap();
        assert!(matches!(done.verdict, Verdict::Send(_)));
        assert_eq!(allocations() - before, 0);
    }
}

#[test]
fn hardware_gets_no_packet_that_needs_more_than_protection() {
    let padded = SaParams { options: SaOptions { tfc: 64, ..SaOptions::default() }, ..gcm() };
    let mut queue = queue(Hardware::with_room(16), &padded);
    cross(&mut queue, 20);

    // Its path takes 600 bytes.
    let params = SaParams { options: SaOptions { mtu: Some(600), ..SaOptions::default() }, ..gcm() };
    let mut queue = super::requests::queue(Hardware::with_room(16), &params);
    let mut long = udp("10.0.0.1", "10.9.9.9", (7, 9), 700);
    long[6] = 0;
    long[10..12].fill(0);
    for (token, packet) in [long, clear(1)].iter().enumerate() {
        queue.submit(request(Direction::Outbound, packet, token as u64), NOW).unwrap();
    }
    let mut done: Vec<_> = std::iter::from_fn(|| queue.poll(NOW)).collect();
    done.sort_by_key(|done| done.label.token);
    assert!(matches!(done[0].verdict, Verdict::Fragment(_)), "{:?}", done[0].verdict);
    assert!(matches!(done[1].verdict, Verdict::Send(_)));
}

// The seam of a cipher alone: what the engine checks of an opened packet comes behind it, in whichever order it is done.
#[test]
fn a_cipher_is_done_in_any_order_and_the_checks_come_behind_it() {
    let cbc = suite(EncrId::AES_CBC, 256, IntegId::HMAC_SHA2_256_128);
    let padded_ones = SaOptions { tfc: 64, ..SaOptions::default() };
    for (suite, mode, options) in [
        (AES_GCM, Mode::Tunnel, SaOptions::default()),
        (cbc, Mode::Tunnel, SaOptions::default()),
        (AES_GCM, Mode::Tunnel, padded_ones),
    ] {
        let params = SaParams { options, ..sa(Direction::Outbound, mode, "192.0.2.1", "192.0.2.2", suite) };
        for fails in [0, 3] {
            let mut queue = queue(Hardware { fails, ..Hardware::of_ciphers(16) }, &params);
            let order = cross(&mut queue, 200);
            assert!(!order.is_sorted(), "the hardware of this test keeps no order");
            let (packets, sequence) = sequence_of(queue.engine(), Direction::Outbound);
            assert_eq!((packets, sequence > 200), (200, fails > 0), "a number is used once");
            assert_eq!(queue.engine().inbound.counters().protected, 200);
        }
    }
}

#[test]
fn what_a_cipher_opened_is_judged_like_what_software_opened() {
    let narrow = SaParams { remote_ts: [TrafficSelector::host(ip("10.9.9.9"))].into(), ..gcm() };
    let inner = clear(1);
    let authentic = |plain: &[u8], number| packet(narrow.src, narrow.dst, 50, &authentic(&narrow, number, plain));
    let mut forged = authentic(&padded(&inner, 4), 9);
    *forged.last_mut().unwrap() ^= 1;
    let outside = udp("10.0.0.1", "10.8.8.8", (7, 1), 20);
    let arriving = [
        (authentic(&padded(&inner, 4), 1), Verdict::Deliver),
        (authentic(&padded(&inner, 4), 1), Verdict::Drop(DropReason::Replayed)),
        (forged, Verdict::Drop(DropReason::Forged)),
        (authentic(&[1, 4, 255, 4], 2), Verdict::Drop(DropReason::BadPadding)),
        (authentic(&padded(&inner, 17), 3), Verdict::Drop(DropReason::BadNextHeader)),
        (authentic(&padded(&inner[..30], 4), 4), Verdict::Drop(DropReason::BadInnerPacket)),
        (authentic(&padded(&outside, 4), 5), Verdict::Drop(DropReason::BadSelector)),
        (authentic(&padded(&[], 59), 6), Verdict::Drop(DropReason::Dummy)),
        // Trailing bytes of a link are no part of it.
        ([&authentic(&padded(&inner, 4), 7)[..], &[0; 9]].concat(), Verdict::Deliver),
        // No cipher takes half a block.
        (authentic(&[1, 2, 3], 8), Verdict::Drop(DropReason::BadEspLength)),
    ];
    let mut engine = engine_with(EngineConfig::default());
    engine.apply(&DataPlaneOp::AddPolicy(protect_all(1)), NOW).unwrap();
    let mut queue: Queue<Hardware> = Requests::new(engine, Hardware::of_ciphers(16), 16);
    queue.apply(&DataPlaneOp::AddSa(received(&narrow)), NOW).unwrap();
    // Of two with one number the first to be done is fresh: one after the other, here.
    for (token, (bytes, expected)) in (0..).zip(&arriving) {
        queue.submit(request(Direction::Inbound, bytes, token), NOW).unwrap();
        let done = queue.poll(NOW).unwrap();
        assert_eq!(done.verdict, *expected, "{token}");
        if done.verdict == Verdict::Deliver {
            assert_eq!((packet_of(&done), done.label.mark), (&inner[..], Mark::Opened(Mode::Tunnel)));
        }
    }
    let counters = queue.engine().inbound.counters();
    let of_each = arriving.iter().filter_map(|(_, verdict)| match verdict {
        Verdict::Drop(reason) => Some(*reason),
        _ => None,
    });
    of_each.for_each(|reason| assert_eq!(counters.dropped(reason), 1, "{reason}"));
}

// What is computed over the ciphertext cannot be written before it is there.
#[test]
fn a_cipher_gets_no_packet_whose_checksum_covers_its_work() {
    let params = sa(Direction::Outbound, Mode::Tunnel, "2001:db8::1", "2001:db8::2", AES_GCM);
    let params = in_udp(params, 4500, 4500);
    let mut queue = queue(Hardware { asleep: true, ..Hardware::of_ciphers(16) }, &params);
    queue.submit(request(Direction::Outbound, &clear(1), 0), NOW).unwrap();
    let done = queue.poll(NOW).unwrap();
    assert!(matches!(done.verdict, Verdict::Send(_)), "{:?}", done.verdict);
    assert!(checksum_holds(packet_of(&done)));
    assert_eq!(sequence_of(queue.engine(), Direction::Outbound), (1, 1));
}
