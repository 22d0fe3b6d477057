//! The options of a policy.

use std::num::NonZeroU64;

use ravelin_types::if_id::IfIds;
use ravelin_types::mark::{Marks, PolicyMark};
use ravelin_types::options::AggFrag;

use super::*;

#[test]
fn the_options_of_a_policy_are_read_and_written_again() {
    let tunnel = POLICY.replace("transport", "tunnel");
    let options = |line: &str| match good(line).command {
        Command::AddPolicy(spec) => spec.esp.unwrap().options,
        other => panic!("{other:?}"),
    };
    assert_eq!(options(&tunnel), SaOptions::default());
    assert_eq!(crate::command::options::written(&SaOptions::default()), "");
    let all = options(&format!(
        "{tunnel} -c --tfc-max 300 -y --dummy-size 100 --dummy-interval 5 -h --ecn none --dscp 46 --df copy --hop-limit \
         9 --pad-check off --mtu 1400 --fragment after --mss path --mark 5 --set-mark 0x2a/0xff --output-mark 3 --offload packet \
         --if-id 42/43 --per-cpu"
    ));
    let ah = tunnel.replace("-t ESP -e AES128-GCM", "-t AH");
    let wide = options(&format!("{ah} --ah-align64"));
    assert_eq!(wide, SaOptions { ah_align64: true, ..SaOptions::default() });
    assert_eq!(options(&format!("{ah} {}", crate::command::options::written(&wide))), wide);
    let expected = SaOptions {
        full_ecn: false,
        dscp: Dscp::Set(46),
        df: Df::Copy,
        hop_limit: 9,
        pad_check: false,
        short_icv: true,
        ah_align64: false,
        mtu: Some(1400),
        fragmentation: Fragmentation::After,
        mss: Mss::Path,
        tfc: 300,
        dummies: Some(Dummies { size: 100, interval: Duration::from_secs(5) }),
        later_fragments: false,
        zero_checksum: false,
        marks: Marks::both(PolicyMark::Is(Mark { value: 5, mask: u32::MAX })),
        set_mark: Some(Mark { value: 0x2a, mask: 0xff }),
        output_mark: Some(Mark { value: 3, mask: u32::MAX }),
        offload: Offload::Packet,
        if_ids: IfIds { inbound: 42.into(), outbound: 43.into() },
        processors: Processors::Each,
        ipcomp: IpComp::Off,
        aggfrag: None,
    };
    assert_eq!(all, expected);
    assert_eq!(options(&format!("{tunnel} {}", crate::command::options::written(&all))), all);
    let small = options(&format!("{tunnel} --ipcomp"));
    assert_eq!(small, SaOptions { ipcomp: IpComp::Negotiate, ..SaOptions::default() });
    assert_eq!(options(&format!("{tunnel} {}", crate::command::options::written(&small))), small);
    for (words, rate) in [("as-needed", None), ("2M", NonZeroU64::new(2_000_000)), ("8000", NonZeroU64::new(8000))] {
        let shared = options(&format!("{tunnel} --iptfs {words}"));
        assert_eq!(shared.aggfrag, Some(AggFrag { rate, fragments: true }));
        assert_eq!(options(&format!("{tunnel} {}", crate::command::options::written(&shared))), shared);
    }
    let hidden = options(&format!("{POLICY} -c -y --mss 1300"));
    assert_eq!((hidden.tfc, hidden.dummies, hidden.mss), (256, Some(Dummies::default()), Mss::Set(1300)));
    let copied =
        options(&format!("{tunnel} --dscp copy --df set --ecn full --pad-check on --fragment before --mss off"));
    assert_eq!(copied, SaOptions { df: Df::Set, ..SaOptions::default() });
}

#[test]
fn options_that_do_nothing_are_refused() {
    let tunnel = POLICY.replace("transport", "tunnel");
    let ah = tunnel.replace("-t ESP -e AES128-GCM", "-t AH");
    let bypass = "ipsec policy -n p -s 10.0.0.1 -d 10.0.0.2 --action bypass";
    for (line, at, words) in [
        (format!("{POLICY} --dscp 5"), "--dscp", "goes with -m tunnel"),
        (format!("{POLICY} --df set"), "--df", "goes with -m tunnel"),
        (format!("{POLICY} --hop-limit 5"), "--hop-limit", "goes with -m tunnel"),
        (format!("{POLICY} --ecn none"), "--ecn", "goes with -m tunnel"),
        (format!("{ah} -c"), "-c", "about ESP"),
        (format!("{tunnel} --ah-align64"), "--ah-align64", "about AH"),
        (format!("{ah} -y"), "-y", "about ESP"),
        (format!("{ah} --pad-check off"), "--pad-check", "about ESP"),
        (format!("{POLICY} --tfc-max 9"), "--tfc-max", "goes with -c"),
        (format!("{POLICY} --dummy-size 9"), "--dummy-size", "goes with -y"),
        (format!("{POLICY} --dummy-interval 9"), "--dummy-interval", "goes with -y"),
        (format!("{bypass} -c"), "-c", "goes with --action secure"),
        (format!("{bypass} --mtu 1400"), "--mtu", "goes with --action secure"),
        (format!("{tunnel} --per-cpu --pfp remote"), "--per-cpu", "leave one of the two out"),
        (format!("{bypass} --ipcomp"), "--ipcomp", "goes with --action secure"),
        (format!("{tunnel} -c --ipcomp"), "--ipcomp", "leave one of the two out"),
        (format!("{bypass} --iptfs 2M"), "--iptfs", "goes with --action secure"),
        (format!("{POLICY} --iptfs 2M"), "--iptfs", "goes with -m tunnel"),
        (format!("{ah} --iptfs as-needed"), "--iptfs", "of ESP alone"),
        (format!("{tunnel} --ipcomp --iptfs as-needed"), "--iptfs", "leave one of the two out"),
        (format!("{tunnel} -c --iptfs as-needed"), "--iptfs", "leave -c out"),
        (format!("{tunnel} -y --iptfs 2M"), "--iptfs", "leave -y out"),
        (format!("{tunnel} --iptfs 7999"), "7999", "from 8k to 100G"),
        (format!("{tunnel} --iptfs always"), "always", "expected as-needed"),
        (format!("{bypass} --per-cpu"), "--per-cpu", "goes with --action secure"),
        (format!("{tunnel} --dscp 64"), "64", "0 to 63"),
        (format!("{tunnel} --mss 535"), "535", "at least 536"),
        (format!("{tunnel} --mtu 575"), "575", "575"),
    ] {
        let (place, message) = bad(&line);
        assert!(message.contains(words), "{line}: {message}");
        assert_eq!(place.as_deref(), Some(at), "{line}: {message}");
    }
}
