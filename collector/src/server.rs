//! Listening, routing, and the orderly end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::response::Response;
use axum::routing::{get, patch, post, put};
use axum::{Router, extract::DefaultBodyLimit};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use crate::answer::{Problem, json_answer};
use crate::auth::{self, Need};
use crate::config::Config;
use crate::fault::{self, Faults};
use crate::keys::Keys;
use crate::store::Store;
use crate::wire::{Control, Wire};
use crate::{
    datasets, experiments, guard, ingestion, media, observations, otlp, page, prompts, query, say, scores,
    storage, tls,
};

/// Requests get this long to end after the signal.
const GOODBYE: Duration = Duration::from_millis(1500);
const BACKLOG: u32 = 1024;

/// What all requests share.
pub(crate) struct App {
    pub(crate) keys: Keys,
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    pub(crate) token: Option<String>,
    pub(crate) server_version: String,
    pub(crate) max_body: usize,
    pub(crate) max_media: usize,
    /// Base of the storage addresses that are handed out; the request's own host unless set.
    pub(crate) storage_url: Option<String>,
    /// Whether this address is https.
    pub(crate) secure: bool,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(config: Config) -> Result<(), String> {
    make_private(&config.data).map_err(|error| format!("{}: {error}", config.data.display()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("runtime: {error}"))?;
    let (store, writer) = Store::open(&config.data, config.durability)?;
    let outcome = runtime.block_on(serve(config, store));
    // Whatever still hangs is dropped with the runtime; the writer then commits what it has and ends.
    runtime.shutdown_timeout(Duration::from_millis(200));
    writer.join().map_err(|_| "the writer ended badly".to_owned())?;
    outcome
}

/// Makes the data directory, for its owner only: it will hold everything that is traced.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

async fn serve(config: Config, store: Store) -> Result<(), String> {
    let (keys, made) = Keys::open(&config.data, &config.keys, config.any_key)?;
    let acceptor = config.tls.as_ref().map(|(cert, key)| tls::acceptor(cert, key)).transpose()?;
    let app = Arc::new(App {
        keys,
        store,
        faults: Faults::new(config.faults),
        token: config.token,
        server_version: config.server_version,
        max_body: config.max_body,
        max_media: config.max_media,
        storage_url: config.storage_url,
        secure: acceptor.is_some(),
    });
    let stop = watch::Sender::new(false);
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let listener = listen(config.listen).map_err(|error| format!("{}: {error}", config.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let endpoint = Endpoint { acceptor: acceptor.clone(), stop: stop.clone(), alive: alive.clone() };
    if let Some(pair) = made {
        say(&format!("made a key pair, also in keys.json: {} {}", pair.public, pair.secret));
    }
    if let Some(control) = config.control {
        let listener = listen(control).map_err(|error| format!("{control}: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        say(&format!("tracespool-collector control on http://{address}"));
        let endpoint = Endpoint { acceptor: None, stop: stop.clone(), alive };
        tokio::spawn(endpoint.accept_plainly(listener, private_routes(&app)));
    } else {
        drop(alive);
    }
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let mut signals = Signals::new()?;
    say(&format!("tracespool-collector listening on {scheme}://{address}"));
    let accepting = tokio::spawn(endpoint.accept(listener, address, Arc::clone(&app), routes(&app)));
    signals.wait().await;
    stop.send_replace(true);
    let _ = accepting.await;
    let _ = tokio::time::timeout(GOODBYE, all_gone.recv()).await;
    Ok(())
}

fn routes(app: &Arc<App>) -> Router {
    let public = Router::new()
        .route("/api/public/otel/v1/traces", post(otlp::receive))
        .route("/api/public/otel/v1/metrics", post(otlp::metrics))
        .route("/api/public/scores", post(scores::receive))
        .route("/api/public/ingestion", post(ingestion::receive))
        .route("/api/public/health", axum::routing::any(health))
        .route("/api/public/ready", get(ready))
        .route("/api/public/projects", get(projects))
        .route("/api/public/v2/prompts", post(prompts::create))
        .route("/api/public/v2/prompts/{name}", get(prompts::fetch))
        .route("/api/public/v2/prompts/{name}/versions/{version}", patch(prompts::relabel))
        .route("/api/public/media", post(media::announce))
        .route("/api/public/media/{id}", get(media::fetch).patch(media::confirm))
        .route("/storage/{token}", put(storage::put).get(storage::get))
        .route("/api/public/v2/datasets", get(datasets::list).post(datasets::create))
        .route("/api/public/v2/datasets/{name}", get(datasets::fetch))
        .route("/api/public/dataset-items", get(datasets::list_items).post(datasets::create_item))
        .route("/api/public/dataset-items/{id}", get(datasets::fetch_item).delete(datasets::delete_item))
        .route("/api/public/v2/observations", get(observations::list))
        .route("/api/public/experiments", get(experiments::list))
        .route("/api/public/experiment-items", get(experiments::items))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(app), fault::interpose))
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::clone(app));
    public.merge(private_routes(app)).fallback(nothing_here)
}

fn private_routes(app: &Arc<App>) -> Router {
    page::routes()
        .merge(query::routes())
        .route("/api/v1/faults", get(fault::list).put(fault::put).post(fault::post).delete(fault::delete))
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::admit))
        .with_state(Arc::clone(app))
}

async fn health(State(app): State<Arc<App>>) -> Response {
    json_answer(StatusCode::OK, &json!({"status": "OK", "version": app.server_version}))
}

async fn ready(State(app): State<Arc<App>>) -> Response {
    health(State(app)).await
}

async fn projects(State(app): State<Arc<App>>, headers: axum::http::HeaderMap) -> Result<Response, Problem> {
    let project = auth::project(&app.keys, &headers, Need::Pair)?;
    let organization = json!({"id": "local", "name": "local"});
    let project = json!({"id": project, "name": project, "organization": organization, "metadata": {}});
    Ok(json_answer(StatusCode::OK, &json!({"data": [project]})))
}

async fn wrong_method() -> Response {
    let body = json!({"message": "Method not allowed", "error": "MethodNotAllowedError"});
    json_answer(StatusCode::METHOD_NOT_ALLOWED, &body)
}

async fn nothing_here() -> Response {
    let body: Value = json!({"message": "Not found", "error": "NotFoundError"});
    json_answer(StatusCode::NOT_FOUND, &body)
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The address of a listener that a fault closed is taken again at once.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// What an accept loop hands to its connections.
struct Endpoint {
    acceptor: Option<TlsAcceptor>,
    stop: watch::Sender<bool>,
    /// Held by every connection; when all are gone the end has come.
    alive: mpsc::Sender<()>,
}

impl Endpoint {
    /// Accepts until the end, except while a `refuse` fault holds.
    async fn accept(self, first: TcpListener, address: SocketAddr, app: Arc<App>, router: Router) {
        let mut stopping = self.stop.subscribe();
        let mut refusing = app.faults.watch_refusing();
        let mut listener = Some(first);
        // Connections of one period of listening are told to end when the period does.
        let mut period = watch::Sender::new(false);
        loop {
            let refusal = *refusing.borrow_and_update();
            match (refusal, &listener) {
                (Some(_), Some(_)) => {
                    listener = None;
                    period.send_replace(true);
                    period = watch::Sender::new(false);
                }
                (None, None) => match listen(address) {
                    Ok(again) => listener = Some(again),
                    Err(error) => {
                        crate::complain(&format!("{address}: {error}"));
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                _ => {}
            }
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                _ = refusing.changed() => {}
                () = until(refusal.flatten()) => app.faults.accept_again(),
                stream = accepted(listener.as_ref()) => self.spawn(stream, router.clone(), period.subscribe()),
            }
        }
        period.send_replace(true);
    }

    /// Accepts until the end; no fault reaches here.
    async fn accept_plainly(self, listener: TcpListener, router: Router) {
        let mut stopping = self.stop.subscribe();
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => break,
                stream = accepted(Some(&listener)) => self.spawn(stream, router.clone(), self.stop.subscribe()),
            }
        }
    }

    fn spawn(&self, stream: TcpStream, router: Router, ending: watch::Receiver<bool>) {
        let Ok(peer) = stream.peer_addr() else { return };
        let _ = stream.set_nodelay(true);
        let control = Arc::new(Control::new(peer));
        let wire = Wire::new(stream, Arc::clone(&control));
        let acceptor = self.acceptor.clone();
        let alive = self.alive.clone();
        tokio::spawn(async move {
            match acceptor {
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(wire).await {
                        connection(stream, control, router, ending).await;
                    }
                }
                None => connection(wire, control, router, ending).await,
            }
            drop(alive);
        });
    }
}

/// That point in time; never, when there is none.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The next connection; never, when there is no listener.
async fn accepted(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Out of descriptors, most likely: wait for some to come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection<S>(stream: S, control: Arc<Control>, router: Router, mut ending: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Arc::clone(&control));
        control.begin();
        let control = Arc::clone(&control);
        let mut router = router.clone();
        async move {
            let response: Result<Response<Body>, Infallible> = router.call(request.map(Body::new)).await;
            control.finish();
            response
        }
    });
    let mut connection =
        std::pin::pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // Broken connections are the senders' affair.
        _ = connection.as_mut() => return,
        _ = ending.wait_for(|ending| *ending) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// SIGTERM and SIGINT.
struct Signals {
    #[cfg(unix)]
    term: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, String> {
        Ok(Self {
            #[cfg(unix)]
            term: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .map_err(|error| format!("signals: {error}"))?,
        })
    }

    async fn wait(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = self.term.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
