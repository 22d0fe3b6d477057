use ravelin_ike::config::{IdPattern, LocalAuth, RemoteAuth};
use ravelin_types::dataplane::DataPlaneOp;
use std::path::PathBuf;

use super::*;
use crate::command::{self, Command};
use crate::value::key::KeyError;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

const POLICY: &str = "ipsec policy -n p1 -g gw -m tunnel -r 10.0.0.2 -s 10.1.0.0/16 -d 10.2.0.0/16";
const REMOTE: &str = "ike remote -n gw -w -u -r 10.0.0.2 -g fqdn:here -h psk";

struct Keys(PathBuf);

impl Keys {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ravelin-model-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a scratch directory");
        std::fs::write(path.join("psk"), "secret\n").expect("a key");
        std::fs::set_permissions(path.join("psk"), std::fs::Permissions::from_mode(0o600)).expect("a mode");
        Keys(path)
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn apply(model: &mut Model, line: &str, directory: &Path) -> Result<(), ModelError> {
    let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    match command::parse(&arguments).expect(line).command {
        Command::AddPolicy(spec) => model.add_policy(*spec).map(drop),
        Command::AddRemote(spec) => model.add_remote(*spec, directory),
        Command::AddPool(spec) => model.add_pool(*spec),
        Command::DeletePolicy(which) => model.delete_policies(&which).map(drop),
        Command::DeleteRemote(which) => model.delete_remotes(&which).map(drop),
        Command::AddSa(spec) => model.add_manual(*spec, directory).map(drop),
        Command::DeleteSa(which) => model.delete_manual(&which).map(drop),
        other => panic!("{other:?} does not change a model"),
    }
}

// RFC 8221 §5, RFC 8247 §2: whichever way they came in, once for each who has them.
#[test]
fn weak_algorithms_are_told_of_whoever_named_them() {
    let (mut model, keys) = (Model::new(), Keys::new("weak"));
    std::fs::write(keys.0.join("psk"), "sixteen octets..").unwrap();
    let told = |model: &Model| -> Vec<String> {
        let whose = |text: &String| text.splitn(3, ": ").take(2).collect::<Vec<_>>().join(": ");
        model.advice().iter().map(whose).collect()
    };
    apply(&mut model, REMOTE, &keys.0).unwrap();
    assert!(told(&model).is_empty());
    let key = |octets: usize| "12".repeat(octets);
    for line in [
        "ike remote -n old -w -r 10.0.0.9 -g fqdn:a -h psk -e 3DES-CBC -d MODP1024".to_owned(),
        "ipsec policy -n net -g old -m tunnel -r 10.0.0.9 -s 10.1.0.0/16 -d 10.2.0.0/16 -e DES,3DES-CBC -a MD5"
            .to_owned(),
        format!(
            "ipsec addsa -m transport -r 10.0.0.7 -s 10.0.0.1 -d 10.0.0.7 -w 256 -x 257 -e DES -f {0} -g {0} -a MD5 -b {1} -c {1}",
            key(8),
            key(16)
        ),
    ] {
        if let Err(error) = apply(&mut model, &line, &keys.0) {
            panic!("{line}: {error}");
        }
    }
    let text = "connections {\n c {\n proposals = 3des-md5-modp768\n local {\n auth = psk\n }\n remote {\n auth = psk\n }\n\
                children {\n n {\n esp_proposals = 3des-sha1\n }\n }\n }\n}\n";
    let root = crate::swanctl::parse::parse(text, Path::new("f")).unwrap();
    model.replace_loaded(crate::swanctl::contents(&root, Default::default()).unwrap()).unwrap();
    let expected = [
        "the SA for 10.0.0.1 to 10.0.0.7: DES-CBC",
        "the SA for 10.0.0.1 to 10.0.0.7: HMAC-MD5",
        "the policy c.n: 3DES-CBC",
        "the policy net: 3DES-CBC",
        "the policy net: DES-CBC",
        "the policy net: HMAC-MD5",
        "the remote c: 3DES-CBC",
        "the remote c: HMAC-MD5",
        "the remote c: MODP768",
        "the remote c: PRF HMAC-MD5",
        "the remote old: 3DES-CBC",
        "the remote old: MODP1024",
    ];
    assert_eq!(told(&model), expected);
    // What was so before is not told again.
    assert!(model.advice_since(&model.clone()).is_empty());
}

// A user's certificate inside TLS is asked for as much as one that IKE brings.
#[test]
fn revocation_is_asked_for_inside_of_tls() {
    let text = "connections {\n c {\n local {\n auth = pubkey\n id = gw\n }\n remote {\n auth = eap-tls\n revocation = strict\n }\n }\n}\n";
    let root = crate::swanctl::parse::parse(text, Path::new("f")).unwrap();
    let mut model = Model::new();
    model.replace_loaded(crate::swanctl::contents(&root, Default::default()).unwrap()).unwrap();
    let RemoteAuth::Eap(eap) = &model.ike_config(&BTreeMap::new()).remotes[0].remote_auth else { panic!() };
    assert_eq!(eap.server.tls.trust.as_ref().unwrap().revocation, ravelin_pki::Demand::Strict);
}

// strongSwan's gateways name the keys of their peers by a pattern (RFC 8784 §5.1); one that begins needs a name.
#[test]
fn a_pattern_of_names_is_a_key_for_each_peer() {
    let ppks = |id: &str| {
        let text = format!(
            "connections {{\n c {{\n {id}\n local {{\n auth = psk\n }}\n remote {{\n auth = psk\n }}\n }}\n}}\n\
             secrets {{\n ike {{\n secret = sixteen-octets-or-more\n }}\n ppk-1 {{\n id-a = carol@ppk.lab\n id-b = carol@other\n secret = one\n }}\n\
             ppk-2 {{\n id = dave@ppk.lab\n secret = two\n }}\n}}\n"
        );
        let root = crate::swanctl::parse::parse(&text, Path::new("f")).unwrap();
        let mut model = Model::new();
        model.replace_loaded(crate::swanctl::contents(&root, Default::default()).unwrap()).unwrap();
        let ppk = model.ike_config(&BTreeMap::new()).remotes[0].extensions.ppk.clone();
        let names = ppk.keys.iter().map(|key| String::from_utf8(key.id.clone()).unwrap()).collect::<Vec<_>>();
        (ppk.id.is_some(), names)
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(ppks("ppk_id = *@ppk.lab"), (false, names(&["carol@ppk.lab", "dave@ppk.lab"])));
    assert_eq!(ppks("ppk_id = dave@ppk.lab"), (true, names(&["dave@ppk.lab"])));
    assert_eq!(ppks("version = 2"), (false, names(&["carol@ppk.lab", "carol@other", "dave@ppk.lab"])));
}

// docs/HISTORY.md, row 47.
#[test]
fn a_short_key_is_told_of() {
    let told = |key: &str| {
        let (mut model, keys) = (Model::new(), Keys::new("advice"));
        std::fs::write(keys.0.join("psk"), key).unwrap();
        apply(&mut model, REMOTE, &keys.0).unwrap();
        model.advice()
    };
    let advice = told("fifteen octets!");
    assert_eq!(advice.len(), 1);
    assert!(
        advice.iter().all(|it| it.contains("the remote gw has fewer than 16 octets") && !it.contains("fifteen")),
        "{advice:?}"
    );
    assert!(told("sixteen octets..").is_empty());
}

#[test]
fn a_pool_that_is_nowhere_is_told_of() {
    let (mut model, keys) = (Model::new(), Keys::new("pools"));
    std::fs::write(keys.0.join("psk"), "sixteen octets..").unwrap();
    apply(&mut model, "ike pool -n rw -a 10.3.0.0/24", &keys.0).unwrap();
    apply(&mut model, &format!("{REMOTE} --pool rv"), &keys.0).unwrap();
    let told = "the remote gw gives nobody an address of the pool rv, which is not configured; did you mean rw?";
    assert_eq!(model.advice(), [told.to_owned()].into());
    apply(&mut model, "ike pool -n rv -a 10.4.0.0/24", &keys.0).unwrap();
    assert!(model.advice().is_empty());
}

#[test]
fn ike_and_neighbor_discovery_may_always_pass() {
    let spd = Model::new().spd();
    let shown: Vec<String> =
        spd.iter().map(|p| format!("{} {} {} {:?}", p.id.0, p.priority, p.local[0], p.action)).collect();
    assert_eq!(
        shown,
        [
            "1 2000 0.0.0.0/0[17/500] Bypass",
            "2 2000 0.0.0.0/0[17/4500] Bypass",
            "3 2000 ::/0[17/500] Bypass",
            "4 2000 ::/0[17/4500] Bypass",
            "5 2000 ::/0[58/34048-35327] Bypass",
        ]
    );
}

// Document 003 §4.4, §4.9: IKE_ADD_TEST_BYPASS_POLICIES.
#[test]
fn everything_may_pass_behind_all_other_policies() {
    let mut model = Model::new().with_test_bypass();
    let spd = model.spd();
    let shown: Vec<String> = spd[5..].iter().map(|p| format!("{} {} {:?}", p.priority, p.local[0], p.action)).collect();
    assert_eq!(shown, ["7000 0.0.0.0/0 Bypass", "7000 ::/0 Bypass"]);
    let error = apply(&mut model, "ipsec policy -x test-bypass6", Path::new("")).unwrap_err();
    assert!(error.to_string().contains("cannot be deleted"), "{error}");
    apply(&mut model, "ipsec policy -x ALLPOLICIES", Path::new("")).unwrap();
    assert_eq!(model.spd().len(), 7);
}

#[test]
fn a_named_policy_fits_its_remote() {
    let keys = Keys::new("named");
    let mut model = Model::new();
    apply(&mut model, REMOTE, &keys.0).unwrap();
    let error = apply(&mut model, &format!("{POLICY} --for joe@example.org"), &keys.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the policy p1 is not --for ipv4:10.0.0.2, who its remote gw is (-f): make the two say the same"
    );
    apply(&mut model, &format!("{POLICY} --for 10.0.0.0/24"), &keys.0).unwrap();
    assert_eq!(model.ike_config(&BTreeMap::new()).policies[0].names.len(), 1);
    // And the other way round.
    apply(&mut model, "ike remote -x gw", &keys.0).unwrap();
    let other = format!("{REMOTE} -f fqdn:else");
    assert!(matches!(apply(&mut model, &other, &keys.0), Err(ModelError::NotForRemote { .. })));
    apply(&mut model, &format!("{REMOTE} -f any"), &keys.0).unwrap();
    let config = model.ike_config(&BTreeMap::new());
    assert_eq!(config.remotes[0].open.peers, Some(IdPattern::Any));
}

#[test]
fn commands_come_in_any_order() {
    let keys = Keys::new("order");
    let mut model = Model::new();
    apply(&mut model, POLICY, &keys.0).unwrap();
    assert!(model.ike_config(&BTreeMap::new()).policies.is_empty());
    assert_eq!(
        model.unresolved()[0].to_string(),
        "the policy p1 names the remote gw, which is not configured: add `ike remote -n gw`, or name another with -g"
    );
    apply(&mut model, REMOTE, &keys.0).unwrap();
    let config = model.ike_config(&BTreeMap::new());
    assert!(model.unresolved().is_empty());
    assert_eq!(config.policies[0].policy.id, PolicyId(6));
    let LocalAuth::Psk(secret) = &config.remote("gw").unwrap().local_auth else { panic!("no key") };
    assert_eq!(secret.expose(), b"secret");
    // Deleting a remote leaves the policy, which protects (and so drops) its traffic until it finds another.
    apply(&mut model, "ike remote -x gw", &keys.0).unwrap();
    assert!(model.ike_config(&BTreeMap::new()).policies.is_empty());
    assert!(model.spd().iter().any(|policy| matches!(policy.action, Action::Protect(_))));
}

#[test]
fn numbers_are_never_reused() {
    let keys = Keys::new("numbers");
    let mut model = Model::new();
    apply(&mut model, POLICY, &keys.0).unwrap();
    apply(&mut model, "ipsec policy -x p1", &keys.0).unwrap();
    apply(&mut model, POLICY, &keys.0).unwrap();
    assert_eq!(model.policy("p1").unwrap().id, PolicyId(7));
}

#[test]
fn the_difference_adds_before_it_removes() {
    let keys = Keys::new("difference");
    let mut old = Model::new();
    apply(&mut old, POLICY, &keys.0).unwrap();
    let mut new = old.clone();
    apply(&mut new, "ipsec policy -x ALLPOLICIES", &keys.0).unwrap();
    apply(&mut new, "ipsec policy -n p2 --action bypass -s any -d any", &keys.0).unwrap();
    let ops = old.difference(&new);
    assert!(matches!(&ops[..], [DataPlaneOp::AddPolicy(added), DataPlaneOp::DeletePolicy(PolicyId(6))]
        if added.name == "p2" && added.action == Action::Bypass));
    assert!(old.difference(&old).is_empty());
}

#[test]
fn a_virtual_interface_lives_as_long_as_its_policies() {
    let keys = Keys::new("interfaces");
    let policy = |name: &str, ends: &str, device: &str| {
        format!("ipsec policy -n {name} -g gw -m tunnel -r 10.0.0.2 -s {ends} -d {ends} --interface {device}")
    };
    let mut model = Model::new();
    let before = model.clone();
    apply(&mut model, &policy("a4", "any", "vti1"), &keys.0).unwrap();
    apply(&mut model, &policy("a6", "any6", "vti1"), &keys.0).unwrap();
    apply(&mut model, &policy("b4", "any", "vti2"), &keys.0).unwrap();
    let ops = before.difference(&model);
    assert!(matches!(&ops[..], [DataPlaneOp::AddInterface(one), DataPlaneOp::AddInterface(two),
        DataPlaneOp::AddPolicy(a4), DataPlaneOp::AddPolicy(a6), DataPlaneOp::AddPolicy(b4)]
        if one.name == "vti1" && a4.domain == one.domain && a6.domain == one.domain
            && two.name == "vti2" && b4.domain == two.domain && one.domain != Domain::default()));

    let before = model.clone();
    apply(&mut model, "ipsec policy -x a4", &keys.0).unwrap();
    assert!(matches!(before.difference(&model)[..], [DataPlaneOp::DeletePolicy(_)]), "a6 needs it still");
    apply(&mut model, "ipsec policy -x a6", &keys.0).unwrap();
    assert!(matches!(
        before.difference(&model)[..],
        [DataPlaneOp::DeletePolicy(_), DataPlaneOp::DeletePolicy(_), DataPlaneOp::DeleteInterface(Domain(1))]
    ));
    for n in 3..2 + super::interfaces::MAX_INTERFACES {
        apply(&mut model, &policy(&format!("p{n}"), "any", &format!("vti{n}")), &keys.0).unwrap();
    }
    let error = apply(&mut model, &policy("more", "any", "one-more"), &keys.0).unwrap_err().to_string();
    assert!(error.contains("32 virtual interfaces"), "{error}");
}

#[test]
fn contradictions_are_refused() {
    let keys = Keys::new("contradictions");
    let mut model = Model::new();
    apply(&mut model, REMOTE, &keys.0).unwrap();
    for (line, words) in [
        (REMOTE, "there is a remote gw for IKEv2 already"),
        ("ike remote -x gv", "there is no remote gv; did you mean gw?"),
        ("ipsec policy -x ike", "cannot be deleted"),
        ("ipsec policy -n all --action discard -l 1 -s any -d any", "would catch the packets of IKE"),
        ("ipsec policy -n p -g gw -m tunnel -r 10.0.0.3 -s any -d any", "is not an address of its remote gw"),
        ("ike remote -n other -w -r 10.0.0.9 -g a -h nothing-there", "cannot read"),
    ] {
        let before = format!("{model:?}");
        let error = apply(&mut model, line, &keys.0).expect_err(line).to_string();
        assert!(error.contains(words), "{line}: {error}");
        assert_eq!(format!("{model:?}"), before, "{line} changed the model");
    }
    apply(&mut model, "ipsec policy -n web --action discard -l 1 -p tcp -s any -d any,80", &keys.0).unwrap();
    apply(&mut model, POLICY, &keys.0).unwrap();
    assert!(matches!(apply(&mut model, POLICY, &keys.0), Err(ModelError::PolicyExists(_))));
}

#[test]
fn a_remote_that_contradicts_a_policy_is_not_kept() {
    let keys = Keys::new("late");
    let mut model = Model::new();
    apply(&mut model, POLICY, &keys.0).unwrap();
    let elsewhere = REMOTE.replace("10.0.0.2", "10.0.0.3");
    assert!(matches!(apply(&mut model, &elsewhere, &keys.0), Err(ModelError::EndpointsDiffer { .. })));
    assert_eq!(model.remotes().count(), 0);
}

fn by_hand(ports: &str) -> String {
    format!(
        "ipsec addsa -m transport -r 10.0.0.2 -s 10.0.0.1{ports} -d 10.0.0.2 -p tcp -e AES128-CBC -f file:key \
         -g 00112233445566778899aabbccddeeff -w 256 -x 257 -a HMAC-SHA-2-256 -b file:auth -c file:auth"
    )
}

#[test]
fn sas_by_hand_bring_their_policy() {
    let keys = Keys::new("manual");
    let mut model = Model::new();
    let error = apply(&mut model, &by_hand(""), &keys.0).unwrap_err().to_string();
    assert!(error.starts_with("cannot read"), "{error}");
    for (name, content) in [("key", "0x0123456789abcdef0123456789abcdef\n".to_owned()), ("auth", "5a".repeat(32))] {
        std::fs::write(keys.0.join(name), content).unwrap();
    }
    // Others could read them.
    std::fs::set_permissions(keys.0.join("key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(apply(&mut model, &by_hand(""), &keys.0), Err(ModelError::Key(KeyError::Secret(_)))));
    for name in ["key", "auth"] {
        std::fs::set_permissions(keys.0.join(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let before = model.clone();
    apply(&mut model, &by_hand(""), &keys.0).unwrap();
    apply(&mut model, &by_hand(",80"), &keys.0).unwrap();
    let added = before.difference(&model);
    assert!(matches!(&added[..], [DataPlaneOp::AddPolicy(a), DataPlaneOp::AddPolicy(b)]
        if a.priority == 4000 && a.name == "spid-6" && b.local[0].to_string() == "10.0.0.1[6/80]"));
    let session = model.keyed().next().unwrap().session.as_ref().unwrap();
    assert_eq!(session.esp.as_ref().unwrap().encr_keys.inbound.expose()[..2], [0x01, 0x23]);

    let delete = |ports: &str| format!("ipsec delsa -s 10.0.0.1{ports} -d 10.0.0.2 -p tcp");
    apply(&mut model, &delete(",80"), &keys.0).unwrap();
    assert!(matches!(apply(&mut model, &delete(",80"), &keys.0), Err(ModelError::NoSuchSa)));
    apply(&mut model, "ipsec policy -x spid-6", &keys.0).unwrap();
    assert_eq!(model.keyed().count(), 0);
    assert!(before.difference(&model).is_empty());
}

#[test]
fn a_program_may_choose_a_number_that_was_never_used() {
    let mut model = Model::new();
    let policy = |id| Policy { id: PolicyId(id), action: Action::Bypass, ..model_policy() };
    let add = |model: &mut Model, id| model.add_keyed(policy(id), ravelin_manage::Keying::Own, None);
    assert!(matches!(add(&mut model, 5), Err(ModelError::NumberUsed(_))));
    assert_eq!(add(&mut model, 7).unwrap(), PolicyId(7));
    assert!(matches!(add(&mut model, 7), Err(ModelError::NumberUsed(_))));
    let given: Vec<u32> = (0..3).map(|_| add(&mut model, 0).unwrap().0).collect();
    assert_eq!(given, [6, 8, 9]);
    assert!(model.delete_keyed(PolicyId(8)) && !model.delete_keyed(PolicyId(8)));
    assert!(matches!(add(&mut model, 8), Err(ModelError::NumberUsed(_))));
}

fn model_policy() -> Policy {
    let any = vec![TrafficSelector::any_v4()];
    let (id, domain) = (PolicyId(0), Domain::default());
    Policy {
        id,
        name: String::new(),
        domain,
        priority: 1,
        local: any.clone(),
        remote: any,
        action: Action::Discard,
        ways: Ways::default(),
    }
}

// S-124: a line for each version, one name; one of the two is initiated.
#[test]
fn a_name_may_have_a_remote_of_each_version() {
    let keys = Keys::new("versions");
    let mut model = Model::new();
    apply(&mut model, REMOTE, &keys.0).unwrap();
    let v1 = REMOTE.replace("-w -u", "-z 1 -u");
    let error = apply(&mut model, &REMOTE.replace("-w -u", "-z 1 -w -u"), &keys.0).unwrap_err();
    assert!(error.to_string().contains("only one of the two can have -w"), "{error}");
    apply(&mut model, &v1, &keys.0).unwrap();
    assert!(apply(&mut model, &v1, &keys.0).unwrap_err().to_string().contains("for IKEv1 already"));
    apply(&mut model, POLICY, &keys.0).unwrap();
    assert_eq!(model.find_remote("gw").unwrap().spec.version.number(), 2);
    let config = model.ike_config(&BTreeMap::new());
    assert_eq!(config.remotes.iter().map(|remote| remote.version.number()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(config.policies.len(), 1);
    apply(&mut model, "ike remote -x gw", &keys.0).unwrap();
    assert_eq!(model.remotes().count(), 0);
}
