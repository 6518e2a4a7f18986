//! The listeners when they speak TLS.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config::{Config, Sources};
use crate::front_door::ListenerTls;

/// Enough for a handshake on a busy machine.
const SHORT: Duration = Duration::from_secs(1);

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A door that speaks TLS with the certificate of the tests.
async fn open_encrypted(limits: DoorLimits) -> (Doors, Arc<Fake>) {
    let named = [("GES_TLS_CERT", fixture("server.pem")), ("GES_TLS_KEY", fixture("server.key"))];
    let environment = named.into_iter().map(|(name, file)| (name.into(), file.into())).collect();
    let config = Config::load(Sources { environment, file: None }).unwrap().config;
    let tls = ListenerTls::new(config.certificate.unwrap().certified()).unwrap();
    let (door, fake) = door();
    (serve(DoorSettings { tls: Some(tls), ..settings(limits) }, door).await.unwrap(), fake)
}

fn connector(versions: &[&'static SupportedProtocolVersion], protocols: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(fixture("ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(address: SocketAddr, connector: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(address).await?;
    tokio::time::timeout(DEADLINE, connector.connect(name, stream)).await.expect("no end of a handshake")
}

/// A connection without a choice of HTTP, on which requests can be written by hand.
async fn connected(address: SocketAddr) -> TlsStream<TcpStream> {
    connect(address, &connector(&[&TLS13], &[])).await.unwrap()
}

/// Everything until the other side closes.
async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut text = Vec::new();
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut text)).await.expect("still open");
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits until a request over a new connection is answered.
async fn until_it_serves(address: SocketAddr) {
    let served = async { while !serves(address).await {} };
    tokio::time::timeout(DEADLINE, served).await.expect("it serves nobody");
}

async fn serves(address: SocketAddr) -> bool {
    let Ok(mut stream) = connect(address, &connector(&[&TLS13], &[])).await else { return false };
    let request = "GET /nowhere HTTP/1.1\r\nhost: ges\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.is_ok() && rest(&mut stream).await.starts_with("HTTP/1.1 404 ")
}

#[tokio::test]
async fn both_listeners_agree_on_a_version_of_tls_and_of_http() {
    let (doors, _) = open_encrypted(DoorLimits::default()).await;
    for (address, tls, version) in [
        (doors.external, &TLS12, ProtocolVersion::TLSv1_2),
        (doors.external, &TLS13, ProtocolVersion::TLSv1_3),
        (doors.internal, &TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for (offered, agreed) in
            [(vec!["http/1.1", "h2"], Some("h2")), (vec!["http/1.1"], Some("http/1.1")), (vec![], None)]
        {
            let stream = connect(address, &connector(&[tls], &offered)).await.unwrap();
            let (_, session) = stream.get_ref();
            assert_eq!(session.protocol_version(), Some(version));
            assert_eq!(session.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
            let http = if agreed == Some("h2") { http::Version::HTTP_2 } else { http::Version::HTTP_11 };
            assert_eq!(cancelled_over(stream, http).await, 200, "{offered:?}");
        }
        let unknown = connect(address, &connector(&[tls], &["spdy/3"])).await;
        assert!(unknown.is_err(), "nothing in common");
    }
}

/// The status of a request in that version of HTTP.
async fn cancelled_over(stream: TlsStream<TcpStream>, version: http::Version) -> u16 {
    let stream = hyper_util::rt::TokioIo::new(stream);
    let body = http_body_util::Full::new(bytes::Bytes::from(format!(r#"{{"id":"{ID}"}}"#)));
    let place = if version == http::Version::HTTP_2 { "https://ges" } else { "" };
    let request = http::Request::post(format!("{place}{CANCEL}")).header("host", "ges").header("x-api-key", KEY);
    let request = request.body(body).unwrap();
    let response = if version == http::Version::HTTP_2 {
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut client, connection) = hyper::client::conn::http2::handshake(executor, stream).await.unwrap();
        tokio::spawn(connection);
        client.send_request(request).await.unwrap()
    } else {
        let (mut client, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        client.send_request(request).await.unwrap()
    };
    assert_eq!(response.version(), version);
    response.status().as_u16()
}

#[tokio::test]
async fn who_makes_no_handshake_gets_nothing_and_disturbs_nobody() {
    let limits = DoorLimits { first_request: SHORT, ..DoorLimits::default() };
    let (doors, _) = open_encrypted(limits).await;
    // Nothing, the beginning of a hello, plain HTTP, HTTP/2 with prior knowledge, something else.
    for said in ["", "\x16\x03\x01\x02", &cancel_request(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-x\r\n"] {
        let mut client = Client::connect(doors.external).await;
        client.send(said).await;
        let answer = client.rest().await;
        assert!(!answer.contains("HTTP") && answer.len() < 16, "at most an alert: {answer:?}");
    }
    // It is the same time that the first request has to come in.
    let mut silent = connected(doors.external).await;
    assert_eq!(rest(&mut silent).await, "");
    drop(Client::connect(doors.external).await);
    until_it_serves(doors.external).await;
    until_it_serves(doors.internal).await;
}

#[tokio::test]
async fn a_handshake_takes_a_place_and_whoever_is_too_many_is_closed() {
    let limits = DoorLimits { external_connections: 1, first_request: SHORT * 3, ..DoorLimits::default() };
    let (doors, fake) = open_encrypted(limits).await;
    let mut silent = Client::connect(doors.external).await;
    until(|| doors.tasks.len() == 3).await;
    assert_eq!(Client::connect(doors.external).await.rest().await, "", "not even an answer in the clear");
    assert_eq!(fake.count(|event| *event == Event::Shed), 1);
    assert_eq!(silent.rest().await, "");
    // Its place is free again.
    until_it_serves(doors.external).await;
}

#[tokio::test]
async fn a_drain_ends_handshakes_and_answers_what_is_in_flight() {
    let (doors, fake) = open_encrypted(DoorLimits::default()).await;
    let mut silent = Client::connect(doors.external).await;
    let mut idle = connected(doors.external).await;
    let gate = Arc::new(Notify::new());
    *fake.mood.lock().unwrap() = Mood::Waits(Arc::clone(&gate));
    let mut busy = connected(doors.external).await;
    let head = "POST /engagement/v3/callbacks/create HTTP/1.1\r\nhost: ges\r\n";
    let request = format!("{head}x-api-key: {KEY}\r\ncontent-length: {}\r\n\r\n{BOOKING}", BOOKING.len());
    busy.write_all(request.as_bytes()).await.unwrap();
    until(|| fake.booked.lock().unwrap().len() == 1).await;

    let drained = tokio::spawn(doors.shutdown(DEADLINE));
    assert_eq!(silent.rest().await, "");
    assert_eq!(rest(&mut idle).await, "");
    assert!(!drained.is_finished());
    gate.notify_one();
    let answer = rest(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("connection: close"), "{answer}");
    assert_eq!(tokio::time::timeout(DEADLINE, drained).await.unwrap().unwrap(), 0);
}
