use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::event::Outward;
use domain::ids::TenantId;
use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::breaker::{FAILURES, FIRST_REST};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Heard(Mutex<Vec<CallEnd>>);

impl Observer for Heard {
    fn note(&self, event: Event) {
        if let Event::CalledOut { end, .. } = event {
            self.0.lock().unwrap().push(end);
        }
    }
}

fn client(settings: &HttpSettings) -> (HttpClient, Arc<Heard>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let heard = Arc::new(Heard::default());
    (HttpClient::new(settings, heard.clone()).unwrap(), heard)
}

fn allowed() -> HttpSettings {
    HttpSettings { private: Private::Allowed, ..HttpSettings::default() }
}

/// What the server does with its n-th request, and on every later one what it did with the last.
#[derive(Clone, Copy)]
enum Does {
    /// Answers with this status and a body of so many bytes.
    Answers(u16, usize),
    /// Answers with a redirect to a place that must not be asked.
    Redirects,
    /// Closes without a word.
    Closes,
    /// Promises more than it sends.
    BreaksOff,
    /// Never answers.
    Hangs,
}

struct Server {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn start(script: &'static [Does]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let counted = requests.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, script, counted.clone()));
            }
        });
        Self { address, requests }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn call(&self) -> Call {
        call(&format!("http://{}/secret-path?token=secret-query", self.address))
    }
}

fn call(url: &str) -> Call {
    Call::new(Outward::Webhook, NamedBy::Operator, Method::GET, url).unwrap().within(5 * SECOND)
}

async fn converse(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    script: &[Does],
    counted: Arc<AtomicUsize>,
) {
    let mut head = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).await.is_ok_and(|read| read == 1) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        head.clear();
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let text = match script.get(number).or(script.last()).unwrap() {
            Does::Answers(status, length) => {
                format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(*length))
            }
            Does::Redirects => "HTTP/1.1 302 X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned(),
            Does::BreaksOff => "HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\nshort".to_owned(),
            Does::Closes => return,
            Does::Hangs => return std::future::pending().await,
        };
        stream.write_all(text.as_bytes()).await.unwrap();
        if text.ends_with("short") {
            return;
        }
    }
}

/// An address on which nobody listens.
async fn closed() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn answers_of_any_status_are_answers_and_redirects_are_not_followed() {
    let server = Server::start(&[Does::Answers(200, 3), Does::Answers(404, 0), Does::Redirects]).await;
    let (client, heard) = client(&allowed());
    for (status, length) in [(200, 3), (404, 0), (302, 0)] {
        let answer = client.call(server.call()).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, length));
    }
    assert_eq!(server.requests(), 3);
    assert_eq!(*heard.0.lock().unwrap(), [CallEnd::Well, CallEnd::Refused, CallEnd::Refused]);
}

#[tokio::test]
async fn what_was_never_connected_is_surely_not_done_and_everything_after_is_perhaps() {
    let (client, heard) = client(&allowed());
    let refused = client.call(call(&format!("http://{}/", closed().await))).await.unwrap_err();
    assert!(matches!(&refused, CallError::NotDone(Cause::Connect(_))), "{refused:?}");
    let unknown = client.call(call("http://no-such-host.invalid/")).await.unwrap_err();
    assert_eq!(unknown, CallError::NotDone(Cause::Lookup));
    for (script, cause, status) in [
        (&[Does::Closes][..], Cause::Broken, None),
        (&[Does::Hangs], Cause::Slow, None),
        (&[Does::BreaksOff], Cause::Broken, Some(StatusCode::OK)),
        (&[Does::Answers(200, 2000)], Cause::TooLong, Some(StatusCode::OK)),
    ] {
        let server = Server::start(script).await;
        let mut call = server.call().within(SECOND / 5);
        call.max_answer_bytes = 1999;
        assert_eq!(client.call(call).await.unwrap_err(), CallError::Perhaps { cause, status });
        assert_eq!(server.requests(), 1);
    }
    let ends = [[CallEnd::NotDone; 2].as_slice(), &[CallEnd::Perhaps; 4]].concat();
    assert_eq!(*heard.0.lock().unwrap(), ends);
}

#[tokio::test]
async fn a_call_is_repeated_only_as_its_caller_allows() {
    let flaky = &[Does::Answers(503, 0), Does::Closes, Does::Answers(200, 1)];
    for (repeat, requests, ends) in [
        (Repeat::Never, 1, Some(503)),
        (Repeat::IfNotDone(3), 1, Some(503)),
        (Repeat::Harmless(1), 2, None),
        (Repeat::Harmless(2), 3, Some(200)),
    ] {
        let server = Server::start(flaky).await;
        let (client, _) = client(&allowed());
        let answer = client.call(server.call().repeat(repeat)).await;
        assert_eq!(answer.ok().map(|answer| answer.status.as_u16()), ends, "{repeat:?}");
        assert_eq!(server.requests(), requests, "{repeat:?}");
    }
}

#[tokio::test]
async fn what_was_perhaps_done_stays_so_when_a_repetition_does_not_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        converse(stream, &[Does::Closes], Arc::default()).await;
    });
    let (client, _) = client(&allowed());
    let call = call(&format!("http://{address}/")).repeat(Repeat::Harmless(1));
    assert_eq!(client.call(call).await.unwrap_err(), CallError::Perhaps { cause: Cause::Broken, status: None });
}

