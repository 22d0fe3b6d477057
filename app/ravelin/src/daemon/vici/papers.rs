//! Certificates, private keys and authorities: `load-cert`, `load-key`, `load-authority`, their listings and their ends.

use ravelin_config::papers::{Loaded, TokenKey};
use ravelin_config::swanctl::authority;
use ravelin_config::swanctl::reader::{Problems, Reader};
use ravelin_config::swanctl::tree::At;
use ravelin_control::Message;
use ravelin_pki::Certificate;
use ravelin_types::{Instant, Secret};

use super::Answer;
use super::load::section;
use crate::daemon::core::Core;
use crate::daemon::plane::Plane;
use crate::daemon::waiting::done;

/// What a file is, by the words that clients have for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A certificate, which has to be that of an authority.
    X509 {
        authority: bool,
    },
    /// One of an attribute authority.
    AttributeAuthority,
    Attributes,
    Crl,
    PublicKey,
}

impl Kind {
    /// `type` and `flag`, or the one word of older clients.
    fn of(message: &Message) -> Result<Self, String> {
        let word = message.text("type").ok_or("certificate type missing")?;
        let flag = message.text("flag").unwrap_or("NONE");
        match (word.to_ascii_uppercase().as_str(), flag.to_ascii_uppercase().as_str()) {
            // A listing may be of any.
            ("X509", "NONE" | "ANY") => Ok(Kind::X509 { authority: false }),
            ("X509CA", _) | ("X509", "CA") => Ok(Kind::X509 { authority: true }),
            ("X509_CRL" | "X509CRL", _) => Ok(Kind::Crl),
            ("PUBKEY", _) => Ok(Kind::PublicKey),
            ("X509AA", _) | ("X509", "AA") => Ok(Kind::AttributeAuthority),
            ("X509_AC" | "X509AC", _) => Ok(Kind::Attributes),
            ("X509", "OCSP") | ("X509OCSP" | "OCSP_RESPONSE", _) => Err(
                "neither certificates of OCSP responders nor answers are loaded: an authority vouches for its responders"
                    .to_owned(),
            ),
            ("X509", flag) => Err(format!("invalid certificate flag '{flag}'")),
            (word, _) => Err(format!("invalid certificate type '{word}'")),
        }
    }
}

impl<P: Plane> Core<P> {
    pub(super) fn load_cert(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let kind = Kind::of(message)?;
        let data = message.data("data").ok_or("certificate data missing")?;
        self.change_papers(now, |loaded| match kind {
            Kind::X509 { authority } => loaded.add_certificates(data, authority),
            Kind::AttributeAuthority => loaded.add_attribute_authority(data),
            Kind::Attributes => loaded.add_attributes(data),
            Kind::Crl => loaded.add_crl(data),
            Kind::PublicKey => loaded.add_public_key(data),
        })?;
        Ok(Answer::Now(done()))
    }

    pub(super) fn load_key(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let kind = message.text("type").ok_or("key type missing")?;
        if !["any", "rsa", "ecdsa", "ed25519"].iter().any(|known| known.eq_ignore_ascii_case(kind)) {
            return Err(format!("invalid key type: {kind}"));
        }
        let data = message.data("data").ok_or("key data missing")?;
        let id = self.change_papers(now, |loaded| loaded.add_key(data, None::<&Secret>))?;
        Ok(Answer::Now(done().with("id", id)))
    }

    /// A key on a token: its name is as that of any other.
    pub(super) fn load_token(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let root = section(message);
        let at = At::message();
        let mut problems = Problems::default();
        let token = TokenKey::read(Reader::new(&root, &at, &mut problems));
        if let Some(problem) = problems.0.into_iter().next() {
            return Err(problem.message);
        }
        let token = token.ok_or("key handle missing")?;
        let id = self.change_papers(now, |loaded| loaded.add_token(&token))?;
        Ok(Answer::Now(done().with("id", id)))
    }

    pub(super) fn unload_key(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let id = message.text("id").ok_or("key id missing")?;
        let found = |there: bool| if there { Ok(()) } else { Err("key not found".to_owned()) };
        self.change_papers(now, |loaded| found(loaded.remove_key(id)))?;
        Ok(Answer::Now(done()))
    }

    pub(super) fn get_keys(&self) -> Answer {
        let mut answer = Message::new();
        answer.put_list("keys", self.model.certificates().loaded().keys());
        Answer::Now(answer)
    }

    pub(super) fn load_authority(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let root = section(message);
        for named in &root.sections {
            let mut problems = Problems::default();
            let read = authority::read(named, &mut problems);
            let why = problems.0.into_iter().next().map(|remark| remark.message);
            match (read, why) {
                (Some(places), None) => {
                    self.change_papers(now, |loaded| loaded.add_authority(&named.name, places))?;
                }
                (_, why) => return Err(format!("{}, authority discarded", why.unwrap_or_default())),
            }
        }
        Ok(Answer::Now(done()))
    }

