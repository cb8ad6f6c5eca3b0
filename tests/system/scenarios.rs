//! What people came asking for, over the network and from processes that know nothing of each other.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leftfold::client::Client;
use leftfold::view::{RedbRows, Rows, View, ViewError, ViewRunner};
use leftfold::{Append, Cursor, EventStore, NewEvent, Query, Recorded};
use pollster::block_on;
use serde_json::{Value, json};

use crate::binary::{binary, serve};

const SNAPSHOTS: usize = 30;

/// Far more than a restart takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two processes append at one version: one wins, the other is told the version that holds now, and
/// the winner, asking again, gets its first answer.
#[test]
fn of_two_processes_at_one_version_exactly_one_wins() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, address) = serve(dir.path(), "127.0.0.1:0");
    let url = format!("http://{address}");
    let append = |process: u8, round: u64| {
        let id = format!("00000000-0000-4000-8000-{round:011}{process}");
        let expect = round.checked_sub(1).map_or("no-stream".to_owned(), |last| last.to_string());
        let mut command = std::process::Command::new(binary());
        command.args(["append", "cart-1", "Changed", "--server", &url, "--expect", &expect]);
        command.args(["--id", &id]).stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    for round in 0..8 {
        let both = [1, 2].map(|process| append(process, round));
        let both = both.map(|process| process.wait_with_output().unwrap());
        let winner = both.iter().position(|output| output.status.success()).unwrap();
        let loser = &both[1 - winner];
        assert!(!loser.status.success(), "both won round {round}");
        let complaint = String::from_utf8_lossy(&loser.stderr).into_owned();
        assert!(complaint.contains("wrong_version"), "{complaint}");
        assert!(complaint.contains(&format!("its last version is {round}")), "{complaint}");
        let again = append(1 + u8::try_from(winner).unwrap(), round).wait_with_output().unwrap();
        assert!(again.status.success(), "{again:?}");
        let said = |output: &[u8]| -> Value { serde_json::from_slice(output).unwrap() };
        let (first, again) = (said(&both[winner].stdout), said(&again.stdout));
        assert_eq!(first["version"], round);
        assert_eq!([&first["version"], &first["cursor"]], [&again["version"], &again["cursor"]]);
        assert_eq!(again["repeated"], true);
    }
}

/// The last orders of each customer, but for what other systems announced.
struct LastOrders;

impl View for LastOrders {
    fn name(&self) -> &str {
        "last-orders"
    }

    fn query(&self) -> Query {
        "category:order and not type:Integration*".parse().unwrap()
    }

    fn apply(&self, rows: &mut dyn Rows, event: &Recorded) -> Result<(), ViewError> {
        let data: Value = serde_json::from_slice(&event.data()).unwrap();
        let customer = data["customer"].as_str().unwrap();
        let row = rows.get(customer.as_bytes())?;
        let mut last: Vec<String> =
            row.map_or(Vec::new(), |row| serde_json::from_slice(&row).unwrap());
        last.push(event.stream().to_owned());
        let first = last.len().saturating_sub(SNAPSHOTS);
        rows.put(customer.as_bytes(), json!(last[first..]).to_string().as_bytes())
    }
}

/// Writes orders of some customers, and beside each what the view does not want.
async fn order(client: &Client, numbers: std::ops::Range<usize>, tally: &mut Tally) -> Cursor {
    let mut cursor = Cursor::START;
    for n in numbers {
        let (stream, customer) = (format!("order-{n}"), format!("customer-{}", n % 7));
        let placed = NewEvent::json("OrderPlaced", json!({ "customer": customer }).to_string());
        let noise = NewEvent::json("IntegrationOrderSent", "{}");
        let append = Append::new().event(&stream, placed).event(&stream, noise);
        cursor = client.append(append).await.unwrap().cursor;
        tally.entry(customer).or_default().push(stream);
    }
    cursor
}

type Tally = BTreeMap<String, Vec<String>>;

fn viewing(address: &str, rows: &Path) -> ViewRunner<LastOrders, Client> {
    let client =
        Client::builder(format!("http://{address}")).timeout(PATIENCE).reconnect_time(PATIENCE);
    let client = client.connect_lazily().unwrap();
    ViewRunner::new(LastOrders, Arc::new(client), RedbRows::open(rows).unwrap())
}

/// A view over a whole category, with one cursor for all its streams: its process ends and another
/// goes on with the file, the server is killed, and what was written is read by who wrote it.
#[test]
fn a_view_over_a_category_goes_on_from_its_one_cursor_through_kills() {
    let dir = tempfile::tempdir().unwrap();
    let (data, rows) = (dir.path().join("data"), dir.path().join("rows"));
    let mut tally = Tally::new();
    let (server, address) = serve(&data, "127.0.0.1:0");
    let mut server = Some(server);
    for round in 0..3 {
        let viewing = viewing(&address, &rows);
        let client = Client::builder(format!("http://{address}")).timeout(PATIENCE);
        let client = client.reconnect_time(PATIENCE).connect_lazily().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::scope(|scope| {
            let stopped = async { _ = stopped.await };
            let running = scope.spawn(|| block_on(viewing.run_until(stopped)));
            let written = block_on(order(&client, round * 200..round * 200 + 100, &mut tally));
            block_on(viewing.at_least(written)).unwrap();
            // While the view runs.
            drop(server.take());
            server = Some(serve(&data, &address).0);
            let written =
                block_on(order(&client, round * 200 + 100..(round + 1) * 200, &mut tally));
            let rows = block_on(viewing.at_least(written)).unwrap();
            for (customer, orders) in &tally {
                let row = rows.get(customer.as_bytes()).unwrap().unwrap();
                let last: Vec<String> = serde_json::from_slice(&row).unwrap();
                assert_eq!(last, orders[orders.len().saturating_sub(SNAPSHOTS)..], "{customer}");
            }
            stop.send(()).unwrap();
            running.join().unwrap().unwrap();
        });
    }
}
