//! Debian's nginx follows its upstreams while requests run against it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flota_conf::settings::Layer;
use flota_etcd::{Access, StoreClient};
use flota_registry::{Op, Txn};
use rustix::process::{Pid, Signal, kill_process};

use crate::rig::{Etcd, PATIENCE, Place, free_port};

const NGINX: &str = "/usr/sbin/nginx";
const CHANGES: usize = 200;
const SERVERS: usize = 5;
const CLIENTS: usize = 3;
/// Requests of one client do not follow each other more closely: the machine has other things to do.
const THINK: Duration = Duration::from_millis(10);

/// Nothing is tried at another upstream: a request that meets one that is gone fails.
const TEMPLATE: &str = r#"user root;
worker_processes 2;
pid DIR/nginx.pid;
error_log DIR/error.log;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
    proxy_next_upstream off;
    upstream app {
{{range gets "/server/*"}}        server {{.Value}} max_fails=0;
{{end}}    }
    server { listen 127.0.0.1:PORT; location / { proxy_pass http://app; } }
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "nginx, for minutes on a busy machine: cargo xtask test"]
async fn no_request_fails_while_nginx_follows_two_hundred_changes_of_its_upstreams() {
    let (place, etcd) = (Place::in_memory(), Etcd::start().await);
    let port = free_port();
    let fill =
        |text: &str| text.replace("DIR", &place.dir.path().display().to_string()).replace("PORT", &port.to_string());
    place.template("nginx", &fill(TEMPLATE));
    let conf = place.path("out/nginx.conf");
    place.resource(
        "nginx.toml",
        &fill(&format!(
            "[template]\nsrc = \"nginx\"\ndest = \"OUT/nginx.conf\"\nprefix = \"/app\"\nkeys = [\"/server\"]\n\
             check_cmd = \"{NGINX} -t -c {{{{.src}}}}\"\n\
             reload_cmd = \"test ! -s DIR/nginx.pid || {NGINX} -s reload -c {}\"\n",
            conf.display()
        )),
    );
    let servers: Vec<Server> = (0..SERVERS).map(Server::start).collect();
    let store = StoreClient::guest(&[etcd.node()], &Access::default()).await.unwrap();
    let mut listed =
        Listed { store, servers: servers.iter().map(|server| server.address.clone()).collect(), now: BTreeMap::new() };
    listed.toggle(0).await;
    let layer = Layer {
        backend: Some("etcdv3".to_owned()),
        nodes: Some(vec![etcd.node()]),
        watch: Some(true),
        ..Layer::default()
    };
    let follow = async {
        listed.are_in(&place).await;
        let nginx = Nginx::start(&conf, port).await;
        let requests = Requests::start(port);
        for change in 0..CHANGES {
            // One is there at any time.
            listed.toggle(1 + change % (SERVERS - 1)).await;
            listed.are_in(&place).await;
        }
        listed.toggle(1).await;
        listed.are_the_only_ones_that_answer(port).await;
        let (good, failures) = requests.stop();
        drop(nginx);
        assert_eq!(failures, Vec::<String>::new(), "of {good}");
        assert!(good > CHANGES, "{good} requests are too few to tell anything");
        assert!(servers.iter().all(|server| server.served.load(Ordering::Relaxed) > 0), "some were never asked");
        eprintln!("{good} requests, none failed");
    };
    tokio::select! {
        ended = place.run(layer) => panic!("{ended:?}"),
        () = follow => {}
    }
}

/// The upstreams in the store.
struct Listed {
    store: StoreClient,
    /// Of all servers.
    servers: Vec<String>,
    now: BTreeMap<usize, String>,
}

impl Listed {
    async fn toggle(&mut self, server: usize) {
        let key = format!("/app/server/{server}");
        let op = if self.now.remove(&server).is_some() {
            Op::Delete { key }
        } else {
            let address = self.servers[server].clone();
            self.now.insert(server, address.clone());
            Op::Put { key, value: address.into_bytes(), lease: None }
        };
        self.store.commit(&Txn { compares: Vec::new(), ops: vec![op] }).await.unwrap();
    }

    async fn are_in(&self, place: &Place) {
        let begun = Instant::now();
        loop {
            let text = place.read("nginx.conf");
            let there: BTreeSet<&str> = text
                .lines()
                .filter_map(|line| line.trim().strip_prefix("server ")?.strip_suffix(" max_fails=0;"))
                .collect();
            if !text.is_empty() && there.iter().eq(self.now.values().collect::<BTreeSet<_>>()) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{there:?} are in place, not {:?}", self.now);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Twenty answers in a row, and all from those that are listed.
    async fn are_the_only_ones_that_answer(&self, port: u16) {
        let begun = Instant::now();
        let mut answered = BTreeSet::new();
        let mut in_a_row = 0;
        while in_a_row < 20 || answered.len() < self.now.len() {
            assert!(begun.elapsed() < PATIENCE, "{answered:?} answer, not {:?}", self.now);
            let server: usize = ask(port).unwrap().parse().unwrap();
            if self.now.contains_key(&server) {
                in_a_row += 1;
                answered.insert(server);
            } else {
                (in_a_row, answered) = (0, BTreeSet::new());
            }
            tokio::time::sleep(THINK).await;
        }
    }
}

/// A tiny HTTP server that tells its number. It serves until the test ends.
struct Server {
    address: String,
    served: Arc<AtomicUsize>,
}

impl Server {
    fn start(number: usize) -> Server {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&served);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let request = BufReader::new(&stream).lines().map_while(Result::ok);
                // Up to the empty line, so that nothing is unread when the connection is closed.
                request.take_while(|line| !line.is_empty()).for_each(drop);
                let body = number.to_string();
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = (&stream).write_all((head + &body).as_bytes());
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Server { address, served }
    }
}

/// nginx in the foreground with a configuration of the test's own.
struct Nginx(Child);

impl Nginx {
    async fn start(conf: &Path, port: u16) -> Nginx {
        let mut command = Command::new(NGINX);
        command.arg("-c").arg(conf).args(["-g", "daemon off;"]).stdin(Stdio::null());
        let nginx = Nginx(command.spawn().unwrap());
        let begun = Instant::now();
        while let Err(error) = ask(port) {
            assert!(begun.elapsed() < PATIENCE, "nginx does not start: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only if it is asked to end.
        if let Some(pid) = Pid::from_raw(self.0.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.0.wait();
    }
}

/// Clients that ask all the time.
struct Requests {
    ended: Arc<AtomicBool>,
    clients: Vec<JoinHandle<(usize, Vec<String>)>>,
}

impl Requests {
    fn start(port: u16) -> Requests {
        let ended = Arc::new(AtomicBool::new(false));
        let client = || {
            let ended = Arc::clone(&ended);
            thread::spawn(move || {
                let (mut good, mut failures) = (0, Vec::new());
                while !ended.load(Ordering::Relaxed) {
                    match ask(port) {
                        Ok(_) => good += 1,
                        Err(failure) => failures.push(failure),
                    }
                    thread::sleep(THINK);
                }
                (good, failures)
            })
        };
        let clients = (0..CLIENTS).map(|_| client()).collect();
        Requests { ended, clients }
    }

    /// How many requests were answered, and what became of the others.
    fn stop(self) -> (usize, Vec<String>) {
        self.ended.store(true, Ordering::Relaxed);
        let (mut good, mut failures) = (0, Vec::new());
        for client in self.clients {
            let (more, worse) = client.join().unwrap();
            good += more;
            failures.extend(worse);
        }
        (good, failures)
    }
}

/// One request on a connection of its own; the server that answered it.
fn ask(port: u16) -> Result<String, String> {
    let answer = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = answer().map_err(|error| error.to_string())?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") && !body.is_empty() => Ok(body.to_owned()),
        _ => Err(text),
    }
}
