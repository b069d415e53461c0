//! A daemon over a unix socket: fleet's v1 API and Flota's own, units in memory, systemd played by unit names.
//!
//! `fail*` fails, `once*` runs and ends, `loop*` is restarted over and over, `flaky*` makes the daemon
//! refuse once, `brief*` is active for two looks, `stuck*` does not stop, `raced*` was changed by somebody else when a file
//! for it comes with a condition; anything else gets active at the second look. Machines that drain lose one unit at each look.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Path as Name, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use flota_api::{
    ErrorBody,
    machines::{
        CordonInfo, CordonMode, CordonRequest, HeldUnit, LeaveRequest, LeaveStage, LeaveStatus, MachineDetail,
        MachineInfo, MachineList, MachineState,
    },
    native::{Explanation, Health, MachineVerdict},
    page::{PageToken, paginate},
    paths,
    v1::{DesiredState, Machine, MachinePage, Unit, UnitPage, UnitState, UnitStatePage},
};
use flota_cli::{Outcome, Terminal, run_with};
use flota_unit::{Requirements, UnitFile, UnitName};

/// The cluster of one test; its socket and files are in a directory of its own.
pub struct Cluster {
    directory: tempfile::TempDir,
    world: Shared,
    variables: BTreeMap<String, String>,
}

/// What a command printed and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: u8,
    pub out: String,
    pub err: String,
}

type Shared = Arc<Mutex<World>>;

#[derive(Default)]
struct World {
    machines: Vec<Machine>,
    /// Machines whose lease is gone, and how they are listed.
    dead: Vec<(Machine, MachineState)>,
    cordons: BTreeMap<String, CordonRequest>,
    /// How the first machine leaves; it needs two looks to have left.
    leave: LeaveStatus,
    /// The daemon cannot reach its store.
    storeless: bool,
    units: BTreeMap<String, Entry>,
    requests: Vec<String>,
    /// Units that were to start while systemd was still stopping them.
    hasty: Vec<String>,
}

struct Entry {
    unit: Unit,
    /// Looks at its state since its desired state changed.
    looks: u32,
}

