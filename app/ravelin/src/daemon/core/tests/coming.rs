//! The data plane hears how far IKE SAs are, so that messages of one that is being made do not wait with strangers'.

use super::pair::Pair;
use super::*;

#[test]
fn an_ike_sa_is_known_from_the_first_answer_on_and_nothing_that_a_stranger_invents() {
    let mut pair = Pair::new("coming", ["", ""], ["", ""]);
    pair.initiate();
    for bench in &pair.0 {
        let noted = bench.plane.0.borrow().noted.clone();
        let spis = noted[0].0;
        assert!(spis.0 != IkeSpi::ZERO && spis.1 != IkeSpi::ZERO);
        assert_eq!(noted[0].1, Progress::Coming);
        assert!(noted.contains(&(spis, Progress::Here)) && noted.iter().all(|(of, _)| *of == spis), "{noted:?}");
    }
    // IKE_AUTH of nobody's IKE SA is answered, with the SPIs that it has (RFC 7296 §2.21.4).
    let bench = &mut pair.0[1];
    bench.plane.0.borrow_mut().noted.clear();
    let mut message = vec![0x11; 16];
    message.extend([46, 0x20, 35, 8, 0, 0, 0, 1, 0, 0, 0, 96, 0, 0, 0, 68]);
    message.resize(96, 7);
    let (local, remote) = ("10.0.0.2:500".parse().unwrap(), "10.0.0.1:500".parse().unwrap());
    let carrier = ravelin_types::Carrier::Udp;
    bench.core.datagram(Datagram { local, remote, carrier, data: &message }, bench.now);
    assert_eq!(bench.plane.0.borrow().sent.len(), 1, "it is answered");
    assert!(bench.plane.0.borrow().noted.is_empty());
}
