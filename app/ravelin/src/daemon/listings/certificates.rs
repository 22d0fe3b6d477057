//! `ce x509`: the listing of the local trust database, and whether a certificate would be accepted.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use ravelin_control::Message;
use ravelin_crypto::signature::KeyKind;
use ravelin_pki::revocation::Revocation;
use ravelin_pki::{Certificate, Date, Demand, Restrictions, Rules, Time, Usage, memory, path};

use crate::daemon::core::Core;
use crate::daemon::plane::Plane;
use crate::daemon::waiting::done;

impl<P: Plane> Core<P> {
    pub(in crate::daemon) fn view_certificates(&self) -> Message {
        let mut certificates = Message::new();
        let mut number = 0;
        let mut add = |row| {
            number += 1;
            certificates.put_section(&number.to_string(), row);
        };
        for entry in self.model.certificates().entries() {
            for (at, certificate) in entry.certificates.iter().enumerate() {
                let key = entry.key.is_some() && at == 0;
                let row = Message::new().with("file", entry.spec.file.display()).with("database", entry.spec.database);
                add(describe(row, certificate).with("private-key", if key { "yes" } else { "no" }));
            }
            for crl in &entry.crls {
                let (updated, next) = crl.updated();
                let mut row =
                    Message::new().with("file", entry.spec.file.display()).with("database", entry.spec.database);
                row.put("crl-of", crl.issuer());
                row.put("delta", if crl.is_delta() { "yes" } else { "no" });
                row.put("revoked", crl.len());
                row.put("not-before", Date(updated));
                row.put("not-after", next.map_or("unknown".to_owned(), |next| Date(next).to_string()));
                add(row);
            }
        }
        let mut answer = done();
        answer.put_section("certificates", certificates);
        answer
    }

    /// Forgets what was fetched about revocation: servers that failed are asked again at once.
    pub(in crate::daemon) fn forget_lists(&self) -> Message {
        let count = self.library.forget();
        let mut answer = done();
        answer.put_list("notes", [format!("{count} places that tell of revocation are forgotten")]);
        answer
    }

    /// # Errors
    /// Why the certificate would not be accepted.
    pub(in crate::daemon) fn verify_certificate(&self, file: &Path, directory: &Path) -> Result<Message, String> {
        let database = self.model.certificates();
        let all = database.certificates(file, directory).map_err(|error| error.to_string())?;
        let (leaf, others) = all.split_first().ok_or("no certificate is in the file")?;
        let papers = database.papers();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let usage = if leaf.is_authority() { Usage::Any } else { Usage::Ike };
        let crls = [self.library.lists(), papers.crls.clone()].concat();
        let answers = self.library.answers();
        let revocation = Revocation { crls: &crls, answers: &answers, places: &[], demand: Demand::Relaxed };
        // Which remote asks is not known: what some accept is told with that.
        let named = Restrictions { dsa: true, ..Restrictions::default() };
        let memory = &memory::Forgetful;
        let rules = Rules { now: Time(now), usage, policies: &[], revocation, restrictions: &named, memory };
        let others: Vec<Certificate> = others
            .iter()
            .cloned()
            .chain(database.entries().iter().flat_map(|entry| entry.certificates.clone()))
            .collect();
        let (path, _) =
            path::find(leaf, &others, &database.anchors(), &rules, &self.crypto).map_err(|fault| fault.to_string())?;
        let mut certificates = Message::new();
        for (at, certificate) in path.0.iter().enumerate() {
            certificates.put_section(&(at + 1).to_string(), describe(Message::new(), certificate));
        }
        let mut answer = done();
        answer.put_section("certificates", certificates);
        let of_dsa = |certificate: &Certificate| {
            path::key(certificate, &self.crypto).is_ok_and(|key| matches!(key.kind(), KeyKind::Dsa(..)))
        };
        if path.0.iter().any(of_dsa) {
            answer.put_list("notes", ["it is accepted by remotes that name dsa among --peer-signatures, alone"]);
        }
        Ok(answer)
    }
}

fn describe(mut row: Message, certificate: &Certificate) -> Message {
    row.put("subject", certificate.subject());
    row.put("issuer", certificate.issuer());
    row.put_list("names", certificate.alt_names());
    row.put("authority", if certificate.is_authority() { "yes" } else { "no" });
    let serial: String = certificate.serial().iter().map(|byte| format!("{byte:02x}")).collect();
    row.put("serial", serial);
    let (from, until) = certificate.valid();
    row.put("not-before", Date(from));
    row.put("not-after", Date(until));
    row
}
