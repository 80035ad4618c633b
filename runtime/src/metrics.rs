//! The port for those who watch over a player or a worker: `/metrics` for Prometheus, `/health` for everyone.
//!
//! Whoever can reach it may be careless or hostile. So a connection is one question, few are served at the same time,
//! and none keeps its place for long: the others wait in the system's queue and cost the player nothing.

use crate::failure::Failure;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use players::Health;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// How many connections are served at the same time.
const MOST: usize = 16;
/// How long a connection may take to ask, and how long it may last.
const TO_ASK: Duration = Duration::from_secs(2);
const TO_LAST: Duration = Duration::from_secs(10);
/// The most bytes of a question.
const LONGEST: usize = 8 << 10;

/// What is told.
#[derive(Clone)]
struct Told {
    metrics: PrometheusHandle,
    health: Arc<Health>,
}

/// Serves the port from now on.
pub async fn start(address: SocketAddr, health: Arc<Health>) -> Result<(), Failure> {
    let fail =
        |error: &dyn std::fmt::Display| Failure::new(format!("cannot serve metrics on {address}: {error}"));
    let metrics = PrometheusBuilder::new().install_recorder().map_err(|error| fail(&error))?;
    let listener = TcpListener::bind(address).await.map_err(|error| fail(&error))?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "others can reach the port for metrics: let a firewall decide who");
    }
    tokio::spawn(serve(listener, Told { metrics, health }));
    Ok(())
}

async fn serve(listener: TcpListener, told: Told) {
    let places = Arc::new(Semaphore::new(MOST));
    // Nobody closes the semaphore.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let told = told.clone();
                tokio::spawn(async move {
                    // What a connection suffers is its own concern.
                    let _ = tokio::time::timeout(TO_LAST, talk(stream, told)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot take a connection for metrics");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Answers one question.
async fn talk(stream: TcpStream, told: Told) -> Result<(), hyper::Error> {
    let service = service_fn(move |request| {
        let answer = answer(&request, &told);
        async { Ok::<_, Infallible>(answer) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TO_ASK)
        .keep_alive(false)
        .max_buf_size(LONGEST)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer(request: &Request<Incoming>, told: &Told) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/metrics" | "/health") {
        return text(StatusCode::NOT_FOUND, "there are /metrics and /health\n".to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, String::new());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let report = told.health.report();
    if path == "/metrics" {
        told.metrics.run_upkeep();
        return text(StatusCode::OK, told.metrics.render());
    }
    let status = if report.is_red() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let mut answer = text(status, format!("{}\n", serde_json::json!(report)));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    /// The port of a player, until the test ends.
    fn port() -> (SocketAddr, Arc<Health>, tokio::runtime::Runtime) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let health = Arc::new(Health::default());
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(serve(listener, Told { metrics, health: Arc::clone(&health) }));
        (address, health, runtime)
    }

    fn connect(address: SocketAddr) -> std::net::TcpStream {
        let stream = std::net::TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        stream
    }

    /// The response to a request.
    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = connect(address);
        stream.write_all(format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).expect("a question");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        text
    }

    #[test]
    fn the_health_is_told_in_json_and_by_the_status() {
        let (address, health, _runtime) = port();
        let red = ask(address, "GET /health");
        assert!(red.starts_with("HTTP/1.1 503 ") && red.contains("application/json"), "{red}");
        assert!(red.contains(r#""status":"red""#) && red.contains("no block"), "{red}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
        health.polled(7, now);
        let green = ask(address, "GET /health");
        assert!(green.starts_with("HTTP/1.1 200 "), "{green}");
        assert!(green.contains(r#""status":"ok""#) && green.contains(r#""head":7"#), "{green}");
        assert!(ask(address, "GET /metrics").starts_with("HTTP/1.1 200 "));
        assert!(ask(address, "GET /").starts_with("HTTP/1.1 404 "));
        assert!(ask(address, "POST /health").starts_with("HTTP/1.1 405 "));
    }

    /// How many descriptors this process has open.
    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").expect("a folder").count()
    }

    #[test]
    fn idle_connections_neither_take_descriptors_nor_the_port() {
        let (address, _health, _runtime) = port();
        let before = descriptors();
        // Some say nothing, some half a question. Both ends are this process's.
        let idle: Vec<_> = (0..100)
            .map(|number| {
                let mut stream = connect(address);
                if number % 2 == 0 {
                    stream.write_all(b"GET /health HTTP/1.1\r\nX-").expect("room");
                }
                stream
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300));
        let taken = descriptors() - before - idle.len();
        assert!(taken <= MOST, "{taken} descriptors are taken");
        let start = Instant::now();
        assert!(ask(address, "GET /health").starts_with("HTTP/1.1 503 "));
        assert!(start.elapsed() < Duration::from_secs(50), "{:?}", start.elapsed());
    }

    #[test]
    fn a_question_without_end_is_cut_off() {
        let (address, _health, _runtime) = port();
        let mut stream = connect(address);
        let _ = stream.write_all(b"GET /health HTTP/1.1\r\nX-Long: ");
        let start = Instant::now();
        let mut sent = 0;
        while stream.write_all(&[b'a'; 4096]).is_ok() && start.elapsed() < Duration::from_secs(30) {
            sent += 4096;
            assert!(sent < 64 << 20, "nobody stops it");
        }
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    }
}