impl Cluster {
    /// A cluster of `machines` with metadata `n=1`, `n=2`, ...
    pub fn new(machines: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let machine = |n: usize| Machine {
            id: format!("f1ee0{n}00aaaabbbbccccddddeeeeffff"),
            metadata: BTreeMap::from([("n".to_owned(), n.to_string())]),
            primary_ip: format!("10.1.1.{n}"),
        };
        let world = World { machines: (1..=machines).map(machine).collect(), ..World::default() };
        let cluster = Self { directory, world: Arc::new(Mutex::new(world)), variables: BTreeMap::new() };
        // No program of this host plays along unless a test says so.
        let cluster = cluster.with("PATH", None);
        let listener = std::os::unix::net::UnixListener::bind(cluster.path("api.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let router = router(Arc::clone(&cluster.world));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        cluster
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file and returns its path as an argument.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A service that the stand-in for systemd does not look into.
    pub fn service(&self, name: &str) -> String {
        self.file(name, "[Service]\nExecStart=/bin/sleep 100\n")
    }

    pub fn flota(&self, arguments: &[&str]) -> Ran {
        self.run("flota", arguments)
    }

    pub fn fleetctl(&self, arguments: &[&str]) -> Ran {
        self.run("/usr/bin/fleetctl", arguments)
    }

    /// Requests that change something, in order.
    pub fn changes(&self) -> Vec<String> {
        self.world.lock().unwrap().requests.clone()
    }

    /// Units that were to start while systemd was still stopping them.
    pub fn hasty(&self) -> Vec<String> {
        self.world.lock().unwrap().hasty.clone()
    }

    /// Gives every command a variable; none as value is the directory of the programs that the test brings.
    pub fn with(mut self, name: &str, value: Option<&str>) -> Self {
        let own = self.path("bin");
        let value = value.map_or_else(|| own.to_str().unwrap().to_owned(), str::to_owned);
        self.variables.insert(name.to_owned(), value);
        self
    }

    /// A shell script that commands find along their PATH. `DIR` in it is the directory of the cluster.
    pub fn program(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt;
        let directory = self.path("bin");
        std::fs::create_dir_all(&directory).unwrap();
        let script = script.replace("DIR", self.directory.path().to_str().unwrap());
        let path = directory.join(name);
        std::fs::write(&path, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Adds a machine.
    pub fn machine(&self, id: &str, address: &str) {
        let machine = Machine { id: id.to_owned(), metadata: BTreeMap::new(), primary_ip: address.to_owned() };
        self.world.lock().unwrap().machines.push(machine);
    }

    /// The daemon loses its store.
    pub fn lose_store(&self) {
        self.world.lock().unwrap().storeless = true;
    }

    /// A machine's lease ends; it said that it goes down, or did not.
    pub fn lose(&self, number: usize, state: MachineState) {
        let mut world = self.world.lock().unwrap();
        let machine = world.machines.remove(number - 1);
        world.dead.push((machine, state));
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let mut ran = run_in(program, arguments, &self.path("api.sock"), &self.variables);
        let directory = self.directory.path().to_str().unwrap();
        for text in [&mut ran.out, &mut ran.err] {
            *text = text.replace(directory, "DIR");
        }
        ran
    }
}

/// Runs a command against a socket.
pub fn run(program: &str, arguments: &[&str], socket: &Path) -> Ran {
    run_in(program, arguments, socket, &BTreeMap::new())
}

/// Runs a command against a socket with some environment variables.
fn run_in(program: &str, arguments: &[&str], socket: &Path, variables: &BTreeMap<String, String>) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let endpoint = format!("unix://{}", socket.display());
    let variable = |name: &str| match variables.get(name) {
        Some(value) => Some(value.clone()),
        None => (name == "FLOTA_ENDPOINT").then(|| endpoint.clone()),
    };
    let line = std::iter::once(program).chain(arguments.iter().copied()).map(OsString::from);
    let terminal = Terminal { out: &mut out, err: &mut err, interactive: false };
    let Outcome::Exit(code) = run_with(line, variable, terminal) else { panic!("not a daemon") };
    Ran { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

impl Ran {
    /// Checks all three: the code, stdout, stderr.
    #[track_caller]
    pub fn check(&self, code: u8, out: &str, err: &str) {
        assert_eq!((self.code, self.out.as_str(), self.err.as_str()), (code, out, err));
    }
}

fn router(world: Shared) -> Router {
    let v1 = Router::new()
        .route(paths::UNITS, get(units))
        .route(paths::UNIT_ROUTE, get(unit).put(put_unit).delete(delete_unit))
        .route(paths::STATES, get(states))
        .route(paths::MACHINES, get(machines));
    Router::new()
        .nest(paths::PREFIX, v1)
        .route(paths::WHY_ROUTE, get(why))
        .route(paths::ALL_MACHINES, get(all_machines))
        .route(paths::MACHINE_ROUTE, get(machine).delete(remove_machine))
        .route(paths::LEAVE, get(leave_status).post(leave))
        .route(paths::HEALTH, get(health))
        .route(paths::CORDON_ROUTE, put(cordon).delete(uncordon))
        .with_state(world)
}

fn refuse(code: StatusCode, message: &str) -> Response {
    (code, Json(ErrorBody::new(code.as_u16(), message))).into_response()
}

type Params = Query<BTreeMap<String, String>>;

fn page<T: Clone>(items: &[T], params: &BTreeMap<String, String>) -> (Vec<T>, String) {
    let token = PageToken::from_query(params.get(paths::QUERY_PAGE).map(String::as_str)).unwrap();
    let (page, next) = paginate(items, token);
    (page.to_vec(), next.map_or_else(String::new, PageToken::encode))
}

async fn units(State(world): State<Shared>, Query(params): Params) -> Json<UnitPage> {
    let mut world = world.lock().unwrap();
    world.schedule();
    let all: Vec<Unit> = world.units.values().map(|entry| entry.unit.clone()).collect();
    let (units, next_page_token) = page(&all, &params);
    Json(UnitPage { units, next_page_token })
}

async fn machines(State(world): State<Shared>, Query(params): Params) -> Json<MachinePage> {
    let (machines, next_page_token) = page(&world.lock().unwrap().machines, &params);
    Json(MachinePage { machines, next_page_token })
}

async fn all_machines(State(world): State<Shared>) -> Json<MachineList> {
    let world = world.lock().unwrap();
    let living = world.machines.iter().map(|machine| world.info(machine, None));
    let dead = world.dead.iter().map(|(machine, state)| world.info(machine, Some(*state)));
    let mut machines: Vec<MachineInfo> = living.chain(dead).collect();
    machines.sort_by(|a, b| a.id.cmp(&b.id));
    Json(MachineList { machines })
}

/// Each look takes one unit off a machine that drains, if another one can take it, and forgets one that is removed.
async fn machine(State(world): State<Shared>, Name(id): Name<String>) -> Response {
    let mut world = world.lock().unwrap();
    let living = world.machines.iter().find(|machine| machine.id == id).map(|machine| world.info(machine, None));
    let dead = world.dead.iter().find(|(machine, _)| machine.id == id);
    let Some(machine) = living.or_else(|| dead.map(|(machine, state)| world.info(machine, Some(*state)))) else {
        return refuse(StatusCode::NOT_FOUND, "machine does not exist");
    };
    let holds = world.units.values().filter(|entry| entry.unit.machine_id == id);
    let holds = holds.map(|entry| HeldUnit { unit: entry.unit.name.clone(), scheduled: true, active: "active".into() });
    let holds: Vec<HeldUnit> = holds.collect();
    match world.cordons.get(&id).map(|cordon| cordon.mode) {
        Some(CordonMode::Draining) => world.evict(&holds),
        Some(CordonMode::Removed) => {
            world.machines.retain(|machine| machine.id != id);
            world.dead.retain(|(machine, _)| machine.id != id);
        }
        _ => {}
    }
    Json(MachineDetail { machine, holds }).into_response()
}

async fn remove_machine(State(world): State<Shared>, Name(id): Name<String>, Query(params): Params) -> Response {
    let mut world = world.lock().unwrap();
    let force = params.contains_key(paths::QUERY_FORCE);
    world.requests.push(format!("REMOVE {}{}", &id[..8], if force { " by force" } else { "" }));
    if world.machines.iter().any(|machine| machine.id == id) && !force {
        return refuse(StatusCode::CONFLICT, "machine f1ee0100 lives");
    }
    world.cordons.insert(id, CordonRequest { mode: CordonMode::Removed, reason: None });
    StatusCode::ACCEPTED.into_response()
}

async fn cordon(State(world): State<Shared>, Name(id): Name<String>, Json(request): Json<CordonRequest>) -> StatusCode {
    let mut world = world.lock().unwrap();
    let reason = request.reason.as_deref().unwrap_or("-");
    let line = format!("CORDON {} {:?} {reason}", &id[..8], request.mode);
    world.requests.push(line);
    world.cordons.insert(id, request);
    StatusCode::NO_CONTENT
}

async fn health(State(world): State<Shared>) -> Json<Health> {
    let machine_id = world.lock().unwrap().machines[0].id.clone();
    let version = "0.1.0".to_owned();
    Json(Health { version, machine_id, store_connected: true, leader: None, revision: 1, generation: 1, detail: None })
}

async fn leave_status(State(world): State<Shared>) -> Json<LeaveStatus> {
    let mut world = world.lock().unwrap();
    let status = world.leave.clone();
    if status.stage == LeaveStage::Files {
        world.leave.stage = LeaveStage::Done;
    }
    Json(status)
}

async fn leave(State(world): State<Shared>, Json(request): Json<LeaveRequest>) -> Response {
    let mut world = world.lock().unwrap();
    let LeaveRequest { keep, force, check } = request;
    world.requests.push(format!("LEAVE keep={keep} force={force} check={check}"));
    if world.storeless && !force {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "flota cannot reach its store");
    }
    if world.machines.len() == 1 && !keep {
        return refuse(StatusCode::CONFLICT, "no other machine of the cluster lives");
    }
    if check {
        return StatusCode::NO_CONTENT.into_response();
    }
    let kept = world.units.values().filter(|entry| keep && entry.unit.machine_id == world.machines[0].id);
    let kept = kept.map(|entry| entry.unit.name.clone()).collect();
    let cluster = (!world.storeless).then(|| "00ff".to_owned());
    world.leave = LeaveStatus { stage: LeaveStage::Files, cluster, tell: !world.storeless, kept, problem: None };
    StatusCode::ACCEPTED.into_response()
}

async fn uncordon(State(world): State<Shared>, Name(id): Name<String>) -> StatusCode {
    let mut world = world.lock().unwrap();
    world.requests.push(format!("UNCORDON {}", &id[..8]));
    world.cordons.remove(&id);
    StatusCode::NO_CONTENT
}

async fn states(State(world): State<Shared>, Query(params): Params) -> Response {
    let mut world = world.lock().unwrap();
    world.schedule();
    let wanted = params.get(paths::QUERY_UNIT);
    if let Some(entry) = wanted.filter(|name| name.starts_with("flaky")).and_then(|name| world.units.get_mut(name))
        && entry.looks == 0
    {
        entry.looks = 1;
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "cannot reach the store");
    }
    let World { units, machines, .. } = &mut *world;
    let all: Vec<UnitState> = units
        .values_mut()
        .filter(|entry| wanted.is_none_or(|name| *name == entry.unit.name))
        .flat_map(|entry| entry.look(machines))
        .collect();
    let (states, next_page_token) = page(&all, &params);
    Json(UnitStatePage { states, next_page_token }).into_response()
}

async fn unit(State(world): State<Shared>, Name(name): Name<String>) -> Response {
    let mut world = world.lock().unwrap();
    world.schedule();
    match world.units.get(&name) {
        Some(entry) => ([(header::ETAG, "\"7-abc\"")], Json(&entry.unit)).into_response(),
        None => refuse(StatusCode::NOT_FOUND, "unit does not exist"),
    }
}

async fn put_unit(
    State(world): State<Shared>,
    Name(name): Name<String>,
    headers: HeaderMap,
    Json(body): Json<Unit>,
) -> Response {
    let mut world = world.lock().unwrap();
    let (condition, value) =
        if world.units.contains_key(&name) { (header::IF_MATCH, "\"7-abc\"") } else { (header::IF_NONE_MATCH, "*") };
    let condition = headers.get(condition).is_some_and(|given| given == value);
    if name.starts_with("raced") && condition && !body.options.is_empty() {
        return refuse(StatusCode::PRECONDITION_FAILED, "the unit was changed");
    }
    let state = body.desired_state.map_or("-", DesiredState::as_str);
    let kind = if body.options.is_empty() { "state" } else { "file" };
    world.requests.push(format!("PUT {name} {kind} {state}"));
    let World { units, hasty, .. } = &mut *world;
    match (units.get_mut(&name), body.options.is_empty()) {
        (None, true) => refuse(StatusCode::CONFLICT, "unit does not exist and options field empty"),
        (Some(entry), true) => {
            let restarted = (entry.unit.desired_state, body.desired_state);
            if restarted == (Some(DesiredState::Loaded), Some(DesiredState::Launched)) && entry.looks < 2 {
                hasty.push(name.clone());
            }
            (entry.unit.desired_state, entry.looks) = (body.desired_state, 0);
            StatusCode::NO_CONTENT.into_response()
        }
        (_, false) => {
            units.insert(name.clone(), Entry { unit: Unit { name, ..body }, looks: 0 });
            StatusCode::CREATED.into_response()
        }
    }
}

async fn delete_unit(State(world): State<Shared>, Name(name): Name<String>) -> Response {
    let mut world = world.lock().unwrap();
    world.requests.push(format!("DELETE {name}"));
    match world.units.remove(&name) {
        Some(_) => StatusCode::NO_CONTENT.into_response(),
        None => refuse(StatusCode::NOT_FOUND, "unit does not exist"),
    }
}

async fn why(State(world): State<Shared>, Name(name): Name<String>) -> Response {
    let mut world = world.lock().unwrap();
    world.schedule();
    let Some(entry) = world.units.get(&name) else {
        return refuse(StatusCode::NOT_FOUND, "unit does not exist");
    };
    let machines = world.machines.iter().map(|machine| {
        let reasons = world.reasons(entry, machine);
        let (machine, address) = (machine.id.clone(), machine.primary_ip.clone());
        MachineVerdict { machine, address, eligible: reasons.is_empty(), reasons }
    });
    let explanation = Explanation {
        unit: name.clone(),
        desired: entry.unit.desired_state.unwrap(),
        scheduled_on: Some(entry.unit.machine_id.clone()).filter(|id| !id.is_empty()),
        cause: None,
        machines: machines.collect(),
        problem: name.starts_with("broken").then(|| "cannot link the unit file".to_owned()),
    };
    Json(explanation).into_response()
}

impl World {
    /// Gives each unit that wants one the first machine that fits.
    fn schedule(&mut self) {
        let names: Vec<String> = self.units.keys().cloned().collect();
        for name in names {
            let entry = &self.units[&name];
            let desired = entry.unit.desired_state.unwrap_or(DesiredState::Inactive);
            let machine = match desired {
                _ if entry.requirements().global => String::new(),
                DesiredState::Inactive => String::new(),
                _ if !entry.unit.machine_id.is_empty() => entry.unit.machine_id.clone(),
                _ => self
                    .machines
                    .iter()
                    .find(|machine| self.reasons(entry, machine).is_empty())
                    .map_or_else(String::new, |machine| machine.id.clone()),
            };
            let global = entry.requirements().global;
            let current =
                if machine.is_empty() || name.starts_with("broken") { DesiredState::Inactive } else { desired };
            let unit = &mut self.units.get_mut(&name).unwrap().unit;
            unit.machine_id = machine;
            unit.current_state = (!global).then_some(current);
        }
    }

    fn info(&self, machine: &Machine, dead: Option<MachineState>) -> MachineInfo {
        let cordon = self.cordons.get(&machine.id);
        let asked = cordon.map(|cordon| match cordon.mode {
            CordonMode::Cordoned => MachineState::Cordoned,
            CordonMode::Draining => MachineState::Draining,
            CordonMode::Removed => MachineState::Removed,
        });
        MachineInfo {
            id: machine.id.clone(),
            address: machine.primary_ip.clone(),
            metadata: machine.metadata.clone(),
            peer: None,
            state: dead.or(asked).unwrap_or(MachineState::Ready),
            reason: cordon.and_then(|cordon| cordon.reason.clone()).filter(|_| dead.is_none()),
            alive: dead.is_none(),
            cordon: cordon.map(|cordon| CordonInfo {
                mode: cordon.mode,
                reason: cordon.reason.clone(),
                since_unix_ms: 7,
            }),
            down_unix_ms: None,
            version: dead.is_none().then(|| "0.1.0".to_owned()),
            cpus: None,
            memory_bytes: None,
            units: self.units.values().filter(|entry| entry.unit.machine_id == machine.id).count() as u64,
        }
    }

    /// Moves the first of these units that another machine can take.
    fn evict(&mut self, holds: &[HeldUnit]) {
        for held in holds {
            let entry = &self.units[&held.unit];
            let other = self.machines.iter().find(|machine| self.reasons(entry, machine).is_empty());
            if let Some(other) = other.map(|machine| machine.id.clone()) {
                self.units.get_mut(&held.unit).unwrap().unit.machine_id = other;
                return;
            }
        }
    }

    fn reasons(&self, entry: &Entry, machine: &Machine) -> Vec<String> {
        let wanted = entry.requirements();
        let mut reasons = Vec::new();
        if self.cordons.contains_key(&machine.id) {
            reasons.push("machine takes no units".to_owned());
        }
        if !wanted.matches_metadata(&machine.metadata) {
            reasons.push("its metadata does not match".to_owned());
        }
        for other in self.units.values().filter(|other| other.unit.machine_id == machine.id) {
            let other = other.unit.name.parse().unwrap();
            if other != entry.name() && wanted.conflicts_with(&other) {
                reasons.push(format!("conflicts with {other}"));
            }
        }
        reasons
    }
}

impl Entry {
    fn name(&self) -> UnitName {
        self.unit.name.parse().unwrap()
    }

    fn file(&self) -> UnitFile {
        let options = self.unit.options.iter().cloned();
        UnitFile::from_options(options.map(|option| (option.section, option.name, option.value))).unwrap()
    }

    fn requirements(&self) -> Requirements {
        Requirements::from_unit(&self.name(), &self.file()).unwrap()
    }

    /// What systemd says at this look.
    fn look(&mut self, machines: &[Machine]) -> Vec<UnitState> {
        let desired = self.unit.desired_state.unwrap_or(DesiredState::Inactive);
        let on: Vec<String> = if !self.requirements().global {
            vec![self.unit.machine_id.clone()]
        } else if desired == DesiredState::Inactive {
            vec![]
        } else {
            machines.iter().map(|machine| machine.id.clone()).collect()
        };
        if on.iter().any(String::is_empty) || on.is_empty() || self.unit.name.starts_with("broken") {
            return vec![];
        }
        self.looks += 1;
        let name = self.unit.name.as_str();
        let (active, sub) = match (desired, self.looks) {
            (DesiredState::Launched, _) if name.starts_with("fail") => ("failed", "failed"),
            (DesiredState::Launched, _) if name.starts_with("once") => ("inactive", "dead"),
            (DesiredState::Launched, _) if name.starts_with("loop") => ("activating", "auto-restart"),
            (DesiredState::Launched, 1) => ("activating", "start"),
            (DesiredState::Launched, 4..) if name.starts_with("brief") => ("failed", "failed"),
            (DesiredState::Launched, _) => ("active", "running"),
            _ if name.starts_with("stuck") => ("deactivating", "stop-sigterm"),
            (_, 1) => ("deactivating", "stop-sigterm"),
            _ => ("inactive", "dead"),
        };
        let state = |machine_id| UnitState {
            name: self.unit.name.clone(),
            hash: self.file().hash().to_string(),
            machine_id,
            systemd_load_state: "loaded".into(),
            systemd_active_state: active.into(),
            systemd_sub_state: sub.into(),
        };
        on.into_iter().map(state).collect()
    }
}
