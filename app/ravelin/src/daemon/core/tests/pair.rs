//! Two daemons that negotiate.

use super::*;

/// Two daemons that hear one another: 10.0.0.1 initiates, 10.0.0.2 answers. Then, what they said.
pub(super) struct Pair(pub(super) [Bench; 2], pub(super) Vec<Vec<u8>>);

impl Pair {
    pub(super) fn new(name: &str, here: [&str; 2], there: [&str; 2]) -> Self {
        let mut pair = Pair([Bench::new(&format!("{name}-here")), Bench::new(&format!("{name}-there"))], Vec::new());
        let ends = ["-r 10.0.0.2 --local 10.0.0.1", "-r 10.0.0.1 --local 10.0.0.2"];
        let traffic = ["-s 10.1.0.0/16 -d 10.2.0.0/16", "-s 10.2.0.0/16 -d 10.1.0.0/16"];
        for (at, [remote, policy]) in [here, there].into_iter().enumerate() {
            pair.0[at].ok(&format!("ike remote -n gw -w -u {} -h psk {remote}", ends[at]));
            let traffic = if policy.contains("-s ") { "" } else { traffic[at] };
            let peer = if at == 0 { "10.0.0.2" } else { "10.0.0.1" };
            pair.0[at].ok(&format!("ipsec policy -n p1 -g gw -m tunnel -r {peer} {traffic} {policy}"));
        }
        pair
    }

    /// Negotiates until nobody has more to say.
    pub(super) fn initiate(&mut self) {
        self.0[0].core.command(Command::Initiate(self.0[0].core.model.find_policy("p1").unwrap().id), self.0[0].now);
        self.exchange();
    }

    /// Carries what they say until nobody has more to say.
    pub(super) fn exchange(&mut self) {
        loop {
            let sent = [0, 1].map(|at| std::mem::take(&mut self.0[at].plane.0.borrow_mut().sent));
            let answered = self.0.each_mut().map(Bench::answer_questions).contains(&true);
            if sent.iter().all(Vec::is_empty) && !answered {
                return;
            }
            for (at, sent) in sent.into_iter().enumerate() {
                let other = &mut self.0[1 - at];
                for (to, data) in sent {
                    self.1.push(data.clone());
                    let from = SocketAddr::new(if at == 0 { [10, 0, 0, 1] } else { [10, 0, 0, 2] }.into(), to.port());
                    other.core.datagram(
                        Datagram { local: to, remote: from, carrier: ravelin_types::Carrier::Udp, data: &data },
                        other.now,
                    );
                }
            }
        }
    }
}
