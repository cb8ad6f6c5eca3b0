//! kill -9 of a server with views: while it starts, while definitions change and tables are filled, and while the
//! views follow what clients append. The tables equal those of a rebuild, row for row, and those of a model.
//!
//! `LEFTFOLD_VIEW_KILLS` sets the kills, `LEFTFOLD_SEED` what is chosen by chance: `cargo xtask kill views`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use leftfold::{Append, Embedded, EventStore, Expected, Options};
use pollster::block_on;
use serde_json::{Value, json};

use crate::binary::{Killed, command, serve, serve_as};
use crate::killed::{DEADLINE, Load, client};
use crate::views_model::{self as model, COUNTS, Fact, TYPES};

const KILLS: u64 = 5;
/// The kills of one data directory; then another one begins, since a rebuild of ever more events takes ever longer.
const KILLS_OF_ROUND: u64 = 20;
/// The kills between two comparisons with a rebuild. The end of a round compares, too.
const COMPARED: u64 = 8;
/// The events before the first kill.
const HISTORY: u64 = 20_000;
const WRITERS: u64 = 3;
const VIEWS: [&str; 3] = ["counts", "entries", "types"];
/// The time after which a question about what views are doing is asked again.
const AGAIN: Duration = Duration::from_millis(5);

/// Numbers that look random, from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // SplitMix64: any seed is as good as another one.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn micros(&mut self, limit: u64) -> Duration {
        Duration::from_micros(self.below(limit))
    }
}

/// When a server is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// Before it has said that it listens, or a moment later.
    Starting,
    /// While a definition changes, and tables are filled.
    Changing(Change),
    /// While all views follow what is appended.
    Following,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    AddOrRemove,
    Replace,
    Reset,
}

impl Moment {
    /// The first ones are in each run, however short it is.
    fn of(kill: u64, random: &mut Random) -> Self {
        match (kill, random.below(8)) {
            (0, _) => Moment::Changing(Change::AddOrRemove),
            (1, _) => Moment::Changing(Change::Replace),
            (2, _) | (_, 0..=2) => Moment::Following,
            (3, _) | (_, 3) => Moment::Starting,
            (4, _) | (_, 4) => Moment::Changing(Change::AddOrRemove),
            (_, 5) => Moment::Changing(Change::Reset),
            (..) => Moment::Changing(Change::Replace),
        }
    }
}

/// A client of a server for questions about views.
struct Http {
    runtime: tokio::runtime::Runtime,
    client: reqwest::Client,
}

impl Http {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Http { runtime, client: crate::served::client() }
    }

    /// Returns the answer, or `None` if nothing is there.
    fn json(&self, request: reqwest::RequestBuilder) -> Option<Value> {
        self.runtime.block_on(async {
            // A connection that is kept would be one to a server that was killed since.
            let request = request.header("connection", "close").timeout(DEADLINE);
            let response = request.send().await.unwrap();
            let (status, text) = (response.status(), response.text().await.unwrap());
            assert!(status.is_success() || status == 404, "{status} {text}");
            (status != 404).then(|| serde_json::from_str(&text).unwrap())
        })
    }

    fn get(&self, address: &str, path: &str) -> Option<Value> {
        self.json(self.client.get(format!("http://{address}{path}")))
    }

    fn post(&self, address: &str, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("http://{address}{path}"));
        let request = request.header("content-type", "application/json").body(body.to_string());
        self.json(request).unwrap()
    }

    /// Waits until all views follow, with the tables of their last definitions.
    fn wait_until_following(&self, address: &str) {
        let started = Instant::now();
        loop {
            let listed = self.get(address, "/v1/views").unwrap();
            let views = listed["views"].as_array().unwrap();
            let is_following =
                |view: &Value| view["phase"] == "following" && view["replacing"] == false;
            if views.iter().all(is_following) {
                return;
            }
            assert!(started.elapsed() < DEADLINE, "the views do not follow: {listed}");
            thread::sleep(AGAIN);
        }
    }
}

/// A data directory whose server is killed again and again.
struct Round<'a> {
    dir: &'a Path,
    random: Random,
    http: Http,
    address: String,
    /// What each view may be: its file, or `None` if it may be missing. A change that was not answered may be made.
    views: BTreeMap<&'static str, Vec<Option<String>>>,
    /// How many views were still being filled when a server was started again, and how many there were.
    building: (u64, u64),
}