    pub(super) fn unload_authority(&mut self, message: &Message, now: Instant) -> Result<Answer, String> {
        let name = message.text("name").ok_or("unload: missing authority name")?;
        let found = |there: bool| if there { Ok(()) } else { Err(format!("unload: authority '{name}' not found")) };
        self.change_papers(now, |loaded| found(loaded.remove_authority(name)))?;
        Ok(Answer::Now(done()))
    }

    pub(super) fn get_authorities(&self) -> Answer {
        let mut answer = Message::new();
        answer.put_list("authorities", self.model.certificates().loaded().authorities().keys());
        Answer::Now(answer)
    }

    pub(super) fn list_authorities(&self, message: &Message) -> Answer {
        let wanted = |name: &str| message.text("name").is_none_or(|text| text == name);
        let all = self.model.certificates().loaded().authorities().iter();
        let listed = all.filter(|(name, _)| wanted(name)).map(|(name, places)| {
            let mut shown = Message::new().with("cacert", places.authority.subject());
            shown.put_list("crl_uris", &places.crl_uris);
            shown.put_list("ocsp_uris", &places.ocsp_uris);
            if let Some(base) = &places.cert_uri_base {
                shown.put("cert_uri_base", base);
            }
            let mut event = Message::new();
            event.put_section(name, shown);
            event
        });
        Answer::Stream("list-authority", listed.collect())
    }

    /// Everything that is known, those of the command line among it: certificates of peers, of authorities, of attribute
    /// authorities and of attributes, public keys, and lists.
    pub(super) fn list_certs(&self, message: &Message) -> Result<Answer, String> {
        let only = match message.text("type") {
            None => None,
            Some(word) if word.eq_ignore_ascii_case("any") => None,
            Some(_) => Some(Kind::of(message)?),
        };
        let any_flag = message.text("flag").is_none_or(|flag| flag.eq_ignore_ascii_case("any"));
        let of_x509 = |authority: bool| match only {
            None => true,
            Some(Kind::X509 { authority: wanted }) => any_flag || wanted == authority,
            Some(_) => false,
        };
        let subject = |it: &Certificate| message.text("subject").is_none_or(|text| text == it.subject().to_string());
        let database = self.model.certificates();
        let key = |message: Message, spki: &[u8]| match database.has_key(spki) {
            true => message.with("has_privkey", "yes"),
            false => message,
        };
        let mut listed = Vec::new();
        for (authority, flag) in [(false, "NONE"), (true, "CA")] {
            let certificates = database.every_certificate().into_iter().filter(|it| it.is_authority() == authority);
            for certificate in certificates.filter(|it| of_x509(authority) && subject(it)) {
                let event = key(Message::new().with("type", "X509").with("flag", flag), certificate.spki());
                listed.push(event.with_data("data", certificate.der()));
            }
        }
        if only.is_none_or(|kind| kind == Kind::AttributeAuthority) || any_flag && of_x509(false) {
            let authorities = database.loaded().attribute_authorities().iter().filter(|it| subject(it));
            let event = |der: &[u8]| Message::new().with("type", "X509").with("flag", "AA").with_data("data", der);
            listed.extend(authorities.map(|it| event(it.der())));
        }
        let named = message.text("subject").is_some();
        if only.is_none_or(|kind| kind == Kind::Attributes) && !named {
            let event = |der: &[u8]| Message::new().with("type", "X509_AC").with_data("data", der);
            listed.extend(database.loaded().attributes().iter().map(|it| event(it.der())));
        }
        if only.is_none_or(|kind| kind == Kind::PublicKey) && !named {
            for spki in database.loaded().public_keys() {
                listed.push(key(Message::new().with("type", "PUBKEY"), spki).with_data("data", spki));
            }
        }
        if only.is_none_or(|kind| kind == Kind::Crl) && !named {
            let papers = database.papers();
            let event = |der: &[u8]| Message::new().with("type", "X509_CRL").with_data("data", der);
            listed.extend(papers.crls.iter().map(|list| event(list.der())));
        }
        Ok(Answer::Stream("list-cert", listed))
    }

    /// Forgets what was fetched about revocation; nothing else is kept that could be flushed.
    pub(super) fn flush_certs(&self, message: &Message) -> Result<Answer, String> {
        let fetched = ["any", "x509_crl", "ocsp_response"];
        match message.text("type") {
            Some(word) if !fetched.iter().any(|known| known.eq_ignore_ascii_case(word)) => {
                Kind::of(message)?;
            }
            _ => _ = self.library.forget(),
        }
        Ok(Answer::Now(done()))
    }

    fn change_papers<T>(
        &mut self,
        now: Instant,
        change: impl FnOnce(&mut Loaded) -> Result<T, String>,
    ) -> Result<T, String> {
        let mut newer = self.model.clone();
        let changed = newer.change_papers(change)?;
        self.take(newer, now)?;
        Ok(changed)
    }
}
