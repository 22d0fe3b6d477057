use super::*;
use crate::command::{self, Command};
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
        Command::DeletePolicy(which) => model.delete_policies(&which).map(drop),
        Command::DeleteRemote(which) => model.delete_remotes(&which).map(drop),
        other => panic!("{other:?} does not change a model"),
    }
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

#[test]
fn commands_come_in_any_order() {
    let keys = Keys::new("order");
    let mut model = Model::new();
    apply(&mut model, POLICY, &keys.0).unwrap();
    assert!(model.ike_config(&BTreeMap::new()).policies.is_empty());
    assert_eq!(model.unresolved()[0].to_string(), "the policy p1 names the remote gw, which is not configured");
    apply(&mut model, REMOTE, &keys.0).unwrap();
    let config = model.ike_config(&BTreeMap::new());
    assert!(model.unresolved().is_empty());
    assert_eq!(config.policies[0].policy.id, PolicyId(6));
    assert_eq!(config.remote("gw").unwrap().secret.expose(), b"secret");
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
fn contradictions_are_refused() {
    let keys = Keys::new("contradictions");
    let mut model = Model::new();
    apply(&mut model, REMOTE, &keys.0).unwrap();
    for (line, words) in [
        (REMOTE, "there is a remote gw already"),
        ("ike remote -x gv", "there is no remote gv; did you mean gw?"),
        ("ipsec policy -x ike", "cannot be deleted"),
        ("ipsec policy -n all --action discard -l 1 -s any -d any", "would catch the packets of IKE"),
        ("ipsec policy -n p -g gw -m tunnel -r 10.0.0.3 -s any -d any", "is not the address"),
        ("ike remote -n other -w -r 10.0.0.9 -g a -h nothing-there", "cannot read the pre-shared key"),
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