impl Round<'_> {
    fn data(&self) -> PathBuf {
        self.dir.join("store")
    }

    fn serve(&self) -> Killed {
        serve(&self.data(), &self.address).0
    }

    /// Starts a command that changes a view. It may come to its end or not.
    fn command(&self, verb: &str, view: &str, text: Option<&str>) -> Child {
        let file = self.dir.join(format!("{view}.sql"));
        let subject = if matches!(verb, "add" | "replace") { file.to_str().unwrap() } else { view };
        std::fs::write(&file, text.unwrap_or_default()).unwrap();
        let server = format!("http://{}", self.address);
        let mut command = command(&self.data(), &["--server", &server, "view", verb, subject]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Adds a view, and waits until it is there.
    fn add(&mut self, view: &'static str, text: String) {
        let output = self.command("add", view, Some(&text)).wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.views.insert(view, vec![Some(text)]);
    }

    /// Starts a change of a view. Returns the view, and what it is then.
    fn change(&mut self, change: Change) -> (&'static str, Option<String>, Child) {
        let (view, verb, text) = match (change, &self.views["types"][..]) {
            (Change::AddOrRemove, [None]) => ("types", "add", Some(TYPES.to_owned())),
            (Change::AddOrRemove, _) => ("types", "remove", None),
            // At times this is the definition that is there already.
            (Change::Replace, _) => {
                ("entries", "replace", Some(model::entries(self.random.below(4))))
            }
            (Change::Reset, _) => ("counts", "reset", self.views["counts"][0].clone()),
        };
        let child = self.command(verb, view, text.as_deref());
        (view, text, child)
    }

    /// Holds what the views are against what they may be.
    fn look(&mut self) {
        for view in VIEWS {
            let found = self.http.get(&self.address, &format!("/v1/views/{view}"));
            if let Some(found) = &found {
                self.building.0 += u64::from(found["phase"] == "building");
                self.building.1 += 1;
            }
            let found = found.map(|view| view["text"].as_str().unwrap().to_owned());
            let expected = &self.views[view];
            assert!(expected.contains(&found), "{view} is {found:?}, and may be {expected:?}");
            self.views.insert(view, vec![found]);
        }
    }

    /// Starts a server, and kills it.
    fn kill(&mut self, moment: Moment, load: &Load) {
        if self.random.below(6) == 0 {
            _ = std::fs::remove_dir_all(self.data().join("views"));
        }
        if moment == Moment::Starting {
            let args = ["serve", "--listen", &self.address, "--log-level", "error"];
            let mut command = command(&self.data(), &args);
            let server = Killed(command.stdout(Stdio::null()).spawn().unwrap());
            thread::sleep(self.random.micros(300_000));
            drop(server);
            return;
        }
        let server = self.serve();
        self.look();
        let changing = match moment {
            Moment::Changing(change) => {
                let changing = self.change(change);
                thread::sleep(self.random.micros(150_000));
                Some(changing)
            }
            _ => {
                self.http.wait_until_following(&self.address);
                load.wait_for_more(1 + self.random.below(100));
                thread::sleep(self.random.micros(5_000));
                None
            }
        };
        drop(server);
        if let Some((view, text, mut child)) = changing {
            // Without an answer the change may be there or not.
            match child.wait().unwrap().success() {
                true => _ = self.views.insert(view, vec![text]),
                false => self.views.entry(view).or_default().push(text),
            }
        }
    }

    /// Starts a server for comparisons at another address: clients wait meanwhile. Returns the rows of all tables.
    fn rows(&self, folder: &Path) -> (Vec<String>, model::Tables) {
        let views = folder.to_str().unwrap();
        let limits = ["--limits-ask-rows", "10000000", "--limits-ask-bytes", "1 GiB"];
        let (_server, address) = serve_as(&self.data(), "127.0.0.1:0", |serve| {
            serve.args(["--views", views, "--limits-ask-time", "2m"]).args(limits);
        });
        let last = json!({"events": [{"type": "Compared"}]});
        let last = self.http.post(&address, "/v1/streams/comparison-1/events", &last);
        self.http.wait_until_following(&address);
        let (mut texts, mut rows) = (Vec::new(), BTreeMap::new());
        for view in VIEWS {
            let Some(found) = self.http.get(&address, &format!("/v1/views/{view}")) else {
                continue;
            };
            let text = found["text"].as_str().unwrap();
            for sql in model::tables(text, &[]).into_keys() {
                let ask = json!({"sql": sql, "at_least": last["cursor"], "timeout_ms": 120_000});
                let mut answer = self.http.post(&address, "/v1/query", &ask);
                let Value::Array(found) = answer["rows"].take() else { panic!("{answer}") };
                rows.insert(sql, found);
            }
            texts.push(text.to_owned());
        }
        (texts, rows)
    }

    /// Holds the tables against those of a rebuild in another folder. Returns the views' files and the rows.
    fn compare(&self) -> (Vec<String>, model::Tables) {
        let found = self.rows(&self.data().join("views"));
        let fresh = tempfile::tempdir_in(self.dir).unwrap();
        let rebuilt = self.rows(fresh.path());
        assert_same(&found.1, &rebuilt.1, "a rebuild");
        assert_eq!(found.0, rebuilt.0);
        found
    }
}

fn assert_same(found: &model::Tables, expected: &model::Tables, of: &str) {
    assert!(found.keys().eq(expected.keys()));
    for (sql, rows) in found {
        let expected = &expected[sql];
        let differ = rows.iter().zip(expected).find(|(row, expected)| row != expected);
        let counts = (rows.len(), expected.len());
        assert!(
            differ.is_none() && counts.0 == counts.1,
            "{sql}: the rows differ from those of {of}: {differ:?}, {counts:?} rows"
        );
    }
}

/// Fills a store before its server starts.
fn fill(data: &Path) -> Vec<Fact> {
    let store = Embedded::open(data, Options::default()).unwrap();
    let mut facts = Vec::new();
    for first in (0..HISTORY).step_by(1_000) {
        let append = |append| block_on(store.append(append)).unwrap();
        facts.extend(append_some(append, WRITERS, first..first + 1_000));
    }
    facts
}

/// Appends some events of a stream; returns what was acknowledged.
fn append_some(
    append: impl FnOnce(Append) -> leftfold::Appended,
    of: u64,
    numbers: std::ops::Range<u64>,
) -> Vec<Fact> {
    let stream = format!("count-{of}");
    let expected = numbers.start.checked_sub(1).map_or(Expected::NoStream, Expected::Exactly);
    let events = numbers.clone().map(|number| model::event(of, number));
    let new = Append::new().expect(&stream, expected);
    let appended = append(events.fold(new, |append, event| append.event(&stream, event)));
    let (first, last) = appended.positions.unwrap();
    assert_eq!(last - first + 1, numbers.end - numbers.start);
    assert_eq!(appended.streams[0].first, numbers.start);
    let fact =
        |(position, number)| Fact { position, stream: stream.clone(), version: number, number };
    (first..).zip(numbers).map(fact).collect()
}

/// Appends one to four events at a time until told to stop. The client tries each append again until it is answered.
fn write(address: &str, writer: u64, load: &Load) -> Vec<Fact> {
    let (client, mut facts) = (client(address), Vec::new());
    while !load.stop.load(Ordering::SeqCst) {
        let next = facts.len() as u64;
        let count = 1 + next % 4;
        let append = |append| block_on(client.append(append)).unwrap();
        facts.extend(append_some(append, writer, next..next + count));
        load.add(count);
    }
    facts
}

/// Ends the writers, also if a test has failed.
struct Stop<'a>(&'a Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::SeqCst);
    }
}

