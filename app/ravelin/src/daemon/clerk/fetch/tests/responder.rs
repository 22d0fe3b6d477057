//! Responders of OCSP on the loopback device, honest and hostile ones.

use ravelin_testkit::ocsp::{Reply, Status, bare};

use super::*;

type Answering = Box<dyn FnMut(&[u8]) -> Vec<u8> + Send>;

/// A responder that answers an OCSPRequest with what this makes of it, in HTTP, and where it is; it tells the heads of the
/// requests.
fn responder(mut answer: Answering) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let uri = format!("http://{}/ocsp", listener.local_addr().expect("a port"));
    let (asked, requests) = channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let (mut request, mut octets) = (Vec::new(), [0; 4096]);
            // The head, and a body of the length that it names.
            let body = loop {
                let count = stream.read(&mut octets).unwrap_or(0);
                request.extend_from_slice(&octets[..count]);
                let end = request.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
                let Some((head, body)) = end.map(|end| request.split_at(end)) else { continue };
                let head = String::from_utf8_lossy(head).to_lowercase();
                let (_, len) = head.split_once("content-length: ").expect("a length");
                let len: usize = len.split("\r\n").next().expect("a line").parse().expect("a number");
                if body.len() == len {
                    let _ = asked.send(head);
                    break body.to_vec();
                }
            };
            let _ = stream.write_all(&answer(&body));
        }
    });
    (uri, requests)
}

/// A certificate of the authority that names a responder.
fn answered(ca: &Paper, uri: &str) -> Paper {
    ca.issue(papers::answered_at(papers::subject("peer", &[NAME]), uri), Kind::P256)
}

fn source(ca: &Paper, paper: &Paper, uri: &str) -> Source {
    let parsed = |paper: &Paper| Certificate::parse(&paper.der).expect("a certificate");
    Source::Responder(uri.into(), Enquiry::new(&parsed(paper), &parsed(ca), &ike_provider()).expect("a key"))
}

fn authority() -> Arc<Paper> {
    Arc::new(papers::root("ca", Kind::P256))
}

#[test]
fn a_peer_is_judged_by_the_responder_that_its_certificate_names() {
    let ca = authority();
    for (status, expected) in
        [(Status::Good, "proven"), (Status::Revoked, "was revoked"), (Status::Unknown, "cannot be known")]
    {
        let signer = ca.clone();
        let answer = move |request: &[u8]| ok(&Reply::new(status, request).signed_by(&signer, request, &[]));
        let (uri, requests) = responder(Box::new(answer));
        let library = Arc::new(Library::default());
        let mut clerk = Clerk::start(ike_provider(), library.clone()).expect("threads");
        let paper = answered(&ca, &uri);
        for _ in 0..3 {
            let said = verdict(&mut clerk, question(&ca, &paper, Demand::IfUri));
            assert!(said.contains(expected), "{said}");
        }
        // RFC 6960 appendix A.1; once, also where it was of no use.
        let head = requests.try_recv().expect("a request");
        assert!(head.starts_with("post /ocsp http/1.1\r\n"), "{head}");
        assert!(head.contains("content-type: application/ocsp-request\r\n"), "{head}");
        assert!(requests.try_recv().is_err(), "once");
        assert_eq!(library.forget(), 1);
        verdict(&mut clerk, question(&ca, &paper, Demand::Relaxed));
        assert!(requests.try_recv().is_ok(), "again");
    }
}

#[test]
fn what_is_no_answer_of_the_authority_is_a_failure() {
    let ca = authority();
    let stranger = papers::root("ca", Kind::P256);
    let cases: Vec<(&str, bool, Answering)> = vec![
        ("try later", true, Box::new(|_| ok(&bare(3)))),
        ("does not answer for this certificate", false, Box::new(|_| ok(&bare(6)))),
        ("no OCSP answer that can be read", false, Box::new(|_| ok(b"<html>"))),
        ("no OCSP answer that can be read", false, Box::new(|_| ok(b""))),
        ("503", true, Box::new(|_| b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n".to_vec())),
        ("", true, Box::new(|_| ok(&vec![0x30; limits::OCSP + 1]))),
        ("", true, Box::new(|_| [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![0x30; 2 * limits::OCSP]].concat())),
        (
            "is signed",
            false,
            Box::new(move |request| ok(&Reply::new(Status::Good, request).signed_by(&stranger, request, &[&stranger]))),
        ),
        ("nonce", false, {
            let ca = ca.clone();
            // It was recorded when the certificate was good.
            Box::new(move |request| ok(&Reply::new(Status::Good, &[0; 32]).signed_by(&ca, request, &[])))
        }),
        ("nonce", false, {
            let ca = ca.clone();
            Box::new(move |request| {
                let reply = Reply { nonce: None, next: None, ..Reply::new(Status::Good, request) };
                ok(&reply.signed_by(&ca, request, &[]))
            })
        }),
        ("was good until 2021-01-01", false, {
            let ca = ca.clone();
            Box::new(move |request| {
                let reply = Reply { next: Some("20210101000000Z".into()), ..Reply::new(Status::Good, request) };
                ok(&reply.signed_by(&ca, request, &[]))
            })
        }),
    ];
    for (at, (why, whole, answer)) in cases.into_iter().enumerate() {
        let (uri, _requests) = responder(answer);
        let (one, other) = (source(&ca, &answered(&ca, &uri), &uri), source(&ca, &answered(&ca, &uri), &uri));
        let trouble = obtain(&one, &ike_provider()).map(|_| ()).expect_err("no answer");
        assert!(trouble.why.contains(why), "{at}: {trouble:?}");
        assert_eq!(trouble.whole, whole, "{at}: {trouble:?}");
        // A responder that is down is not asked about one certificate after the other; one that does not know one, is.
        let library = Library::default();
        library.put(&one, Err(trouble), now());
        assert_eq!(library.next(&[vec![one.clone()]], now()), None);
        assert_eq!(library.next(&[vec![other]], now()).is_none(), whole);
        assert!(library.next(&[vec![one]], Time(now().0 + AGAIN)).is_some());
    }
}

// RFC 5280 §4.2.2.1 and §4.2.1.13: where the responder does not answer, the list still says it.
#[test]
fn where_no_responder_answers_the_list_is_fetched() {
    let ca = authority();
    let (silent, _requests) = responder(Box::new(|_| ok(&bare(3))));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = format!("http://{}/ca.crl", listener.local_addr().expect("a port"));
    let params = papers::listed_at(papers::subject("peer", &[NAME]), &at);
    let paper = ca.issue(papers::answered_at(params, &silent), Kind::P256);
    let list = ok(&ca.crl(&[&paper]));
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 2048]);
            let _ = stream.write_all(&list);
        }
    });
    let mut clerk = Clerk::start(ike_provider(), Arc::default()).expect("threads");
    let said = verdict(&mut clerk, question(&ca, &paper, Demand::Relaxed));
    assert!(said.contains("was revoked"), "{said}");
}
