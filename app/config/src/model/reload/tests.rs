use std::path::Path;

use super::*;
use crate::rc;

fn read(text: &str) -> Model {
    rc::apply(text, Path::new("ike_rc"), Path::new("/"), &Model::new()).unwrap().model
}

fn numbers(model: &Model) -> Vec<u32> {
    let mut policies: Vec<_> = model.policies().filter(|entry| !entry.automatic).collect();
    policies.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
    policies.into_iter().map(|entry| entry.id.0).collect()
}

const A: &str = "policy -n a --action discard -s 10.1.0.0/16 -d any\n";
const B: &str = "policy -n b --action discard -s 10.2.0.0/16 -d any\n";
const C: &str = "policy -n c --action discard -s 10.2.3.0/24 -d 10.9.0.1\n";

#[test]
fn what_is_the_same_keeps_its_number_where_the_order_allows_it() {
    let before = read(&format!("{A}{B}{C}"));
    assert_eq!(numbers(&before), [6, 7, 8]);
    let after = |text: &str| numbers(&before.renumbered(read(text)).unwrap());
    assert_eq!(after(&format!("{A}{B}{C}")), [6, 7, 8]);
    // One that changed, in front of others that do not meet it.
    assert_eq!(after(&format!("{}{B}{C}", A.replace("10.1.", "10.4."))), [9, 7, 8]);
    // In front of one that must be consulted behind it.
    assert_eq!(after(&format!("{A}{}{C}", B.replace("-d any", "-d 10.0.0.0/8"))), [6, 9, 10]);
    assert_eq!(after(&format!("{A}{}{C}", B.replace("-d any", "-d any -l 5"))), [6, 9, 8]);
    assert_eq!(after(&format!("{A}{C}{B}")), [6, 9, 8]);
    assert_eq!(after(&format!("{C}{B}{A}")), [6, 9, 8]);
}

#[test]
fn an_interface_that_stays_keeps_its_domain() {
    let on =
        |name: &str, source: &str| format!("policy -n {name} --action discard --interface {name} -s {source} -d any\n");
    let before = read(&on("vti1", "10.1.0.0/16"));
    let after = before.renumbered(read(&(on("vti0", "10.5.0.0/16") + &on("vti1", "10.1.0.0/16")))).unwrap();
    let interfaces: Vec<_> = after.interfaces().into_iter().map(|(domain, it)| (domain.0, it.name)).collect();
    assert_eq!(interfaces, [(1, "vti1".to_owned()), (2, "vti0".to_owned())]);
}