/// Kills the server of one data directory some times. Returns what has happened.
fn run(seed: u64, kills: u64) -> String {
    let dir = tempfile::tempdir().unwrap();
    let mut facts = fill(&dir.path().join("store"));
    let (server, address) = serve(&dir.path().join("store"), "127.0.0.1:0");
    let load = Load::default();
    let views = VIEWS.map(|view| (view, vec![None]));
    let mut round = Round {
        dir: dir.path(),
        random: Random(seed),
        http: Http::new(),
        address: address.clone(),
        views: BTreeMap::from(views),
        building: (0, 0),
    };
    round.add("counts", COUNTS.to_owned());
    round.add("entries", model::entries(0));
    drop(server);
    let mut moments = BTreeMap::<Moment, u64>::new();
    thread::scope(|threads| {
        let (load, address) = (&load, &*address);
        let stop = Stop(load);
        let writers: Vec<_> =
            (0..WRITERS).map(|n| threads.spawn(move || write(address, n, load))).collect();
        for kill in 0..kills {
            let moment = Moment::of(kill, &mut round.random);
            round.kill(moment, load);
            *moments.entry(moment).or_default() += 1;
            if kill % COMPARED == COMPARED - 1 {
                round.compare();
            }
        }
        let _server = round.serve();
        round.look();
        drop(stop);
        facts.extend(writers.into_iter().flat_map(|writer| writer.join().unwrap()));
    });
    facts.sort_by_key(|fact| fact.position);
    let (texts, rows) = round.compare();
    let expected = texts.iter().flat_map(|text| model::tables(text, &facts)).collect();
    assert_same(&rows, &expected, "the model");
    let (building, views) = round.building;
    format!("{moments:?}, {building} of {views} views were building, {} events", facts.len())
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

#[test]
fn a_server_with_views_is_killed_and_the_tables_equal_a_rebuild_and_a_model() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let seed = number("LEFTFOLD_SEED").unwrap_or(now);
    let kills = number("LEFTFOLD_VIEW_KILLS").unwrap_or(KILLS);
    for (round, before) in (seed..).zip((0..kills).step_by(KILLS_OF_ROUND as usize)) {
        let of_round = KILLS_OF_ROUND.min(kills - before);
        println!("seed {round}: {of_round} kills after {before} of {kills}");
        println!("seed {round}: right: {}", run(round, of_round));
    }
}