#[tokio::test]
async fn repetitions_have_a_budget() {
    let server = Server::start(&[Does::Answers(502, 0), Does::Answers(429, 0)]).await;
    let (client, _) = client(&allowed());
    while client.budget.withdraw() {}
    client.call(server.call().repeat(Repeat::Harmless(5))).await.unwrap();
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_destination_that_fails_is_left_alone_and_tried_again_after_a_while() {
    let server = Server::start(&[Does::Answers(500, 0)]).await;
    let (client, heard) = client(&allowed());
    for _ in 0..FAILURES {
        assert_eq!(client.call(server.call()).await.unwrap().status.as_u16(), 500);
    }
    for _ in 0..20 {
        assert_eq!(client.call(server.call()).await.unwrap_err(), CallError::NotDone(Cause::Resting));
    }
    assert_eq!(server.requests(), FAILURES as usize);
    assert_eq!(heard.0.lock().unwrap().last(), Some(&CallEnd::Resting));
    // Another tenant's calls to the same host are not held back by it.
    let tenant = NamedBy::Tenant(TenantId::from_name("other"));
    assert!(client.call(Call { named_by: tenant, ..server.call() }).await.is_ok());
    tokio::time::pause();
    tokio::time::advance(FIRST_REST).await;
    tokio::time::resume();
    assert_eq!(client.call(server.call()).await.unwrap().status.as_u16(), 500);
    assert_eq!(client.call(server.call()).await.unwrap_err(), CallError::NotDone(Cause::Resting));
}

#[tokio::test]
async fn tenants_reach_no_private_address_by_number_or_by_name() {
    let server = Server::start(&[Does::Answers(200, 0)]).await;
    let (strict, _) = client(&HttpSettings::default());
    let (open, _) = client(&allowed());
    let named_by = NamedBy::Tenant(TenantId::from_name("demo"));
    let port = server.address.port();
    for (url, cause) in [
        (format!("http://127.0.0.1:{port}/"), Cause::BadUrl),
        (format!("https://127.0.0.1:{port}/"), Cause::Private),
        (format!("https://localhost:{port}/"), Cause::Private),
    ] {
        let refused = strict.call(Call { named_by, ..call(&url) }).await.unwrap_err();
        assert_eq!(refused, CallError::NotDone(cause), "{url}");
    }
    assert_eq!(server.requests(), 0);
    assert!(strict.call(server.call()).await.is_ok(), "the operator may");
    assert!(open.call(Call { named_by, ..call(&format!("http://localhost:{port}/")) }).await.is_ok());
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn private_authorities_are_trusted_and_others_are_not() {
    let server = tls_server().await;
    let fixture = |name: &str| PathBuf::from(format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR")));
    let (trusting, _) = client(&HttpSettings { ca_files: vec![fixture("ca.pem")], ..allowed() });
    let url = format!("https://localhost:{}/", server.port());
    assert_eq!(trusting.call(call(&url)).await.unwrap().status.as_u16(), 200);
    let (wary, _) = client(&allowed());
    match wary.call(call(&url)).await.unwrap_err() {
        CallError::NotDone(Cause::Connect(why)) => assert!(why.contains("UnknownIssuer"), "{why}"),
        // A machine without any authority trusts nobody either.
        other => assert_eq!(other, CallError::NotDone(Cause::Setup)),
    }
    for (file, told) in [("none.pem", "cannot read"), ("server.key", "no PEM certificate")] {
        let settings = HttpSettings { ca_files: vec![fixture(file)], ..allowed() };
        let error = HttpClient::new(&settings, Arc::new(Heard::default())).err().unwrap().to_string();
        assert!(error.starts_with(told) && error.contains(file), "{error}");
    }
}

/// Shows the certificate of the fixtures, which is good for `localhost`.
pub(crate) fn tls_acceptor() -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = CertificateDer::from_pem_slice(include_bytes!("../../../tests/fixtures/tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../tests/fixtures/tls/server.key")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![chain], key).unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

async fn tls_server() -> SocketAddr {
    let acceptor = tls_acceptor();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(stream) = acceptor.accept(stream).await {
                tokio::spawn(converse(stream, &[Does::Answers(200, 0)], Arc::default()));
            }
        }
    });
    address
}

#[tokio::test]
async fn nothing_of_a_call_prints() {
    let (client, _) = client(&allowed());
    let refused = call(&format!("http://{}/secret-path?token=secret-query", closed().await))
        .authorization("Bearer secret-token")
        .unwrap()
        .form(&[("password", "secret-word")]);
    let shown = format!("{refused:?}");
    let error = client.call(refused).await.unwrap_err();
    let server = Server::start(&[Does::Answers(200, 3), Does::Closes]).await;
    let answer = client.call(server.call()).await.unwrap();
    let broken = client.call(server.call()).await.unwrap_err();
    let shown = format!("{shown} {error} {error:?} {answer:?} {broken} {broken:?}");
    assert!(!shown.contains("secret") && !shown.contains("127.0.0.1") && !shown.contains("xxx"), "{shown}");
}
